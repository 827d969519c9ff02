"""Signals as OTLP protobuf, written without message objects.

The field numbers are read from the messages of ``opentelemetry-proto``; what is written here is only how fields
are put down: a tag, and for what has no fixed size its length. Field order follows the definitions.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge as GaugeMessage
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from sunbird_otel import names
from sunbird_otel._signals import SpanKind, StatusCode
from sunbird_otel._version import __version__
from sunbird_otel.sinks.otlp.text import utf8
from sunbird_otel.sinks.otlp.written import SAMPLED, Gauge, Key, Keys, Written, WrittenForm, resource_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from sunbird_otel._form import Draft
    from sunbird_otel._signals import Attributes, AttributeValue, Link, MetricPoint, Resource

_WIRE_TYPES: Final = {
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_SFIXED64: 1,
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
    FieldDescriptor.TYPE_ENUM: 0,
    FieldDescriptor.TYPE_BOOL: 0,
    FieldDescriptor.TYPE_INT64: 0,
}
_CONTINUED: Final = 0x80
_UINT64: Final = (1 << 64) - 1
_LONGEST_VARINT: Final = 10


def _long_varint(number: int) -> bytes:
    parts = bytearray()
    while number >= _CONTINUED:
        parts.append(number & 0x7F | _CONTINUED)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_LAST: Final = [bytes((part,)) for part in range(_CONTINUED)]
_NOT_LAST: Final = [bytes((part | _CONTINUED,)) for part in range(_CONTINUED)]
_VARINTS: Final = [*_LAST, *(low + high for high in _LAST[1:] for low in _NOT_LAST)]
_CONTINUED_VARINTS: Final = [low + high for high in _NOT_LAST for low in _NOT_LAST]


def _varint(number: int) -> bytes:
    if number < 1 << 14:
        return _VARINTS[number]
    if number < 1 << 28:
        return _CONTINUED_VARINTS[number & 0x3FFF] + _VARINTS[number >> 14]
    return _long_varint(number)


def _tag(message: type[Message], field: str) -> bytes:
    found = message.DESCRIPTOR.fields_by_name[field]
    return _long_varint(found.number << 3 | _WIRE_TYPES[found.type])


def _sized(body: bytes) -> bytes:
    return _varint(len(body)) + body


_KEY: Final = _tag(KeyValue, "key")
_VALUE: Final = _tag(KeyValue, "value")
_STRING: Final = _tag(AnyValue, "string_value")
_BOOL: Final = _tag(AnyValue, "bool_value")
_INT: Final = _tag(AnyValue, "int_value")
_DOUBLE: Final = _tag(AnyValue, "double_value")
_ARRAY: Final = _tag(AnyValue, "array_value")
_ARRAY_VALUES: Final = _tag(ArrayValue, "values")

_EVENT_TIME: Final = _tag(Span.Event, "time_unix_nano")
_EVENT_NAME: Final = _tag(Span.Event, "name")
_EVENT_ATTRIBUTES: Final = _tag(Span.Event, "attributes")

_LINK_TRACE: Final = _tag(Span.Link, "trace_id") + _varint(16)
_LINK_SPAN: Final = _tag(Span.Link, "span_id") + _varint(8)
_LINK_ATTRIBUTES: Final = _tag(Span.Link, "attributes")
_LINK_FLAGS: Final = _tag(Span.Link, "flags") + SAMPLED.to_bytes(4, "little")

_SPAN_TRACE: Final = _tag(Span, "trace_id") + _varint(16)
_SPAN_ID: Final = _tag(Span, "span_id") + _varint(8)
_SPAN_PARENT: Final = _tag(Span, "parent_span_id") + _varint(8)
_SPAN_FLAGS: Final = _tag(Span, "flags") + SAMPLED.to_bytes(4, "little")
_SPAN_NAME: Final = _tag(Span, "name")
_SPAN_START: Final = _tag(Span, "start_time_unix_nano")
_SPAN_KINDS: Final = [_tag(Span, "kind") + _varint(kind) + _SPAN_START for kind in range(1 + max(SpanKind))]
_SPAN_END: Final = _tag(Span, "end_time_unix_nano")
_SPAN_ATTRIBUTES: Final = _tag(Span, "attributes")
_SPAN_EVENTS: Final = _tag(Span, "events")
_SPAN_LINKS: Final = _tag(Span, "links")
_SPAN_STATUS: Final = _tag(Span, "status")
_STATUS_CODES: Final = [_tag(Status, "code") + _varint(code) if code else b"" for code in range(1 + max(StatusCode))]
_STATUS_MESSAGE: Final = _tag(Status, "message")

_POINT_TIME: Final = _tag(NumberDataPoint, "time_unix_nano")
_POINT_INT: Final = _tag(NumberDataPoint, "as_int")
_POINT_DOUBLE: Final = _tag(NumberDataPoint, "as_double")
_POINT_ATTRIBUTES: Final = _tag(NumberDataPoint, "attributes")
_METRIC_NAME: Final = _tag(Metric, "name")
_METRIC_DESCRIPTION: Final = _tag(Metric, "description")
_METRIC_UNIT: Final = _tag(Metric, "unit")
_METRIC_GAUGE: Final = _tag(Metric, "gauge")
_GAUGE_POINTS: Final = _tag(GaugeMessage, "data_points")

_RESOURCE_ATTRIBUTES: Final = _tag(ResourceMessage, "attributes")
_SCOPE: Final = InstrumentationScope(name=names.SCOPE, version=__version__).SerializeToString()

_fixed64: Final = struct.Struct("<Q").pack
_times: Final = struct.Struct(f"<Q{len(_SPAN_END)}sQ").pack
_double: Final = struct.Struct("<d").pack

_SHORT: Final = 256
"""Texts of fewer bytes begin as one of their length did before."""


class ProtobufForm(WrittenForm):
    """Writes OTLP protobuf; events and spans with their length before them, as they stand in what holds them."""

    def __init__(self) -> None:
        """Start with nothing known to repeat."""
        self._span_keys = Keys(_SPAN_ATTRIBUTES)
        self._event_keys = Keys(_EVENT_ATTRIBUTES)
        self._link_keys = Keys(_LINK_ATTRIBUTES)
        self._point_keys = Keys(_POINT_ATTRIBUTES)
        self._resource_keys = Keys(_RESOURCE_ATTRIBUTES)
        self._names: dict[str, bytes] = {}
        self._resources: dict[Resource, bytes] = {}

    def block(self, attributes: Attributes) -> bytes:
        """Return attributes of a span, each as it stands there."""
        return self._joined(attributes, self._span_keys)

    def event(self, name: str, time_ns: int, attributes: Attributes) -> bytes:
        """Return an event, with its length before it."""
        body = _EVENT_TIME + _fixed64(time_ns) + _EVENT_NAME + self._name(name)
        if attributes:
            body += self._joined(attributes, self._event_keys)
        return _varint(len(body)) + body

    def span(self, draft: Draft) -> Written:
        """Return a span, with its length before it."""
        parts = [
            _SPAN_TRACE,
            draft.trace_id,
            _SPAN_ID,
            draft.span_id,
            _SPAN_PARENT + draft.parent_span_id if draft.parent_span_id else b"",
            _SPAN_NAME,
            self._name(draft.name),
            _SPAN_KINDS[draft.kind],
            _times(draft.start_ns, _SPAN_END, draft.end_ns),
        ]
        parts += draft.blocks
        if draft.attributes:
            self._add(draft.attributes, self._span_keys, parts)
        if draft.events:
            parts.append(_SPAN_EVENTS)
            parts.append(_SPAN_EVENTS.join(draft.events))
        for link in draft.links:
            parts.append(_SPAN_LINKS)
            parts.append(self._link(link))
        if draft.status or draft.status_message:
            message = _STATUS_MESSAGE + _sized(utf8(draft.status_message)) if draft.status_message else b""
            parts.append(_SPAN_STATUS)
            parts.append(_sized(message + _STATUS_CODES[draft.status]))
        parts.append(_SPAN_FLAGS)
        body = b"".join(parts)
        return Written(draft.resource, _varint(len(body)) + body, 1 + len(draft.events), None)

    def point(self, point: MetricPoint) -> Written:
        """Return a data point, with its length before it."""
        body = _POINT_TIME + _fixed64(point.time_ns)
        if isinstance(point.value, int):
            body += _POINT_INT + _fixed64(point.value & _UINT64)
        else:
            body += _POINT_DOUBLE + _double(point.value)
        if point.attributes:
            body += self._joined(point.attributes, self._point_keys)
        return Written(point.resource, _sized(body), 1, (point.name, point.description, point.unit))

    def traces(self, spans: Mapping[Resource, Sequence[bytes]]) -> bytes:
        """Return one ``ExportTraceServiceRequest`` of spans by resource."""
        parts: list[bytes] = []
        for resource, bodies in spans.items():
            inner = [_sized(_SCOPE), *([_SPANS] * bool(bodies)), _SPANS.join(bodies)]
            self._put(parts, _RESOURCE_SPANS, resource, _SCOPE_SPANS, _SPANS_SCOPE, inner)
        return b"".join(parts)

    def metrics(self, gauges: Mapping[Resource, Mapping[str, Gauge]]) -> bytes:
        """Return one ``ExportMetricsServiceRequest`` of gauges by resource and name."""
        parts: list[bytes] = []
        for resource, metrics in gauges.items():
            inner = [_sized(_SCOPE)]
            for name, description, unit, bodies in metrics.values():
                gauge = _GAUGE_POINTS + _GAUGE_POINTS.join(bodies)
                head = b"".join(
                    tag + _sized(utf8(text))
                    for tag, text in ((_METRIC_NAME, name), (_METRIC_DESCRIPTION, description), (_METRIC_UNIT, unit))
                    if text
                )
                inner += [_METRICS, _sized(head + _METRIC_GAUGE + _sized(gauge))]
            self._put(parts, _RESOURCE_METRICS, resource, _SCOPE_METRICS, _METRICS_SCOPE, inner)
        return b"".join(parts)

    def _put(  # noqa: PLR0917 - the tags of the levels, from the outside in
        self, parts: list[bytes], outer: bytes, resource: Resource, middle: bytes, scope: bytes, inner: list[bytes]
    ) -> None:
        """Add the message of one resource: the lengths first, so that the bodies are copied once."""
        size = len(scope) + sum(map(len, inner))
        head = self._resource(resource) + middle + _varint(size) + scope
        parts += [outer, _varint(len(head) - len(scope) + size), head, *inner]

    def _resource(self, resource: Resource) -> bytes:
        known = self._resources.get(resource)
        if known is None:
            known = _RESOURCE + _sized(self._joined(resource_attributes(resource), self._resource_keys))
            if len(self._resources) < _MOST_NAMES:
                self._resources[resource] = known
        return known

    def _name(self, name: str) -> bytes:
        known = self._names.get(name)
        if known is None:
            known = _sized(utf8(name))
            if len(self._names) < _MOST_NAMES:
                self._names[name] = known
        return known

    def _link(self, link: Link) -> bytes:
        attributes = self._joined(link.attributes, self._link_keys)
        return _sized(_LINK_TRACE + link.trace_id + _LINK_SPAN + link.span_id + attributes + _LINK_FLAGS)

    def _key(self, key: str) -> bytes:
        return _KEY + _sized(utf8(key))

    def _pair(self, key: Key, value: AttributeValue) -> bytes:
        return key.before + _sized(key.prefix + _VALUE + _sized(_any_value(value)))

    def _text(self, key: Key, value: str, parts: list[bytes]) -> None:
        text = utf8(value)
        size = len(text)
        if size < _SHORT:
            heads = key.heads
            if not heads:
                heads = key.heads = [_head(key, _STRING + _varint(short), short) for short in range(_SHORT)]
            parts.append(heads[size])
        else:
            parts.append(_head(key, _STRING + _varint(size), size))
        parts.append(text)

    def _integer(self, key: Key, value: int) -> bytes:
        heads = key.wholes
        if not heads:
            heads = key.wholes = [_head(key, _INT, size) for size in range(_LONGEST_VARINT + 1)]
        number = _varint(value) if value >= 0 else _long_varint(value & _UINT64)
        return heads[len(number)] + number


def _head(key: Key, inner: bytes, size: int) -> bytes:
    """Return what stands before the last ``size`` bytes of an attribute, of whose value ``inner`` is the beginning."""
    head = key.prefix + _VALUE + _varint(len(inner) + size) + inner
    return key.before + _varint(len(head) + size) + head


def _any_value(value: AttributeValue) -> bytes:
    if isinstance(value, str):
        return _STRING + _sized(utf8(value))
    if isinstance(value, bool):
        return _BOOL + _varint(value)
    if isinstance(value, int):
        return _INT + _varint(value & _UINT64)
    if isinstance(value, float):
        return _DOUBLE + _double(value)
    return _ARRAY + _sized(b"".join([_ARRAY_VALUES + _sized(_any_value(item)) for item in value]))


_MOST_NAMES: Final = 10_000
"""Names and resources that are kept written; there are few, unless clients invent them."""

_RESOURCE_SPANS: Final = _tag(ExportTraceServiceRequest, "resource_spans")
_RESOURCE_METRICS: Final = _tag(ExportMetricsServiceRequest, "resource_metrics")
_RESOURCE: Final = _tag(ResourceSpans, "resource")
_SCOPE_SPANS: Final = _tag(ResourceSpans, "scope_spans")
_SPANS_SCOPE: Final = _tag(ScopeSpans, "scope")
_SPANS: Final = _tag(ScopeSpans, "spans")
_SCOPE_METRICS: Final = _tag(ResourceMetrics, "scope_metrics")
_METRICS_SCOPE: Final = _tag(ScopeMetrics, "scope")
_METRICS: Final = _tag(ScopeMetrics, "metrics")
