"""The records of the flow engine: open flows, lanes, and what the engine tells the translator."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sunbird_otel._event import ANONYMOUS, Event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from sunbird_otel._rules import FlowRule
    from sunbird_otel._volume import Volume

_NO_KINDS: Final[frozenset[str]] = frozenset()

_LOOKED_AT: Final = 256
"""Open flows of one lane that are looked at: their number must not become each event's cost."""

_REMEMBERED_FLOWS: Final = 8
"""Closed flows that a lane remembers, to know a repeated END and to answer a late event."""


class Inside:
    """An event inside a flow: its time, what was written of it, and the error that it tells.

    ``event`` is the event itself where it may yet be refused.
    """

    __slots__ = ("error", "event", "time_ns", "written")

    def __init__(self, time_ns: int, written: Any, error: str | None, event: Event | None) -> None:
        self.time_ns = time_ns
        self.written = written
        self.error = error
        self.event = event


class FlowLink:
    """A reference to a span, by link or as a parent."""

    __slots__ = ("span_id", "trace_id", "type")

    def __init__(self, trace_id: bytes, span_id: bytes, type_: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.type = type_

    def typed(self, why: str) -> FlowLink:
        """Return the same reference as a link of the type ``why``."""
        return FlowLink(self.trace_id, self.span_id, why)


class Flow:
    """A flow, open or closed.

    Times are nanoseconds; ``last_ns`` is the last event of its own or of any flow in it. ``volume`` counts what its
    trace holds. ``events`` are those that are not in a segment yet, and are to stand in the trace ``events_trace_id``:
    another than the flow's own when that has become full.
    """

    __slots__ = (
        "children",
        "closer",
        "end_ns",
        "end_reason",
        "events",
        "events_bytes",
        "events_trace_id",
        "held",
        "inner_end_ns",
        "kinds_inside",
        "lane",
        "last_ns",
        "links",
        "marks",
        "number",
        "observed_end_ns",
        "observed_start_ns",
        "opener",
        "parent",
        "repairs",
        "request_id",
        "rule",
        "segments",
        "session_ids",
        "span_id",
        "start_ns",
        "synthetic",
        "trace_id",
        "violations",
        "volume",
        "workflow",
    )

    def __init__(
        self,
        *,
        rule: FlowRule,
        opener: Event,
        lane: Lane | None,
        trace_id: bytes,
        span_id: bytes,
        parent: Flow | None,
        request_id: str,
        marks: frozenset[str],
        volume: Volume | None = None,
    ) -> None:
        """Open a flow at the time of its opening event."""
        self.rule = rule
        self.opener = opener
        self.lane = lane
        self.trace_id = trace_id
        self.span_id = span_id
        self.start_ns = opener.ets_ns
        self.last_ns = opener.ets_ns
        self.parent = parent
        self.request_id = request_id
        self.marks = marks
        self.number = 0
        self.volume = volume
        self.events_trace_id = trace_id
        self.synthetic = False
        self.children: list[Flow] = []
        self.events: list[Inside] = []
        self.events_bytes = 0
        self.segments = 0
        self.violations: list[str] = []
        self.repairs: list[str] = []
        self.links: list[FlowLink] = []
        self.kinds_inside: frozenset[str] = _NO_KINDS
        self.session_ids: tuple[str, ...] = ()
        self.inner_end_ns = 0
        self.end_ns = 0
        self.end_reason = ""
        self.closer: Event | None = None
        self.workflow = ""
        self.observed_start_ns = 0
        self.observed_end_ns = 0
        self.held: list[Outcome] = []

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

    def telling(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the kinds of flows in and around this one, and what their producers mark: what tells the workflow."""
        kinds, marks = self.rule.alone, self.marks
        if self.kinds_inside:
            kinds |= self.kinds_inside
        outer = self.parent
        while outer is not None:
            kinds |= outer.rule.alone
            marks |= outer.marks
            outer = outer.parent
        return kinds, marks

    def reference(self) -> FlowLink:
        """Return what is worth remembering once the flow is closed."""
        return FlowLink(self.trace_id, self.span_id)


class Closed:
    """What a lane remembers of a closed flow; ``values`` are the fields by which an END is paired."""

    __slots__ = ("end_ns", "ended", "link", "rule", "start_ns", "values")

    def __init__(self, flow: Flow, values: dict[str, str]) -> None:
        self.rule = flow.rule
        self.values = values
        self.start_ns = flow.start_ns
        self.end_ns = flow.end_ns
        self.ended = flow.end_reason == "end"
        self.link = flow.reference()


class Lane:
    """One stream of events in which flows nest. ``stack`` holds the open flows, the outermost first."""

    __slots__ = ("changed_ns", "closed", "key", "stack")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.stack: list[Flow] = []
        self.closed: deque[Closed] = deque(maxlen=_REMEMBERED_FLOWS)
        self.changed_ns = 0

    @property
    def innermost(self) -> Flow | None:
        """Return the open flow that stands in all others; None when none is open."""
        return self.stack[-1] if self.stack else None

    def newest(self) -> Iterator[Flow]:
        """Yield the open flows, the newest first; of very many (runs of a job that nobody ends) not all."""
        return islice(reversed(self.stack), _LOOKED_AT)


_LONGEST_ANONYMOUS: Final = max(map(len, ANONYMOUS))


def lane_key(event: Event, scope: str) -> Hashable:
    """Return the key of the lane of ``event``; ``None`` when it says nothing of who wrote it.

    ``scope`` is the word of the rules: ``lane`` or ``producer``. Anonymous ids identify nobody, so that two users
    without ids never share a lane.
    """
    context = event.context
    if scope == "producer":
        return context.producer
    if context.lane is not None:
        return context.lane
    actor_id = event.actor_id
    if len(actor_id) > _LONGEST_ANONYMOUS or actor_id.casefold() not in ANONYMOUS:
        return ("actor", actor_id, context.channel, context.pdata_id)
    return None


# --- Outcomes ----------------------------------------------------------------------------------------------------


class FlowClosed:
    """A flow that is over; all of its events that are not in a segment are in it."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        self.flow = flow


class Answered:
    """A request that stands in no flow and holds no events, which is nearly every one: a closed flow, in short."""

    __slots__ = ("end_ns", "event", "links", "request_id", "rule", "span_id", "start_ns", "trace_id", "workflow")

    def __init__(  # noqa: PLR0917 - by place: many are made
        self,
        event: Event,
        rule: FlowRule,
        trace_id: bytes,
        span_id: bytes,
        start_ns: int,
        request_id: str,
        workflow: str,
        links: tuple[FlowLink, ...],
    ) -> None:
        self.event = event
        self.rule = rule
        self.trace_id = trace_id
        self.span_id = span_id
        self.start_ns = start_ns
        self.end_ns = max(event.ets_ns, start_ns + 1)
        self.request_id = request_id
        self.workflow = workflow
        self.links = links


class FlowSegment:
    """The events so far of a flow that has too many for one span, or for one trace."""

    __slots__ = ("events", "flow", "number", "trace_id")

    def __init__(self, flow: Flow) -> None:
        """Take the events out of ``flow``."""
        flow.segments += 1
        self.flow = flow
        self.events = flow.events
        self.number = flow.segments
        self.trace_id = flow.events_trace_id
        flow.events, flow.events_bytes = [], 0


class Lone:
    """An event that gets a span of its own: no flow holds it, or a flow of another producer does."""

    __slots__ = ("event", "links", "parent", "trace_id", "violations", "workflow")

    def __init__(  # noqa: PLR0917 - by place: many are made
        self,
        event: Event,
        trace_id: bytes,
        parent: FlowLink | None,
        workflow: str,
        violations: tuple[str, ...],
        links: tuple[FlowLink, ...],
    ) -> None:
        self.event = event
        self.trace_id = trace_id
        self.parent = parent
        self.workflow = workflow
        self.violations = violations
        self.links = links


class Measured:
    """A METRICS event."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class Refused:
    """An event that the policy keeps from the output, under the code of the violation."""

    __slots__ = ("code", "event")

    def __init__(self, event: Event, code: str) -> None:
        self.event = event
        self.code = code


Outcome: TypeAlias = "FlowClosed | Answered | FlowSegment | Lone | Measured | Refused"
"""What the flow engine tells."""


def events_of(flow: Flow) -> list[Event]:
    """Return every event that a flow stands for, with those of what waits in it; they must have been kept."""
    events = [] if flow.synthetic else [flow.opener]
    events.extend(_kept(flow.events))
    for outcome in flow.held:
        if isinstance(outcome, FlowClosed):
            events.extend(events_of(outcome.flow))
        elif isinstance(outcome, FlowSegment):
            events.extend(_kept(outcome.events))
        else:
            events.append(outcome.event)
    if flow.closer is not None:
        events.append(flow.closer)
    return events


def _kept(inside: list[Inside]) -> list[Event]:
    return [one.event for one in inside if one.event is not None]
