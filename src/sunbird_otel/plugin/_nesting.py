"""Nesting in a live process: which flow stands in which, what breaks the rules, and what a policy makes of it.

The same rules and codes as in the flow engine, for flows that are spans: a span says itself what it stands in, and it
ends by itself. No lock, no clock, no export: the callers see to these.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

from sunbird_otel._open import DEEPEST
from sunbird_otel._repair import Repairs
from sunbird_otel._told import POLICIES
from sunbird_otel.errors import ConfigError
from sunbird_otel.plugin._answers import Answers
from sunbird_otel.plugin._contents import Contents, marked
from sunbird_otel.plugin._joined import joined_in
from sunbird_otel.plugin._known import KnownSpans
from sunbird_otel.plugin._live_flow import LiveFlow, NestingTally, Tree
from sunbird_otel.plugin._rebuild import derived_context, pending
from sunbird_otel.plugin._told import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanContext

    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel.plugin._bounds import Bounds
    from sunbird_otel.plugin._flow_events import FlowEvents, Watch
    from sunbird_otel.plugin._live_flow import Node, Outcome


class Nesting:
    """Bookkeeping of open flow spans. Its methods return what is decided, in the order in which it is to be written.

    Args:
        rules: What may stand where.
        policy: ``annotate``, ``repair`` or ``reject``.
        bounds: How large a span may be.
        watch: Keeps the events of running spans; None where spans have ended when they come.
        max_open_flows: Beyond this the flow in which nothing has started for longest is closed as ``evicted``.
        max_held_spans: Beyond this ``reject`` lets the longest held spans go without knowing all.

    Raises:
        ConfigError: An option is none of these.
    """

    def __init__(
        self,
        rules: Rules,
        policy: str,
        bounds: Bounds,
        watch: Watch | None = None,
        *,
        max_open_flows: int,
        max_held_spans: int,
    ) -> None:
        """Start with nothing open."""
        if policy not in POLICIES:
            raise ConfigError(f"policy: expected {', '.join(POLICIES[:-1])} or {POLICIES[-1]}; found {policy!r}.")
        for name, value in (("max_open_flows", max_open_flows), ("max_held_spans", max_held_spans)):
            if value < 1:
                raise ConfigError(f"{name}: expected 1 or more; found {value!r}.")
        self.rules = rules
        self.tally = NestingTally()
        self.rejects = policy == "reject"
        self._open: OrderedDict[int, LiveFlow] = OrderedDict()
        self._told = Told(self.tally, self._open, max_held_spans if self.rejects else None)
        self._policy = policy
        self._bounds = bounds
        self._watch = watch
        self._repairing = policy == "repair"
        self._max_open = max_open_flows
        self._max_held = max_held_spans
        self._crowd = max_open_flows // 2  # with fewer open, none needs to know which one has been idle for longest
        self._repairs = Repairs[LiveFlow](rules, self._missing, self._admit, lambda _flow, _near: None)
        self.known = KnownSpans(keeps_all=policy != "annotate")
        self.nodes = self.known.nodes
        self._answers = Answers(rules)
        self._contents = Contents(
            rules,
            bounds.checked(),
            self.tally,
            self._told,
            violation=self._violation,
            rehome=self._rehome if self._repairing else None,
        )

    def in_child_process(self) -> Nesting:
        """Return the bookkeeping of a process forked from this one, to which the open flows do not belong."""
        bounds = {"max_open_flows": self._max_open, "max_held_spans": self._max_held}
        child = Nesting(self.rules, self._policy, self._bounds, self._watch, **bounds)
        for flow in self._open.values():
            flow.foreign = True
            flow.held.clear()
        child.known, child.nodes = self.known, self.nodes
        return child

    def pass_on(self, span: ReadableSpan, around: Node | None) -> list[Outcome]:
        """Take an ended span that is no flow; under ``reject`` it shares the fate of the flows around it."""
        self._told.pass_on([span], around)
        return self._told.take()

    # --- Flows -------------------------------------------------------------------------------------------------------

    def start(
        self, rule: FlowRule, span: ReadableSpan, context: SpanContext, pid: object, around: Context | None = None
    ) -> list[Outcome]:
        """Open the flow of ``span``. What has to make room for it ends when it starts.

        Args:
            rule: Its kind.
            span: The span, open or ended.
            context: Its context.
            pid: The process of its producer, for the workflow.
            around: The OpenTelemetry context around it; None: the current one.
        """
        span_id = context.span_id
        if span_id in self._open:
            return []  # ids that are derived may come again; the first one has it
        now_ns = span.start_time or 0
        if len(self._open) >= self._max_open:
            self._evict(self._max_open - 1, now_ns)
        parent = span.parent
        ended = span.end_time is not None
        observed = self.nodes.get(parent.span_id) if parent is not None else None
        left = None
        if type(observed) is LiveFlow and observed.holds_flows and rule.scope == "lane" and not ended:
            unseen = observed.unseen or observed.foreign
        else:
            observed, unseen, left = self._around(span, context, rule, around)
        if observed is not None and len(observed.place.kinds) >= DEEPEST:
            observed, unseen, left = self._less_deep(observed, now_ns) or (observed, unseen, left)
        answers = self._answers
        place = answers.place(rule, answers.outermost if observed is None else observed.place)
        tree = Tree() if observed is None or observed.foreign else observed.tree
        flow = LiveFlow(rule, span, context, parent, observed, tree, place, start_ns=now_ns)
        flow.marks = answers.marks(span, pid)
        if self._watch is not None and not ended:
            flow.kept = self._watch.over(span, span_id)
        if unseen:
            flow.unseen = True
        if self._repairing:
            flow.repairs = []
            if left is not None and not unseen:  # it has begun in a flow that is over
                flow.above = observed.context if observed is not None else left.outward
                flow.repairs.append("reparented")
        self._admit(flow, self._misplaced(flow, place.code) if place.code else None)
        if len(self._open) > self._crowd:
            self._touch(observed)
            self._evict(self._max_open, now_ns)  # what repair has made counts, too
        return self._told.take()

    def _less_deep(self, around: LiveFlow, now_ns: int) -> tuple[LiveFlow | None, bool, Node | None] | None:
        """Close what is around until another flow may stand in it; return as :meth:`_around` does, None: nothing."""
        found: tuple[LiveFlow | None, bool, Node | None] | None = None
        observed: LiveFlow | None = around
        while observed is not None and len(observed.place.kinds) >= DEEPEST and not observed.foreign:
            self._close(observed, "evicted", now_ns)
            found = self._nearest(observed)
            observed = found[0]
        return found

    def _misplaced(self, flow: LiveFlow, code: str) -> LiveFlow | None:
        """Deal with a flow that may not begin where it does; return the flow that repair has put it around."""
        if flow.unseen and code == "missing_parent":  # what is missing here may well be there
            self.tally.unjudged += 1
            return None
        self._violation(flow, code)
        return self._repairs.parent(flow, flow.observed) if self._repairing and not flow.unseen else None

    def end(self, flow: LiveFlow, span: ReadableSpan) -> list[Outcome]:
        """Take the end of an open flow."""
        flow.span = span
        flow.end_ns = span.end_time or flow.start_ns
        if self._repairing and flow.children and any("adopted" in child.repairs for child in flow.children):
            # Repair has put it around these, so that they do not end with it, but it with them.
            flow.waiting = True
            self._contents.read(flow)
            for child in list(flow.children):
                if "adopted" not in child.repairs:
                    self._close(child, "parent_end", flow.end_ns)
        else:
            self._close(flow, "end", flow.end_ns)
        return self._told.take()

    def overflow(self, events: FlowEvents) -> list[Outcome]:
        """Write events of an open flow, since many wait.

        What a flow of another process, or one that is over, has kept aside is dropped: its end counts it.
        """
        aside = events.take_aside()
        flow = self._open.get(events.span_id)
        if flow is not None and flow.kept is events and not flow.foreign:
            self._contents.overflow(flow, aside)
            events.leave(len(flow.left))
        return self._told.take()

    def pending(self, flow: LiveFlow) -> list[Outcome]:
        """Return the span that tells of a flow which is open; nothing for one that is not, or that may be refused."""
        if self._open.get(flow.span_id) is not flow or flow.waiting or flow.foreign:
            return []
        if self.rejects and any(outer.violations for outer in flow.lineage()):
            return []
        self.tally.pending += 1
        return [pending(flow, self._bounds)]

    def drain(self, now_ns: int) -> list[Outcome]:
        """Close everything: no more spans will come."""
        for flow in list(self._open.values()):
            if not flow.end_reason and (flow.parent is None or flow.parent.end_reason or flow.parent.foreign):
                self._close(flow, "drain", now_ns)
        return self._told.take()

    def _touch(self, flow: LiveFlow | None) -> None:
        while flow is not None:
            if flow.span_id in self._open:
                self._open.move_to_end(flow.span_id)
            flow = flow.parent

    def _evict(self, most: int, now_ns: int) -> None:
        while len(self._open) > most:
            self._close(next(iter(self._open.values())), "evicted", now_ns)

    def _around(
        self, span: ReadableSpan, context: SpanContext, rule: FlowRule, around: Context | None
    ) -> tuple[LiveFlow | None, bool, Node | None]:
        """Return the open flow around ``span``, whether what is around begins elsewhere, and the last ended flow."""
        if rule.scope == "producer":
            return None, False, None  # as in the core: a run stands beside what its users do
        parent = span.parent
        node: Node | Literal[False] | None = False
        if span.end_time is not None:  # it has become a flow while it ran, so that its place may be known
            node = self.nodes.get(context.span_id, False)
        if node is False and parent is not None:
            node = self.nodes.get(parent.span_id, False)
        if node is False:
            if parent is not None and (parent.is_remote or not parent.trace_flags.sampled):
                return None, True, None
            joined = joined_in(around)  # a request's headers may tell of flows of its client
            return None, joined is not None and joined.trace is not None, None
        return self._nearest(node)

    @staticmethod
    def _nearest(node: Node | None) -> tuple[LiveFlow | None, bool, Node | None]:
        unseen = node is None or node.unseen
        left = None
        while node is not None and not node.holds_flows:
            left, node = node, node.parent
        flow = node if isinstance(node, LiveFlow) else None
        return flow, unseen or (flow is not None and flow.foreign), left

    # --- Repair ------------------------------------------------------------------------------------------------------

    def _admit(self, flow: LiveFlow, inner: LiveFlow | None = None) -> None:
        """Open ``flow``; ``inner`` is the flow that it was put around."""
        parent = flow.parent
        if inner is not None:
            flow.add(inner)
            flow.above, inner.above = inner.above, flow.context
        elif parent is not flow.observed:
            outermost = list((flow.observed or flow).lineage())[-1]
            flow.above = parent.context if parent is not None else outermost.outward
        if parent is not None:
            parent.add(flow)
        if self._repairing:
            self._reshape(flow)
        flow.tree.open += 1
        self._open[flow.span_id] = self.nodes[flow.span_id] = flow
        tally = self.tally
        tally.opened += 1
        tally.open += 1
        if flow.synthetic:
            tally.synthetic_spans += 1

    def _reshape(self, flow: LiveFlow) -> None:
        around = self._answers.outermost if flow.parent is None else flow.parent.place
        flow.place = self._answers.place(flow.rule, around)
        for child in flow.children:
            self._reshape(child)

    def _missing(self, rule: FlowRule, child: LiveFlow) -> LiveFlow:
        """Make the flow that should have been around ``child``."""
        return self._synthesise(rule, child, child.observed, child.above, child.start_ns)

    def _synthesise(
        self, rule: FlowRule, child: LiveFlow, observed: LiveFlow | None, above: SpanContext | None, start_ns: int
    ) -> LiveFlow:
        context = derived_context(child.context, f"synthetic {rule.kind}")
        # Its place comes with its parent, when it is admitted.
        place = self._answers.outermost
        flow = LiveFlow(rule, child.span, context, above, observed, child.tree, place, start_ns=start_ns)
        flow.marks = child.marks
        flow.parent = None
        flow.synthetic = True
        flow.repairs = ["synthetic"]
        return flow

    def _rehome(self, flow: LiveFlow, outside: Sequence[Event]) -> set[int]:
        """Move events that ``flow`` may not hold into flows that may, made in it for the purpose; return which."""
        made: dict[str, LiveFlow] = {}
        moved: set[int] = set()
        for event in outside:
            homes = self.rules.homes(self._contents.eid(event))
            if not homes:
                continue
            rule = homes[0]
            home = made.get(rule.kind)
            if home is None:
                home = self._synthesise(rule, flow, flow, flow.context, event.timestamp)
                inner = None
                if self._answers.place(rule, flow.place).code:
                    inner = self._repairs.parent(home, flow)
                else:
                    home.parent = flow
                self._admit(home, inner)
                made[rule.kind] = home
            home.events = (*home.events, marked(event))
            home.start_ns = min(home.start_ns, event.timestamp)
            home.inner_end_ns = max(home.inner_end_ns, event.timestamp + 1)
            moved.add(id(event))
        for home in made.values():
            if not home.children:
                self._close(home, "end", home.inner_end_ns)
        return moved

    # --- Closing -----------------------------------------------------------------------------------------------------

    def _close(self, flow: LiveFlow, reason: str, end_ns: int) -> None:
        inner = "parent_end" if reason == "end" else reason
        if flow.waiting:
            reason = "end"
        elif flow.synthetic:
            flow.end_ns = max(flow.inner_end_ns, flow.start_ns)
        else:
            flow.end_ns = end_ns
            self._contents.read(flow)
        if flow.children:
            for child in tuple(flow.children):
                if child.end_reason:
                    continue
                if self._repairing or inner != "parent_end":
                    self._close(child, inner, end_ns)
                else:
                    self._unclosed(child)
        if not flow.end_reason:  # else the last flow that it waited for has closed it
            self._finish(flow, reason)

    def _unclosed(self, flow: LiveFlow) -> None:
        """Mark ``flow``, which goes on though the flow around it has ended, and what is open in it."""
        for child in flow.children:
            self._unclosed(child)
        if "unclosed_child" not in flow.violations and flow.rule.must_end(self._answers.workflow(flow)):
            self._violation(flow, "unclosed_child")

    def _finish(self, flow: LiveFlow, reason: str) -> None:
        parent = flow.parent
        if flow.events or flow.left:
            self._contents.fit(flow)
        del self._open[flow.span_id]
        flow.end_reason = reason
        flow.workflow = self._answers.workflow(flow)
        self.tally.open -= 1
        self.tally.closed[reason] += 1
        if reason != "end" and not flow.synthetic and flow.rule.must_end(flow.workflow):
            code = "unclosed_child" if reason == "parent_end" else "missing_end"
            if "unclosed_child" not in flow.violations:
                self._violation(flow, code)
        if self._repairing:
            flow.end_ns = max(flow.end_ns, flow.start_ns)
            self._repairs.contain(flow)
        flow.kept = None
        if parent is not None:
            if flow.rule.kind not in parent.kinds_inside:
                parent.kinds_inside |= {flow.rule.kind}
            if flow.kinds_inside:
                parent.kinds_inside |= flow.kinds_inside
            if flow.marks != parent.marks:
                parent.marks |= flow.marks
            parent.children.remove(flow)
        self._told.tell(flow)
        whole = self._repairing or flow.end_reason != "end" or (self.rejects and bool(flow.violations))
        self.known.remember_ended(flow, whole=whole)
        if (
            parent is not None
            and (parent.waiting or parent.synthetic)
            and not parent.end_reason
            and not parent.children
        ):
            self._close(parent, "end", parent.end_ns)

    def _violation(self, flow: LiveFlow, code: str) -> None:
        self.tally.violations[code] += 1
        flow.violate(code)
