"""Spans with the ids, parents and times that the bridge would give them, on any tracer provider."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from opentelemetry import context, trace
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from sunbird_otel import names
from sunbird_otel._fields import context_attributes
from sunbird_otel._flow import FlowLink
from sunbird_otel._ids import span_of
from sunbird_otel._limits import SPAN_EVENTS
from sunbird_otel._version import __version__
from sunbird_otel.emit._adding import adder
from sunbird_otel.emit._track import Segment, Track
from sunbird_otel.plugin._flow_events import SDK_EVENTS, FlowEvents
from sunbird_otel.plugin._id_generator import next_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow
    from sunbird_otel._signals import Attributes

HERE: Final = "here"
"""In whatever OpenTelemetry span is current: an HTTP server's, for example."""

ROOT: Final = "root"
"""In nothing: the span begins its trace."""

Around: TypeAlias = Track | FlowLink | Literal["here", "root"]
"""What a new span stands in."""

_ALL: Final = sys.maxsize


class Tracer:
    """Starts spans.

    Args:
        provider: Where they go; ``None`` is the global one, also when that is set only later.
        current: Tells the innermost flow around the code that runs. Where a span is to stand in just that flow, a span
            of the caller's own between the two is its parent.
    """

    def __init__(self, provider: TracerProvider | None, current: Callable[[], Track | None]) -> None:
        self._current = current
        self._tracer = (provider or trace.get_tracer_provider()).get_tracer(names.SCOPE, __version__)

    def start(
        self,
        name: str,
        event: Event,
        *,
        part: str,
        around: Around,
        trace_id: bytes,
        attributes: Attributes,
        links: Iterable[FlowLink] = (),
        start_ns: int | None = None,
        is_request: bool = False,
    ) -> Span:
        """Start the span that ``event`` stands for.

        Args:
            name: Its name.
            event: The event that it is derived from.
            part: Its part in the recipe of ids, see :func:`sunbird_otel._ids.span_of`.
            around: What it stands in.
            trace_id: Its trace, if it stands in nothing.
            attributes: Its attributes.
            links: References to other spans.
            start_ns: Its start, if that is not the time of the event.
            is_request: Whether it is a request, which a server answers.
        """
        parent = _context(around, self._current())
        outer = trace.get_current_span(parent).get_span_context()
        trace_id = outer.trace_id.to_bytes(16, "big") if outer.is_valid else trace_id
        span_id = span_of(trace_id, part, event)
        with next_ids(trace_id=int.from_bytes(trace_id, "big"), span_id=int.from_bytes(span_id, "big")):
            return self._tracer.start_span(
                name,
                parent,
                SpanKind.SERVER if is_request else SpanKind.INTERNAL,
                attributes,
                [Link(_span_context(link), {names.LINK_TYPE: link.type}) for link in links],
                event.ets_ns if start_ns is None else start_ns,
            )

    def segment(self, track: Track, event: Event) -> Segment:
        """Return the segment that takes ``event`` because the flow's own is full; the track must be locked."""
        segment = track.segment
        if segment is not None and segment.events >= max(track.capacity, 1):
            segment.span.end(segment.last_ns + 1)
            segment = None
        if segment is None:
            flow = track.flow
            flow.segments += 1
            attributes: Attributes = {names.FLOW_TYPE: flow.kind, names.FLOW_SEGMENT: flow.segments}
            context_attributes(attributes, flow.opener)
            part = f"{flow.kind} segment {flow.segments}"
            name = f"{flow.kind} segment"
            span = self.start(
                name,
                flow.opener,
                part=part,
                around=track,
                trace_id=flow.trace_id,
                attributes=attributes,
                start_ns=event.ets_ns,
            )
            segment = track.segment = Segment(span, adder(span))
        segment.events += 1
        segment.last_ns = max(segment.last_ns, event.ets_ns)
        return segment


def no_span() -> Span:
    """Return the span of a flow whose span could not be started."""
    return INVALID_SPAN


def know(flow: Flow, span: Span) -> None:
    """Put the ids that ``span`` really has on the record of its flow: on a caller's provider they are the SDK's."""
    actual = span.get_span_context()
    if actual.is_valid:
        flow.trace_id, flow.span_id = actual.trace_id.to_bytes(16, "big"), actual.span_id.to_bytes(8, "big")


def capacity(span: Span) -> int:
    """Return how many events go on a span before the next ones get a span of their own.

    The SDK's limit can only be read where no promise holds it; where it is not found there, its default is taken. A
    processor of ours divides the flow by itself.
    """
    if isinstance(getattr(span, "_events", None), FlowEvents):
        return _ALL
    limits: Any = getattr(span, "_limits", None)
    most = getattr(limits, "max_events", SDK_EVENTS)
    return SPAN_EVENTS if most is None else min(int(most), SPAN_EVENTS)


def fail(span: Span, text: str) -> None:
    """Set the status of ``span``."""
    span.set_status(Status(StatusCode.ERROR, text or None))


def _context(around: Around, current: Track | None) -> Context:
    here = context.get_current()
    if around == HERE:
        return here
    if isinstance(around, Track):
        if around is current and _is_inside(around):
            return here
        return set_span_in_context(around.span, here)
    if isinstance(around, FlowLink):
        return set_span_in_context(NonRecordingSpan(_span_context(around)), here)
    return set_span_in_context(INVALID_SPAN, here)


def _is_inside(track: Track) -> bool:
    """Tell whether the current span belongs to the trace of ``track``, so that it stands in its span."""
    now = trace.get_current_span().get_span_context()
    return now.is_valid and now.trace_id == track.span.get_span_context().trace_id


def _span_context(link: FlowLink) -> SpanContext:
    return SpanContext(
        int.from_bytes(link.trace_id, "big"),
        int.from_bytes(link.span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
