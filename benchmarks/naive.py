"""The bridge that one would write in an afternoon over the stock SDK, as the yardstick.

It parses, keeps a dictionary of open spans by device, type and object, adds other events to the device's newest open
span, makes a span for an event without one, and hands finished spans to the stock encoder in batches of 512. It has no
order, no copies, no rules, no accounts and derives no ids.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Iterable

BATCH = 512


class _Encoding(SpanProcessor):
    """Encodes finished spans in batches, as the OTLP exporter does."""

    def __init__(self) -> None:
        self.batch: list[ReadableSpan] = []
        self.bytes = 0

    def on_end(self, span: ReadableSpan) -> None:
        self.batch.append(span)
        if len(self.batch) >= BATCH:
            self.flush()

    def flush(self) -> None:
        self.bytes += len(encode_spans(self.batch).SerializeToString())
        self.batch = []


def run(lines: Iterable[bytes]) -> int:
    """Translate ``lines`` and return the number of encoded bytes."""
    encoding = _Encoding()
    provider = TracerProvider()
    provider.add_span_processor(encoding)
    tracer = provider.get_tracer("naive")
    open_spans: dict[str, list[tuple[str, Span]]] = {}
    for line in lines:
        event = json.loads(line)
        edata, context = event["edata"], event["context"]
        obj: dict[str, Any] = event.get("object") or {}
        key = f"{edata.get('type')}:{obj.get('id')}"
        time_ns = event["ets"] * 1_000_000
        attributes = _attributes(event, edata, context, obj)
        stack = open_spans.setdefault(context.get("did") or event["mid"], [])
        parent = set_span_in_context(stack[-1][1]) if stack else None
        if event["eid"] == "START":
            span = tracer.start_span(str(edata["type"]), context=parent, start_time=time_ns, attributes=attributes)
            assert isinstance(span, Span)
            stack.append((key, span))
        elif event["eid"] == "END":
            found = next((entry for entry in reversed(stack) if entry[0] == key), None)
            if found is not None:
                stack.remove(found)
                found[1].end(time_ns)
        elif stack:
            stack[-1][1].add_event(event["eid"], attributes, time_ns)
        else:
            span = tracer.start_span(event["eid"], start_time=time_ns, attributes=attributes)
            span.end(time_ns)
    for stack in open_spans.values():
        for _, span in reversed(stack):
            span.end()
    encoding.flush()
    return encoding.bytes


def _attributes(
    event: dict[str, Any], edata: dict[str, Any], context: dict[str, Any], obj: dict[str, Any]
) -> dict[str, str | int | float | bool]:
    attributes: dict[str, str | int | float | bool] = {
        "mid": event["mid"],
        "user": event["actor"]["id"],
        "channel": context["channel"],
        "env": context["env"],
        "pdata": context["pdata"]["id"],
        "sid": context.get("sid", ""),
        "did": context.get("did", ""),
    }
    if obj.get("id"):
        attributes["object"] = obj["id"]
    for name, value in edata.items():
        attributes[name] = value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
    return attributes
