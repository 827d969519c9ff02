"""Records as export requests, by the forms that the sinks use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel.sinks.otlp.batch import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel import MetricPoint, Span
    from sunbird_otel.sinks.otlp.written import WrittenForm

_NO_LIMIT = 1 << 40


def encode(form: WrittenForm, signals: Sequence[Span | MetricPoint]) -> bytes:
    """Return one export request of ``signals``, which must be of one kind; without any, one of no spans."""
    batcher = Batcher(form, max_items=_NO_LIMIT, max_bytes=_NO_LIMIT, max_records=_NO_LIMIT)
    assert not batcher.add(signals)
    full = batcher.rest()
    return full[0][1] if full else form.traces({})
