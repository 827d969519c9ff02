"""What the policy ``reject`` keeps from export, handed to whoever wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sunbird_otel.plugin._suppress import suppressed

if TYPE_CHECKING:
    from collections.abc import Sequence

OnReject: TypeAlias = Callable[[list[ReadableSpan]], Any] | SpanExporter
"""A function that is given the spans of one rejected flow, or an exporter."""


def hand_over(spans: Sequence[ReadableSpan], on_reject: OnReject) -> bool:
    """Give ``spans`` to ``on_reject``; what it does is not traced itself.

    Returns:
        False when an exporter says that it has failed. What it raises is passed on.
    """
    with suppressed():
        if isinstance(on_reject, SpanExporter):
            return on_reject.export(spans) is SpanExportResult.SUCCESS
        on_reject(list(spans))
    return True
