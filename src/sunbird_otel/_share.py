"""The bridge of one of several processes that share a stream.

It is fed with what it was dealt by :class:`sunbird_otel._divide.Divider`. What the two count adds up to what one bridge
would have counted, and what all shares write is together what one bridge would have written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sunbird_otel._apart import documents
from sunbird_otel._decode import decode
from sunbird_otel._divide import ECHO, LATE, LATE_ECHO, NAMED
from sunbird_otel._document import Document, Lines
from sunbird_otel._event import Event
from sunbird_otel._flow import FlowClosed, FlowSegment, Outcome
from sunbird_otel._form import Form, S
from sunbird_otel._order import Entry, Sequencer
from sunbird_otel._pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._divide import Dealt
    from sunbird_otel._findings import Finding
    from sunbird_otel._limits import Limits
    from sunbird_otel._rules import Rules

_NOT_OURS: Final = (ECHO, LATE_ECHO, NAMED)


class _Received(Sequencer):
    """What has been put in order already; the rest is for lines that are not what they seemed."""

    def __init__(self) -> None:
        super().__init__(None, 1 << 62)
        self.late_may_come = False

    @property
    def remembers(self) -> bool:
        return self.late_may_come


class Share(Pipeline[S]):
    """The bridge of one process. Takes the arguments of :class:`sunbird_otel.Bridge`, and how signals are written."""

    def __init__(
        self,
        form: Form[S],
        *,
        rules: Rules,
        policy: str,
        idle_gap: int | None,
        trace_scope: str,
        max_open_flows: int,
        limits: Limits,
        on_finding: Callable[[Finding], None],
    ) -> None:
        """Start with nothing held."""
        super().__init__(
            form,
            rules=rules,
            policy=policy,
            idle_gap=idle_gap,
            trace_scope=trace_scope,
            max_open_flows=max_open_flows,
            limits=limits,
            on_finding=on_finding,
        )
        self._received = _Received()
        self._order = self._received
        self._echoes = False
        self._named: set[int] = set()
        self.moved_ns = 0
        """The time of the newest event that has moved the flows."""

    def feed_dealt(self, dealt: list[Dealt], *, late_may_come: bool) -> list[S]:
        """Take what one round has for this process, and return the signals that are complete."""
        self._received.late_may_come = late_may_come
        signals: list[S] = []
        at, count = 0, len(dealt)
        while at < count:
            entry = dealt[at]
            if entry[1] == LATE or entry[1] == LATE_ECHO:
                self._place(signals)
                self._take_late(entry, signals)
                at += 1
                continue
            first, ets_ns = at, entry[0]
            at += 1
            while at < count and dealt[at][0] == ets_ns and dealt[at][1] != LATE and dealt[at][1] != LATE_ECHO:
                at += 1
            while entries := self._order.before(ets_ns):
                self._release(entries, signals)
            entries = dealt[first:at]
            entries += self._order.before(ets_ns + 1)
            self._release(entries, signals)
        self._place(signals)
        return signals

    def rest_steps(self, newest_ns: int) -> Iterator[list[S]]:
        """Close everything, ``newest_ns`` being the newest that any process has seen; in steps."""
        signals: list[S] = []
        while entries := self._order.rest():
            self._release(entries, signals)
        self._place(signals)
        self._tell(self._flows.advance(newest_ns), signals)
        yield signals
        yield from self.drain_steps()

    def _event(self, entry: Entry) -> Event | None:
        event = super()._event(entry)
        if event is not None and entry[1] in _NOT_OURS:
            self._note_echo(event, entry)
            if isinstance(entry[3], str):
                self.tally.see(event.eid, -1)
        return event

    def _others(self, entry: Entry, signals: list[S]) -> list[Event]:
        if entry[1] not in _NOT_OURS:
            return super()._others(entry, signals)
        _, _, text, place, number = entry
        events = [
            item
            for document in documents(Lines(str(place), number, [text]), self._limits)
            if isinstance(document, Document)
            for item in decode(document.data, document.position, self._limits, parsed=document.value)
            if isinstance(item, Event) and item.ets_ns == entry[0]
        ]
        for event in events:
            self._note_echo(event, entry)
        return events

    def _take_late(self, entry: Entry, signals: list[S]) -> None:
        if entry[1] != LATE_ECHO:
            super()._take_late(entry, signals)
            return
        event = self._event(entry)
        for late in (event,) if event is not None else self._others(entry, signals):
            self._late(late, signals)

    def _note_echo(self, event: Event, entry: Entry) -> None:
        event.echo = self._echoes = True
        if entry[1] == NAMED:
            self._named.add(id(event))

    def _duplicate(self, event: Event) -> None:
        self._named.discard(id(event))
        if not event.echo:
            super()._duplicate(event)

    def _feed(self, events: list[Event]) -> list[Outcome]:
        if self._named:
            named = {id(event) for event in events} & self._named
            self._named -= named
            events = [event for event in events if id(event) not in named]
            if not events:
                return []
        self.moved_ns = max(self.moved_ns, events[0].ets_ns)
        return super()._feed(events)

    def _late(self, event: Event, signals: list[S]) -> None:
        if not event.echo:
            super()._late(event, signals)
        elif not self._order.is_copy(event):
            self._order.remember(event)
            event.late = True
            self._tell(self._flows.feed_late(event), signals)

    def _tell(self, outcomes: list[Outcome], signals: list[S]) -> None:
        if self._echoes:
            outcomes = [outcome for outcome in outcomes if not _is_echo(outcome)]
        super()._tell(outcomes, signals)


def _is_echo(outcome: Outcome) -> bool:
    if isinstance(outcome, (FlowClosed, FlowSegment)):
        return outcome.flow.opener.echo
    return outcome.event.echo
