"""The flow engine: reads the rules, pairs START with END, closes what stays open, says what breaks the nesting.

It is fed events in the order of their time and tells outcomes (:mod:`sunbird_otel._flow`). It knows no clock but the
events' own, and no workflow: what to do with an event is said by the rules alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._flow import Answered, Closed, Flow, Lane, Measured, Outcome, events_of, lane_key
from sunbird_otel._ids import span_of
from sunbird_otel._making import Making
from sunbird_otel._measure import METRICS, duration_ns, measurements
from sunbird_otel._open import DEEPEST, OpenFlows
from sunbird_otel._pairing import match_end, pairing_values, same_flow
from sunbird_otel._parked import Parked, Written
from sunbird_otel._placing import Placing, begun_by
from sunbird_otel._repair import Repairs
from sunbird_otel._rules import Closes, Opens
from sunbird_otel._ties import natural_order
from sunbird_otel._told import Told
from sunbird_otel._volume import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Inside
    from sunbird_otel._limits import Limits
    from sunbird_otel._rules import FlowRule, Role, Rules
    from sunbird_otel._tally import Tally


class FlowEngine:
    """Turns events into flows.

    Args:
        rules: What opens, closes and holds what.
        policy: What to do about violations, see :mod:`sunbird_otel._told`.
        idle_gap_ns: Replaces the idle gap of every rule that has one.
        trace_scope: ``session`` or ``run``, see :func:`sunbird_otel._ids.trace_of`.
        max_open_flows: Beyond this the flow that has been idle longest is evicted.
        tally: Counts opened and closed flows, ends and violations.
        on_violation: Is called with code, event, expected and found for each violation.
        write: Writes an event as a flow is to hold it: flow, event, what it breaks.
        limits: When a flow goes on in a further span. ``pending``: whether :meth:`begun` is going to be asked.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        policy: str,
        idle_gap_ns: int | None,
        trace_scope: str,
        max_open_flows: int,
        tally: Tally,
        on_violation: Callable[[str, Event, str, str], None],
        write: Callable[[Flow, Event, tuple[str, ...]], Inside],
        limits: Limits,
        pending: bool = False,
    ) -> None:
        """Start with nothing open."""
        self._rules = rules
        self._max_open = max_open_flows
        self._tally = tally
        self._told = Told(policy, tally, on_violation)
        self._open = OpenFlows(rules, idle_gap_ns, note=pending)
        self._parked = Parked(rules, idle_gap_ns)
        volumes = Volumes(limits.trace_bytes)
        self._making = Making(rules, trace_scope, self._open, self._parked, volumes, tally)
        self._repairs = Repairs[Flow](
            rules,
            lambda rule, child: self._making.synthesise(rule, child.opener, None, child.start_ns),
            self._making.admit,
            self._making.settle,
        )
        self._placing = Placing(
            rules=rules,
            trace_scope=trace_scope,
            flows=self._open,
            parked=self._parked,
            repairs=self._repairs,
            told=self._told,
            make_home=self._missing_home,
            write=write,
            limits=limits,
            volumes=volumes,
        )
        self._write = write
        # Producers that are known to write AUDIT Ready or Stopped.
        self._auditing: set[Hashable] = set()

    def feed(self, events: list[Event]) -> list[Outcome]:
        """Take events that have one time, and return what they decide."""
        self._expire(events[0].ets_ns)
        if len(events) == 1:
            self._process(events[0], self._rules.role(events[0]))
        else:
            for event, role in natural_order(events, self._rules, self._closes_open_flow):
                self._process(event, role)
        return self._told.take()

    def feed_late(self, event: Event) -> list[Outcome]:
        """Take an event whose place in the order has passed.

        It joins a flow that was open at its time if that is still open, and is a span of its own in that flow's trace
        otherwise. A START opens its flow only when nothing has begun or ended in its lane since.
        """
        role = self._rules.role(event)
        if isinstance(role, Opens) and not role.rule.whole:
            lane = self._open.lane(event, role.rule)
            if lane is not None and lane.changed_ns > event.ets_ns:
                self._placing.place(event)
                return self._told.take()
        self._process(event, role)
        return self._told.take()

    def advance(self, to_ns: int) -> list[Outcome]:
        """Close what has been idle at ``to_ns``, and return what that decides."""
        self._expire(to_ns)
        return self._told.take()

    def begun(self, until_ns: int) -> list[Flow]:
        """Return the open flows that began before ``until_ns``, each once; they must be noted."""
        return self._open.begun(until_ns)

    def drain(self) -> list[Outcome]:
        """Close everything: the stream has ended."""
        for entry in self._parked.all():
            self._placing.unpark(entry)
        for flow in self._open.roots():
            self._close(flow, "drain")
        return self._told.take()

    def _process(self, event: Event, role: Role) -> None:
        if event.eid == METRICS and measurements(event):
            self._told.tell_one(Measured(event))
            return
        if isinstance(role, Opens):
            if role.rule.whole:
                self._request(event, role.rule)
            else:
                self._start(event, role.rule)
        elif isinstance(role, Closes):
            self._end(event, role.rule)
        else:
            self._placing.inside(event)
        self._evict(self._max_open)  # what repair has made counts, too

    def _evict(self, most: int) -> None:
        """Close the flows that have been idle longest until no more than ``most`` are open."""
        while len(self._open) > most:
            self._close(self._open.longest_idle(), "evicted")

    # --- Opening ---------------------------------------------------------------------------------------------------

    def _start(self, event: Event, rule: FlowRule) -> None:
        self._evict(self._max_open - 1)  # first, since a lane that is looked up stays known only if it is used
        lane = self._open.lane_for(event, rule)
        while rule.scope == "lane" and len(lane.stack) >= DEEPEST:
            self._close(lane.stack[-1], "evicted")
        for flow in list(lane.newest()):
            if flow.rule.kind == rule.kind and same_flow(event, flow) and flow in lane.stack:
                self._close(flow, "restart")
        if rule.members:
            self._auditing.add(lane.key)
        observed = self._observed_parent(event, rule, lane)
        flow = self._making.make(event, rule, lane, observed)
        code = rule.misplaced(_kinds(observed))
        around = None
        if code:
            self._violation(flow, code, event, rule, observed)
            if self._told.repairs:
                around = self._repairs.parent(flow, observed)
        self._making.admit(flow, around)

    def _observed_parent(self, event: Event, rule: FlowRule, lane: Lane) -> Flow | None:
        if rule.scope == "producer":
            return None
        innermost = lane.innermost
        if innermost is not None and any(rule.accepts_parent(flow.kind) for flow in innermost.lineage()):
            return innermost
        joined = self._open.joined_parent(event, rule)
        return joined or innermost

    # --- Requests ----------------------------------------------------------------------------------------------------

    def _request(self, event: Event, rule: FlowRule) -> None:
        lane = self._open.lane(event, rule)
        parent = None
        if lane is not None and lane.stack:
            parent = next((flow for flow in reversed(lane.stack) if rule.accepts_parent(flow.kind)), None)
        if parent is None:
            parent = self._open.joined_parent(event, rule)
        owner = self._rules.by_kind.get(rule.member_of)
        run = self._placing.run_of(event, owner)
        outside = run is None and owner is not None and lane_key(event, owner.scope) in self._auditing
        if run is not None and run.rule.members == "child":
            parent = run
        if parent is None and not outside and not self._parked.awaits(self._parked.request_id(event)):
            self._answer(event, rule, run)
            return
        flow = self._making.make(event, rule, None, parent)
        flow.start_ns = event.ets_ns - duration_ns(event, rule.duration_param)
        flow.end_reason, flow.end_ns = "end", event.ets_ns
        self._gather(flow)
        if outside and owner is not None:
            self._violation(flow, "missing_parent", event, rule, None)
            if self._told.repairs:
                run = self._making.synthesise(owner, event, None, flow.start_ns)
                self._making.admit(run)
        if run is not None and run is not parent:
            flow.links.append(run.reference().typed("service_run"))
        if parent is not None:
            self._open.touch(parent, event.ets_ns)
        self._tally.open_flow()
        self._finish(flow)

    def _answer(self, event: Event, rule: FlowRule, run: Flow | None) -> None:
        """Tell a request that stands in nothing and holds nothing: what :meth:`_request` comes to for such a one."""
        context, request_id = event.context, self._parked.request_id(event)
        trace_id = self._making.trace_of_request(event, request_id)
        span_id = span_of(trace_id, rule.kind, event)
        start_ns = event.ets_ns - duration_ns(event, rule.duration_param)
        workflow = self._rules.workflow_of(rule.alone, self._rules.marks_of(context))
        links = () if run is None else (run.reference().typed("service_run"),)
        request = Answered(event, rule, trace_id, span_id, start_ns, request_id, workflow, links)
        if request_id:
            self._parked.remember(request_id, Written(trace_id, span_id, context.pdata_id, start_ns, request.end_ns))
        self._tally.open_flow()
        self._tally.close_flow("end")
        self._told.tell_one(request)

    def _gather(self, request: Flow) -> None:
        """Let ``request`` hold the events that have waited for it."""
        answered_ns = request.opener.ets_ns
        waited = self._parked.gather(request)
        request.events = [self._write(request, event, ()) for event in waited]
        first_ns = min((event.ets_ns for event in waited), default=answered_ns)
        if request.start_ns == answered_ns:
            request.start_ns = first_ns  # it does not say how long it took: at least as long as it has been telling
        elif self._told.repairs and first_ns < request.start_ns:
            self._repairs.start_at(request, first_ns)

    # --- Closing -----------------------------------------------------------------------------------------------------

    def _end(self, event: Event, rule: FlowRule) -> None:
        flow = self._match(event, rule)
        if rule.members:
            self._auditing.add(lane_key(event, rule.scope))
        if flow is not None and flow.closer is None:
            self._close_by(flow, event)
            return
        lane = self._open.lane(event, rule)
        before = match_end(event, rule, reversed(lane.closed)) if lane else None
        again = flow is not None or (before is not None and before.ended)
        code = "repeated_end" if again else "orphan_end"
        found = "that flow had ended before" if again else "none"
        self._told.violation(code, event, f"an open flow {rule.kind} that it closes", found)
        if self._told.rejects:
            self._told.refuse(event, code)
            return
        self._tally.repeated += again and not event.echo
        self._tally.orphan += not again and not event.echo
        self._placing.place(event, (code,), before)

    def _close_by(self, flow: Flow, end: Event) -> None:
        """Close ``flow`` by its END; one that repair has put around another stays until that one closes."""
        adopted = [child for child in flow.children if "adopted" in child.repairs]
        if not adopted:
            self._close(flow, "end", end)
            return
        flow.closer = end
        self._open.touch(flow, end.ets_ns)
        for child in reversed(flow.children):
            if child not in adopted:
                self._close(child, "parent_end")

    def _match(self, event: Event, rule: FlowRule) -> Flow | None:
        lane = self._open.lane(event, rule)
        flow = match_end(event, rule, begun_by(event, lane.newest())) if lane else None
        if flow is None and rule.scope == "lane":
            joined = [f for f in self._open.of_session(event) if f.opener.context.pdata_id == event.context.pdata_id]
            flow = match_end(event, rule, begun_by(event, joined))
        return flow

    def _closes_open_flow(self, event: Event, rule: FlowRule) -> bool:
        return self._match(event, rule) is not None

    def _close(self, flow: Flow, reason: str, closer: Event | None = None) -> None:
        for event in self._parked.of_host(flow):
            self._placing.place(event)
        if flow.closer is not None:
            reason = "end"
        elif closer is not None:
            flow.closer = closer
            self._open.touch(flow, closer.ets_ns)
        inner = "parent_end" if reason in {"end", "restart", "parent_end"} else reason
        for child in reversed(flow.children):
            self._close(child, inner)
        if flow.end_reason:
            return  # it was waiting for this child only
        self._open.remove(flow)
        flow.end_reason = reason
        end = flow.closer
        flow.end_ns = flow.last_ns if end is None else max(end.ets_ns, flow.last_ns if end.late else 0)
        self._finish(flow)
        around = flow.parent
        if around is not None and around.closer is not None and not around.end_reason and not around.children:
            self._close(around, "end")

    def _finish(self, flow: Flow) -> None:
        """Decide what is known only now, remember the flow, and tell it."""
        parent = flow.parent
        if flow.events and flow.events_trace_id != flow.trace_id:
            self._placing.segment(flow)
        flow.workflow = self._rules.workflow_of(*flow.telling())
        self._tally.close_flow(flow.end_reason, counted=not flow.opener.echo)
        if flow.end_reason != "end" and not flow.synthetic and flow.rule.must_end(flow.workflow):
            code = "unclosed_child" if flow.end_reason == "parent_end" else "missing_end"
            flow.violations.append(code)
            self._told.violation(code, flow.opener, f"END of the {flow.kind}", f"closed by {flow.end_reason}")
        flow.end_ns = max(flow.end_ns, flow.start_ns + 1)
        if self._told.repairs:
            self._repairs.contain(flow)
        if parent is not None:
            parent.kinds_inside |= flow.kinds_inside | flow.rule.alone
            parent.marks |= flow.marks
        if flow.lane is not None:
            flow.lane.closed.append(Closed(flow, pairing_values(flow)))
            flow.lane.changed_ns = max(flow.lane.changed_ns, flow.end_ns)
        if self._told.rejects and flow.violations:
            for event in events_of(flow):
                self._told.refuse(event, flow.violations[0])
        else:
            self._told.tell_closed(flow)

    def _expire(self, now_ns: int) -> None:
        """Do what has come due, in the order in which it did, so that it is the same whoever's event says so."""
        flows, parked = self._open, self._parked
        while True:
            flow = flows.idle(now_ns)
            entry = parked.overdue(now_ns if flow is None else flows.idle_from(flow))
            if entry is not None:
                self._placing.unpark(entry)
            elif flow is not None:
                self._close(flow, "idle")
            else:
                return

    def _missing_home(self, rule: FlowRule, event: Event, innermost: Flow | None) -> Flow:
        flow = self._making.synthesise(rule, event, innermost, event.ets_ns)
        around = None
        if rule.misplaced(_kinds(innermost)):
            around = self._repairs.parent(flow, innermost)
        self._making.admit(flow, around)
        return flow

    # --- Violations --------------------------------------------------------------------------------------------------

    def _violation(self, flow: Flow, code: str, event: Event, rule: FlowRule, parent: Flow | None) -> None:
        flow.violations.append(code)
        depth = self._rules.depth
        allowed = " or ".join(sorted(rule.parents | rule.tolerates, key=lambda kind: (depth.get(kind, 0), kind)))
        wanted = rule.member_of if rule.whole else allowed
        expected = f"{flow.kind} inside {wanted}" + (f", within a {rule.within}" if rule.within else "")
        found = f"inside a {parent.kind}" if parent is not None else "nothing around it"
        self._told.violation(code, event, expected, found)


def _kinds(flow: Flow | None) -> list[str]:
    return [outer.kind for outer in flow.lineage()] if flow is not None else []
