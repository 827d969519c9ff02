"""Full parts of open flows, written on a thread of their own.

An event is added while the SDK holds its span's lock. Nothing may be exported there, nor may our own lock be waited
for: an exporter that touches the span would wait for ever.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel.plugin._flow_events import FlowEvents


class Spilling:
    """Has what flows keep aside written; the thread starts with the first flow that is too large for its span.

    Args:
        write: Is given the events of such a flow; it returns whether to go on, and never raises.
    """

    def __init__(self, write: Callable[[FlowEvents], bool]) -> None:
        """Start with nothing to do."""
        self._write = write
        self._closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """Start again: the child has no thread, and the flows are its parent's."""
        self._full: deque[FlowEvents] = deque()
        self._news = threading.Event()
        self._starting = threading.Lock()
        self._turn = threading.Lock()
        self._idle = False
        self._thread: threading.Thread | None = None

    def note(self, events: FlowEvents) -> None:
        """Have the events that are kept aside written soon."""
        self._full.append(events)
        # Read after the append, set before the thread looks for something to do: one of the two sees the other.
        if self._idle:
            self._news.set()
        if self._thread is None:
            self._start()

    def drain(self, timeout: float) -> bool:
        """Write all that waits, on this thread; tell whether that, and what is being written, was done in time."""
        deadline = time.monotonic() + timeout
        while self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            try:
                if not self._next():
                    return True
            finally:
                self._turn.release()
            # The turn may be free each time, and more come as fast as they are written.
            if time.monotonic() >= deadline:
                break
        return False

    def close(self) -> None:
        """End the thread; what waits has to be drained before."""
        self._closed = True
        self._news.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="sunbird-otel-spilling", daemon=True)
                # The interpreter on its way out starts no more threads; what waits is written at shutdown.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def _next(self) -> bool:
        try:
            events = self._full.popleft()
        except IndexError:
            return False
        return self._write(events)

    def _run(self) -> None:
        while not self._closed:
            self._news.clear()
            with self._turn:
                busy = self._next()
            if not busy:
                self._idle = True
                if not self._full and not self._closed:
                    self._news.wait()
                self._idle = False
