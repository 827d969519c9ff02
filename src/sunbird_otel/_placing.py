"""Where an event goes that neither opens nor closes a flow: onto an open flow, or onto a span of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sunbird_otel._flow import Closed, Flow, FlowLink, FlowSegment, Lane, Lone
from sunbird_otel._ids import trace_of
from sunbird_otel._pairing import match_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Inside
    from sunbird_otel._limits import Limits
    from sunbird_otel._open import OpenFlows
    from sunbird_otel._parked import Parked, Waiting
    from sunbird_otel._repair import Repairs
    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel._told import Told
    from sunbird_otel._volume import Volumes

_NO_KINDS: Final[frozenset[str]] = frozenset()


def begun_by(event: Event, flows: Iterable[Flow]) -> list[Flow]:
    """Return those of ``flows`` that had begun at the time of ``event``."""
    return [flow for flow in flows if flow.opener.ets_ns <= event.ets_ns]


class Placing:
    """Places events.

    Args:
        rules: The rules.
        trace_scope: For the trace of an event that stands alone.
        flows: The open flows.
        parked: The events that wait for their request.
        repairs: Widens flows under the policy ``repair``.
        told: Takes the outcomes.
        make_home: Opens the flow that an event needs and that was not there: rule, event, innermost open flow.
        write: Writes an event as the flow is to hold it: flow, event, what it breaks.
        limits: When a flow goes on in a further segment.
        volumes: When a trace goes on in a further one.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        trace_scope: str,
        flows: OpenFlows,
        parked: Parked,
        repairs: Repairs[Flow],
        told: Told,
        make_home: Callable[[FlowRule, Event, Flow | None], Flow],
        write: Callable[[Flow, Event, tuple[str, ...]], Inside],
        limits: Limits,
        volumes: Volumes,
    ) -> None:
        """Keep the parts."""
        self._rules = rules
        self._trace_scope = trace_scope
        self._open = flows
        self._parked = parked
        self._repairs = repairs
        self._told = told
        self._make_home = make_home
        self._write = write
        self._volumes = volumes
        self._span_events = limits.span_events
        self._span_bytes = limits.span_bytes
        self._producer_rules = tuple(r for r in rules.flows if r.scope == "producer" and r.members != "link")

    def inside(self, event: Event) -> None:
        """Place an event that happens inside flows; one that names a request waits for that first."""
        if self._parked.wants(event):
            lane = self._open.lane(event)
            self._parked.take(event, lane.innermost if lane is not None else None)
        else:
            self.place(event)

    def unpark(self, entry: Waiting) -> None:
        """Place an event that has waited long enough."""
        event = entry.event
        request = self._parked.request_of(event)
        inside = request is not None and (not self._told.repairs or request.start_ns <= event.ets_ns < request.end_ns)
        # Under reject the request may yet be refused with the flow that it stands in, so that a link has to do.
        if request is not None and inside and not self._told.rejects:
            self._lone(event, request.link.trace_id, parent=request.link)
        elif request is not None:
            self._lone(event, request.link.trace_id, links=(request.link.typed("request"),))
        else:
            self.place(event)

    def place(self, event: Event, violations: tuple[str, ...] = (), before: Closed | None = None) -> None:
        """Put an event where it belongs.

        Args:
            event: The event.
            violations: What it breaks; with any, the innermost open flow takes it, whatever that may hold.
            before: The closed flow that the event would have closed, if it is an END that came again.
        """
        lane = self._open.lane(event)
        flow = self._holder(event, lane, anything=bool(violations))
        if flow is not None:
            if flow.opener.context.pdata_id == event.context.pdata_id:
                self._add(flow, event, violations)
            else:
                self._lone(event, flow.trace_id, parent=flow.reference(), flow=flow, violations=violations)
            return
        innermost = (lane.innermost if lane is not None else None) or self._open.joined(event)
        if event.eid in self._rules.inside_only and not violations:
            homes = self._rules.homes(event.eid)
            expected = "an open " + " or ".join(home.kind for home in homes)
            found = f"inside a {innermost.kind}" if innermost is not None else "nothing open"
            violations = ("event_outside_flow",)
            self._told.violation(violations[0], event, expected, found)
            if self._told.rejects:
                self._told.refuse(event, violations[0])
                return
            if self._told.repairs and homes and not event.late:
                self._add(self._make_home(homes[0], event, innermost), event, violations)
                return
        if innermost is not None and innermost.start_ns <= event.ets_ns:
            self._lone(event, innermost.trace_id, parent=innermost.reference(), flow=innermost, violations=violations)
        else:
            self._stray(event, lane, violations, before)

    def run_of(self, event: Event, owner: FlowRule | None) -> Flow | None:
        """Return the open run, a flow of ``owner``, that flows from the producer of ``event`` are members of."""
        lane = self._open.lane(event, owner) if owner is not None else None
        return next((flow for flow in lane.newest() if flow.rule is owner), None) if lane is not None else None

    def _holder(self, event: Event, lane: Lane | None, *, anything: bool) -> Flow | None:
        """Return the open flow that takes ``event``: of its lane, of its producer, or of its session."""
        if lane is not None:
            for flow in reversed(lane.stack):
                if self._open.holds(flow, event, anything):
                    return flow
        for rule in self._producer_rules:
            if event.eid in rule.holds:
                runs = self._open.lane(event, rule)
                run = match_end(event, rule, begun_by(event, runs.newest())) if runs is not None else None
                if run is not None:
                    return run
        return self._open.joined_holder(event, anything=anything)

    def _stray(self, event: Event, lane: Lane | None, violations: tuple[str, ...], before: Closed | None) -> None:
        """Give a span to an event that no open flow answers; a closed one may answer it."""
        if before is None and lane is not None and event.late:
            around = [flow for flow in lane.closed if flow.start_ns <= event.ets_ns <= flow.end_ns]
            before = max(around, key=lambda flow: flow.start_ns, default=None)
        if before is None:
            trace_id = trace_of(event, self._parked.request_id(event), self._trace_scope)
            owners = [self._rules.by_kind.get(rule.member_of) for rule in self._rules.gatherers]
            runs = [run for owner in owners if (run := self.run_of(event, owner)) is not None]
            links = tuple(run.reference().typed("service_run") for run in runs)
            self._lone(event, trace_id, violations=violations, links=links)
        elif before.start_ns <= event.ets_ns < before.end_ns and not self._told.rejects:
            self._lone(event, before.link.trace_id, parent=before.link, violations=violations)
        else:
            links = (before.link.typed("closed_flow"),)
            self._lone(event, before.link.trace_id, violations=violations, links=links)

    def _add(self, flow: Flow, event: Event, violations: tuple[str, ...]) -> None:
        if flow.volume is not None:
            trace_id = flow.volume.add(event.size)
            if trace_id != flow.events_trace_id:
                if flow.events:
                    self.segment(flow)
                flow.events_trace_id = trace_id
        if flow.events and flow.events_bytes + event.size > self._span_bytes:
            self.segment(flow)
        flow.events.append(self._write(flow, event, violations))
        flow.events_bytes += event.size
        self._open.touch(flow, event.ets_ns)
        if len(flow.events) >= self._span_events or flow.events_bytes >= self._span_bytes:
            self.segment(flow)

    def segment(self, flow: Flow) -> None:
        """Tell the events of ``flow`` so far as a segment."""
        if self._told.repairs:  # a segment may end 1 ns after its last event
            self._repairs.contain_instant(flow, max(one.time_ns for one in flow.events))
        segment = FlowSegment(flow)
        if self._told.rejects:  # what is in a flow waits there, also when that is about to be told itself
            flow.held.append(segment)
        else:
            self._told.tell_one(segment)

    def _lone(
        self,
        event: Event,
        trace_id: bytes,
        *,
        parent: FlowLink | None = None,
        flow: Flow | None = None,
        violations: tuple[str, ...] = (),
        links: tuple[FlowLink, ...] = (),
    ) -> None:
        rules = self._rules
        marks = rules.marks_of(event.context)
        kinds = frozenset(home.kind for home in rules.homes(event.eid)) if event.eid in rules.inside_only else _NO_KINDS
        if flow is not None:
            self._open.touch(flow, event.ets_ns)
            if self._told.repairs:
                self._repairs.contain_instant(flow, event.ets_ns)
            kinds = frozenset(outer.kind for outer in flow.lineage())
            marks = marks.union(*(outer.marks for outer in flow.lineage()))
        workflow = rules.workflow_of(kinds, marks) if kinds or marks else ""
        volume = flow.volume if flow is not None else None
        if flow is None and parent is None and (event.context.sid or event.context.did):
            volume = self._volumes.of(trace_id)
        if volume is not None:
            trace_id = volume.add(event.size)
            if parent is not None and parent.trace_id != trace_id:
                links = (*links, parent.typed("parent"))
                parent = None
        self._told.tell_one(Lone(event, trace_id, parent, workflow, violations, links), flow)
