"""How many signals make one export request.

A request is full with :data:`MAX_ITEMS` spans or points, or with :data:`MAX_RECORDS` spans and span events together,
which keeps the usual request below the size limit at the first try. Where requests are cut depends on the signals
alone, never on how they were handed over, so that the same signals make the same requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sunbird_otel._signals import MetricPoint, Signal, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sunbird_otel.sinks.otlp.encode import Encoder
    from sunbird_otel.sinks.otlp.request import Kind

MAX_ITEMS = 512
MAX_RECORDS = 2048
MAX_BYTES = 3_670_016
"""3.5 MiB: gRPC receivers take 4 MiB unless told otherwise."""

T = TypeVar("T", Span, MetricPoint)


class Batcher:
    """Collects signals and encodes them into requests: (kind, bytes, number of spans or points)."""

    def __init__(self, encoder: Encoder, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._encoder = encoder
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._spans: list[Span] = []
        self._records = 0
        self._points: list[MetricPoint] = []

    def add(self, signals: Sequence[Signal]) -> Iterator[tuple[Kind, bytes, int]]:
        """Take ``signals`` and yield the requests that became full."""
        for signal in signals:
            if isinstance(signal, MetricPoint):
                self._points.append(signal)
                if len(self._points) >= self._max_items:
                    yield from self._flush_points()
                continue
            weight = 1 + len(signal.events)
            if self._spans and self._records + weight > MAX_RECORDS:
                yield from self._flush_spans()
            self._spans.append(signal)
            self._records += weight
            if len(self._spans) >= self._max_items:
                yield from self._flush_spans()

    def rest(self) -> Iterator[tuple[Kind, bytes, int]]:
        """Yield what is left, as requests that need not be full."""
        yield from self._flush_spans()
        yield from self._flush_points()

    def _flush_spans(self) -> Iterator[tuple[Kind, bytes, int]]:
        spans, self._spans, self._records = self._spans, [], 0
        for body, items in self._encoded(self._encoder.encode_traces, spans):
            yield "traces", body, items

    def _flush_points(self) -> Iterator[tuple[Kind, bytes, int]]:
        points, self._points = self._points, []
        for body, items in self._encoded(self._encoder.encode_metrics, points):
            yield "metrics", body, items

    def _encoded(self, encode: Callable[[Sequence[T]], bytes], items: Sequence[T]) -> Iterator[tuple[bytes, int]]:
        if not items:
            return
        body = encode(items)
        if len(body) <= self._max_bytes or len(items) == 1:
            yield body, len(items)
            return
        # Halves, not a guess from sizes: it is rare, and right for any mix of large and small spans.
        middle = len(items) // 2
        yield from self._encoded(encode, items[:middle])
        yield from self._encoded(encode, items[middle:])
