"""The flows that are open: by lane, by session, and in the order in which they were last active."""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from typing import TYPE_CHECKING, Final

from sunbird_otel._flow import Flow, Lane, lane_key

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule, Rules

_QUIET_LANES: Final = 50_000
"""Lanes without an open flow that are remembered for their closed ones."""


_NEVER_NS: Final = 1 << 62

_SPARE: Final = 1_000
"""Places in a queue that closed flows may take, beside as many as are open."""

DEEPEST: Final = 100
"""Flows in each other that one lane or one session may have; what nests deeper is a client that never writes END."""

_LOOKED_AT: Final = 256
"""Flows of one session that are looked at for a join: an id that many share must not cost their number."""


class OpenFlows:
    """Index of open flows.

    ``idle_gap_ns`` replaces the idle gap of every rule that has one; ``note`` tells whether :meth:`begun` is asked.
    """

    def __init__(self, rules: Rules, idle_gap_ns: int | None, *, note: bool = False) -> None:
        """Start empty."""
        self._rules = rules
        self._idle_gap_ns = idle_gap_ns
        self._lanes: dict[Hashable, Lane] = {}
        self._quiet: OrderedDict[Hashable, None] = OrderedDict()
        self._sessions: dict[str, dict[int, Flow]] = {}
        self._flows: dict[int, Flow] = {}
        self._opened = 0
        # For each length of idle gap the flows by the time of their last event, as it was when it was last looked at:
        # what has happened since can only move a flow back. With it stands the flow's number below 0, so that of those
        # that are idle alike the newest is first. Flows that are closed are taken out when they are met.
        self._queues: dict[int | None, list[tuple[int, int]]] = {}
        self._noted: deque[Flow] | None = deque() if note else None
        self._soonest_ns = 0  # before then nothing is idle: flows that stay active only come later

    def __len__(self) -> int:
        """Return how many flows are open."""
        return len(self._flows)

    def lane(self, event: Event, rule: FlowRule | None = None) -> Lane | None:
        """Return the lane of ``event`` for flows of ``rule``, if it is known."""
        return self._lanes.get(lane_key(event, rule.scope if rule is not None else "lane"))

    def lane_for(self, event: Event, rule: FlowRule) -> Lane:
        """Return the lane in which ``event`` opens a flow of ``rule``; a private one when it says not who wrote it."""
        key = lane_key(event, rule.scope)
        if key is None:
            return Lane(None)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        return lane

    def gap(self, rule: FlowRule) -> int | None:
        """Return the idle gap in force for flows of ``rule``."""
        if rule.idle_gap_ns is None or self._idle_gap_ns is None:
            return rule.idle_gap_ns
        return self._idle_gap_ns

    def add(self, flow: Flow, around: Flow | None = None) -> None:
        """Take in an open flow; ``around`` is the flow of its lane that now stands in it, when it was put between."""
        lane, parent = flow.lane, flow.parent
        if parent is not None:
            parent.children.append(flow)
        if around is not None:
            flow.children.append(around)
        if lane is not None:
            place = lane.stack.index(around) if around is not None and around in lane.stack else len(lane.stack)
            lane.stack.insert(place, flow)
            lane.changed_ns = max(lane.changed_ns, flow.opener.ets_ns)
            self._quiet.pop(lane.key, None)
        if flow.rule.joins:
            flow.session_ids = self._session_ids(flow.opener)
            for session_id in flow.session_ids:
                self._sessions.setdefault(session_id, {})[id(flow)] = flow
        self._opened += 1
        flow.number = self._opened
        self._flows[flow.number] = flow
        gap = self.gap(flow.rule)
        queue = self._queues.setdefault(gap, [])
        heappush(queue, (flow.last_ns, -flow.number))
        if len(queue) > _SPARE + 2 * len(self._flows):
            queue[:] = [entry for entry in queue if -entry[1] in self._flows]
            heapify(queue)
        if gap is not None:
            self._soonest_ns = min(self._soonest_ns, flow.last_ns + gap)
        if self._noted is not None:
            self._noted.append(flow)
        self.touch(flow, flow.opener.ets_ns)

    def begun(self, until_ns: int) -> list[Flow]:
        """Return the open flows that began before ``until_ns``, each once."""
        noted = self._noted
        found: list[Flow] = []
        while noted and noted[0].opener.ets_ns < until_ns:
            flow = noted.popleft()
            if not flow.end_reason:
                found.append(flow)
        return found

    def remove(self, flow: Flow) -> None:
        """Take out a flow that is closed."""
        lane, parent = flow.lane, flow.parent
        if parent is not None and flow in parent.children:
            parent.children.remove(flow)
        if lane is not None:
            lane.stack.remove(flow)
            if not lane.stack and lane.key is not None:
                self._quiet[lane.key] = None
                if len(self._quiet) > _QUIET_LANES:
                    oldest, _ = self._quiet.popitem(last=False)
                    del self._lanes[oldest]
        for session_id in flow.session_ids:
            flows = self._sessions[session_id]
            del flows[id(flow)]
            if not flows:
                del self._sessions[session_id]
        del self._flows[flow.number]

    def touch(self, flow: Flow, time_ns: int) -> None:
        """Note that something happened in ``flow`` at ``time_ns``, and so in the flows around it."""
        for one in flow.lineage():
            one.last_ns = max(one.last_ns, time_ns)

    def of_session(self, event: Event) -> list[Flow]:
        """Return the open flows of the session that ``event`` names, the newest first."""
        session_ids = self._session_ids(event) if self._sessions else ()
        if not session_ids:
            return []
        found: dict[int, Flow] = {}
        for session_id in session_ids:
            flows = self._sessions.get(session_id)
            if flows:
                found.update(islice(reversed(flows.items()), _LOOKED_AT))
        return list(found.values())

    def joined_parent(self, event: Event, rule: FlowRule) -> Flow | None:
        """Return the innermost open flow of the event's session in which a flow of ``rule`` may stand."""
        flows = self.of_session(event)
        return _innermost(flows, event, [rule.accepts_parent(flow.rule.kind) for flow in flows]) if flows else None

    def joined_holder(self, event: Event, *, anything: bool) -> Flow | None:
        """Return the innermost open flow of the event's session that holds ``event``, whatever it may hold."""
        flows = self.of_session(event)
        return _innermost(flows, event, [self.holds(flow, event, anything) for flow in flows]) if flows else None

    def joined(self, event: Event) -> Flow | None:
        """Return the innermost open flow of the event's session."""
        flows = self.of_session(event)
        return _innermost(flows, event, [True] * len(flows)) if flows else None

    def holds(self, flow: Flow, event: Event, anything: bool) -> bool:  # noqa: FBT001 - passed through
        """Tell whether ``flow`` takes ``event``: by the rules, or in any case."""
        if flow.closer is not None:  # it has ended, and waits for what repair has put it around
            return False
        return flow.start_ns <= event.ets_ns and (anything or self._rules.may_hold(flow.rule, event.eid))

    def idle(self, now_ns: int) -> Flow | None:
        """Return the flow that was the first to be idle, if any was before ``now_ns``: nothing happened in its gap."""
        if now_ns <= self._soonest_ns:
            return None
        found: Flow | None = None
        soonest_ns = _NEVER_NS
        for gap, queue in self._queues.items():
            if gap is None:
                continue
            flow = self._longest_idle(queue)
            if flow is not None and (due_ns := flow.last_ns + gap) <= soonest_ns:
                if found is None or due_ns < soonest_ns or flow.number > found.number:
                    found = flow
                soonest_ns = due_ns
        if soonest_ns < now_ns:
            return found
        self._soonest_ns = soonest_ns
        return None

    def idle_from(self, flow: Flow) -> int:
        """Return the time from which ``flow``, which has an idle gap, is idle."""
        return flow.last_ns + (self.gap(flow.rule) or 0)

    def longest_idle(self) -> Flow:
        """Return the flow in which nothing has happened for longest; there must be one open."""
        heads = [flow for queue in self._queues.values() if (flow := self._longest_idle(queue)) is not None]
        return min(heads, key=_by_last)

    def roots(self) -> list[Flow]:
        """Return the open flows that stand in no other, the longest idle first."""
        return sorted((flow for flow in self._flows.values() if flow.parent is None), key=_by_last)

    def _longest_idle(self, queue: list[tuple[int, int]]) -> Flow | None:
        while queue:
            last_ns, place = queue[0]
            flow = self._flows.get(-place)
            if flow is None:
                heappop(queue)
            elif flow.last_ns > last_ns:
                heapreplace(queue, (flow.last_ns, place))
            else:
                return flow
        return None

    def _session_ids(self, event: Event) -> tuple[str, ...]:
        context, reader = event.context, self._rules.session_ids
        if not reader.of_context:
            return reader.all(event)
        ids = context.session_ids
        if ids is None:
            ids = context.session_ids = reader.all(event)
        return ids


def _innermost(flows: list[Flow], event: Event, fits: list[bool]) -> Flow | None:
    """Return the innermost of ``flows``, which are in the order of their age, that fits and had begun."""
    best: Flow | None = None
    best_rank = (-1, 0)
    for number, flow in enumerate(flows):
        rank = (sum(1 for _ in islice(flow.ancestors(), DEEPEST)), -number)
        if best_rank < rank < (DEEPEST, -number) and flow.opener.ets_ns <= event.ets_ns and fits[number]:
            best, best_rank = flow, rank
    return best


def _by_last(flow: Flow) -> tuple[int, int]:
    return flow.last_ns, -flow.number  # of those that are idle alike, the one that was opened last
