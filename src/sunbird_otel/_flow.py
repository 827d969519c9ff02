"""The records of the flow engine: open flows, lanes, and what the engine tells the translator."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from sunbird_otel._event import ANONYMOUS, Event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from sunbird_otel._rules import FlowRule

_LOOKED_AT: Final = 256
"""Open flows of one lane that are looked at: their number must not become each event's cost."""

_REMEMBERED_FLOWS: Final = 8
"""Closed flows that a lane remembers, to know a repeated END and to answer a late event."""


@dataclass(slots=True, eq=False)
class Inside:
    """An event inside a flow, with what it breaks."""

    event: Event
    violations: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Flow:
    """A flow, open or closed. Times are nanoseconds; ``last_ns`` is the last event of its own or of any flow in it."""

    rule: FlowRule
    opener: Event
    lane: Lane | None
    trace_id: bytes
    span_id: bytes
    start_ns: int
    last_ns: int
    parent: Flow | None = None
    request_id: str = ""
    synthetic: bool = False
    children: list[Flow] = field(default_factory=list["Flow"])
    events: list[Inside] = field(default_factory=list[Inside])
    events_bytes: int = 0
    segments: int = 0
    violations: list[str] = field(default_factory=list[str])
    repairs: list[str] = field(default_factory=list[str])
    links: list[FlowLink] = field(default_factory=list["FlowLink"])
    kinds_inside: set[str] = field(default_factory=set[str])
    marks: set[str] = field(default_factory=set[str])
    session_ids: tuple[str, ...] = ()
    inner_end_ns: int = 0
    end_ns: int = 0
    end_reason: str = ""
    closer: Event | None = None
    workflow: str = ""
    observed_start_ns: int = 0
    observed_end_ns: int = 0
    held: list[Outcome] = field(default_factory=list["Outcome"])

    @property
    def kind(self) -> str:
        """Return the canonical name of the flow's kind."""
        return self.rule.kind

    def ancestors(self) -> Iterator[Flow]:
        """Yield the flows around this one, the nearest first."""
        flow = self.parent
        while flow is not None:
            yield flow
            flow = flow.parent

    def lineage(self) -> Iterator[Flow]:
        """Yield this flow and those around it, the nearest first."""
        yield self
        yield from self.ancestors()

    def reference(self) -> FlowLink:
        """Return what is worth remembering once the flow is closed."""
        return FlowLink(self.trace_id, self.span_id)


@dataclass(frozen=True, slots=True)
class FlowLink:
    """A reference to a span, by link or as a parent."""

    trace_id: bytes
    span_id: bytes
    type: str = ""

    def typed(self, why: str) -> FlowLink:
        """Return the same reference as a link of the type ``why``."""
        return FlowLink(self.trace_id, self.span_id, why)


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """What a lane remembers of a closed flow; ``values`` are the fields by which an END is paired."""

    rule: FlowRule
    values: dict[str, str]
    start_ns: int
    end_ns: int
    ended: bool
    link: FlowLink


@dataclass(slots=True, eq=False)
class Lane:
    """One stream of events in which flows nest. ``stack`` holds the open flows, the outermost first."""

    key: Hashable
    stack: list[Flow] = field(default_factory=list[Flow])
    closed: deque[Closed] = field(default_factory=lambda: deque[Closed](maxlen=_REMEMBERED_FLOWS))
    changed_ns: int = 0

    def newest(self) -> Iterator[Flow]:
        """Yield the open flows, the newest first; of very many (runs of a job that nobody ends) not all."""
        return islice(reversed(self.stack), _LOOKED_AT)


def lane_key(event: Event, scope: str) -> Hashable:
    """Return the key of the lane of ``event``; ``None`` when it says nothing of who wrote it.

    ``scope`` is the word of the rules: ``lane`` or ``producer``. Anonymous ids identify nobody, so that two users
    without ids never share a lane.
    """
    if scope == "producer":
        return ("producer", event.pdata_id, event.pdata_pid)
    if event.did:
        return ("did", event.did, event.channel, event.pdata_id)
    if event.sid:
        return ("sid", event.sid, event.channel, event.pdata_id)
    if event.actor_id.casefold() not in ANONYMOUS:
        return ("actor", event.actor_id, event.channel, event.pdata_id)
    return None


# --- Outcomes ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class FlowClosed:
    """A flow that is over; all of its events that are not in a segment are in it."""

    flow: Flow


@dataclass(slots=True, eq=False)
class FlowSegment:
    """The events so far of a flow that has too many for one span."""

    flow: Flow
    events: list[Inside]
    number: int


@dataclass(slots=True, eq=False)
class Lone:
    """An event that gets a span of its own: no flow holds it, or a flow of another producer does."""

    event: Event
    trace_id: bytes
    parent: FlowLink | None
    workflow: str
    violations: tuple[str, ...] = ()
    links: tuple[FlowLink, ...] = ()


@dataclass(slots=True, eq=False)
class Measured:
    """A METRICS event."""

    event: Event


@dataclass(slots=True, eq=False)
class Refused:
    """An event that the policy keeps from the output, under the code of the violation."""

    event: Event
    code: str


Outcome: TypeAlias = FlowClosed | FlowSegment | Lone | Measured | Refused
"""What the flow engine tells."""


def events_of(flow: Flow) -> list[Event]:
    """Return every event that a flow stands for, with those of what waits in it."""
    events = [] if flow.synthetic else [flow.opener]
    events.extend(inside.event for inside in flow.events)
    for outcome in flow.held:
        if isinstance(outcome, FlowClosed):
            events.extend(events_of(outcome.flow))
        elif isinstance(outcome, FlowSegment):
            events.extend(inside.event for inside in outcome.events)
        else:
            events.append(outcome.event)
    if flow.closer is not None:
        events.append(flow.closer)
    return events
