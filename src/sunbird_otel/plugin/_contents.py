"""What happens in flows: the events of their spans, judged by the rules, and divided where they are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel import names
from sunbird_otel.plugin._bounds import ChangedEvent, fit, plain
from sunbird_otel.plugin._rebuild import attributes_of, segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import Event

    from sunbird_otel._rules import Rules
    from sunbird_otel.plugin._bounds import Bounds
    from sunbird_otel.plugin._live_flow import LiveFlow, NestingTally
    from sunbird_otel.plugin._told import Told

_OUTSIDE = "event_outside_flow"


class Contents:
    """Judges and divides the events of flows.

    Args:
        rules: What a flow may hold.
        bounds: How much one span may hold.
        tally: Counts.
        told: Takes the spans of what is too much for one.
        violation: Notes what a flow breaks.
        rehome: Moves events into flows that may hold them, and returns which, by identity; None: they stay, marked.
    """

    def __init__(
        self,
        rules: Rules,
        bounds: Bounds,
        tally: NestingTally,
        told: Told,
        *,
        violation: Callable[[LiveFlow, str], None],
        rehome: Callable[[LiveFlow, Sequence[Event]], set[int]] | None,
    ) -> None:
        """Keep the parts."""
        self._rules = rules
        self._bounds = bounds
        self._tally = tally
        self._told = told
        self._violation = violation
        self._rehome = rehome
        self._inside_only = {names.EVENT_PREFIX + eid.lower(): eid for eid in rules.inside_only}

    def eid(self, event: Event) -> str:
        """Return the eid of an event that makes sense only inside a flow."""
        return self._inside_only[event.name]

    def read(self, flow: LiveFlow) -> None:
        """Take what the span of ``flow``, which closes, holds now, and judge its events."""
        span, kept = flow.span, flow.kept
        if span.end_time is None:  # it goes on
            flow.attributes = attributes_of(span)
            flow.events_seen = len(span.events) + span.dropped_events
        if kept is not None:
            events = kept.close()
        else:
            events = span.events
            flow.events_lost = span.dropped_events
            self._tally.lost_events += flow.events_lost
        if events:
            flow.events = self._judged(flow, events)

    def overflow(self, flow: LiveFlow, events: Sequence[Event]) -> None:
        """Write what is full of these events of a ``flow`` that is open."""
        flow.events = self._judged(flow, events)
        self.fit(flow)
        flow.left, flow.events = flow.events, ()

    def fit(self, flow: LiveFlow) -> None:
        """Write the events of ``flow`` that are too many for its own span; the rest stays."""
        events = [*flow.left, *flow.events] if flow.left else flow.events
        bounds = self._bounds
        if flow.kept is not None and flow.kept.capacity != bounds.span_events:
            bounds = bounds._replace(span_events=flow.kept.capacity)
        fitted = fit(events, bounds)
        for full, weight in fitted.full:
            part = segment(flow, full, weight, bounds)
            flow.inner_end_ns = max(flow.inner_end_ns, part.end_time or 0)
            self._tally.segments += 1
            self._told.pass_on([part], flow)
        flow.left, flow.events, flow.events_bytes = (), fitted.rest, fitted.rest_bytes

    def _judged(self, flow: LiveFlow, events: Sequence[Event]) -> Sequence[Event]:
        """Return what is to be written of ``events`` with ``flow``, those marked that it may not hold."""
        inside_only = self._inside_only
        outside = [event for event in events if event.name in inside_only and not self._holds(flow, event)]
        if not outside:
            return events
        for _ in outside:
            self._violation(flow, _OUTSIDE)
        moved = self._rehome(flow, outside) if self._rehome is not None else set[int]()
        wrong = {id(event) for event in outside}
        return [marked(event) if id(event) in wrong else event for event in events if id(event) not in moved]

    def _holds(self, flow: LiveFlow, event: Event) -> bool:
        eid = self._inside_only[event.name]
        return flow.unseen or any(self._rules.may_hold(outer.rule, eid) for outer in flow.lineage())


def marked(event: Event) -> Event:
    """Return a copy of an event that says what it breaks."""
    return ChangedEvent(event, {**plain(event.attributes), names.FLOW_VIOLATIONS: (_OUTSIDE,)})
