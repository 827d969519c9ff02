"""The clock of a run that follows its input: event time goes on when no events come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel.cli._settings import Settings


class Live:
    """Event time as the newest event told it, and as long after it as that event is old.

    The wall clock decides only how long to wait for more: it is never compared with an event's own time.

    Args:
        lateness_ns: How long an event is waited for, in nanoseconds.
        pending_after_ns: For how long a flow is open before it is shown; None shows none.
        monotonic: The clock, in seconds.
    """

    def __init__(
        self, lateness_ns: int, pending_after_ns: int | None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.pending_after_ns = pending_after_ns
        self._lateness_ns = lateness_ns
        self._monotonic = monotonic
        self._newest_ns = 0
        self._seen_s = monotonic()

    def last(self, newest_ns: int) -> int:
        """Return the event time that it is now, given that of the newest event."""
        if newest_ns != self._newest_ns:
            self._newest_ns, self._seen_s = newest_ns, self._monotonic()
        return newest_ns + int((self._monotonic() - self._seen_s) * 1_000_000_000)

    def now(self, newest_ns: int) -> int:
        """Return the event time before which nothing more is waited for."""
        return max(self.last(newest_ns) - self._lateness_ns, 0)


def live_clock(settings: Settings) -> Live | None:
    """Return the clock that ``settings`` ask for; None for a run that ends with its input."""
    if not settings.follow:
        return None
    return Live(settings.lateness or 0, settings.pending_after if settings.pending else None)
