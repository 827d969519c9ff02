"""The clock of a run that follows its input: event time goes on when no events come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Live:
    """Event time as the newest event told it, and as long after it as that event is old.

    The wall clock decides only how long to wait for more: it is never compared with an event's own time.

    Args:
        lateness_ns: How long an event is waited for, in nanoseconds.
        monotonic: The clock, in seconds.
    """

    def __init__(self, lateness_ns: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lateness_ns = lateness_ns
        self._monotonic = monotonic
        self._newest_ns = 0
        self._seen_s = monotonic()

    def now(self, newest_ns: int) -> int:
        """Return the event time before which nothing more is waited for, given that of the newest event."""
        if newest_ns != self._newest_ns:
            self._newest_ns, self._seen_s = newest_ns, self._monotonic()
        waited_ns = int((self._monotonic() - self._seen_s) * 1_000_000_000)
        return max(newest_ns + waited_ns - self._lateness_ns, 0)
