"""A clock that a test sets."""

from __future__ import annotations

from itertools import count
from typing import Final

START_NS: Final = 1_767_603_600_000_000_000
"""2026-01-05 09:00 UTC."""

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


class FixedClock:
    """Begins at 2026-01-05 09:00 UTC and goes on by :meth:`tick` alone, so that durations are what the test says.

    The time of day is told 1 ms later each time, so that no two events have one ``ets`` and their order is clear.

    >>> clock = FixedClock()
    >>> clock.time_ns(), clock.time_ns()
    (1767603600000000000, 1767603600001000000)
    >>> clock.tick(2.5)
    >>> clock.time_ns(), clock.monotonic_ns()
    (1767603602502000000, 2500000000)
    """

    def __init__(self) -> None:
        self._passed_ns = 0
        # To count is atomic, in one thread or many.
        self._looks = count()

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass.

        Raises:
            ValueError: It would go back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: expected seconds >= 0, found {seconds}")
        self._passed_ns += round(seconds * _SECOND)

    def time_ns(self) -> int:
        """Return nanoseconds since 1970."""
        return START_NS + self._passed_ns + next(self._looks) * _MS

    def monotonic_ns(self) -> int:
        """Return the nanoseconds that were ticked."""
        return self._passed_ns
