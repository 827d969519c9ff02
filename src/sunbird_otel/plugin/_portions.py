"""Batches in portions that a receiver takes: the 4 MiB of a gRPC message hold two or three full spans, not 512."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sunbird_otel.plugin._rebuild import FlowSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

PORTION_BYTES: Final = 3_000_000
_A_SPAN: Final = 2_000
"""What a span takes besides the events of a flow; 512 of them are a third of a portion."""


def portions(spans: Sequence[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    """Divide a batch so that no portion is larger than it must be; nearly every batch is one portion."""
    weights = [span.bytes + _A_SPAN if isinstance(span, FlowSpan) else _A_SPAN for span in spans]
    if sum(weights) <= PORTION_BYTES:
        yield spans
        return
    begin = size = 0
    for index, weight in enumerate(weights):
        if size and size + weight > PORTION_BYTES:
            yield spans[begin:index]
            begin, size = index, 0
        size += weight
    yield spans[begin:]


def export_in_portions(inner: SpanExporter, spans: Sequence[ReadableSpan]) -> SpanExportResult:
    """Export every portion, also when one fails; the result is the worst."""
    results = [inner.export(portion) for portion in portions(spans)]
    return next((result for result in results if result is not SpanExportResult.SUCCESS), SpanExportResult.SUCCESS)


class InPortions(SpanExporter):
    """Hands each batch on in portions."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export every portion."""
        return export_in_portions(self._inner, spans)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass the wish on."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Pass the wish on."""
        self._inner.shutdown()
