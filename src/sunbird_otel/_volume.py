"""How much a trace holds, and where what comes goes on when a backend would take no more.

A trace is counted by the text of its events. When it is full, what comes next goes into a further trace with an id that
follows from the first one: flows that are open stay where they began, their later events and children stand in the
further trace, and links lead back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sunbird_otel._ids import further_trace

_REMEMBERED: Final = 100_000
"""Traces without an open flow that are counted on."""


class Volume:
    """One trace and those that it goes on in; ``trace_id`` is the one that is filled now."""

    __slots__ = ("_first", "_full", "_held", "_part", "trace_id")

    def __init__(self, trace_id: bytes, full: int) -> None:
        self._first = trace_id
        self._full = full
        self._held = 0
        self._part = 0
        self.trace_id = trace_id

    def add(self, size: int) -> bytes:
        """Make room for ``size`` bytes, and return the trace that has it."""
        self._held += size
        if self._held > self._full and self._held > size:
            self._held = size
            self._part += 1
            self.trace_id = further_trace(self._first, self._part)
        return self.trace_id


class Volumes:
    """The volumes of traces that several flows and lone events share: those of sessions and devices."""

    def __init__(self, full: int) -> None:
        """Start with nothing; a trace is full with ``full`` bytes."""
        self._full = full
        self._volumes: OrderedDict[bytes, Volume] = OrderedDict()

    def of(self, trace_id: bytes) -> Volume:
        """Return the volume of the trace ``trace_id``."""
        volume = self._volumes.get(trace_id)
        if volume is None:
            volume = self._volumes[trace_id] = Volume(trace_id, self._full)
            if len(self._volumes) > _REMEMBERED:
                self._volumes.popitem(last=False)
        else:
            self._volumes.move_to_end(trace_id)
        return volume
