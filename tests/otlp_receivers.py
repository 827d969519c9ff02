"""OTLP receivers inside the test process, over HTTP and gRPC, that keep what they get and answer as they are told."""

from __future__ import annotations

import gzip
import threading
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import grpc
from span_factory import APP, BASE_NS

from sunbird_otel._signals import MetricPoint
from sunbird_otel.sinks.otlp.network import OtlpSink
from sunbird_otel.sinks.otlp.request import KINDS, parse
from sunbird_otel.sinks.otlp.settings import OtlpSettings

if TYPE_CHECKING:
    import ssl
    from pathlib import Path
    from types import TracebackType

    from google.protobuf.message import Message

    from sunbird_otel._signals import Span
    from sunbird_otel.sinks.otlp.request import Kind


POINT = MetricPoint(name="m", description="", unit="1", value=1, time_ns=BASE_NS, resource=APP, attributes={})
"""One metric point."""


@dataclass
class Got:
    """One request as it arrived."""

    kind: str
    message: Any
    headers: dict[str, str]
    size: int


@dataclass
class Reply:
    """One HTTP answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


def span_names(got: list[Got]) -> list[str]:
    """Return the names of all spans in the order in which they arrived."""
    return [
        span.name
        for request in got
        if request.kind == "traces"
        for resource in request.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class HttpReceiver:
    """Answers 200 until told otherwise: ``replies`` holds the next answers, ``always`` the standing ones, by kind."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got: list[Got] = []
        self.calls = 0
        self.replies: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self.always: dict[str, Reply] = {}
        self.max_body: int | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://localhost:{self.port}" if context else f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, kind: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Record one request and return its answer."""
        self.calls += 1
        if self.max_body is not None and len(body) > self.max_body:
            return Reply(413, b"too large")
        reply = self.replies[kind].popleft() if self.replies[kind] else self.always.get(kind, Reply())
        if reply.status == 200 and body:  # an empty request only asks whether anybody is there
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            if headers["content-type"] == "application/json":
                plain = parse(plain).body
            messages = {str(known): protocol.request for known, protocol in KINDS.items()}
            self.got.append(Got(kind, messages[kind].FromString(plain), headers, len(body)))
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                reply = receiver.answer(self.path.rpartition("/")[2], body, headers)
                self.send_response(reply.status)
                for key, value in {"content-type": "application/x-protobuf", **reply.headers}.items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the standard library
                del format, args

        return Handler


@dataclass
class Failure:
    """One gRPC failure."""

    code: grpc.StatusCode
    details: str = ""
    trailing: tuple[tuple[str, bytes], ...] = ()


class GrpcReceiver:
    """Accepts until told otherwise: ``failures`` holds the next failures, by kind; it serves no other kinds."""

    def __init__(self, serves: tuple[Kind, ...] = ("traces", "metrics"), max_bytes: int | None = None) -> None:
        self.got: list[Got] = []
        self.calls = 0
        self.failures: defaultdict[str, deque[Failure]] = defaultdict(deque)
        self.responses: dict[str, Message] = {}
        options = [("grpc.max_receive_message_length", max_bytes)] if max_bytes else []
        self._server = grpc.server(ThreadPoolExecutor(2), options=options)
        for kind in serves:
            service, _, method = KINDS[kind].method.strip("/").partition("/")
            handler = grpc.unary_unary_rpc_method_handler(
                self._export(kind),
                request_deserializer=KINDS[kind].request.FromString,
                response_serializer=KINDS[kind].response.SerializeToString,
            )
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()

    def _export(self, kind: Kind) -> Any:
        def export(message: Any, context: grpc.ServicerContext) -> Message:
            self.calls += 1
            if self.failures[kind]:
                failure = self.failures[kind].popleft()
                context.set_trailing_metadata(failure.trailing)
                context.abort(failure.code, failure.details)
            headers = {str(key): str(value) for key, value in context.invocation_metadata()}
            if message.ByteSize():
                self.got.append(Got(kind, message, headers, message.ByteSize()))
            return self.responses.get(kind, KINDS[kind].response())

        return export


def sink_for(
    url: str, folder: Path | None = None, /, *, limits: dict[str, Any] | None = None, **variables: str
) -> OtlpSink:
    """Return a sink without patience; ``variables`` are those of OTLP without their prefix."""
    environ = {"OTEL_EXPORTER_OTLP_" + name: value for name, value in variables.items()}
    settings = OtlpSettings.from_environment(environ, endpoint=url, retry_seconds=0.3)
    settings = replace(settings, **{"retry_first": 0.01, "retry_most": 0.02, **(limits or {})})
    return OtlpSink(settings, undelivered=folder)


def names(spans: list[Span]) -> list[str]:
    """Return the names of spans."""
    return [span.name for span in spans]
