"""Puts events in the order of their own time, inside a lateness window and a memory budget.

Copies of one event are equal in (mid, eid, content), so they have one time: they meet here, and one is kept. The
buffer holds the canonical text of an event, not its objects.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from sunbird_otel._decode import revive

if TYPE_CHECKING:
    from sunbird_otel._event import Event
    from sunbird_otel._findings import Position

_OVERHEAD: Final = 360
"""Bytes that one buffered event costs beside its text, measured on CPython 3.11."""

_REMEMBERED: Final = 200_000
"""Events that are remembered by a hash once they are released early, to know a late copy of one."""


@dataclass(slots=True, eq=False)
class Released:
    """Events of one time, without copies, in the order of their text; and the copies that were left out."""

    events: list[Event]
    copies: list[Event]


class Sequencer:
    """Buffers events and releases them in order of time.

    Args:
        lateness_ns: How far behind the newest event an event may come and still be put in its place; ``None`` waits
            for the end of the input.
        memory: Bytes that the buffer may take; beyond them the oldest events are released early.
    """

    def __init__(self, lateness_ns: int | None, memory: int) -> None:
        """Start empty."""
        self._lateness_ns = lateness_ns
        self._memory = memory
        self._heap: list[tuple[int, bytes, int, Position | None]] = []
        self._bytes = 0
        self._count = 0
        self._newest_ns = 0
        self._recent: OrderedDict[int, None] = OrderedDict()
        self.released_to_ns = 0
        """No older event is waited for; one that comes is late."""
        self.released_early = 0
        """Events released before their time for lack of memory."""

    def push(self, event: Event) -> bool:
        """Take ``event`` in; return ``False`` when it is late, which leaves it to the caller."""
        self._newest_ns = max(self._newest_ns, event.ets_ns)
        if self._lateness_ns is not None:
            self.released_to_ns = max(self.released_to_ns, self._newest_ns - self._lateness_ns)
        if event.ets_ns < self.released_to_ns:
            return False
        self._count += 1
        # A copy of the exact length: the encoder's own buffer is several times as large, and would stay so.
        payload = memoryview(event.payload).tobytes()
        heappush(self._heap, (event.ets_ns, payload, self._count, event.position))
        self._bytes += event.size + _OVERHEAD
        return True

    def is_copy(self, late: Event) -> bool:
        """Tell whether a late event is a copy of one that has been released lately."""
        return hash(late.payload) in self._recent

    def remember(self, event: Event) -> None:
        """Remember a released event, so that a late copy of it is known."""
        self._recent[hash(event.payload)] = None
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def due(self) -> Released | None:
        """Return the next events whose time has come, or that there is no room for; ``None`` when there are none."""
        if not self._heap:
            return None
        if self._lateness_ns is not None and self._heap[0][0] < self._newest_ns - self._lateness_ns:
            return self._release(remember=True)
        if self._bytes > self._memory:
            released = self._release(remember=True)
            self.released_early += len(released.events) + len(released.copies)
            return released
        return None

    def before(self, time_ns: int) -> Released | None:
        """Return the next events before ``time_ns``; ``None`` when there are none, and from then on they are late."""
        if self._heap and self._heap[0][0] < time_ns:
            return self._release(remember=True)
        self.released_to_ns = max(self.released_to_ns, time_ns)
        return None

    def rest(self) -> Released | None:
        """Return the next events, due or not; ``None`` when the buffer is empty."""
        return self._release(remember=False) if self._heap else None

    def _release(self, *, remember: bool) -> Released:
        time_ns = self._heap[0][0]
        released = Released([], [])
        last: bytes | None = None
        while self._heap and self._heap[0][0] == time_ns:
            _, payload, _, position = heappop(self._heap)
            self._bytes -= len(payload) + _OVERHEAD
            event = revive(payload, time_ns, position)
            if payload == last:
                released.copies.append(event)
                continue
            released.events.append(event)
            last = payload
            if remember:
                self.remember(event)
        self.released_to_ns = max(self.released_to_ns, time_ns + 1)
        return released
