"""A transport with a queue in memory, a worker thread, and a spool on the disk: what HTTP and Kafka have in common."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from sunbird_otel.emit._fork import renew_after_fork
from sunbird_otel.emit.transports._base import LOG, Notices, TransportStats, encode
from sunbird_otel.emit.transports._exit import at_exit, not_at_exit
from sunbird_otel.emit.transports._outbox import Outbox
from sunbird_otel.emit.transports._sender import Sender
from sunbird_otel.emit.transports._spool import Spool
from sunbird_otel.plugin._suppress import suppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sunbird_otel.emit.transports._courier import Courier
    from sunbird_otel.emit.transports._settings import QueueSettings

_LAST_LOOK = 0.1


class QueuedTransport:
    """Takes events at once and has ``courier`` deliver them in a thread of its own.

    The thread starts with the first event, or at once when there is a spool in which an earlier run may have left
    something. The interpreter's end closes the transport. In the child of a fork it begins anew: what the parent had
    still to send stays the parent's.
    """

    def __init__(
        self, name: str, courier: Courier, settings: QueueSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._courier = courier
        self._settings = settings
        self._monotonic = monotonic
        self._notices = Notices()
        self._begin()
        renew_after_fork(self)
        if settings.spool is not None:
            self._start()

    @property
    def stats(self) -> TransportStats:
        """What has become of the events so far, in this process."""
        return self._outbox.stats

    def send(self, event: Mapping[str, Any]) -> None:
        """Take ``event``; one that finds the queue full is dropped and counted."""
        try:
            self._outbox.put(encode(event))
            if self._thread is None:
                self._start()
        except Exception as error:  # noqa: BLE001  user code must not suffer from its telemetry
            self._outbox.unwritable()
            self._notices.once("encode", "a telemetry event cannot be sent: %r", error)

    def flush(self, timeout: float | None = None) -> bool:
        """Send what was given so far, waiting ``timeout`` seconds at most (``patience``, when it is None).

        Returns:
            True when everything was delivered or refused; False when something still waits, in memory or on the disk,
            and for a signal handler that has interrupted :meth:`send`, which cannot wait for it.
        """
        if self._is_amid():
            return False
        deadline = self._monotonic() + (self._settings.patience if timeout is None else timeout)
        self._outbox.seal()
        last = max((batch.number for batch in self._outbox.batches()), default=0)

        def settled() -> bool:
            in_memory = any(batch.number <= last for batch in self._outbox.batches())
            return not in_memory and (not self._outbox.spooled or self._sender.is_down)

        return self._wait(settled, deadline) and not self._outbox.spooled

    def close(self, timeout: float | None = None) -> None:
        """Flush and end; what could not be sent in time goes to the spool, or is counted as failed without one.

        For a signal handler that has interrupted :meth:`send` this does nothing: the interpreter's end will close it.
        """
        with self._outbox.changed:
            if self._outbox.closed or self._outbox.is_amid:
                return
            self._outbox.closed = True
        not_at_exit(self.close)
        self.flush(timeout)
        self._stopped = True
        self._outbox.tell()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LAST_LOOK)
        self._put_away()
        self._courier.close()
        if self._spool is not None:
            self._spool.release()

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        closed = self._outbox.closed
        self._outbox.forget()
        self._courier.forget()
        self._begin()
        self._outbox.closed = closed

    def _begin(self) -> None:
        settings = self._settings
        self._spool = Spool(settings.spool, settings.spool_bytes) if settings.spool is not None else None
        self._outbox = Outbox(settings, self._spool, self._notices, self._monotonic)
        self._sender = Sender(
            self._name,
            self._courier,
            settings,
            outbox=self._outbox,
            spool=self._spool,
            notices=self._notices,
            monotonic=self._monotonic,
        )
        self._thread: threading.Thread | None = None
        self._stopped = False

    def _start(self) -> None:
        with self._outbox.changed:
            if self._thread is not None or self._stopped:
                return
            thread = threading.Thread(target=self._work, name="sunbird-otel-emitter", daemon=True)
            at_exit(self.close)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is ending: whoever flushes or closes has to do the work.
                return
            self._thread = thread

    def _work(self) -> None:
        outbox = self._outbox
        # Nobody wants telemetry about telemetry: what we post makes no spans.
        with suppressed():
            while not self._stopped:
                seen = outbox.changes
                wait = self._step()
                with outbox.changed:
                    if wait > 0 and outbox.changes == seen and not self._stopped:
                        outbox.changed.wait(min(wait, threading.TIMEOUT_MAX))

    def _step(self) -> float:
        try:
            return self._sender.step()
        except Exception as error:  # noqa: BLE001  the worker must live on; the sender waits before it tries again
            self._sender.broke(error)
            return 0.0

    def _wait(self, done: Callable[[], bool], deadline: float) -> bool:
        with self._outbox.changed:
            if self._thread is not None and self._thread.is_alive():
                return self._outbox.changed.wait_for(done, max(0.0, deadline - self._monotonic()))
        while not done() and (left := deadline - self._monotonic()) > 0:
            time.sleep(min(self._step(), left))
        return done()

    def _is_amid(self) -> bool:
        # With the lock held by another thread this waits; with ours it tells.
        with self._outbox.changed:
            return self._outbox.is_amid

    def _put_away(self) -> None:
        """Bring what was not sent to the disk, or let it go."""
        lost, why = 0, "there is no spool"
        for batch in self._outbox.batches():
            try:
                stored = self._spool.keep(batch) if self._spool is not None else None
            except OSError as error:
                stored, why = None, str(error)
            if stored is not None:
                self._outbox.settle(batch, stored=[stored])
            elif self._outbox.settle(batch, failed=len(batch.lines)):
                lost += len(batch.lines)
        if lost:
            LOG.error("%d telemetry events could not be sent to %s in time and are lost: %s", lost, self._name, why)
