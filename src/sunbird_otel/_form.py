"""What signals are written as: a form takes what the translator says and makes records or bytes of it.

The translator knows what is said, a form how it is put down. :class:`Records` makes the records of
:mod:`sunbird_otel._signals`; the forms of :mod:`sunbird_otel.sinks.otlp` make OTLP in one go, so that nothing is built
twice on the way of many events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sunbird_otel._signals import Link, MetricPoint, Signal, Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._signals import Attributes, Resource, SpanKind, StatusCode

S = TypeVar("S")


class Form(Generic[S]):
    """Writes signals of the type ``S``. Times are nanoseconds since 1970."""

    def block(self, attributes: Attributes) -> Any:
        """Return attributes that many spans begin with, for :meth:`span` of the same form."""
        raise NotImplementedError

    def event(self, name: str, time_ns: int, attributes: Attributes) -> Any:
        """Return a span event, for :meth:`span` of the same form; it may be held for long."""
        raise NotImplementedError

    def span(  # noqa: PLR0917 - passed by place: this is called for nearly every event
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
        events: Sequence[Any],
        links: Sequence[Link],
        status: StatusCode,
        status_message: str,
        synthetic: bool,  # noqa: FBT001
    ) -> S:
        """Return a span; the arguments are the fields of :class:`sunbird_otel.Span`.

        Its attributes are those of ``blocks``, then ``attributes``.
        """
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

    def span(  # noqa: PLR0917 - as above
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
        events: Sequence[Any],
        links: Sequence[Link],
        status: StatusCode,
        status_message: str,
        synthetic: bool,  # noqa: FBT001 - as above
    ) -> Signal:
        """Return a record."""
        said: Attributes = {}
        for block in blocks:
            said.update(block)
        said.update(attributes)
        return Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent_span_id,
            name=name,
            kind=kind,
            start_ns=start_ns,
            end_ns=end_ns,
            resource=resource,
            attributes=said,
            events=list(events),
            links=list(links),
            status=status,
            status_message=status_message,
            synthetic=synthetic,
        )

    def point(self, point: MetricPoint) -> Signal:
        """Return ``point`` itself."""
        return point
