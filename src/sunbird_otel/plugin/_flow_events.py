"""The events of a flow span while it runs: what the SDK drops for its limit is kept here, and not lost.

The SDK holds 128 events of a span and drops the oldest. What everybody else sees of the span stays so; we keep aside
what goes. Where the SDK holds events otherwise than it has from 1.39 to 1.45, nothing is kept, and what it has dropped
is told on the span.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.sdk.environment_variables import OTEL_SPAN_EVENT_COUNT_LIMIT
from opentelemetry.sdk.util import BoundedList

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import Event, ReadableSpan

    Overflow = Callable[["FlowEvents"], None]
    """Called when so many events are kept aside that they can be written; it must not wait for anything."""

SDK_EVENTS: Final = 128
"""Events that a span of the SDK holds unless it is told otherwise; beyond them it drops the oldest."""

LOST: Final = (
    "sunbird-otel: OpenTelemetry's SDK had dropped %d span events of a flow for its limit, before they could be kept. "
    "Raise the limit to hold them: OTEL_SPAN_EVENT_COUNT_LIMIT, SpanLimits(max_events=...), or in a configuration file "
    "tracer_provider: limits: event_count_limit. Further ones are only counted (tally.lost_events)."
)
"""What is logged once where events are lost all the same."""

_EVENTS: Final = "_events"
_ASIDE: Final[list[Event]] = []


class FlowEvents(BoundedList):  # type: ignore[type-arg]  # the SDK's class takes no argument when it runs
    """The SDK's list of a span's events, which keeps what it drops.

    A list of the SDK's becomes one by changing its class: to make another would cost more than all else that is done
    when a flow starts. ``span_id`` is the flow's; ``capacity`` how many events are written on one span; ``left`` how
    many have been taken, and wait until there are enough for a span.
    """

    _dq: Any
    _lock: Any
    dropped: int
    aside: list[Event] = _ASIDE
    span_id: int
    capacity: int
    left: int = 0
    closed: bool = False
    told: bool = False
    overflow: Overflow | None = None

    def append(self, item: Event) -> None:
        """Add an event, and keep the one that goes for it."""
        full = False
        with self._lock:
            held = self._dq
            if len(held) == held.maxlen:
                self.dropped += 1
                if not self.closed:
                    if self.aside is _ASIDE:
                        self.aside = []
                    self.aside.append(held[0])
                    full = self.left + len(self.aside) >= self.capacity
            held.append(item)
        if full:
            self._tell()

    def take_aside(self) -> Sequence[Event]:
        """Return what is kept aside, once."""
        with self._lock:
            aside, self.aside, self.told = self.aside, _ASIDE, False
        return aside

    def leave(self, left: int) -> None:
        """Note that so many of the events that were taken wait; with those that came meanwhile there may be enough."""
        with self._lock:
            self.left = left
            full = left + len(self.aside) >= self.capacity
        if full:
            self._tell()

    def close(self) -> Sequence[Event]:
        """Return all events that have not been taken, the oldest first, and keep none aside from now on."""
        with self._lock:
            aside, self.aside, self.closed = self.aside, _ASIDE, True
            return [*aside, *self._dq]

    def _tell(self) -> None:
        if not self.told and self.overflow is not None:
            self.told = True
            self.overflow(self)


class Watch:
    """Turns the event lists of flow spans into such that keep all.

    Args:
        span_events: How many events are written on one span; a limit that the service has chosen itself is kept.
        overflow: Called when a list has kept that many aside; None: they wait for the end of the flow.
    """

    def __init__(self, span_events: int, overflow: Overflow | None) -> None:
        """Keep the parts."""
        self._span_events = span_events
        self._overflow = overflow
        self._held: int | None = -1
        self._capacity = 0

    def over(self, span: ReadableSpan, span_id: int) -> FlowEvents | None:
        """Watch over the events of a running span; None where that cannot be."""
        events: Any = getattr(span, _EVENTS, None)
        kind: object = events.__class__
        if kind is not BoundedList:
            return None
        try:
            held: int | None = events._dq.maxlen  # noqa: SLF001
        except AttributeError:
            return None
        if held != self._held:
            self._held, self._capacity = held, self._capacity_for(held)
        if not self._capacity:
            return None
        events.__class__ = FlowEvents
        events.span_id = span_id
        events.capacity = self._capacity
        if self._overflow is not None:
            events.overflow = self._overflow
        return cast("FlowEvents", events)

    def _capacity_for(self, held: int | None) -> int:
        """Return how many events go on a span where the SDK holds ``held``: what is its default says nothing."""
        if held is None or (held == SDK_EVENTS and not os.environ.get(OTEL_SPAN_EVENT_COUNT_LIMIT)):
            return self._span_events
        return min(held, self._span_events)
