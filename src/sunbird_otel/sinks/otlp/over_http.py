"""OTLP over HTTP, as protobuf or JSON."""

from __future__ import annotations

import gzip
import ssl
from typing import TYPE_CHECKING

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # its stubs lack py.typed
from urllib3.exceptions import HTTPError, SSLError

from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks._text import one_line
from sunbird_otel.sinks._web import connections, retry_after, why
from sunbird_otel.sinks.otlp.request import KINDS, to_json
from sunbird_otel.sinks.otlp.transport import (
    USER_AGENT,
    Accepted,
    Answer,
    Busy,
    NoPlace,
    Refused,
    TooLarge,
    accepted,
)

if TYPE_CHECKING:
    import urllib3

    from sunbird_otel.sinks.otlp.request import Request
    from sunbird_otel.sinks.otlp.settings import Destination

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_BUSY = frozenset({429, 502, 503, 504})
_OK, _NOT_FOUND, _TOO_LARGE = range(200, 300), 404, 413
_REDIRECT = range(300, 400)
_MAX_RESPONSE = 1 << 20
# How the first frame of an HTTP/2 server looks to who expects a status line.
_HTTP2 = r"BadStatusLine('\x00\x00"


class HttpTransport:
    """Posts requests to one URL.

    Redirects are not followed: a POST with credentials is not carried to where nobody sent it.
    """

    def __init__(self, destination: Destination) -> None:
        self._url = destination.endpoint
        self._json = destination.protocol == "http/json"
        self._gzip = destination.gzip
        self._headers = {
            "user-agent": USER_AGENT,
            **dict(destination.headers),
            "content-type": _JSON if self._json else _PROTOBUF,
        }
        if self._gzip:
            self._headers["content-encoding"] = "gzip"
        context = _ssl_context(destination) if destination.secure else None
        self._pool = connections(self._url, timeout=destination.timeout, context=context)

    def send(self, request: Request) -> Answer:
        """Post once."""
        body = to_json(request) if self._json else request.body
        if self._gzip:
            body = gzip.compress(body, compresslevel=6, mtime=0)
        try:
            response = self._pool.request(
                "POST", self._url, body=body, headers=self._headers, redirect=False, preload_content=False
            )
            try:
                content = response.read(_MAX_RESPONSE)
            finally:
                response.release_conn()
        except SSLError as error:
            cause = error.args[0] if error.args else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Refused(f"its certificate is not trusted: {cause.verify_message}")
            return Busy(one_line(f"TLS failed: {error}"))
        except (HTTPError, OSError) as error:
            if _HTTP2 in str(error):
                return Refused("it speaks HTTP/2, as gRPC does: try --protocol grpc")
            return Busy(why(error))
        return self._answer(request, response, content)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _answer(self, request: Request, response: urllib3.BaseHTTPResponse, content: bytes) -> Answer:
        status = response.status
        if status in _OK:
            return self._accepted(request, response, content)
        media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        told = _told(media, content)
        reason = f"HTTP {status}" + (f" ({response.reason})" if response.reason else "") + (f": {told}" if told else "")
        if status in _BUSY:
            return Busy(reason, retry_after(response))
        if status == _TOO_LARGE:
            return TooLarge(reason)
        if status == _NOT_FOUND:
            return NoPlace(reason)
        if status in _REDIRECT:
            target = one_line(response.headers.get("location", "another address"))
            return Refused(f"HTTP {status}: it redirects to {target}; give that endpoint if it is the right one")
        return Refused(reason)

    def _accepted(self, request: Request, response: urllib3.BaseHTTPResponse, content: bytes) -> Accepted:
        message_type = KINDS[request.kind].response
        media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if self._json or media == _JSON:
                message = Parse(content or b"{}", message_type(), ignore_unknown_fields=True)
            else:
                message = message_type.FromString(content)
        except (DecodeError, ParseError, UnicodeDecodeError):
            return Accepted(
                message=f"HTTP {response.status} came with {media or 'a body'} that is no OTLP response; "
                "is this the address of an OTLP receiver?"
            )
        return accepted(request.kind, message)


def _told(media: str, content: bytes) -> str:
    """Return what an error response says: a ``google.rpc.Status`` by the specification, or text."""
    if media == _PROTOBUF:
        try:
            return one_line(Status.FromString(content).message)
        except DecodeError:
            return ""
    if media == "text/html":
        return ""
    return one_line(content.decode("utf-8", "replace"))


def _ssl_context(destination: Destination) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=destination.certificate)
        if destination.client_certificate is not None:
            context.load_cert_chain(destination.client_certificate, destination.client_key)
    except (ssl.SSLError, OSError) as error:
        files = (destination.certificate, destination.client_certificate, destination.client_key)
        given = ", ".join(str(file) for file in files if file)
        raise ConfigError(f"the certificates cannot be used ({given}): expected PEM files, found: {error}") from None
    return context
