"""What signals are written as: a form takes what the translator says and makes records or bytes of it.

The translator knows what is said, a form how it is put down. :class:`Records` makes the records of
:mod:`sunbird_otel._signals`; the forms of :mod:`sunbird_otel.sinks.otlp` make OTLP in one go, so that nothing is built
twice on the way of many events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from sunbird_otel._signals import Attributes, Link, MetricPoint, Resource, Signal, Span, SpanEvent, SpanKind, StatusCode

if TYPE_CHECKING:
    from collections.abc import Sequence


S = TypeVar("S")


class Draft:
    """What is said of a span: the fields of :class:`sunbird_otel.Span`, but for two.

    Its attributes are those of ``blocks``, then ``attributes``; ``events`` are as a form has written them.
    """

    __slots__ = (
        "attributes",
        "blocks",
        "end_ns",
        "events",
        "kind",
        "links",
        "name",
        "parent_span_id",
        "resource",
        "span_id",
        "start_ns",
        "status",
        "status_message",
        "synthetic",
        "trace_id",
    )

    def __init__(  # noqa: PLR0917 - by place: one is made for nearly every event
        self,
        trace_id: bytes,
        span_id: bytes,
        parent_span_id: bytes,
        name: str,
        kind: SpanKind,
        start_ns: int,
        end_ns: int,
        resource: Resource,
        blocks: Sequence[Any],
        attributes: Attributes,
        events: Sequence[Any] = (),
        links: Sequence[Link] = (),
        status: StatusCode = StatusCode.UNSET,
        status_message: str = "",
        *,
        synthetic: bool = False,
    ) -> None:
        """Take the parts."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.name = name
        self.kind = kind
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.resource = resource
        self.blocks = blocks
        self.attributes = attributes
        self.events = events
        self.links = links
        self.status = status
        self.status_message = status_message
        self.synthetic = synthetic


Said: TypeAlias = "Draft | MetricPoint"
"""What becomes one signal."""


class Form(Generic[S]):
    """Writes signals of the type ``S``. Times are nanoseconds since 1970."""

    def block(self, attributes: Attributes) -> Any:
        """Return attributes that many spans begin with, for :meth:`span` of the same form."""
        raise NotImplementedError

    def event(self, name: str, time_ns: int, attributes: Attributes) -> Any:
        """Return a span event, for :meth:`span` of the same form; it may be held for long."""
        raise NotImplementedError

    def span(self, draft: Draft) -> S:
        """Return a span."""
        raise NotImplementedError

    def point(self, point: MetricPoint) -> S:
        """Return a metric point."""
        raise NotImplementedError


class Records(Form[Signal]):
    """Writes records, for who wants to look at the signals."""

    def block(self, attributes: Attributes) -> Attributes:
        """Return the attributes themselves."""
        return attributes

    def event(self, name: str, time_ns: int, attributes: Attributes) -> SpanEvent:
        """Return a record."""
        return SpanEvent(name, time_ns, attributes)

    def span(self, draft: Draft) -> Signal:
        """Return a record."""
        said: Attributes = {}
        for block in draft.blocks:
            said.update(block)
        said.update(draft.attributes)
        return Span(
            trace_id=draft.trace_id,
            span_id=draft.span_id,
            parent_span_id=draft.parent_span_id,
            name=draft.name,
            kind=draft.kind,
            start_ns=draft.start_ns,
            end_ns=draft.end_ns,
            resource=draft.resource,
            attributes=said,
            events=list(draft.events),
            links=list(draft.links),
            status=draft.status,
            status_message=draft.status_message,
            synthetic=draft.synthetic,
        )

    def point(self, point: MetricPoint) -> Signal:
        """Return ``point`` itself."""
        return point
