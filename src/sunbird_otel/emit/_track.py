"""An open flow as the OpenTelemetry side sees it, and which open flow a new thing belongs to.

In :mod:`sunbird_otel._flows` the open flows of a lane are all there is; here they are those around the call
(:attr:`Track.around`), which is what keeps two tasks of one process apart. Among them the same rules decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from sunbird_otel._flow import Flow, lane_key
from sunbird_otel.emit._fork import generation

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from opentelemetry.trace import Span

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule
    from sunbird_otel._signals import Attributes
    from sunbird_otel.emit._adding import Adder
    from sunbird_otel.emit._flow import Flow as HeldFlow


@dataclass(slots=True, eq=False)
class Segment:
    """The span that takes a flow's events once the flow's own span is full."""

    span: Span
    add: Adder
    events: int = 0
    last_ns: int = 0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Track:
    """One open flow: the core's record of it, its span, and the flow around the call that opened it.

    ``add`` writes an event on the span; ``events`` counts those on it, ``attributes`` are those given so far.
    ``generation`` tells which process opened it: a child of a fork has a copy of the span that nobody will ever end.
    ``holder`` is the flow in the hands of the calling code.
    """

    flow: Flow
    span: Span
    add: Adder
    attributes: Attributes
    around: Track | None
    lane: Hashable
    capacity: int
    events: int = 0
    segment: Segment | None = None
    failed: bool = False
    closed: bool = False
    holder: HeldFlow | None = None
    generation: int = field(default_factory=generation)
    lock: Lock = field(default_factory=Lock)


def open_around(track: Track | None) -> Iterator[Track]:
    """Yield the open flows around a call, the innermost first."""
    while track is not None:
        if not track.closed:
            yield track
        track = track.around


def innermost(event: Event, around: Track | None) -> Track | None:
    """Return the innermost open flow of the event's own lane."""
    lane = lane_key(event, "lane")
    return None if lane is None else next((track for track in open_around(around) if track.lane == lane), None)


def joined(
    session_ids: tuple[str, ...], event: Event, around: Track | None, may: Callable[[Flow], bool]
) -> Track | None:
    """Return the innermost open flow of the session that ``event`` names and that ``may`` accepts."""
    for track in open_around(around):
        flow = track.flow
        if flow.opener.ets_ns <= event.ets_ns and any(one in flow.session_ids for one in session_ids) and may(flow):
            return track
    return None


def parent_of_flow(event: Event, rule: FlowRule, session_ids: tuple[str, ...], around: Track | None) -> Track | None:
    """Return the flow in which ``event`` opens one of ``rule``, by the rules and the lanes alone."""
    if rule.scope == "producer":
        return None
    inner = innermost(event, around)
    if inner is not None and any(rule.accepts_parent(flow.kind) for flow in inner.flow.lineage()):
        return inner
    return joined(session_ids, event, around, lambda flow: rule.accepts_parent(flow.kind)) or inner


def parent_of_request(event: Event, rule: FlowRule, session_ids: tuple[str, ...], around: Track | None) -> Track | None:
    """Return the flow in which a request stands that ``event`` tells whole."""
    lane = lane_key(event, "lane")
    for track in open_around(around):
        if lane is not None and track.lane == lane and rule.accepts_parent(track.flow.kind):
            return track
    return joined(session_ids, event, around, lambda flow: rule.accepts_parent(flow.kind))
