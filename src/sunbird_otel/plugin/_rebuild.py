"""Spans as they are written: copies of what the SDK made, with what nesting found. The SDK's own stay as they are.

The one place that knows how the SDK keeps a span; where it keeps it otherwise, the public constructor has to do.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status

from sunbird_otel import names
from sunbird_otel._ids import RECIPE
from sunbird_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


class _Dropped(NamedTuple):
    """What the SDK had dropped from a span for its limits."""

    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0


class FlowSpan(ReadableSpan):
    """A flow span as it is written; ``original`` says what the SDK had dropped from it for its limits."""

    original: Any = _Dropped()

    @property
    def dropped_attributes(self) -> int:
        """Attributes that the SDK dropped."""
        return int(self.original.dropped_attributes)

    @property
    def dropped_events(self) -> int:
        """Span events that the SDK dropped."""
        return int(self.original.dropped_events)

    @property
    def dropped_links(self) -> int:
        """Links that the SDK dropped."""
        return int(self.original.dropped_links)


class _LazyFlowSpan(FlowSpan):
    """A copy of an ended span, which is filled when somebody asks for more than its context.

    That is the exporter on its own thread, mostly, and not the thread that has ended the span.
    """

    def __init__(self, flow: LiveFlow) -> None:  # not that of the SDK, whose fields come later
        self.flow = flow
        self.original = flow.span
        self._context = flow.context

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        if name.startswith("__") or "_name" in fields or "flow" not in fields:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        flow: LiveFlow = self.flow
        fields.update(self.original.__dict__)
        fields["_parent"] = flow.above
        fields["_start_time"] = flow.start_ns
        fields["_end_time"] = flow.end_ns
        fields["_attributes"] = _attributes(flow, attributes_of(self.original))
        return getattr(self, name)


class _MarkedEvent(Event):
    """A copy of a span event with one more attribute."""

    def __init__(self, event: Event, attributes: dict[str, Any]) -> None:
        super().__init__(event.name, {**(event.attributes or {}), **attributes}, event.timestamp)
        self._dropped = event.dropped_attributes

    @property
    def dropped_attributes(self) -> int:
        """Attributes that the SDK dropped."""
        return self._dropped


_FIELDS: Final = {"_name", "_context", "_attributes", "_events", "_parent", "_start_time", "_end_time"}
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


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of the attributes of a span, which may still be running."""
    return {**peek(span)}


def events_of(span: ReadableSpan) -> Sequence[Event]:
    """Return the events that a span has now; those of an ended span without a copy, since they stay as they are."""
    if span.end_time is not None:
        kept: Any = span
        try:
            return kept._events._dq  # type: ignore[no-any-return]  # noqa: SLF001
        except AttributeError:
            pass
    return span.events


def rebuild(flow: LiveFlow) -> ReadableSpan:
    """Return the span to write for a closed flow, once: the flow then lets go of what it was made from."""
    span = _rebuilt(flow)
    # What started in it may remember it for long, and must not keep the span in memory.
    flow.span, flow.attributes, flow.events, flow.outside = _WRITTEN, None, (), ()
    return span


def _rebuilt(flow: LiveFlow) -> ReadableSpan:
    span = flow.span
    if flow.synthetic:
        return FlowSpan(
            name=flow.rule.kind,
            context=flow.context,
            parent=flow.above,
            resource=span.resource,
            attributes=_attributes(flow, attributes_of(span) if flow.attributes is None else flow.attributes),
            events=_events(flow),
            status=Status(),
            start_time=flow.start_ns,
            end_time=flow.end_ns,
            instrumentation_scope=_SCOPE,
        )
    if _KNOWN and type(span) is ReadableSpan and not flow.outside:
        return _LazyFlowSpan(flow)
    copy = FlowSpan(
        name=span.name,
        context=flow.context,
        parent=flow.above,
        resource=span.resource,
        attributes=_attributes(flow, attributes_of(span) if flow.attributes is None else flow.attributes),
        events=_events(flow),
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=flow.start_ns,
        end_time=flow.end_ns,
        # Deprecated in favour of the scope, and still read by exporters that are older than that.
        instrumentation_info=getattr(span, "_instrumentation_info", None),
        instrumentation_scope=span.instrumentation_scope,
    )
    copy.original = _Dropped(span.dropped_attributes, span.dropped_events, span.dropped_links)
    return copy


def made_context(needed_by: SpanContext, kind: str) -> SpanContext:
    """Return the context of a flow ``kind`` that is made for a span: in its trace, with an id derived from its own."""
    digest = blake2b(needed_by.trace_id.to_bytes(16), digest_size=8, person=RECIPE)
    digest.update(f"synthetic {kind}".encode())
    digest.update(needed_by.span_id.to_bytes(8))
    return SpanContext(
        trace_id=needed_by.trace_id,
        span_id=int.from_bytes(digest.digest()),
        is_remote=False,
        trace_flags=needed_by.trace_flags,
        trace_state=needed_by.trace_state,
    )


def _attributes(flow: LiveFlow, attributes: dict[str, Any]) -> dict[str, Any]:
    if flow.synthetic:
        attributes = {key: attributes[key] for key in _IDENTITY if key in attributes}
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
    return attributes


def _events(flow: LiveFlow) -> Sequence[Event]:
    outside = {id(event) for event in flow.outside}
    mark = {names.FLOW_VIOLATIONS: ("event_outside_flow",)}
    return tuple(_MarkedEvent(event, mark) if id(event) in outside else event for event in flow.events)
