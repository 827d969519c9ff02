"""Signals as OTLP/JSON: the same messages as :mod:`sunbird_otel.sinks.otlp.encode`, as one line of JSON.

OTLP/JSON is protobuf's JSON with its own rules: camel case, enums as numbers, 64-bit integers as strings, and trace
and span ids in hex instead of base64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from sunbird_otel import names
from sunbird_otel._version import __version__
from sunbird_otel.sinks.otlp.text import utf8
from sunbird_otel.sinks.otlp.written import SAMPLED, Gauge, Key, Keys, Written, WrittenForm, resource_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sunbird_otel._form import Draft
    from sunbird_otel._signals import Attributes, AttributeValue, Link, MetricPoint, Resource


class JsonForm(WrittenForm):
    """Writes OTLP/JSON; a request is one line, without the newline."""

    def __init__(self) -> None:
        """Start with nothing known to repeat."""
        self._keys = Keys(b",")

    def block(self, attributes: Attributes) -> bytes:
        """Return attributes, with commas between them."""
        return self._joined(attributes, self._keys)[1:]

    def event(self, name: str, time_ns: int, attributes: Attributes) -> bytes:
        """Return an event."""
        return b'{"timeUnixNano":"%d","name":%b,"attributes":[%b]}' % (
            time_ns,
            _string(name),
            self.block(attributes),
        )

    def span(self, draft: Draft) -> Written:
        """Return a span."""
        parent = b'"parentSpanId":"%b",' % draft.parent_span_id.hex().encode() if draft.parent_span_id else b""
        parts = [
            b'{"traceId":"%b","spanId":"%b",%b"flags":%d,"name":%b,"kind":%d,"startTimeUnixNano":"%d",'
            b'"endTimeUnixNano":"%d","attributes":['
            % (
                draft.trace_id.hex().encode(),
                draft.span_id.hex().encode(),
                parent,
                SAMPLED,
                _string(draft.name),
                draft.kind,
                draft.start_ns,
                draft.end_ns,
            ),
            b",".join([*draft.blocks, self.block(draft.attributes)] if draft.attributes else draft.blocks),
            b"]",
        ]
        if draft.events:
            parts += [b',"events":[', b",".join(draft.events), b"]"]
        if draft.links:
            parts += [b',"links":[', b",".join([self._link(link) for link in draft.links]), b"]"]
        if draft.status or draft.status_message:
            parts.append(b',"status":{"code":%d,"message":%b}' % (draft.status, _string(draft.status_message)))
        parts.append(b"}")
        return Written(draft.resource, b"".join(parts), 1 + len(draft.events), None)

    def point(self, point: MetricPoint) -> Written:
        """Return a data point."""
        if isinstance(point.value, int):
            value = b'"asInt":"%d"' % point.value
        else:
            value = b'"asDouble":%b' % orjson.dumps(point.value)
        body = b'{"timeUnixNano":"%d",%b,"attributes":[%b]}' % (point.time_ns, value, self.block(point.attributes))
        return Written(point.resource, body, 1, (point.name, point.description, point.unit))

    def traces(self, spans: Mapping[Resource, Sequence[bytes]]) -> bytes:
        """Return one ``ExportTraceServiceRequest`` of spans by resource."""
        rows = [
            b'{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[%b]}]}'
            % (self._resource(resource), _SCOPE, b",".join(bodies))
            for resource, bodies in spans.items()
        ]
        return b'{"resourceSpans":[%b]}' % b",".join(rows)

    def metrics(self, gauges: Mapping[Resource, Mapping[str, Gauge]]) -> bytes:
        """Return one ``ExportMetricsServiceRequest`` of gauges by resource and name."""
        rows: list[bytes] = []
        for resource, metrics in gauges.items():
            rows_of = [
                b'{"name":%b,"description":%b,"unit":%b,"gauge":{"dataPoints":[%b]}}'
                % (_string(name), _string(description), _string(unit), b",".join(bodies))
                for name, description, unit, bodies in metrics.values()
            ]
            rows.append(
                b'{"resource":%b,"scopeMetrics":[{"scope":%b,"metrics":[%b]}]}'
                % (self._resource(resource), _SCOPE, b",".join(rows_of))
            )
        return b'{"resourceMetrics":[%b]}' % b",".join(rows)

    def _resource(self, resource: Resource) -> bytes:
        return b'{"attributes":[%b]}' % self.block(resource_attributes(resource))

    def _link(self, link: Link) -> bytes:
        return b'{"traceId":"%b","spanId":"%b","flags":%d,"attributes":[%b]}' % (
            link.trace_id.hex().encode(),
            link.span_id.hex().encode(),
            SAMPLED,
            self.block(link.attributes),
        )

    def _key(self, key: str) -> bytes:
        return b'{"key":%b,"value":' % _string(key)

    def _pair(self, key: Key, value: AttributeValue) -> bytes:
        return b"%b%b%b}" % (key.before, key.prefix, _value(value))

    def _text(self, key: Key, value: str, parts: list[bytes]) -> None:
        heads = key.heads
        if not heads:
            heads.append(key.before + key.prefix + b'{"stringValue":')
        parts.append(heads[0])
        parts.append(_string(value))
        parts.append(b"}}")

    def _integer(self, key: Key, value: int) -> bytes:
        return self._pair(key, value)


def _value(value: AttributeValue) -> bytes:
    if isinstance(value, str):
        return b'{"stringValue":%b}' % _string(value)
    if isinstance(value, bool):
        return b'{"boolValue":true}' if value else b'{"boolValue":false}'
    if isinstance(value, int):
        return b'{"intValue":"%d"}' % value
    if isinstance(value, float):
        return b'{"doubleValue":%b}' % orjson.dumps(value)
    return b'{"arrayValue":{"values":[%b]}}' % b",".join([_value(item) for item in value])


def _string(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(utf8(text).decode())


_SCOPE: Final = orjson.dumps({"name": names.SCOPE, "version": __version__})
