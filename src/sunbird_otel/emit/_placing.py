"""Where an event goes that neither opens nor closes a flow: onto an open flow's span, or onto a span of its own.

The questions are those of :mod:`sunbird_otel._placing`, asked of the flows around the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sunbird_otel import names
from sunbird_otel._fields import context_attributes, error_text, event_attributes, event_name
from sunbird_otel._flow import lane_key
from sunbird_otel._ids import trace_of
from sunbird_otel.emit._fork import generation
from sunbird_otel.emit._tracer import HERE, ROOT, Around, fail
from sunbird_otel.emit._track import innermost, joined, open_around

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow, FlowLink
    from sunbird_otel._rules import Rules
    from sunbird_otel._signals import Attributes
    from sunbird_otel.emit._runs import Runs
    from sunbird_otel.emit._tracer import Tracer
    from sunbird_otel.emit._track import Segment, Track


class Placing:
    """Places events."""

    def __init__(self, rules: Rules, tracer: Tracer, runs: Runs) -> None:
        self._rules = rules
        self._tracer = tracer
        self._runs = runs
        self._producer_rules = tuple(r for r in rules.flows if r.scope == "producer" and r.members != "link")

    def place(
        self, event: Event, around: Track | None, violations: tuple[str, ...] = (), outside: Around = HERE
    ) -> None:
        """Put an event where it belongs.

        Args:
            event: The event.
            around: The innermost flow around the call.
            violations: What it breaks; with any, the innermost open flow takes it, whatever that may hold.
            outside: What its span stands in when there is no flow around.
        """
        if around is not None and not violations and self._takes(around, event) and self._add(around, event, (), None):
            return  # the usual case, without a look at lanes
        holder = self._holder(event, around, anything=bool(violations))
        if holder is not None and self._add(holder, event, violations, holder.flow.opener):
            return
        if holder is None and event.eid in self._rules.inside_only and not violations:
            violations = ("event_outside_flow",)
        inner = holder or innermost(event, around) or joined(self.session_ids(event), event, around, lambda _: True)
        if inner is not None and inner.flow.start_ns <= event.ets_ns:
            self.lone(event, inner, inner.flow.trace_id, violations, flow=inner.flow)
            return
        trace_id = trace_of(event, self.request_id(event), "session")
        runs = [run for rule in self._rules.gatherers if (run := self._runs.member_of(event, rule)) is not None]
        links = [run.flow.reference().typed("service_run") for run in runs]
        self.lone(event, outside if around is None else ROOT, trace_id, violations, links=links)

    def lone(
        self,
        event: Event,
        around: Around,
        trace_id: bytes,
        violations: tuple[str, ...] = (),
        *,
        flow: Flow | None = None,
        links: Iterable[FlowLink] = (),
    ) -> None:
        """Give an event a span of its own.

        Args:
            event: The event.
            around: What the span stands in.
            trace_id: Its trace, if it stands in nothing.
            violations: What the event breaks.
            flow: The flow whose workflow it belongs to.
            links: References to other spans.
        """
        homes = self._rules.homes(event.eid) if event.eid in self._rules.inside_only else ()
        kinds = frozenset(home.kind for home in homes)
        marks = self._rules.marks_of(event.context)
        if flow is not None:
            kinds = frozenset(outer.kind for outer in flow.lineage())
            marks = marks.union(*(outer.marks for outer in flow.lineage()))
        workflow = self._rules.workflow_of(kinds, marks) if kinds or marks else ""
        attributes: Attributes = {names.WORKFLOW: workflow} if workflow else {}
        attributes[names.FLOW_END_REASON] = "instant"
        context_attributes(attributes, event)
        event_attributes(attributes, event, violations)
        span = self._tracer.start(
            event_name(event),
            event,
            part="instant",
            around=around,
            trace_id=trace_id,
            attributes=attributes,
            links=links,
        )
        if event.eid == "ERROR":
            fail(span, error_text(event))
        span.end(event.ets_ns + 1)

    def session_ids(self, event: Event) -> tuple[str, ...]:
        """Return the sessions that ``event`` names."""
        return self._rules.session_ids.all(event)

    def request_id(self, event: Event) -> str:
        """Return the request that ``event`` names, or an empty text."""
        return self._rules.request_id.first(event)

    def _holder(self, event: Event, around: Track | None, *, anything: bool) -> Track | None:
        """Return the open flow that takes ``event``: of its lane, of its producer, or of its session."""

        def holds(flow: Flow) -> bool:
            return flow.start_ns <= event.ets_ns and (anything or self._rules.may_hold(flow.rule, event.eid))

        lane = lane_key(event, "lane")
        for track in open_around(around):
            if lane is not None and track.lane == lane and holds(track.flow):
                return track
        for rule in self._producer_rules:
            if event.eid in rule.holds:
                run = self._runs.matching(event, rule)
                if run is not None:
                    return run
        return joined(self.session_ids(event), event, around, holds)

    def _takes(self, track: Track, event: Event) -> bool:
        """Tell whether the flow of ``track`` takes an event that has the very scope of it, as those have by default."""
        flow = track.flow
        body, opener, rule = event.body, flow.opener.body, flow.rule
        own = body["context"] is opener["context"] and body["actor"] is opener["actor"]
        if not own or body.get("tags") is not opener.get("tags") or rule.scope != "lane":
            return False
        return flow.start_ns <= event.ets_ns and self._rules.may_hold(rule, event.eid)

    def _add(self, track: Track, event: Event, violations: tuple[str, ...], beside: Event | None) -> bool:
        """Write ``event`` on the span of a flow, or on its segment; tell whether that could be done.

        ``beside`` is the event to which it says who and where if that differs; ``None`` when it cannot differ.
        """
        attributes: Attributes = {}
        event_attributes(attributes, event, violations)
        if beside is not None:
            context_attributes(attributes, event, beside=beside)
        with track.lock:
            if track.closed or track.generation != generation():
                return False
            taker: Track | Segment = track
            if track.events < track.capacity:
                track.events += 1
            else:
                taker = self._tracer.segment(track, event)
            taker.add(_name(event), attributes, event.ets_ns)
            if event.eid == "ERROR" and not (track.failed and taker is track):
                track.failed = track.failed or taker is track
                fail(taker.span, error_text(event))
        return True


_NAMES: Final[dict[str, str]] = {}


def _name(event: Event) -> str:
    """Return the name of its span event, made once for each eid: the schemas know few."""
    name = _NAMES.get(event.eid)
    if name is None:
        name = _NAMES[event.eid] = event_name(event)
    return name
