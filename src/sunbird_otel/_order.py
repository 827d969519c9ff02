"""Puts events in the order of their own time, inside a lateness window and a memory budget.

The buffer holds the bytes of an event, not its objects, and in general not even parsed: see :mod:`sunbird_otel._line`.
Copies of one event are equal in eid, mid and content, so they have one time: they meet here, and :func:`distinct`
keeps one.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sunbird_otel._event import body_of
from sunbird_otel._json import canonical

if TYPE_CHECKING:
    from sunbird_otel._event import Event
    from sunbird_otel._findings import Position

_OVERHEAD: Final = 280
"""Bytes that one buffered event costs beside its text, measured on CPython 3.11."""

_TIME: Final = itemgetter(0)

_REMEMBERED: Final = 200_000
"""Events that are remembered once they are released early, to know a late copy of one."""

_REMEMBERED_BYTES: Final = 16 << 20
"""Bytes of these events."""

Entry: TypeAlias = tuple[int, int, bytes, "str | Position | None", int]
"""A buffered event: its time (ns), the number of its arrival, and its text.

The last two are source and line of an event that was not parsed yet. Of one that was, the text is canonical, and there
stands its position instead of the source.
"""


class Distinct(NamedTuple):
    """Events of one time without copies, and the copies that were left out."""

    events: list[Event]
    copies: list[Event]


class Sequencer:
    """Buffers events and releases them in order of time.

    Args:
        lateness_ns: How far behind the newest event an event may come and still be put in its place; ``None`` waits
            for the end of the input.
        memory: Bytes that the buffer may take; beyond them the oldest events are released early.
        beside: Bytes that the caller keeps for each event that waits, which count, too.
    """

    def __init__(self, lateness_ns: int | None, memory: int, beside: int = 0) -> None:
        """Start empty."""
        self._lateness_ns = lateness_ns
        self._memory = memory
        self._overhead = _OVERHEAD + beside
        # Sorting once is cheaper than a heap, so that there is one only when events must leave before the end.
        # Its entries are typed so that compiled code does not take them apart to put them together again.
        self._buffer: list[tuple[Any, ...]] = []
        self._is_heap = lateness_ns is not None
        self._is_descending = False
        self._bytes = 0
        self._count = 0
        self.newest_ns = 0
        """The time of the newest event so far."""
        self._recent: OrderedDict[tuple[str, str, int], list[bytes]] = OrderedDict()
        self._recent_bytes = 0
        self.released_to_ns = 0
        """No older event is waited for; one that comes is late."""
        self.released_early = 0
        """Events released before their time for lack of memory."""

    def push(self, ets_ns: int, text: bytes, place: str | Position | None, line: int = 0) -> bool:
        """Take an event in, by the parts of an :data:`Entry`. Return ``False`` when it is late, and stays outside."""
        if ets_ns > self.newest_ns:
            self.newest_ns = ets_ns
            if self._lateness_ns is not None:
                self.released_to_ns = max(self.released_to_ns, ets_ns - self._lateness_ns)
        if ets_ns < self.released_to_ns:
            return False
        self._count += 1
        if self._is_heap:
            heappush(self._buffer, (ets_ns, self._count, text, place, line))
        else:
            if self._is_descending:
                self._buffer.reverse()
                self._is_descending = False
            self._buffer.append((ets_ns, self._count, text, place, line))
        self._bytes += len(text) + self._overhead
        return True

    @property
    def lets_go(self) -> bool:
        """Whether events may leave before the end: a window passes, or there is no room."""
        return self._lateness_ns is not None or self._bytes > self._memory

    def due(self) -> list[Entry]:
        """Return the next events of one time whose time has come, or that there is no room for; empty if none are."""
        buffer, lateness_ns = self._buffer, self._lateness_ns
        if lateness_ns is not None and buffer and buffer[0][0] < self.newest_ns - lateness_ns:
            return self._release()
        if self._bytes > self._memory:
            self._make_heap()
            released = self._release()
            self.released_early += len(released)
            return released
        return []

    def before(self, time_ns: int) -> list[Entry]:
        """Return the next events of one time before ``time_ns``; when there are none, what is older is late."""
        self._make_heap()
        if self._buffer and self._buffer[0][0] < time_ns:
            return self._release()
        self.released_to_ns = max(self.released_to_ns, time_ns)
        return []

    def rest(self) -> list[Entry]:
        """Return the next events of one time, due or not; empty when the buffer is."""
        if not self._buffer:
            return []
        if not self._is_heap and not self._is_descending:
            # Its entries stand as they arrived, so that those of one time stay in the order of their numbers.
            self._buffer.sort(key=_TIME)
            self._buffer.reverse()
            self._is_descending = True
        return self._release()

    @property
    def remembers(self) -> bool:
        """Whether released events are to be remembered, since more may come that are equal."""
        return self._is_heap

    def remember(self, event: Event) -> None:
        """Remember a released event by its text, so that a late copy of it is known."""
        recent, text = self._recent, event.text
        recent.setdefault((event.eid, event.mid, event.ets_ns), []).append(text)
        self._recent_bytes += len(text)
        while len(recent) > _REMEMBERED or self._recent_bytes > _REMEMBERED_BYTES:
            _, texts = recent.popitem(last=False)
            self._recent_bytes -= sum(map(len, texts))

    def is_copy(self, late: Event) -> bool:
        """Tell whether a late event is a copy of one that was released lately; if not, number it among its twins."""
        texts = self._recent.get((late.eid, late.mid, late.ets_ns))
        if texts is None:
            return False
        payload = late.payload
        if any(text == late.text or canonical(body_of(text)) == payload for text in texts):
            return True
        late.twin = len(texts)
        return False

    def _make_heap(self) -> None:
        if not self._is_heap:
            self._is_heap, self._is_descending = True, False
            heapify(self._buffer)

    def _release(self) -> list[Entry]:
        buffer, is_heap = self._buffer, self._is_heap
        released: list[Any] = []
        while True:
            entry = heappop(buffer) if is_heap else buffer.pop()
            released.append(entry)
            text: bytes = entry[2]
            self._bytes -= len(text) + self._overhead
            if not buffer or buffer[0 if is_heap else -1][0] != entry[0]:
                break
        time_ns: int = entry[0]
        self.released_to_ns = max(self.released_to_ns, time_ns + 1)
        return released


def distinct(events: list[Event]) -> Distinct:
    """Part events of one time from their copies, and number those that share eid and mid but not their content.

    Args:
        events: Events of one time, in the order of their arrival.

    Returns:
        One of each, and the others. Copies may be spelled differently; which is kept is decided by their texts.
    """
    by_name: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        by_name.setdefault((event.eid, event.mid), []).append(event)
    if len(by_name) == len(events):
        return Distinct(events, [])
    kept: list[Event] = []
    copies: list[Event] = []
    for same in by_name.values():
        first = same[0]
        if all(event.text == first.text for event in same):  # as most are that a client has sent again
            kept.append(first)
            copies += same[1:]
            continue
        same.sort(key=_by_content)
        twins = 0
        for number, event in enumerate(same):
            if number and event.payload == same[number - 1].payload:
                copies.append(event)
                continue
            event.twin = twins
            twins += 1
            kept.append(event)
    return Distinct(kept, copies)


def _by_content(event: Event) -> tuple[bytes, bytes]:
    return (event.payload, event.text)


def own(text: bytes) -> bytes:
    """Return a copy of the exact length: the encoder's own buffer is several times as large, and would stay so."""
    return memoryview(text).tobytes()
