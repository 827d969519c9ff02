"""Records as messages of ``opentelemetry-proto``: what the bytes that the sinks write must decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from sunbird_otel import __version__, names
from sunbird_otel._signals import SpanKind, StatusCode
from sunbird_otel.sinks.otlp.written import SAMPLED, resource_attributes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.metrics.v1 import metrics_pb2

    from sunbird_otel._signals import Attributes, AttributeValue, Link, MetricPoint, Resource, Span, SpanEvent


def traces(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """Return the request that says what ``spans`` say."""
    request = ExportTraceServiceRequest()
    lists: dict[Resource, trace_pb2.ScopeSpans] = {}
    for span in spans:
        scope_spans = lists.get(span.resource)
        if scope_spans is None:
            resource_spans = request.resource_spans.add(resource=_resource(span.resource))
            scope_spans = lists[span.resource] = resource_spans.scope_spans.add(scope=_SCOPE)
        scope_spans.spans.append(_span(span))
    return request


def metrics(points: Iterable[MetricPoint]) -> ExportMetricsServiceRequest:
    """Return the request that says what ``points`` say."""
    request = ExportMetricsServiceRequest()
    lists: dict[Resource, metrics_pb2.ScopeMetrics] = {}
    gauges: dict[tuple[Resource, str], metrics_pb2.Gauge] = {}
    for point in points:
        key = point.resource, point.name
        gauge = gauges.get(key)
        if gauge is None:
            scope_metrics = lists.get(point.resource)
            if scope_metrics is None:
                resource_metrics = request.resource_metrics.add(resource=_resource(point.resource))
                scope_metrics = lists[point.resource] = resource_metrics.scope_metrics.add(scope=_SCOPE)
            metric = scope_metrics.metrics.add(name=point.name, description=point.description, unit=point.unit)
            gauge = gauges[key] = metric.gauge
        data_point = gauge.data_points.add(time_unix_nano=point.time_ns, attributes=_attributes(point.attributes))
        if isinstance(point.value, int):
            data_point.as_int = point.value
        else:
            data_point.as_double = point.value
    return request


def _resource(resource: Resource) -> resource_pb2.Resource:
    return resource_pb2.Resource(attributes=_attributes(resource_attributes(resource)))


def _span(span: Span) -> trace_pb2.Span:
    return trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        flags=SAMPLED,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        events=[_event(event) for event in span.events],
        links=[_link(link) for link in span.links],
        status=_status(span),
    )


def _status(span: Span) -> trace_pb2.Status | None:
    if not span.status and not span.status_message:
        return None
    return trace_pb2.Status(code=_CODES[span.status], message=span.status_message)


def _event(event: SpanEvent) -> trace_pb2.Span.Event:
    return trace_pb2.Span.Event(time_unix_nano=event.time_ns, name=event.name, attributes=_attributes(event.attributes))


def _link(link: Link) -> trace_pb2.Span.Link:
    return trace_pb2.Span.Link(
        trace_id=link.trace_id, span_id=link.span_id, flags=SAMPLED, attributes=_attributes(link.attributes)
    )


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case str():
            return AnyValue(string_value=value)
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))


_KINDS = {
    SpanKind.INTERNAL: trace_pb2.Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: trace_pb2.Span.SPAN_KIND_SERVER,
}
_CODES = {
    StatusCode.UNSET: trace_pb2.Status.STATUS_CODE_UNSET,
    StatusCode.ERROR: trace_pb2.Status.STATUS_CODE_ERROR,
}
_SCOPE = InstrumentationScope(name=names.SCOPE, version=__version__)
