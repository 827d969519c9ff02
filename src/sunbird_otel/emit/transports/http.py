"""Events to Sunbird's telemetry API, in batches."""

from __future__ import annotations

import codecs
import gzip
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from urllib3.exceptions import HTTPError

from sunbird_otel._version import __version__
from sunbird_otel.emit.transports._courier import Accepted, Answer, Busy, Denied, Refused, TooLarge
from sunbird_otel.emit.transports._queued import QueuedTransport
from sunbird_otel.emit.transports._settings import QueueSettings
from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks._text import one_line
from sunbird_otel.sinks._web import connections, retry_after, why

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import urllib3

    from sunbird_otel.emit.transports._batch import Batch
    from sunbird_otel.emit.transports._settings import SpoolMode

# Loaded here and not with the first look-up of a host: a fork amid that would leave the child without it for ever.
codecs.lookup("idna")

_OK, _REDIRECT, _SERVER_ERROR = range(200, 300), range(300, 400), range(500, 600)
_TOO_LARGE = 413
_REFUSED = frozenset({400, 422})
_WAIT = frozenset({408, 425, 429, *_SERVER_ERROR})
# What to look at when nothing from us is taken.
_CREDENTIALS = "check the token and what it is allowed to do"
_ADDRESS = "check the address, which is one such as https://host/data/v3/telemetry"
_ADVICE = {401: _CREDENTIALS, 403: _CREDENTIALS, 407: _CREDENTIALS, 415: "if it does not take gzip, say compress=False"}
# What Sunbird's services write into a 200 that is one: those in JavaScript and Go the first, those in Java the second.
_SUCCESS = frozenset({"SUCCESS", "OK"})
_NOT_AGAIN = frozenset({"CLIENT_ERROR", "BAD_REQUEST"})
_MAX_ANSWER = 65_536
_GZIP_LEVEL = 6
_MAX_HEADER = 1024


class HttpTransport(QueuedTransport):
    """Posts events in batches to the telemetry API at ``url``, from a thread of its own.

    >>> transport = HttpTransport("https://host/data/v3/telemetry", token="...", spool="/var/spool/my-service")

    A batch is a request with a message id of its own, which stays the same when it is sent again, so that the pipeline
    can drop what arrives twice.

    * An API that cannot be reached or answers 408, 429 or 5xx is tried again, after 1 s, 2 s, 4 s ... 60 s or what its
      ``Retry-After`` asks for. So is one that takes nothing from us (401, 403, 404 ...), which is logged as an error.
    * 413 has the batch divided; 400 and 422 set it aside, with the answer, in ``refused/`` in the spool.
    * What was not taken waits in the folder ``spool``, and is sent when the API answers again, in this run or another;
      runs that share a folder each take only their own and what dead ones have left. Without a folder it waits in
      memory.
      One folder belongs to one destination.
    * With ``spool_mode="always"`` each event is written there before ``send`` returns: a process that is killed loses
      nothing. With ``"on_failure"`` it loses what was still in memory: ``flush_interval`` seconds and the batch on
      its way.
    * When ``queue_size`` events wait in memory, or 64 MiB, new ones are dropped and counted; what was taken is kept.
    * The interpreter's end closes the transport. A process that is killed or ends by ``os._exit`` closes nothing.

    Args:
        url: Where to post, with its path.
        token: The bearer token, or a function that returns it and is asked for every request.
        app_id: The header ``x-app-id``; without it, ``context.pdata.id`` of the batch's first event.
        device_id: The header ``x-device-id``; without it, ``context.did`` of that event.
        channel: The header ``x-channel-id``; without it, ``context.channel`` of that event.
        headers: More headers.
        compress: Whether bodies are compressed with gzip.
        certificate: A PEM file with the authorities to trust, instead of the system's.
        timeout: How many seconds a request may take.
        batch_size: How many events go into one request; below 4 MB in any case.
        flush_interval: How many seconds an event waits for others.
        queue_size: How many events may be in memory.
        spool: The folder for what could not be delivered.
        spool_mode: ``"on_failure"`` or ``"always"``.
        spool_bytes: How large the spool may grow; beyond it events stay in memory.
        retry_first: The pause after the first failure, in seconds; it doubles with each further one.
        retry_most: The longest pause between two tries, unless the other side asks for more.
        patience: How many seconds ``flush`` and ``close`` wait when they are given no time.

    Raises:
        ConfigError: An option cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None = None,
        app_id: str | None = None,
        device_id: str | None = None,
        channel: str | None = None,
        headers: Mapping[str, str] | None = None,
        compress: bool = True,
        certificate: str | Path | None = None,
        timeout: float = 10.0,
        batch_size: int = 100,
        flush_interval: float = 5.0,
        queue_size: int = 20_000,
        spool: str | Path | None = None,
        spool_mode: SpoolMode = "on_failure",
        spool_bytes: int = 1 << 30,
        retry_first: float = 1.0,
        retry_most: float = 60.0,
        patience: float = 5.0,
    ) -> None:
        settings = QueueSettings(
            batch_size=batch_size,
            flush_interval=flush_interval,
            queue_size=queue_size,
            spool=Path(spool) if spool is not None else None,
            spool_mode=spool_mode,
            spool_bytes=spool_bytes,
            retry_first=retry_first,
            retry_most=retry_most,
            patience=patience,
        )
        courier = HttpCourier(
            url,
            token=token,
            headers={
                **(headers or {}),
                **{
                    name: value
                    for name, value in (("x-app-id", app_id), ("x-device-id", device_id), ("x-channel-id", channel))
                    if value is not None
                },
            },
            compress=compress,
            certificate=certificate,
            timeout=timeout,
        )
        super().__init__(url, courier, settings)


class HttpCourier:
    """Posts batches to one URL.

    The proxies of the environment are used. Redirects are not followed: a POST with credentials is not carried to
    where nobody sent it. ``clock`` is the time of day in seconds.

    Raises:
        ConfigError: The URL or the certificate cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None,
        headers: Mapping[str, str],
        compress: bool,
        certificate: str | Path | None,
        timeout: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _checked(url)
        self._token = token
        self._compress = compress
        self._timeout = timeout
        self._clock = clock
        self._headers = {
            "user-agent": f"sunbird-otel/{__version__}",
            "content-type": "application/json",
            **{name.lower(): value for name, value in headers.items()},
        }
        if compress:
            self._headers["content-encoding"] = "gzip"
        self._context = _trust(certificate) if url.startswith("https:") else None
        self._pool = connections(url, timeout=timeout, context=self._context)

    def post(self, batch: Batch) -> Answer:
        """Post once."""
        try:
            headers = {**_from_event(batch.lines[0]), **self._headers}
            if self._token is not None:
                token = self._token if isinstance(self._token, str) else self._token()
                headers["authorization"] = f"Bearer {token.strip()}"
        except Exception as error:  # noqa: BLE001  the user's function may raise anything
            return Denied(f"the token cannot be had: {error!r}", "see to the function that was given as token")
        body = self._body(batch)
        deadline = time.monotonic() + self._timeout
        try:
            response = self._pool.request(
                "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
            )
            try:
                content = _read(response, deadline)
            finally:
                response.release_conn()
        except (HTTPError, OSError) as error:
            return Busy(why(error))
        except (UnicodeError, ValueError) as error:
            return Denied(f"the request cannot be made: {one_line(str(error))}", "correct the headers or the token")
        return _answer(response, content)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def forget(self) -> None:
        """Use connections of our own from now on."""
        self._pool = connections(self._url, timeout=self._timeout, context=self._context)

    def _body(self, batch: Batch) -> bytes:
        # The lines are JSON already: they are not read and written again.
        head = {
            "id": "api.sunbird.telemetry",
            "ver": "3.0",
            "params": {"msgid": batch.msgid},
            "ets": int(self._clock() * 1000),
        }
        body = orjson.dumps(head)[:-1] + b',"events":[' + b",".join(batch.lines) + b"]}"
        return gzip.compress(body, compresslevel=_GZIP_LEVEL, mtime=0) if self._compress else body


