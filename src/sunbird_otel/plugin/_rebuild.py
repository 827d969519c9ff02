"""Spans as they are written: copies of what the SDK made, with what nesting found. The SDK's own stay as they are.

The one place that knows how the SDK keeps a span; where it keeps it otherwise, the public constructor has to do.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from sunbird_otel import names
from sunbird_otel._event import Event
from sunbird_otel._ids import RECIPE, span_of
from sunbird_otel._version import __version__
from sunbird_otel.plugin._bounds import cut, fits, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import Event as SpanEvent

    from sunbird_otel.plugin._bounds import Bounds
    from sunbird_otel.plugin._live_flow import LiveFlow

_SCOPE: Final = InstrumentationScope(names.SCOPE, __version__)

_IDENTITY: Final = (
    names.SESSION_ID,
    names.USER_ID,
    names.ACTOR_TYPE,
    names.DEVICE_ID,
    names.CHANNEL,
    names.ENV,
    names.PDATA_PID,
)
"""What a flow that repair makes takes over from the span that needed it."""

_SHARED: Final = (*_IDENTITY, names.PLAY_SESSION, names.CONTENT_SESSION, names.CDATA, names.TAGS)
"""What a part of a flow takes over from it: who and where, as in a replay."""

_ERROR: Final = names.EVENT_PREFIX + "error"
_ERROR_TEXT: Final = (names.EXCEPTION_MESSAGE, names.ERROR_TYPE)


class FlowSpan(ReadableSpan):
    """A flow span as it is written.

    ``counted`` is what knows how many attributes the SDK had dropped for its limit, ``lost_events`` and ``lost_links``
    are the numbers of what else it had; ``bytes`` is about what the span's events take as OTLP.
    """

    counted: Any = None
    lost_events: int = 0
    lost_links: int = 0
    bytes: int = 0

    @property
    def dropped_attributes(self) -> int:
        """Attributes that the SDK dropped."""
        return int(getattr(self.counted, "dropped", 0))

    @property
    def dropped_events(self) -> int:
        """Span events that the SDK dropped."""
        return self.lost_events

    @property
    def dropped_links(self) -> int:
        """Links that the SDK dropped."""
        return self.lost_links or super().dropped_links


_new: Final = object.__new__
_FIELDS: Final = {"_name", "_context", "_attributes", "_events", "_links", "_parent", "_start_time", "_end_time"}
_WRITTEN: Final = ReadableSpan("written", resource=Resource.get_empty())
_KNOWN: Final = vars(_WRITTEN).keys() >= _FIELDS
"""Whether the SDK keeps spans as it did when this was written."""


def peek(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span for a look, past the SDK's way to them, which would be most of what we cost."""
    kept: Any = span
    try:
        return kept._attributes._dict  # type: ignore[no-any-return]  # noqa: SLF001
    except AttributeError:
        return span.attributes or {}


