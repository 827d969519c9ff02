"""How many signals make one export request.

A request is full with :data:`MAX_ITEMS` spans or points, with :data:`MAX_RECORDS` spans and span events together, or
when the next signal would take it over the size limit. Where requests are cut depends on the signals alone, never on
how they were handed over, so that the same signals make the same requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from sunbird_otel._limits import REQUEST_BYTES
from sunbird_otel.sinks.otlp.written import Gauge, Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._signals import Resource, Signal
    from sunbird_otel.sinks.otlp.request import Kind
    from sunbird_otel.sinks.otlp.written import WrittenForm

MAX_ITEMS: Final = 512
MAX_RECORDS: Final = 2048

_AROUND: Final = 512
"""Bytes that a request may need for a resource or a metric beside the signals; their names come on top."""

_BETWEEN: Final = 6
"""Bytes that may stand between two signals."""


Full: TypeAlias = "tuple[Kind, bytes, int]"
"""A request: the kind of its signals, its bytes, and the number of spans or points in it."""


class Batcher:
    """Collects signals into requests."""

    def __init__(
        self,
        form: WrittenForm,
        *,
        max_items: int = MAX_ITEMS,
        max_bytes: int = REQUEST_BYTES,
        max_records: int = MAX_RECORDS,
    ) -> None:
        self._form = form
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_records = max_records
        self._spans: dict[Resource, list[bytes]] = {}
        self._span_count = 0
        self._span_bytes = 0
        self._records = 0
        self._points: dict[Resource, dict[str, Gauge]] = {}
        self._point_count = 0
        self._point_bytes = 0

    def add(self, signals: Sequence[Signal | Written]) -> list[Full]:
        """Take ``signals`` and return the requests that became full."""
        full: list[Full] = []
        for signal in signals:
            written = signal if isinstance(signal, Written) else self._form.record(signal)
            if written.metric is None:
                self._add_span(written, full)
            else:
                self._add_point(written, written.metric, full)
        return full

    def rest(self) -> list[Full]:
        """Return what is left, as requests that need not be full."""
        spans = [self._flush_spans()] if self._span_count else []
        points = [self._flush_points()] if self._point_count else []
        return spans + points

    def _add_span(self, span: Written, full: list[Full]) -> None:
        size = len(span.body) + _BETWEEN
        bodies = self._spans.get(span.resource)
        if bodies is None:
            size += _around(span.resource)
        if self._span_count and (
            self._records + span.records > self._max_records or self._span_bytes + size > self._max_bytes
        ):
            full.append(self._flush_spans())
            bodies = None
        if bodies is None:
            bodies = self._spans[span.resource] = []
        bodies.append(span.body)
        self._span_count += 1
        self._span_bytes += size
        self._records += span.records
        if self._span_count >= self._max_items:
            full.append(self._flush_spans())

    def _add_point(self, point: Written, metric: tuple[str, str, str], full: list[Full]) -> None:
        size = len(point.body) + _BETWEEN
        name = metric[0]
        if name not in self._points.get(point.resource, {}):
            size += _around(point.resource) + 6 * sum(map(len, metric))
        if self._point_count and self._point_bytes + size > self._max_bytes:
            full.append(self._flush_points())
        gauges = self._points.setdefault(point.resource, {})
        if name not in gauges:
            gauges[name] = Gauge(*metric, [])
        gauges[name].points.append(point.body)
        self._point_count += 1
        self._point_bytes += size
        if self._point_count >= self._max_items:
            full.append(self._flush_points())

    def _flush_spans(self) -> Full:
        body, count = self._form.traces(self._spans), self._span_count
        self._spans, self._span_count, self._span_bytes, self._records = {}, 0, 0, 0
        return "traces", body, count

    def _flush_points(self) -> Full:
        body, count = self._form.metrics(self._points), self._point_count
        self._points, self._point_count, self._point_bytes = {}, 0, 0
        return "metrics", body, count


def _around(resource: Resource) -> int:
    # A text is never longer than 4 bytes a character, or 6 as JSON.
    return _AROUND + 6 * (len(resource.service_name) + len(resource.service_version))
