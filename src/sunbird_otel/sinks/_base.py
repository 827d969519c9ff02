"""What every sink offers, and how it accounts for what it was given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sunbird_otel._signals import Signal


@dataclass(slots=True)
class SinkReport:
    """What became of the signals: counts by kind (``traces`` counts spans, ``metrics`` points, ``logs`` records).

    ``requests`` counts the export requests that were sent or written. Every signal ends up in exactly one of:
    ``delivered``; ``rejected``, which the receiver took and dropped (partial success); ``skipped``, for which the
    receiver has no place; ``undelivered``, kept in ``undelivered_files`` where a sink keeps them. ``notes`` are
    sentences for people.
    """

    requests: int = 0
    delivered: Counter[str] = field(default_factory=Counter[str])
    rejected: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    undelivered: Counter[str] = field(default_factory=Counter[str])
    undelivered_files: list[Path] = field(default_factory=list["Path"])
    notes: list[str] = field(default_factory=list[str])

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)


class Sink(Protocol):
    """Where signals go.

    Write, then ``close``. ``abort`` instead of ``close`` ends a run that was broken off, quickly, so that what is
    incomplete does not look complete. ``report`` may be read at any time, also after an error.
    """

    @property
    def report(self) -> SinkReport:
        """What has become of the signals so far."""
        ...

    def write(self, signals: Sequence[Signal]) -> None:
        """Take ``signals``; they may be buffered.

        Raises:
            SinkError: When nothing more can be written.
        """
        ...

    def close(self) -> SinkReport:
        """Write out what is buffered and release everything; calling it again only returns the report.

        Raises:
            SinkError: When something stayed undelivered; the text names where it is kept.
        """
        ...

    def abort(self) -> None:
        """Release everything without waiting and without raising."""
        ...