def is_flow(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a span with these attributes stands for a flow, and not for a part of one, or for one to come."""
    return (
        names.FLOW_TYPE in attributes and names.FLOW_SEGMENT not in attributes and names.FLOW_PENDING not in attributes
    )


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of the attributes of a span, which may still be running."""
    return {**peek(span)}


def rebuild(flow: LiveFlow, bounds: Bounds) -> ReadableSpan:
    """Return the span to write for a closed flow, once: the flow then lets go of what it was made from."""
    span = flow.span
    attributes = attributes_of(span) if flow.attributes is None else flow.attributes
    if not fits(attributes, bounds.attribute_bytes):
        attributes = cut(attributes, bounds.attribute_bytes)
    if flow.synthetic:
        copy = _made(flow, span, attributes)
    elif _KNOWN and span.__class__ is ReadableSpan:
        copy = _copied(flow, span, attributes)
    else:
        copy = _constructed(flow, span, attributes)
    if flow.events_bytes:
        copy.bytes = flow.events_bytes
    # What started in it may remember it for long, and must not keep the span in memory.
    flow.span, flow.attributes, flow.events = _WRITTEN, None, ()
    return copy


def _copied(flow: LiveFlow, span: ReadableSpan, attributes: dict[str, Any]) -> FlowSpan:
    """Copy an ended span field by field: the public constructor takes as long as all else that is done for a flow."""
    copy = _new(FlowSpan)
    fields = copy.__dict__ = span.__dict__.copy()
    fields["counted"] = fields["_attributes"]
    fields["_parent"] = flow.above
    fields["_start_time"] = flow.start_ns
    fields["_end_time"] = flow.end_ns
    fields["_attributes"] = _attributes(flow, attributes)
    fields["_events"] = flow.events
    if flow.events_lost:
        fields["lost_events"] = flow.events_lost
    return copy


def _constructed(flow: LiveFlow, span: ReadableSpan, attributes: dict[str, Any]) -> FlowSpan:
    copy = FlowSpan(
        name=span.name,
        context=flow.context,
        parent=flow.above,
        resource=span.resource,
        attributes=_attributes(flow, attributes),
        events=flow.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=flow.start_ns,
        end_time=flow.end_ns,
        # Deprecated in favour of the scope, and still read by exporters that are older than that.
        instrumentation_info=getattr(span, "_instrumentation_info", None),
        instrumentation_scope=span.instrumentation_scope,
    )
    copy.counted = getattr(span, "_attributes", None)
    copy.lost_events, copy.lost_links = flow.events_lost, span.dropped_links
    return copy


def _made(flow: LiveFlow, span: ReadableSpan, attributes: Mapping[str, Any]) -> FlowSpan:
    return FlowSpan(
        name=flow.rule.kind,
        context=flow.context,
        parent=flow.above,
        resource=span.resource,
        attributes=_attributes(flow, _only(_IDENTITY, attributes)),
        events=flow.events,
        status=Status(),
        start_time=flow.start_ns,
        end_time=flow.end_ns,
        instrumentation_scope=_SCOPE,
    )


def segment(flow: LiveFlow, events: Sequence[SpanEvent], weight: int, bounds: Bounds) -> FlowSpan:
    """Return the next part of a flow that has too many events for its own span: these, of ``weight`` bytes."""
    flow.segments += 1
    number = flow.segments
    times = [event.timestamp for event in events]
    start_ns = min(times)
    failed = next((event for event in events if event.name == _ERROR), None)
    kind = flow.rule.kind
    attributes = {names.FLOW_TYPE: kind, names.FLOW_SEGMENT: number, **_only(_SHARED, peek(flow.span))}
    part = FlowSpan(
        name=f"{kind} segment",
        context=_part(flow, f"{kind} segment {number}"),
        parent=flow.context,
        resource=flow.span.resource,
        attributes=cut(attributes, bounds.attribute_bytes),
        events=events,
        status=Status() if failed is None else Status(StatusCode.ERROR, _error_text(failed)),
        start_time=start_ns,
        end_time=max(start_ns + 1, *times),
        instrumentation_scope=_SCOPE,
    )
    part.bytes = weight
    return part


def pending(flow: LiveFlow, bounds: Bounds) -> FlowSpan:
    """Return the span that tells of a flow while it is open."""
    span = flow.span
    attributes = {**attributes_of(span), names.FLOW_PENDING: True}
    return FlowSpan(
        name=span.name,
        context=_part(flow, f"{flow.rule.kind} pending"),
        parent=flow.context,
        resource=span.resource,
        attributes=cut(attributes, bounds.attribute_bytes),
        kind=span.kind,
        status=Status(),
        start_time=flow.start_ns,
        end_time=flow.start_ns + 1,
        instrumentation_scope=span.instrumentation_scope,
    )


def _part(flow: LiveFlow, part: str) -> SpanContext:
    """Return the context of a part of a flow: with the id that a replay gives it, where the flow's own id is such."""
    context, span = flow.context, flow.span
    mid = peek(span).get(names.START_MID)
    if isinstance(mid, str):
        trace_id = context.trace_id.to_bytes(16)
        # As much of the event that opened it as ids are derived from; the emitter's flows are opened by a START.
        opener = Event.of({"eid": "START", "mid": mid, "context": {}}, span.start_time or 0)
        if span_of(trace_id, flow.rule.kind, opener) == context.span_id.to_bytes(8):
            return _beside(context, span_of(trace_id, part, opener))
    return derived_context(context, part)


def derived_context(of: SpanContext, part: str) -> SpanContext:
    """Return the context of a span that is made for another: in its trace, with an id derived from its own."""
    digest = blake2b(of.trace_id.to_bytes(16), digest_size=8, person=RECIPE)
    digest.update(part.encode())
    digest.update(of.span_id.to_bytes(8))
    return _beside(of, digest.digest())


def _beside(of: SpanContext, span_id: bytes) -> SpanContext:
    return SpanContext(
        trace_id=of.trace_id,
        span_id=int.from_bytes(span_id),
        is_remote=False,
        trace_flags=of.trace_flags,
        trace_state=of.trace_state,
    )


def _attributes(flow: LiveFlow, attributes: dict[str, Any]) -> dict[str, Any]:
    attributes[names.FLOW_TYPE] = flow.rule.kind
    if flow.workflow:
        attributes[names.WORKFLOW] = flow.workflow
    attributes[names.FLOW_END_REASON] = flow.end_reason
    if flow.violations:
        attributes[names.FLOW_VIOLATIONS] = tuple(flow.violations)
    if flow.repairs:
        attributes[names.FLOW_REPAIR] = tuple(dict.fromkeys(flow.repairs))
    if flow.observed_start_ns:
        attributes[names.FLOW_OBSERVED_START] = flow.observed_start_ns
    if flow.observed_end_ns:
        attributes[names.FLOW_OBSERVED_END] = flow.observed_end_ns
    if flow.segments:
        attributes[names.FLOW_SEGMENTS] = flow.segments
    if flow.events_lost:
        attributes[names.FLOW_LOST_EVENTS] = flow.events_lost
    return attributes


def _only(keys: Iterable[str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attributes[key] for key in keys if key in attributes}


def _error_text(event: SpanEvent) -> str:
    attributes = plain(event.attributes)
    return ": ".join(text for key in _ERROR_TEXT if isinstance(text := attributes.get(key), str))[:_ERROR_CHARS]


_ERROR_CHARS: Final = 200
