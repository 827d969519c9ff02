"""Signals to OTLP/JSON: the same messages as :mod:`sunbird_otel.sinks.otlp.encode`, as one line of JSON.

OTLP/JSON is protobuf's JSON with its own rules: camel case, enums as numbers, 64-bit integers as strings, and trace
and span ids in hex instead of base64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from sunbird_otel import names
from sunbird_otel._version import __version__
from sunbird_otel.sinks.otlp.encode import SAMPLED, resource_attributes
from sunbird_otel.sinks.otlp.text import well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sunbird_otel._signals import Attributes, AttributeValue, Link, MetricPoint, Resource, Span, SpanEvent

Json: TypeAlias = dict[str, Any]


class JsonEncoder:
    """Builds plain objects and lets orjson write them; a request is one line, without the newline."""

    def encode_traces(self, spans: Sequence[Span]) -> bytes:
        """Return one ``ExportTraceServiceRequest``."""
        try:
            return orjson.dumps(_traces(spans))
        except orjson.JSONEncodeError:
            return orjson.dumps(_traces(well_formed(spans)))

    def encode_metrics(self, points: Sequence[MetricPoint]) -> bytes:
        """Return one ``ExportMetricsServiceRequest``."""
        try:
            return orjson.dumps(_metrics(points))
        except orjson.JSONEncodeError:
            return orjson.dumps(_metrics(well_formed(points)))


def _traces(spans: Iterable[Span]) -> Json:
    by_resource: dict[Resource, list[Json]] = {}
    for span in spans:
        by_resource.setdefault(span.resource, []).append(_span(span))
    return {
        "resourceSpans": [
            {"resource": _resource(resource), "scopeSpans": [{"scope": _SCOPE, "spans": rows}]}
            for resource, rows in by_resource.items()
        ]
    }


def _metrics(points: Iterable[MetricPoint]) -> Json:
    by_resource: dict[Resource, dict[str, Json]] = {}
    for point in points:
        metrics = by_resource.setdefault(point.resource, {})
        metric = metrics.get(point.name)
        if metric is None:
            metric = metrics[point.name] = {
                "name": point.name,
                "description": point.description,
                "unit": point.unit,
                "gauge": {"dataPoints": []},
            }
        metric["gauge"]["dataPoints"].append(_point(point))
    return {
        "resourceMetrics": [
            {
                "resource": _resource(resource),
                "scopeMetrics": [{"scope": _SCOPE, "metrics": list(metrics.values())}],
            }
            for resource, metrics in by_resource.items()
        ]
    }


def _resource(resource: Resource) -> Json:
    return {"attributes": _attributes(resource_attributes(resource))}


def _span(span: Span) -> Json:
    row: Json = {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
    if span.parent_span_id:
        row["parentSpanId"] = span.parent_span_id.hex()
    row["flags"] = SAMPLED
    row["name"] = span.name
    row["kind"] = span.kind.value
    row["startTimeUnixNano"] = str(span.start_ns)
    row["endTimeUnixNano"] = str(span.end_ns)
    row["attributes"] = _attributes(span.attributes)
    if span.events:
        row["events"] = [_event(event) for event in span.events]
    if span.links:
        row["links"] = [_link(link) for link in span.links]
    if span.status or span.status_message:
        row["status"] = {"code": span.status.value, "message": span.status_message}
    return row


def _event(event: SpanEvent) -> Json:
    return {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _attributes(event.attributes)}


def _link(link: Link) -> Json:
    return {
        "traceId": link.trace_id.hex(),
        "spanId": link.span_id.hex(),
        "flags": SAMPLED,
        "attributes": _attributes(link.attributes),
    }


def _point(point: MetricPoint) -> Json:
    row: Json = {"timeUnixNano": str(point.time_ns)}
    if isinstance(point.value, int):
        row["asInt"] = str(point.value)
    else:
        row["asDouble"] = point.value
    row["attributes"] = _attributes(point.attributes)
    return row


def _attributes(attributes: Attributes) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: AttributeValue) -> Json:
    match value:
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}


_SCOPE = {"name": names.SCOPE, "version": __version__}