def _answer(response: urllib3.BaseHTTPResponse, content: bytes) -> Answer:
    status = response.status
    text = content.decode("utf-8", "replace")
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    told = "" if media == "text/html" else one_line(text)
    reason = f"HTTP {status}" + (f" ({response.reason})" if response.reason else "") + (f": {told}" if told else "")
    if status in _OK:
        return _accepted(media, text, reason, retry_after(response))
    if status in _WAIT:
        return Busy(reason, retry_after(response))
    if status == _TOO_LARGE:
        return TooLarge(reason)
    if status in _REFUSED:
        return Refused(reason, text)
    if status in _REDIRECT:
        reason = f"HTTP {status}: it redirects to {one_line(response.headers.get('location', 'another address'))}"
    return Denied(reason, _ADVICE.get(status, _ADDRESS))


def _accepted(media: str, text: str, reason: str, after: float | None) -> Answer:
    """Return what a 200 means: Sunbird's services say in its body whether they took the batch."""
    if media == "text/html":
        # A login page, say: nobody there has taken any telemetry.
        return Denied(f"{reason}, with a web page", "check whether this is the address of a telemetry API")
    try:
        told: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Accepted()
    code = told.get("responseCode") if isinstance(told, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if code is None or code in _SUCCESS:
        return Accepted()
    return Refused(reason, text) if code in _NOT_AGAIN else Busy(reason, after)


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body, or what there is of it by the deadline: the status has told what matters."""
    content = b""
    while len(content) < _MAX_ANSWER and time.monotonic() < deadline:
        chunk = response.read1(_MAX_ANSWER)
        if not chunk:
            break
        content += chunk
    return content


def _from_event(line: bytes) -> dict[str, str]:
    """Return the headers that an event has values for, so far as they can be sent."""
    try:
        event: Any = orjson.loads(line)
        context: Any = event.get("context") or {}
        pdata: Any = context.get("pdata") or {}
        values: dict[str, Any] = {
            "x-app-id": pdata.get("id"),
            "x-device-id": context.get("did"),
            "x-channel-id": context.get("channel"),
        }
    except (orjson.JSONDecodeError, AttributeError):
        return {}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str) and 0 < len(value) <= _MAX_HEADER and value.isascii() and value.isprintable()
    }


def _checked(url: str) -> str:
    """Return ``url``, if it can be posted to.

    Raises:
        ConfigError: It cannot.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
        raise ConfigError(
            f"the address of the telemetry API is {url!r}; "
            "expected one with http or https, a host and a path, such as https://host/data/v3/telemetry"
        )
    return url


def _trust(certificate: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"the certificate cannot be used ({certificate}): expected a PEM file, found: {error}"
        ) from None
