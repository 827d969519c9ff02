"""The order of events with one and the same time, taken from the events themselves, never from arrival.

Equal times are common: a START and its first IMPRESSION, the END of one player and the START of the next. The order
that gives the natural tree is:

1. what belongs to a flow that ends now,
2. the ENDs of flows that were open before, the innermost kind first,
3. the STARTs, the outermost kind first,
4. what belongs to a flow that starts now; a request after the events that it gathers,
5. the ENDs of flows that also start now, and of what is around those.

What is left equal is ordered by mid, eid, and the number among twins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._flow import lane_key
from sunbird_otel._json import is_object
from sunbird_otel._pairing import read
from sunbird_otel._rules import Closes, Opens

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule, Role, Rules

_BEFORE_ENDS, _ENDS, _STARTS, _AFTER_STARTS, _ENDS_OF_STARTS = range(5)
_IDENTIFYING = ("cdata.PlaySession", "object.id")

_COMPARED = 64
"""STARTs of one kind, lane and time with which an END is compared; comparing more would cost their square."""


class _Marks:
    """What the STARTs, or the ENDs, of one lane and time carry to be known by."""

    def __init__(self) -> None:
        self.values: dict[str, set[str]] = {path: set() for path in _IDENTIFYING}

    def add(self, event: Event) -> None:
        for path, values in self.values.items():
            values.add(read(event, path))


class _Moment:
    """The events of one time, indexed so that each is looked at once.

    Only what can meet is compared: events of one lane, of one session, or of one producer that has runs. What others do
    at the same time must decide nothing.
    """

    def __init__(self, entries: list[tuple[Event, Role]], rules: Rules) -> None:
        self._rules = rules
        self.starts: dict[tuple[str, Hashable], list[Event]] = {}
        self._starting: dict[Hashable, _Marks] = {}
        self._ending: dict[Hashable, _Marks] = {}
        for event, role in entries:
            rule = _starts(role)
            if rule is not None:
                if (lane := self.lane(event, rule.scope)) is not None:
                    self.starts.setdefault((rule.kind, lane), []).append(event)
                marks = self._starting
            elif isinstance(role, Closes):
                rule, marks = role.rule, self._ending
            else:
                continue
            for key in (lane_key(event, rule.scope), *rules.session_ids.all(event)):
                if key is not None:
                    marks.setdefault(key, _Marks()).add(event)

    def lane(self, event: Event, scope: str) -> Hashable:
        """Return the lane of ``event``; for what says not who wrote it, its sessions, if it names any."""
        lane = lane_key(event, scope)
        return lane if lane is not None else self._rules.session_ids.all(event) or None

    def own_start(self, end: Event, rule: FlowRule) -> bool:
        """Tell whether the flow that ``end`` closes starts now, too."""
        starts = self.starts.get((rule.kind, self.lane(end, rule.scope)), ())
        return len(starts) <= _COMPARED and any(_same_flow(end, start, rule) for start in starts)

    def belongs_to_end(self, event: Event) -> bool:
        """Tell whether ``event`` belongs to a flow that ends now rather than to one that starts now."""
        lane = lane_key(event, "lane")
        keys: list[Hashable] = [lane]
        if lane is None or (lane not in self._ending and lane not in self._starting):
            keys += self._rules.session_ids.all(event)
            if any(rule.scope == "producer" for rule in self._rules.homes(event.eid)):
                keys.append(lane_key(event, "producer"))
        ending = [self._ending[key] for key in keys if key in self._ending]
        starting = [self._starting[key] for key in keys if key in self._starting]
        if not ending:
            return False
        for path in _IDENTIFYING:
            mine = read(event, path)
            if mine and any(mine in marks.values[path] for marks in starting):
                return False
            if mine and any(mine in marks.values[path] for marks in ending):
                return True
        # What names no object came after the END of one that has an object: the page that the user returned to.
        return not starting and all(marks.values["object.id"] == {""} for marks in ending)


def natural_order(
    events: list[Event], rules: Rules, closes_open_flow: Callable[[Event, FlowRule], bool]
) -> list[tuple[Event, Role]]:
    """Return ``events``, which have one time, in the order of the module's list, with what each does to the flows.

    ``closes_open_flow`` tells whether an END matches a flow that was open before this time.
    """
    entries = [(event, rules.role(event)) for event in events]
    entries.sort(key=_by_name)
    if not any(isinstance(role, Closes) or _starts(role) is not None for _, role in entries):
        entries.sort(key=lambda entry: entry[1] is not None)
        return entries
    moment = _Moment(entries, rules)
    # How deep the flows of each lane stand that start and end now: what ends around them ends after them.
    brief: dict[Hashable, int] = {}
    own: set[int] = set()
    for event, role in entries:
        if isinstance(role, Closes) and moment.own_start(event, role.rule) and not closes_open_flow(event, role.rule):
            lane = moment.lane(event, role.rule.scope)
            brief[lane] = max(brief.get(lane, 0), rules.depth[role.rule.kind])
            own.add(id(event))

    def rank(entry: tuple[Event, Role]) -> tuple[int, int, int, str]:
        event, role = entry
        if isinstance(role, Closes):
            depth = rules.depth[role.rule.kind]
            after = id(event) in own or depth < brief.get(moment.lane(event, role.rule.scope), 0)
            return (_ENDS_OF_STARTS if after else _ENDS, 0, -depth, "")
        rule = _starts(role)
        if rule is not None:
            return (_STARTS, 0, rules.depth[rule.kind], _ladder(event))
        phase = _BEFORE_ENDS if moment.belongs_to_end(event) else _AFTER_STARTS
        return (phase, 1 if isinstance(role, Opens) else 0, 0, "")

    entries.sort(key=rank)
    return entries


def _by_name(entry: tuple[Event, Role]) -> tuple[str, str, int]:
    event = entry[0]
    return (event.mid, event.eid, event.twin)


def _starts(role: Role) -> FlowRule | None:
    return role.rule if isinstance(role, Opens) and not role.rule.whole else None


def _ladder(event: Event) -> str:
    """Return a text that orders collections by their depth in the content hierarchy."""
    rollup = event.object.get("rollup")
    return str(len(rollup)) if is_object(rollup) else "0"


def _same_flow(end: Event, start: Event, rule: FlowRule) -> bool:
    for path in {path for key in rule.pair for path in key}:
        mine, theirs = read(end, path), read(start, path)
        if mine and theirs and mine != theirs:
            return False
    return True
