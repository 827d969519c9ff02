"""Sunbird's telemetry API inside the test process."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUCCESS: Final = b'{"id":"api.telemetry","ver":"1.0","params":{},"responseCode":"SUCCESS"}'
_POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived, headers in lower case, and the status of the answer; an unreadable body is empty."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int = HTTPStatus.OK
    body: bytes = _SUCCESS
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0


class TelemetryApi:
    """Takes batches at :attr:`url` and answers SUCCESS until :meth:`answer` says otherwise; use it in a ``with``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._next: deque[_Answer] = deque()
        self._always = _Answer()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # A client may keep its connection open for longer than the test.
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/data/v3/telemetry"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def batches(self) -> list[Mapping[str, Any]]:
        """The batches that were taken; as in the pipeline, one whose message id has been seen is not taken again."""
        taken: dict[str, Mapping[str, Any]] = {}
        for number, request in enumerate(list(self.requests)):
            if request.status == HTTPStatus.OK:
                msgid = _part(request.body, "params").get("msgid")
                taken.setdefault(str(msgid) if msgid else f"without msgid {number}", request.body)
        return list(taken.values())

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of the batches that were taken, in the order of their arrival."""
        return [event for batch in self.batches for event in batch.get("events", ())]

    def answer(
        self,
        status: int = 200,
        *,
        times: int | None = 1,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
    ) -> None:
        """Say how requests are answered.

        Args:
            status: The HTTP status; what is answered with 200 is taken.
            times: So many of the next requests, after those that were announced before; ``None`` is all from then on.
            body: What is sent; the API's SUCCESS by default for 200.
            headers: Sent as well, ``{"Retry-After": "1"}`` for example.
            delay: Seconds that pass before the answer.
        """
        given = body or (_SUCCESS if status == HTTPStatus.OK else b"")
        answer = _Answer(status, given, dict(headers or {}), delay)
        with self._lock:
            if times is None:
                self._always = answer
            else:
                self._next.extend([answer] * times)

    def receive(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        """Take one request and return the status, body and headers of the answer."""
        body = _read(raw, headers.get("content-encoding", ""))
        with self._lock:
            answer = self._next.popleft() if self._next else self._always
            if body is None:
                answer = _Answer(HTTPStatus.BAD_REQUEST, b"expected a JSON object with a list of events")
            self.requests.append(Request(path, headers, body or {}, answer.status))
        self._over.wait(answer.delay)
        return answer.status, answer.body, answer.headers


def _read(raw: bytes, encoding: str) -> dict[str, Any] | None:
    """Return the batch, or None when it is none."""
    try:
        body = json.loads(gzip.decompress(raw) if encoding == "gzip" else raw)
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    if not isinstance(body, dict):
        return None
    batch = cast("dict[str, Any]", body)
    return batch if isinstance(batch.get("events"), list) else None


def _part(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    part = body.get(key)
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _handler(api: TelemetryApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two writes, and the second would wait for an answer to the first.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            raw = self.rfile.read(int(headers.get("content-length", 0)))
            status, body, more = api.receive(self.path, headers, raw)
            self.send_response(status)
            for key, value in {"content-type": "application/json", **more}.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
            del format, args

    return Handler
