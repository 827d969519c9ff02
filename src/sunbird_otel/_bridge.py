"""The bridge: decode, order, flows and translate in one, with the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sunbird_otel._decode import decode
from sunbird_otel._findings import Finding, Position
from sunbird_otel._flow import FlowClosed, Outcome, Refused
from sunbird_otel._flows import FlowEngine
from sunbird_otel._limits import Limits
from sunbird_otel._order import Released, Sequencer
from sunbird_otel._rules import Rules
from sunbird_otel._signals import Signal, Span
from sunbird_otel._tally import Tally
from sunbird_otel._told import POLICIES
from sunbird_otel._translate import events_in, translate
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._event import Event

TRACE_SCOPES = ("session", "run")
"""One trace a session and day, or one trace a root flow."""

DEFAULT_MEMORY = 1 << 30
"""Bytes that events waiting for their order may take."""

DEFAULT_OPEN_FLOWS = 1_000_000
"""Flows that may be open at a time."""


class Bridge:
    """Turns Sunbird telemetry into OpenTelemetry signals. Pure: no clock, no I/O, no OpenTelemetry import.

    Args:
        rules: The flow rules; the standard ones by default.
        policy: What to do about a violation: ``annotate``, ``repair`` or ``reject``.
        lateness: Nanoseconds by which an event may come behind the newest one and still be put in its place; ``None``
            waits for :meth:`drain` or :meth:`advance`, so that the order of arrival changes nothing.
        idle_gap: Nanoseconds of event time without an event after which a flow is closed; ``None`` as the rules say.
        trace_scope: ``session`` for one trace a session and day, ``run`` for one trace a root flow.
        memory: Bytes that events waiting for their order may take; beyond them the oldest are let go early.
        max_open_flows: Beyond this the flow that has been idle longest is evicted.
        limits: What is refused for its size.
        on_finding: Is called for each defect of the input, refused or not.
        on_event: Is called with the value and position of each event that could be read, as it came.

    Raises:
        ConfigError: An argument has a value that it may not have.
    """

    def __init__(
        self,
        *,
        rules: Rules | None = None,
        policy: str = "annotate",
        lateness: int | None = None,
        idle_gap: int | None = None,
        trace_scope: str = "session",
        memory: int = DEFAULT_MEMORY,
        max_open_flows: int = DEFAULT_OPEN_FLOWS,
        limits: Limits | None = None,
        on_finding: Callable[[Finding], None] | None = None,
        on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
    ) -> None:
        """Start with nothing held."""
        if policy not in POLICIES:
            raise ConfigError(f"policy: expected one of {', '.join(POLICIES)}, found {policy!r}")
        if trace_scope not in TRACE_SCOPES:
            raise ConfigError(f"trace_scope: expected one of {', '.join(TRACE_SCOPES)}, found {trace_scope!r}")
        for name, value in (("memory", memory), ("max_open_flows", max_open_flows)):
            if value < 1:
                raise ConfigError(f"{name}: expected a number above 0, found {value}")
        self.tally = Tally()
        self._limits = limits or Limits()
        self._on_finding = on_finding
        self._on_event = on_event
        self._order = Sequencer(lateness, memory)
        self._flows = FlowEngine(
            rules or Rules.standard(),
            policy=policy,
            idle_gap_ns=idle_gap,
            trace_scope=trace_scope,
            max_open_flows=max_open_flows,
            tally=self.tally,
            on_violation=self._violation,
        )

    @property
    def released_early(self) -> int:
        """Return how many events were let go before their order was certain, for lack of memory."""
        return self._order.released_early

    def feed(self, data: object, position: Position | None = None, *, parsed: object = None) -> list[Signal]:
        """Take one JSON document, as bytes or as a parsed value: a batch, an array of events, or one event.

        Args:
            data: The document.
            position: Where it stands, for findings.
            parsed: What the bytes ``data`` are as parsed by orjson, if the caller has done that already.

        Returns:
            The signals that are complete now. Nothing is raised for any input: what cannot be read is a finding.
        """
        signals: list[Signal] = []
        for item in decode(data, position, self._limits, self._on_event, parsed):
            if isinstance(item, Finding):
                self.refuse(item)
                continue
            self.tally.received += 1
            self.tally.by_eid[item.eid] += 1
            self.tally.held += 1
            if not self._order.push(item):
                self._late(item, signals)
            while (released := self._order.due()) is not None:
                self._release(released, signals)
        return signals

    def refuse(self, finding: Finding) -> None:
        """Count something that a source could not read as JSON, as one event received and rejected."""
        self.tally.received += 1
        self.tally.reject(finding.code)
        self._report(finding)

    def advance(self, to_ns: int) -> list[Signal]:
        """Let event time reach ``to_ns``: older events are late from now on, and flows idle by then are closed."""
        signals: list[Signal] = []
        while (released := self._order.before(to_ns)) is not None:
            self._release(released, signals)
        self._tell(self._flows.advance(to_ns), signals)
        return signals

    def drain(self) -> list[Signal]:
        """Close everything, since the stream has ended, and return what is left."""
        return [signal for step in self.drain_steps() for signal in step]

    def drain_steps(self, events: int = 2_000) -> Iterator[list[Signal]]:
        """Do as :meth:`drain`, in steps of about ``events`` events, so that memory stays bounded."""
        signals: list[Signal] = []
        count = 0
        while (released := self._order.rest()) is not None:
            self._release(released, signals)
            count += len(released.events)
            if count >= events:
                yield signals
                signals, count = [], 0
        self._tell(self._flows.drain(), signals)
        yield signals

    def _release(self, released: Released, signals: list[Signal]) -> None:
        for copy in released.copies:
            self._duplicate(copy)
        self._tell(self._flows.feed(released.events), signals)

    def _late(self, event: Event, signals: list[Signal]) -> None:
        if self._order.is_copy(event):
            self._duplicate(event)
            return
        self._order.remember(event)
        event.late = True
        self.tally.late += 1
        self._report(
            Finding(
                code="late",
                path="$.ets",
                expected="an event inside the window that is kept in order",
                found=f"ets {event.ets_ns // 1_000_000}, which had passed",
                position=event.position,
                eid=event.eid,
                mid=event.mid,
            )
        )
        self._tell(self._flows.feed_late(event), signals)

    def _duplicate(self, event: Event) -> None:
        self.tally.duplicate += 1
        self.tally.held -= 1
        self._report(
            Finding(
                code="duplicate",
                path="$.mid",
                expected="each event once",
                found="a copy with the same mid, eid and content",
                position=event.position,
                eid=event.eid,
                mid=event.mid,
            )
        )

    def _tell(self, outcomes: list[Outcome], signals: list[Signal]) -> None:
        tally = self.tally
        for outcome in outcomes:
            count = events_in(outcome)
            tally.held -= count
            if isinstance(outcome, Refused):
                tally.reject(outcome.code)
                self._report(_kept_out(outcome))
                continue
            tally.translated += count
            if isinstance(outcome, FlowClosed) and outcome.flow.closer is not None:
                tally.paired += 1
            for signal in translate(outcome):
                if isinstance(signal, Span):
                    tally.spans += 1
                    tally.synthetic_spans += signal.synthetic
                    tally.span_events += len(signal.events)
                else:
                    tally.metric_points += 1
                signals.append(signal)

    def _violation(self, code: str, event: Event, expected: str, found: str) -> None:
        if self._on_finding is not None:
            self._on_finding(
                Finding(
                    code=code,
                    path="$.eid" if event.eid not in {"START", "END"} else "$.edata.type",
                    expected=expected,
                    found=found,
                    position=event.position,
                    eid=event.eid,
                    mid=event.mid,
                )
            )

    def _report(self, finding: Finding) -> None:
        if self._on_finding is not None:
            self._on_finding(finding)


def _kept_out(refused: Refused) -> Finding:
    event = refused.event
    return Finding(
        code=refused.code,
        path="$",
        expected="a flow that keeps the nesting rules",
        found="kept from the output by the policy reject",
        position=event.position,
        eid=event.eid,
        mid=event.mid,
        refused=True,
        event=event.body,
    )
