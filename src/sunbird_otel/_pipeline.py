"""The pipeline: order, decode, flows, translate and write in one, with the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic

from sunbird_otel._apart import documents
from sunbird_otel._decode import decode, revive
from sunbird_otel._document import Lines
from sunbird_otel._findings import Finding, Position
from sunbird_otel._flow import FlowClosed, Outcome, Refused
from sunbird_otel._flows import FlowEngine
from sunbird_otel._form import Form, S, Said
from sunbird_otel._limits import Limits
from sunbird_otel._line import LineReader, time_of
from sunbird_otel._order import Entry, Sequencer, distinct, own
from sunbird_otel._rules import Rules
from sunbird_otel._tally import Tally
from sunbird_otel._told import POLICIES
from sunbird_otel._translate import Translator, events_in
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._event import Event

TRACE_SCOPES: Final = ("session", "run")
"""One trace a session and day, or one trace a root flow."""

DEFAULT_MEMORY: Final = 1 << 30
"""Bytes that events waiting for their order may take."""

DEFAULT_OPEN_FLOWS: Final = 1_000_000
"""Flows that may be open at a time."""

_TOGETHER: Final = 32
"""Times whose events are read before any is placed, and signals that are said before any is written.

Code that has just run is in the processor's cache; of many more, the events would not be.
"""


class Pipeline(Generic[S]):
    """Turns Sunbird telemetry into signals of any form. Pure: no clock, no I/O, no OpenTelemetry import.

    Args:
        form: How signals are written.
        pending: Whether :meth:`pending` is going to be asked.
        others: As those of :class:`Bridge`.

    Raises:
        ConfigError: An argument has a value that it may not have.
    """

    def __init__(
        self,
        form: Form[S],
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
        pending: bool = False,
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
        self._reader = LineReader(self._limits)
        self._rejects = policy == "reject"
        self._ready: list[list[Event]] = []  # events that were read, by their times; empty between calls
        self._translator = Translator(
            form, self.tally, attribute_bytes=self._limits.attribute_bytes, keep_events=self._rejects
        )
        self._flows = FlowEngine(
            rules or Rules.standard(),
            policy=policy,
            idle_gap_ns=idle_gap,
            trace_scope=trace_scope,
            max_open_flows=max_open_flows,
            tally=self.tally,
            on_violation=self._violation,
            write=self._translator.inside,
            limits=self._limits,
            pending=pending,
        )

    @property
    def newest_ns(self) -> int:
        """Return the time of the newest event so far; 0 before the first."""
        return self._order.newest_ns

    @property
    def released_early(self) -> int:
        """Return how many events were let go before their order was certain, for lack of memory."""
        return self._order.released_early

    def feed(self, data: object, position: Position | None = None, *, parsed: object = None) -> list[S]:
        """Take one JSON document, as bytes or as a parsed value: a batch, an array of events, or one event.

        Args:
            data: The document.
            position: Where it stands, for findings.
            parsed: What the bytes ``data`` are as parsed by orjson, if the caller has done that already.

        Returns:
            The signals that are complete now. Nothing is raised for any input: what cannot be read is a finding.
        """
        signals: list[S] = []
        for item in decode(data, position, self._limits, self._on_event, parsed):
            if isinstance(item, Finding):
                self.refuse(item)
                continue
            self.tally.received += 1
            self.tally.see(item.eid)
            self.tally.held += 1
            if not self._order.push(item.ets_ns, own(item.payload), item.position):
                self._late(item, signals)
        self._release_due(signals)
        self._place(signals)
        return signals

    def feed_lines(self, lines: Lines) -> list[S]:
        """Take lines of one event each: what :meth:`feed` does, and the quickest way in.

        Returns:
            The signals that are complete now.
        """
        signals: list[S] = []
        order, tally, source, number = self._order, self.tally, lines.source, lines.first
        at_once = self._on_event is not None  # who listens is to hear of events as they come
        for line in lines.texts:
            ets_ns = 0 if at_once else time_of(line)
            if ets_ns:
                tally.received += 1
                tally.held += 1
                if not order.push(ets_ns, line, source, number):
                    self._place(signals)
                    self._take_late((ets_ns, 0, line, source, number), signals)
                elif order.lets_go:  # at once, so that it makes no difference how lines are handed over
                    self._release_due(signals)
            else:
                self._place(signals)
                for item in documents(Lines(source, number, [line]), self._limits):
                    if isinstance(item, Finding):
                        self.refuse(item)
                    else:
                        signals.extend(self.feed(item.data, item.position, parsed=item.value))
            number += 1
        self._place(signals)
        return signals

    def refuse(self, finding: Finding) -> None:
        """Count something that a source could not read as JSON, as one event received and rejected."""
        self.tally.received += 1
        self.tally.reject(finding.code)
        self._report(finding)

    def advance(self, to_ns: int) -> list[S]:
        """Let event time reach ``to_ns``: older events are late from now on, and flows idle by then are closed."""
        signals: list[S] = []
        while entries := self._order.before(to_ns):
            self._release(entries, signals)
        self._place(signals)
        self._tell(self._flows.advance(to_ns), signals)
        return signals

    def pending(self, after_ns: int) -> list[S]:
        """Return a signal for each flow that was open for ``after_ns`` when the last events were put in order, once."""
        return [self._translator.pending(flow) for flow in self._flows.begun(self._order.released_to_ns - after_ns)]

    def drain(self) -> list[S]:
        """Close everything, since the stream has ended, and return what is left."""
        return [signal for step in self.drain_steps() for signal in step]

    def drain_steps(self, events: int = 2_000) -> Iterator[list[S]]:
        """Do as :meth:`drain`, in steps of about ``events`` events, so that memory stays bounded."""
        signals: list[S] = []
        count = 0
        while entries := self._order.rest():
            self._release(entries, signals)
            count += len(entries)
            if count >= events:
                yield signals
                signals, count = [], 0
        self._place(signals)
        self._tell(self._flows.drain(), signals)
        yield signals

    def _release_due(self, signals: list[S]) -> None:
        while entries := self._order.due():
            self._release(entries, signals)

    def _release(self, entries: list[Entry], signals: list[S]) -> None:
        """Read events of one time, which :meth:`_place` is to pass on; it is called here when many are ready."""
        events: list[Event] = []
        for entry in entries:
            event = self._event(entry)
            if event is not None:
                events.append(event)
            else:
                self._place(signals)  # what was read before is told of before
                events += self._others(entry, signals)
        if len(events) > 1:
            events, copies = distinct(events)
            if copies:
                self._place(signals)
            for copy in copies:
                self._duplicate(copy)
        if self._order.remembers:
            for event in events:
                self._order.remember(event)
        if events:
            self._ready.append(events)
            if len(self._ready) >= _TOGETHER:
                self._place(signals)

    def _place(self, signals: list[S]) -> None:
        """Pass on the events that are ready."""
        ready = self._ready
        if not ready:
            return
        self._ready = []
        outcomes: list[Outcome] = []
        for events in ready:
            outcomes += self._feed(events)
            if self._rejects:  # what is refused is told of before what is found next
                self._tell(outcomes, signals)
                outcomes = []
        self._tell(outcomes, signals)

    def _feed(self, events: list[Event]) -> list[Outcome]:
        """Pass on events of one time, and return what they decide."""
        return self._flows.feed(events)

    def _take_late(self, entry: Entry, signals: list[S]) -> None:
        """Take a line whose time has passed."""
        event = self._event(entry)
        for late in (event,) if event is not None else self._read(entry):
            if late.ets_ns == entry[0] or not self._order.push(late.ets_ns, own(late.payload), late.position):
                self._late(late, signals)

    def _others(self, entry: Entry, signals: list[S]) -> list[Event]:
        """Return those events of a line, which must be read with care, that have the time of its entry after all."""
        events: list[Event] = []
        for event in self._read(entry):
            if event.ets_ns == entry[0]:
                events.append(event)
            elif not self._order.push(event.ets_ns, own(event.payload), event.position):
                self._late(event, signals)
        return events

    def _event(self, entry: Entry) -> Event | None:
        """Return the event of ``entry``; None when it must be read with more care."""
        ets_ns, _, text, place, line = entry
        if not isinstance(place, str):
            return revive(text, ets_ns, place)
        event = self._reader.event(text, ets_ns)
        if event is None:
            return None
        event.stands_on(place, line)
        self.tally.see(event.eid)
        return event

    def _read(self, entry: Entry) -> list[Event]:
        """Read with care a line that was counted as one event, and correct the accounts by what stands there."""
        _, _, text, place, number = entry
        tally = self.tally
        tally.received -= 1
        tally.held -= 1
        events: list[Event] = []
        for document in documents(Lines(str(place), number, [text]), self._limits):
            if isinstance(document, Finding):
                self.refuse(document)
                continue
            for item in decode(document.data, document.position, self._limits, parsed=document.value):
                if isinstance(item, Finding):
                    self.refuse(item)
                    continue
                tally.received += 1
                tally.held += 1
                tally.see(item.eid)
                events.append(item)
        return events

    def _late(self, event: Event, signals: list[S]) -> None:
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

    def _tell(self, outcomes: list[Outcome], signals: list[S]) -> None:
        tally, translator = self.tally, self._translator
        said: list[Said] = []
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
            translator.say(outcome, said)
            if len(said) >= _TOGETHER:
                translator.write(said, signals)
                said = []
        translator.write(said, signals)

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
