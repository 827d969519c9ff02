"""The records of nesting in a live process: flows that are spans, and the counts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sunbird_otel._tally import END_REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanContext

    from sunbird_otel._rules import FlowRule
    from sunbird_otel.plugin._answers import Place
    from sunbird_otel.plugin._flow_events import FlowEvents

    Node: TypeAlias = "LiveFlow | EndedFlow"
    """What is known of a flow by the id of its span, or of a span inside it."""

    Item: TypeAlias = "LiveFlow | ReadableSpan"
    """What waits in a flow under ``reject``: closed flows, and spans that are none."""

    Outcome: TypeAlias = "LiveFlow | ReadableSpan | Refused"
    """What nesting decides: write a closed flow, pass a span on as it is, keep something from export."""


class Tree:
    """Flows that were found in each other: how many are open, and the spans that are known for their sake."""

    __slots__ = ("ids", "open")

    def __init__(self) -> None:
        """Start without any."""
        self.open = 0
        self.ids: deque[int] = deque()


_NO_FLOWS: Final[list[LiveFlow]] = []
_NO_TEXTS: Final[list[str]] = []
_NO_ITEMS: Final[list[Item]] = []


class LiveFlow:
    """A flow whose span this process has started, or that repair has made. Times are nanoseconds.

    ``parent`` is the flow around it, ``observed`` the one that was found around it, ``above`` the span that is written
    as its parent (which need not be a flow). ``span`` is what it is written from; of a made flow, the span that needed
    it. ``place`` has the kinds of its lineage. ``kept`` are the events of its span while that runs, ``left`` those that
    have been judged and are still to be written, ``events`` those that are written with it.

    ``unseen`` tells that what is around it begins outside this process. ``foreign`` is a flow of the process that
    this one was forked from; ``waiting`` one that has ended, and is written when what repair has put into it ends.
    """

    # One is made for every flow span, on the caller's time: what seldom changes is no work then. The lists here are
    # empty and stay so: whoever has something to add puts a list of the flow's own in their place.
    children: list[LiveFlow] = _NO_FLOWS
    violations: list[str] = _NO_TEXTS
    repairs: list[str] = _NO_TEXTS
    held: list[Item] = _NO_ITEMS
    marks: frozenset[str] = frozenset()
    kinds_inside: frozenset[str] = frozenset()
    unseen: bool = False
    synthetic: bool = False
    foreign: bool = False
    waiting: bool = False
    kept: FlowEvents | None = None
    attributes: dict[str, Any] | None = None
    left: Sequence[Event] = ()
    events: Sequence[Event] = ()
    events_seen: int = 0
    events_lost: int = 0
    events_bytes: int = 0
    segments: int = 0
    end_ns: int = 0
    inner_end_ns: int = 0
    observed_start_ns: int = 0
    observed_end_ns: int = 0
    end_reason: str = ""
    workflow: str = ""

    def __init__(  # noqa: PLR0917 - by position, since that is quicker
        self,
        rule: FlowRule,
        span: ReadableSpan,
        context: SpanContext,
        above: SpanContext | None,
        observed: LiveFlow | None,
        tree: Tree,
        place: Place,
        *,
        start_ns: int,
    ) -> None:
        """Take what is known when a flow starts; ``context`` is its own."""
        self.rule = rule
        self.span = span
        self.context = context
        self.span_id: int = context.span_id
        self.above = above
        self.observed = observed
        self.parent = observed
        self.tree = tree
        self.start_ns = start_ns
        self.place = place

    def add(self, child: LiveFlow) -> None:
        """Take a flow that stands directly in this one."""
        if self.children is _NO_FLOWS:
            self.children = [child]
        else:
            self.children.append(child)

    def violate(self, code: str) -> None:
        """Note what it breaks."""
        if code not in self.violations:
            self.violations = [*self.violations, code]

    def hold(self, items: Sequence[Item]) -> None:
        """Let spans wait in it."""
        if self.held is _NO_ITEMS:
            self.held = []
        self.held.extend(items)

    def lineage(self) -> Iterator[LiveFlow]:
        """Yield this flow and those around it, the nearest first."""
        flow: LiveFlow | None = self
        while flow is not None:
            yield flow
            flow = flow.parent

    @property
    def outward(self) -> SpanContext | None:
        """Return the span that is the parent of what is moved out of this flow and of all flows around it."""
        # A run stands beside what it was started in, and what is moved out of it does not go there.
        return self.above if self.rule.scope == "lane" else None

    @property
    def holds_flows(self) -> bool:
        """Tell whether a flow that starts now may find this one around it."""
        return self.foreign or not (self.end_reason or self.waiting)


class EndedFlow:
    """What is remembered of a flow that is over: for what may still start in it, and for its end if that comes again.

    ``events_seen`` is how many events its span had when it was written.
    """

    __slots__ = ("context", "end_reason", "events_seen", "outward", "parent", "unseen", "violations")

    holds_flows = foreign = waiting = False

    def __init__(self, flow: LiveFlow) -> None:
        """Take from ``flow`` what is worth it."""
        self.context = flow.context
        self.parent = flow.parent
        self.outward = flow.outward
        self.unseen = flow.unseen
        self.violations = flow.violations
        self.end_reason = flow.end_reason
        self.events_seen = flow.events_seen


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """Spans that the policy ``reject`` keeps from export: a flow that breaks a rule, and everything in it."""

    items: list[Item]


@dataclass(slots=True)
class NestingTally:
    """Counts of one processor or exporter. At any moment ``opened == open + sum(closed.values())``.

    ``violations`` and ``closed`` count by code and by end reason, as the core's tally does. ``segments`` are the spans
    that hold what was too much for the span of a flow, ``pending`` those that tell of flows while they are open.
    ``refused`` are the spans
    that ``reject`` has kept from export, ``let_go`` those that it had to pass on before it could know, for lack of
    room. ``swallowed`` are the ends of flows that were written before, ``swallowed_events`` the span events that came
    with these and are written nowhere; ``inherited`` the ends of flows of the process that this one was forked from.
    ``lost_events`` are span events that the SDK had dropped for its limit before we saw them.
    ``unknown_kinds`` are flows of kinds that the rules do not know, ``unjudged`` those that miss a flow which may well
    be where their surroundings begin. ``errors`` counts exceptions by who raised: ``processor`` or ``exporter`` (that
    spans are handed on to), ``on_reject``, ``own``.
    """

    opened: int = 0
    open: int = 0
    closed: Counter[str] = field(default_factory=Counter[str])
    violations: Counter[str] = field(default_factory=Counter[str])
    synthetic_spans: int = 0
    segments: int = 0
    pending: int = 0
    lost_events: int = 0
    refused: int = 0
    let_go: int = 0
    swallowed: int = 0
    swallowed_events: int = 0
    inherited: int = 0
    unknown_kinds: int = 0
    unjudged: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: NestingTally) -> None:
        """Add the counts of ``other``."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, mine + theirs)

    def report(self) -> dict[str, Any]:
        """Return the counts as plain data, with the words of ``--report`` where the two count the same."""
        return {
            "flows": {
                "opened": self.opened,
                "open": self.open,
                "closed": {reason: self.closed[reason] for reason in _REASONS},
                "unjudged": self.unjudged,
                "unknown_kinds": self.unknown_kinds,
            },
            "violations": dict(sorted(self.violations.items())),
            "spans": {
                "synthetic_spans": self.synthetic_spans,
                "segments": self.segments,
                "pending": self.pending,
                "lost_events": self.lost_events,
                "refused": self.refused,
                "let_go": self.let_go,
                "swallowed": self.swallowed,
                "swallowed_events": self.swallowed_events,
                "inherited": self.inherited,
            },
            "errors": dict(sorted(self.errors.items())),
        }


_REASONS: Final = tuple(reason for reason in END_REASONS if reason not in {"restart", "idle"})
"""How a flow can close here: nothing in a live process starts a span again, or waits for an idle gap."""
