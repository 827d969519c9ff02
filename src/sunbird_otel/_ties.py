"""The order of events with one and the same time, taken from the events themselves, never from arrival.

Equal times are common: a START and its first IMPRESSION, the END of one player and the START of the next. The order
that gives the natural tree is:

1. what belongs to a flow that ends now,
2. the ENDs of flows that were open before, the innermost kind first,
3. the STARTs, the outermost kind first,
4. what belongs to a flow that starts now; a request after the events that it gathers,
5. the ENDs of flows that also start now.

What is left equal is ordered by the events' canonical text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._flow import lane_key
from sunbird_otel._json import is_object
from sunbird_otel._pairing import read
from sunbird_otel._rules import Closes, Opens

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule, Role, Rules

_BEFORE_ENDS, _ENDS, _STARTS, _AFTER_STARTS, _ENDS_OF_STARTS = range(5)
_IDENTIFYING = ("cdata.PlaySession", "object.id")


def natural_order(
    events: list[Event], rules: Rules, closes_open_flow: Callable[[Event, FlowRule], bool]
) -> list[Event]:
    """Return ``events``, which have one time, in the order of the module's list.

    ``closes_open_flow`` tells whether an END matches a flow that was open before this time.
    """
    roles = [rules.role(event) for event in events]
    starts = [(event, rule) for event, role in zip(events, roles, strict=True) if (rule := _starts(role)) is not None]
    ends = [event for event, role in zip(events, roles, strict=True) if isinstance(role, Closes)]
    if not starts and not ends and not any(isinstance(role, Opens) for role in roles):
        return sorted(events, key=lambda event: event.payload)

    def rank(entry: tuple[Event, Role]) -> tuple[int, int, int, str, bytes]:
        event, role = entry
        if isinstance(role, Closes):
            depth = -rules.depth[role.rule.kind]
            own = any(_same_flow(event, start, role.rule, opened) for start, opened in starts)
            if own and not closes_open_flow(event, role.rule):
                return (_ENDS_OF_STARTS, 0, depth, "", event.payload)
            return (_ENDS, 0, depth, "", event.payload)
        rule = _starts(role)
        if rule is not None:
            return (_STARTS, 0, rules.depth[rule.kind], _ladder(event), event.payload)
        phase = _BEFORE_ENDS if _belongs_to_end(event, ends, [start for start, _ in starts]) else _AFTER_STARTS
        return (phase, 1 if isinstance(role, Opens) else 0, 0, "", event.payload)

    ranked = sorted(zip(events, roles, strict=True), key=rank)
    return [event for event, _ in ranked]


def _starts(role: Role) -> FlowRule | None:
    return role.rule if isinstance(role, Opens) and not role.rule.whole else None


def _ladder(event: Event) -> str:
    """Return a text that orders collections by their depth in the content hierarchy."""
    rollup = event.object.get("rollup")
    return str(len(rollup)) if is_object(rollup) else "0"


def _same_flow(end: Event, start: Event, end_rule: FlowRule, start_rule: FlowRule) -> bool:
    if end_rule.kind != start_rule.kind:
        return False
    if lane_key(end, end_rule.scope) != lane_key(start, start_rule.scope):
        return False
    fields = {path for key in end_rule.pair for path in key}
    for path in fields:
        mine, theirs = read(end, path), read(start, path)
        if mine and theirs and mine != theirs:
            return False
    return True


def _belongs_to_end(event: Event, ends: list[Event], starts: list[Event]) -> bool:
    """Tell whether ``event`` belongs to a flow that ends now rather than to one that starts now."""
    lane = lane_key(event, "lane")
    near_ends = [end for end in ends if lane_key(end, "lane") == lane]
    near_starts = [start for start in starts if lane_key(start, "lane") == lane]
    if not near_ends and not near_starts:
        near_ends, near_starts = ends, starts
    if not near_ends:
        return False
    for path in _IDENTIFYING:
        mine = read(event, path)
        if mine and any(read(start, path) == mine for start in near_starts):
            return False
        if mine and any(read(end, path) == mine for end in near_ends):
            return True
    # What names no object came after the END of one that has an object: the page that the user returned to.
    return not near_starts and not any(read(end, "object.id") for end in near_ends)
