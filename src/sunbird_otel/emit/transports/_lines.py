"""What the transports share that write each event as a line, at once, in the thread that sends it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sunbird_otel.emit._fork import renew_after_fork
from sunbird_otel.emit.transports._base import Notices, TransportStats, encode

if TYPE_CHECKING:
    from collections.abc import Mapping


class LineTransport:
    """Counts, guards and locks; a subclass says how a line is written, how lines are made safe, and what is let go."""

    def __init__(self) -> None:
        self._notices = Notices()
        self._sent = self._dropped = self._failed = 0
        self._closed = False
        # Re-entrant: a signal handler may send while its thread is sending.
        self._lock = threading.RLock()
        renew_after_fork(self)

    @property
    def stats(self) -> TransportStats:
        """What has become of the events so far."""
        with self._lock:
            return TransportStats(sent=self._sent, dropped=self._dropped, failed=self._failed)

    def send(self, event: Mapping[str, Any]) -> None:
        """Write ``event`` as one line."""
        try:
            line = encode(event) + b"\n"
            with self._lock:
                if self._closed:
                    self._dropped += 1
                    return
                self._write(line)
                self._sent += 1
                self._notices.over("write")
        except Exception as error:  # noqa: BLE001  user code must not suffer from its telemetry
            with self._lock:
                self._failed += 1
            self._notices.once("write", "telemetry events cannot be written to %s: %s", self, error)

    def flush(self, timeout: float | None = None) -> bool:
        """Make sure of what was written; tell whether that was possible."""
        del timeout
        try:
            with self._lock:
                if not self._closed:
                    self._make_safe()
        except (OSError, ValueError) as error:
            self._notices.once("flush", "%s cannot be flushed: %s", self, error)
            return False
        return True

    def close(self, timeout: float | None = None) -> None:
        """Make sure of what was written, and let go."""
        self.flush(timeout)
        with self._lock:
            if not self._closed:
                self._closed = True
                self._let_go()

    def renew(self) -> None:
        """Start again in the child of a fork, where another thread's lock would be held for ever."""
        self._lock = threading.RLock()
        self._sent = self._dropped = self._failed = 0

    def _write(self, line: bytes) -> None:
        raise NotImplementedError

    def _make_safe(self) -> None:
        raise NotImplementedError

    def _let_go(self) -> None:
        raise NotImplementedError
