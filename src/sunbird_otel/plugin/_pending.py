"""Flows that are told while they are open, once they have been for a while; short ones cost nothing more."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel.plugin._live_flow import LiveFlow


class PendingFlows:
    """Tells each flow when it has begun ``after`` seconds ago, on a thread of its own, which starts with the first.

    Args:
        after: Seconds; with 0 a flow is told at once, on the thread that starts it.
        tell: Is given the flow, which may have ended since; it returns whether to go on, and never raises.

    Raises:
        ConfigError: ``after`` is negative.
    """

    def __init__(self, after: float, tell: Callable[[LiveFlow], bool]) -> None:
        """Start with none."""
        if after < 0:
            raise ConfigError(f"pending_after: expected 0 or more seconds; found {after!r}.")
        self._after = after
        self._tell = tell
        self._renew()

    def _renew(self) -> None:
        self._due: deque[tuple[float, LiveFlow]] = deque()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._idle = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Start again: the child has no thread, and the flows are its parent's."""
        closed = self._closed
        self._renew()
        self._closed = closed

    def note(self, flow: LiveFlow) -> None:
        """Have ``flow``, which has just begun, told when its time has come."""
        if not self._after:
            self._tell(flow)
            return
        self._due.append((time.monotonic() + self._after, flow))
        # Read after the append, set before the thread looks for what is due: one of the two sees the other.
        if self._idle:
            self._news.set()
        if self._thread is None:
            self._start()

    def close(self, timeout: float) -> None:
        """Tell none any more; wait at most ``timeout`` seconds for the one that is being told."""
        self._closed = True
        self._news.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="sunbird-otel-pending", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._closed:
            self._news.clear()
            if not self._due:
                self._idle = True
                if not self._due and not self._closed:
                    self._news.wait()
                self._idle = False
                continue
            when, flow = self._due[0]
            wait = when - time.monotonic()
            if wait > 0:
                if not self._closed:
                    self._news.wait(wait)
                continue
            self._due.popleft()
            if not self._tell(flow):
                return
