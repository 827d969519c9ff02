"""Events kept in memory: for tests, and for what looks at the events itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sunbird_otel.emit.transports._base import TransportStats

if TYPE_CHECKING:
    from collections.abc import Mapping


class MemoryTransport:
    """Collects events in :attr:`events`, in the order in which they were sent; they are the sender's, not copies."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.closed = False
        self._dropped: list[None] = []

    @property
    def stats(self) -> TransportStats:
        """What was kept counts as sent; what came after :meth:`close` as dropped."""
        return TransportStats(sent=len(self.events), dropped=len(self._dropped))

    def send(self, event: Mapping[str, Any]) -> None:
        """Keep ``event``."""
        # To append is atomic, in one thread or many.
        if self.closed:
            self._dropped.append(None)
        else:
            self.events.append(event if isinstance(event, dict) else dict(event))

    def flush(self, timeout: float | None = None) -> bool:
        """Return True: everything is there at once."""
        del timeout
        return True

    def close(self, timeout: float | None = None) -> None:
        """Take nothing more."""
        del timeout
        self.closed = True
