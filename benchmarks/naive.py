"""The bridge that a competent developer would write in an afternoon over the stock SDK, as the yardstick.

STARTs open spans, kept by device and type (and object, since several of a type can be open); ENDs close them; other
events become span events of the device's newest open span, or spans of no length when there is none; a LOG
``api_access`` becomes a server span whose attributes are its ``params``. Finished spans go to the stock encoder in
batches of 512, as the SDK's batch processor and OTLP exporter do, but on the same thread and without a network.

It has no order, no copies, no rules, no accounts and derives no ids; an END whose START never came is dropped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

Object: TypeAlias = dict[str, Any]

BATCH = 512
SERVER_ERROR = 500


class _Batches(SpanProcessor):
    """Encodes finished spans in batches, as the batch processor's exporter does."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []
        self.requests: list[bytes] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)
        if len(self._spans) >= BATCH:
            self.flush()

    def flush(self) -> None:
        if self._spans:
            self.requests.append(encode_spans(self._spans).SerializeToString())
            self._spans = []


class NaiveBridge:
    """Takes JSON lines, and leaves requests in ``batches``."""

    def __init__(self) -> None:
        """Start with nothing open."""
        self.batches = _Batches()
        self._tracers: dict[str, Tracer] = {}
        self._open: dict[str, list[tuple[str, Span]]] = {}

    def feed(self, line: bytes) -> None:
        """Take one event."""
        event: Object = json.loads(line)
        eid, edata, context, obj = event["eid"], _part(event, "edata"), _part(event, "context"), _part(event, "object")
        time_ns = int(event["ets"]) * 1_000_000
        tracer = self._tracer(_part(context, "pdata").get("id", "unknown"))
        device = context.get("did", "")
        stack = self._open.get(device, [])
        if eid == "START":
            key = f"{edata.get('type')}:{obj.get('id')}"
            parent = set_span_in_context(stack[-1][1]) if stack else None
            span = tracer.start_span(
                edata.get("type") or "flow", parent, start_time=time_ns, attributes=_attributes(event, edata)
            )
            self._open.setdefault(device, []).append((key, span))
        elif eid == "END":
            key = f"{edata.get('type')}:{obj.get('id')}"
            for entry in reversed(stack):
                if entry[0] == key:
                    stack.remove(entry)
                    entry[1].end(time_ns)
                    break
        elif eid == "LOG" and str(edata.get("type")).lower() == "api_access":
            self._request(tracer, event, edata, time_ns)
        elif stack:
            stack[-1][1].add_event(eid, _attributes(event, edata), time_ns)
        else:
            span = tracer.start_span(eid, start_time=time_ns, attributes=_attributes(event, edata))
            if eid == "ERROR":
                span.set_status(Status(StatusCode.ERROR, edata.get("err")))
            span.end(time_ns)

    def close(self) -> None:
        """End what is open, and encode what is left."""
        for stack in self._open.values():
            for _, span in reversed(stack):
                span.end()
        self.batches.flush()

    def _request(self, tracer: Tracer, event: Object, edata: Object, time_ns: int) -> None:
        parts: list[Object] = edata.get("params") or []
        params: Object = {}
        for part in parts:
            params.update(part)
        attributes = _attributes(event, {"level": edata.get("level"), "message": edata.get("message"), **params})
        duration_ns = int(params.get("duration", 0)) * 1_000_000
        span = tracer.start_span(
            f"{params.get('method')} {params.get('url')}",
            kind=SpanKind.SERVER,
            start_time=time_ns - duration_ns,
            attributes=attributes,
        )
        status = params.get("status")
        if isinstance(status, int) and status >= SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(time_ns)

    def _tracer(self, service: str) -> Tracer:
        """Return the tracer of a service, whose spans carry its name as their resource."""
        if service not in self._tracers:
            provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
            provider.add_span_processor(self.batches)
            self._tracers[service] = provider.get_tracer("naive")
        return self._tracers[service]


def requests(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the requests that ``lines`` become."""
    bridge = NaiveBridge()
    for line in lines:
        bridge.feed(line)
        if bridge.batches.requests:
            yield from bridge.batches.requests
            bridge.batches.requests = []
    bridge.close()
    yield from bridge.batches.requests


def _part(event: Object, name: str) -> Object:
    return event.get(name) or {}


def _attributes(event: Object, edata: Object) -> dict[str, str | int | float | bool]:
    context, obj = _part(event, "context"), _part(event, "object")
    attributes: dict[str, str | int | float | bool] = {
        "mid": event.get("mid", ""),
        "actor.id": _part(event, "actor").get("id", ""),
        "channel": context.get("channel", ""),
        "env": context.get("env", ""),
        "pdata.pid": _part(context, "pdata").get("pid", ""),
    }
    for name in ("sid", "did"):
        if context.get(name):
            attributes[name] = context[name]
    if obj.get("id"):
        attributes["object.id"] = obj["id"]
    for name, value in edata.items():
        if value is not None:
            attributes[f"edata.{name}"] = value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
    return attributes
