"""What the propagator found, written on the spans by which a request enters the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from sunbird_otel import names
from sunbird_otel.plugin._joined import joined_in

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from sunbird_otel.plugin._joined import Trace

YESTERDAY = "previous_day"
"""The type of a link to the trace of a session that may have begun before midnight (UTC)."""


class JoinedAttributes(SpanProcessor):
    """Gives each entry span (one without a parent in this process) its session, device, channel and request id.

    It also links the span to the trace of the client's telemetry where it stands in another one, since a propagator
    cannot add links, and in the first hours of a UTC day to the trace of the day before.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Write what ``parent_context`` holds; spans inside a request pass untouched."""
        if span.parent is not None and not span.parent.is_remote:
            return
        joined = joined_in(parent_context)
        if joined is None or not span.is_recording():
            return
        span.set_attributes(joined.attributes)
        if joined.trace is not None:
            _link(span, joined.trace, joined.trace.kind)
        if joined.yesterday is not None:
            _link(span, joined.yesterday, YESTERDAY)


def _link(span: Span, target: Trace, kind: str) -> None:
    # Where two set-ups each brought a processor of this kind, one link is enough.
    known = {span.get_span_context().trace_id, *(link.context.trace_id for link in span.links)}
    if target.trace_id not in known:
        span.add_link(target.span_context, {names.LINK_TYPE: kind})
