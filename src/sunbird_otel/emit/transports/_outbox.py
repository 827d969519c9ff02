"""The queue between the threads that send events and the one that delivers them, and the account of both.

Nothing in here waits for anything but the disk, and that only where the spool is to have every event first.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sunbird_otel.emit.transports._base import TransportStats
from sunbird_otel.emit.transports._batch import Batch, Origin, new_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sunbird_otel.emit.transports._base import Notices
    from sunbird_otel.emit.transports._settings import QueueSettings
    from sunbird_otel.emit.transports._spool import Spool, Stored


class Outbox:
    """Batches in memory, and the list of those on the disk.

    When it is full the newest event is dropped, so that what was taken stays whole; with the spool mode ``always``
    a batch leaves the memory instead, since it stands on the disk already. ``changed`` guards everything and is
    notified of every change, which ``changes`` counts; ``stored`` alone may be used without it.

    A signal handler or a finalizer may send an event while its own thread is in here. ``is_amid`` tells, and such an
    event waits until the change that it has interrupted is whole.
    """

    def __init__(
        self, settings: QueueSettings, spool: Spool | None, notices: Notices, monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._journals = spool if settings.spool_mode == "always" else None
        self._notices = notices
        self._monotonic = monotonic
        # Re-entrant: a signal handler may send an event while its thread is sending one.
        self.changed = threading.Condition(threading.RLock())
        self.stored: deque[Stored] = deque()
        self.closed = False
        self.batch_bytes = settings.batch_bytes
        self.changes = 0
        self.is_amid = False
        self._late: deque[bytes] = deque()
        self._numbers = itertools.count(1)
        self._open: Batch | None = None
        self._sealed: deque[Batch] = deque()
        self._flying: Batch | None = None
        self._held = self._held_bytes = 0
        self._sent = self._dropped = self._spooled = self._failed = self._recovered = 0

    @property
    def stats(self) -> TransportStats:
        """The account at this moment."""
        with self.changed:
            return TransportStats(self._sent, self._held, self._dropped, self._spooled, self._failed, self._recovered)

    @property
    def spooled(self) -> int:
        """How many events of this process wait on the disk."""
        return self._spooled

    def batches(self) -> list[Batch]:
        """Return all batches in memory, the oldest first."""
        with self.changed:
            return [batch for batch in (self._flying, *self._sealed, self._open) if batch is not None]

    def tell(self) -> None:
        """Wake everybody who waits for a change."""
        with self.changed:
            self.changes += 1
            self.changed.notify_all()

    def forget(self) -> None:
        """Close what the child of a fork has of its parent's files; without the lock, which nobody may release here."""
        if self._spool is not None:
            self._spool.forget(self._open)

    def put(self, line: bytes) -> None:
        """Take an event, or drop it."""
        with self.changed:
            if self.is_amid:
                self._late.append(line)
                return
            self.is_amid = True
            try:
                self._add(line)
            finally:
                self.is_amid = False
            if self._late:
                self._catch_up()
        if self._notices.pending:
            self._notices.catch_up()

    def unwritable(self) -> None:
        """Count an event that is no JSON."""
        with self._changing():
            self._failed += 1

    def seal(self) -> None:
        """Let the open batch go as it is."""
        with self._changing():
            if self._open is not None:
                if self._journals is not None:
                    self._journals.end(self._open)
                self._sealed.append(self._open)
                self._open = None
                self.tell()

    def seal_due(self, now: float) -> float:
        """Let the open batch go when it has waited long enough; return how many seconds it may wait still."""
        with self._changing():
            if self._open is None:
                return math.inf
            wait = self._open.opened + self._settings.flush_interval - now
            if wait > 0:
                return wait
            self.seal()
            return math.inf

    def take(self) -> Batch | None:
        """Return the oldest batch that is ready to go; it counts as queued until it is settled or given back."""
        with self._changing():
            self._flying = self._sealed.popleft() if self._sealed else None
            return self._flying

    def give_back(self, batch: Batch) -> None:
        """Put a batch that was taken at the end of the queue."""
        with self._changing():
            self._flying = None
            if not batch.settled:
                self._sealed.append(batch)
                self.tell()

    def replace(self, batch: Batch, parts: Sequence[Batch]) -> None:
        """Put parts of a batch that was taken at the head of the queue."""
        with self._changing():
            self._flying = None
            if not batch.settled:
                batch.settled = True
                self._sealed.extendleft(reversed(parts))
                self.tell()

    def split(self, batch: Batch, rest: Batch, *, sent: int) -> None:
        """Account for the part of a batch that was sent, and put the rest of it at the end of the queue."""
        with self._changing():
            self._flying = None
            if not batch.settled:
                batch.settled = True
                self._sent += sent
                self._held -= sent
                self._held_bytes -= batch.size - rest.size
                self._sealed.append(rest)
                self.tell()

    def settle(self, batch: Batch, *, sent: int = 0, failed: int = 0, stored: Sequence[Stored] = ()) -> bool:
        """Account for all events of ``batch``; return False when that was done already, by another thread.

        ``stored`` are the files in which those wait that were neither sent nor failed.
        """
        with self._changing():
            if batch.settled:
                return False
            batch.settled = True
            if batch is self._flying:
                self._flying = None
            self._take_out(batch)
            self._sent += sent
            self._failed += failed
            self._spooled += len(batch.lines) - sent - failed
            self.stored.extend(stored)
            self.tell()
            return True

    def account(self, origin: Origin, *, failed: int) -> None:
        """Account for events of a stored batch that could not be read."""
        with self._changing():
            self._failed += failed
            if origin is Origin.FOUND:
                self._recovered += failed
            else:
                self._spooled -= failed

    def _take_out(self, batch: Batch) -> None:
        """Take the events of a batch from where they were."""
        count = len(batch.lines)
        match batch.origin:
            case Origin.MEMORY:
                self._held -= count
                self._held_bytes -= batch.size
                if self._held < self._settings.queue_size // 2:
                    self._notices.over("full")
            case Origin.SPOOL:
                self._spooled -= count
            case Origin.FOUND:
                self._recovered += count

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Guard a change, also against events that a signal handler or a finalizer sends in the midst of it."""
        with self.changed:
            outer, self.is_amid = self.is_amid, True
            try:
                yield
            finally:
                self.is_amid = outer
            if self._late and not outer:
                self._catch_up()

    def _catch_up(self) -> None:
        while self._late:
            self.put(self._late.popleft())

    def _has_room(self, size: int) -> bool:
        def full() -> bool:
            return self._held >= self._settings.queue_size or self._held_bytes + size > self._settings.queue_bytes

        while full():
            if not self._shed():
                return False
        return True

    def _shed(self) -> bool:
        """Let a batch go from the memory that stands on the disk; return False when there is none."""
        if self._journals is None:
            return False
        if not self._sealed:
            self.seal()
        for batch in reversed(self._sealed):
            if batch.on_disk:
                self._sealed.remove(batch)
                return self.settle(batch, stored=[self._journals.stored(batch)])
        return False

    def _add(self, line: bytes) -> None:
        if self.closed or not self._has_room(len(line)):
            self._drop()
            return
        batch = self._open
        if batch is not None and batch.size + len(line) > self.batch_bytes:
            self.seal()
            batch = None
        if batch is None:
            batch = self._open = new_batch(next(self._numbers), self._monotonic())
            batch.on_disk = self._journals is not None
            # The worker has to know when the batch will be due.
            self.tell()
        batch.lines.append(line)
        batch.size += len(line)
        self._held += 1
        self._held_bytes += len(line)
        if self._journals is not None and batch.on_disk:
            self._journal(self._journals, batch, line)
        if len(batch.lines) >= self._settings.batch_size:
            self.seal()

    def _drop(self) -> None:
        self._dropped += 1
        if self.closed:
            self._notices.later("closed", "telemetry events are sent after the transport was closed; they are dropped")
        else:
            text = "the telemetry queue is full (%d events); new events are dropped"
            self._notices.later("full", text, self._settings.queue_size)

    def _journal(self, spool: Spool, batch: Batch, line: bytes) -> None:
        try:
            spool.journal(batch, line)
            self._notices.over("spool")
        except OSError as error:
            batch.on_disk = False
            self._notices.later("spool", "the telemetry spool %s cannot be written: %s", spool.folder, error)
