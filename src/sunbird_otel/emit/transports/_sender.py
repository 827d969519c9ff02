"""Delivering batches: when to try, when to wait, split, keep, set aside. No thread and no clock of its own.

A batch that is not taken goes to the spool at once, if there is one, and is tried again from there, under its own
message id; without one it stays in memory. After a failure everything waits: one second, then two, four ... up to a
minute, or as long as the destination asks for. What has failed goes to the end of the line, so that one batch on
which the destination chokes does not hold up the others; new batches and stored ones take turns.
"""

from __future__ import annotations

import logging
import math
from random import SystemRandom
from typing import TYPE_CHECKING

from sunbird_otel.emit.transports._base import LOG
from sunbird_otel.emit.transports._batch import Origin
from sunbird_otel.emit.transports._courier import Accepted, Busy, Denied, Refused, TooLarge
from sunbird_otel.emit.transports._spool import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel.emit.transports._base import Notices
    from sunbird_otel.emit.transports._batch import Batch
    from sunbird_otel.emit.transports._courier import Courier
    from sunbird_otel.emit.transports._outbox import Outbox
    from sunbird_otel.emit.transports._settings import QueueSettings
    from sunbird_otel.emit.transports._spool import Spool

_SMALLEST_BATCH = 65_536

_CHANCE = SystemRandom()
"""Spreads the load of many that try again. Not the module's own generator: a seed that a service sets is its own."""


class Sender:
    """Takes batches from ``outbox`` and the spool and gives them to ``courier``, one step at a time, in one thread.

    ``monotonic`` is its clock, in seconds; ``name`` what to call the destination in the log.
    """

    def __init__(
        self,
        name: str,
        courier: Courier,
        settings: QueueSettings,
        *,
        outbox: Outbox,
        spool: Spool | None,
        notices: Notices,
        monotonic: Callable[[], float],
    ) -> None:
        self._name = name
        self._settings = settings
        self._outbox = outbox
        self._courier = courier
        self._spool = spool
        self._notices = notices
        self._monotonic = monotonic
        self._failures = 0
        self._try_at = -math.inf
        self._scan_at = -math.inf if spool else math.inf
        self._stored_next = True
        self._current: Batch | None = None

    @property
    def is_down(self) -> bool:
        """Tell whether the last try has failed."""
        return self._failures > 0

    def step(self) -> float:
        """Do one thing; return for how many seconds there is nothing more to do, unless something changes."""
        now = self._monotonic()
        due = self._outbox.seal_due(now)
        if self._spool is not None and now >= self._scan_at:
            self._scan(self._spool, now)
        if now < self._try_at:
            self._put_down()
            return min(due, self._try_at - now, self._scan_at - now)
        batch = self._current = self._next()
        if batch is not None:
            self._deliver(batch)
        elif not self._outbox.stored:
            return min(due, self._scan_at - now)
        self._current = None
        return 0.0

    def broke(self, error: Exception) -> None:
        """Take notice of a failure that nobody foresaw: what was being done is tried again later."""
        LOG.debug("delivering telemetry events failed", exc_info=error)
        self._pause(Busy(f"unforeseen: {error!r}"))
        if self._current is not None:
            self._put_back(self._current)

    def _scan(self, spool: Spool, now: float) -> None:
        self._scan_at = now + self._settings.scan_seconds
        try:
            self._outbox.stored.extend(spool.adopt())
        except OSError as error:
            self._spool_fails(spool, error)

    def _next(self) -> Batch | None:
        self._stored_next = not self._stored_next
        if self._stored_next and self._outbox.stored:
            return self._load()
        return self._outbox.take() or self._load()

    def _load(self) -> Batch | None:
        """Read a stored batch, and settle what of it cannot be read."""
        if self._spool is None or not self._outbox.stored:
            return None
        stored = self._outbox.stored.popleft()
        origin = Origin.FOUND if stored.events is None else Origin.SPOOL
        try:
            batch, torn = self._spool.load(stored)
            if torn:
                self._spool.refuse(stored.msgid, torn, "These lines are no JSON; they were not sent.", "")
                self._outbox.account(origin, failed=len(torn))
        except OSError as error:
            self._notices.once("unreadable", "%s cannot be dealt with; it is left as it is: %s", stored.path, error)
            self._outbox.account(origin, failed=stored.events or 0)
            return None
        if not batch.lines:
            self._remove(batch)
            return None
        return batch

    def _put_down(self) -> None:
        """Bring to the disk what waits in memory, while nothing can be sent."""
        if self._spool is not None:
            while (batch := self._outbox.take()) is not None:
                if not self._keep(batch, batch, sent=0):
                    self._outbox.give_back(batch)
                    return

    def _deliver(self, batch: Batch) -> None:
        if self._spool is not None and batch.on_disk:
            try:
                self._spool.finish(batch)
            except OSError as error:
                self._spool_fails(self._spool, error)
        if batch.size > self._outbox.batch_bytes and len(batch.lines) > 1:
            self._halve(batch)
            return
        answer = self._courier.post(batch)
        if isinstance(answer, Busy | Denied):
            self._pause(answer)
            self._hold(batch, answer.left if isinstance(answer, Busy) else None)
            return
        self._is_up()
        match answer:
            case Accepted():
                if self._outbox.settle(batch, sent=len(batch.lines)):
                    self._remove(batch)
            case TooLarge() if len(batch.lines) > 1:
                self._outbox.batch_bytes = max(_SMALLEST_BATCH, min(self._outbox.batch_bytes, batch.size // 2))
                self._halve(batch)
            case TooLarge(reason):
                self._refuse(batch, Refused(reason))
            case Refused():
                self._refuse(batch, answer)

    def _is_up(self) -> None:
        if self._failures:
            self._failures = 0
            self._try_at = -math.inf
            if self._spool is not None:
                # Other processes may have ended in the meantime, with what they could not send.
                self._scan_at = self._monotonic()
            if self._notices.over("busy") | self._notices.over("denied"):
                LOG.info("%s takes telemetry events again", self._name)

    def _pause(self, answer: Busy | Denied) -> None:
        settings = self._settings
        doubled = settings.retry_first * 2 ** min(self._failures, 30)
        pause = min(doubled, settings.retry_most) * _CHANCE.uniform(0.5, 1.0)
        self._failures += 1
        if isinstance(answer, Denied):
            text = "%s takes no telemetry events from us: %s. They are kept and tried again; %s."
            self._notices.once("denied", text, self._name, answer.reason, answer.advice, level=logging.ERROR)
        else:
            pause = max(pause, min(answer.after or 0.0, settings.retry_after_most))
            text = "%s does not take telemetry events at the moment; they are tried again: %s"
            self._notices.once("busy", text, self._name, answer.reason)
        self._try_at = self._monotonic() + pause

    def _hold(self, batch: Batch, left: tuple[bytes, ...] | None) -> None:
        """Keep a batch that was not taken, or what is left of it, for another try."""
        rest = batch if left is None else batch.of(list(left))
        taken = len(batch.lines) - len(rest.lines)
        if rest is not batch:
            rest.path, rest.owner = batch.path, batch.owner
        if batch.origin is not Origin.MEMORY and rest is batch:
            self._put_back(batch)
        elif self._spool is not None and self._keep(batch, rest, sent=taken):
            pass
        elif batch.origin is not Origin.MEMORY or rest is batch:
            # With a file that cannot be written anew, what was taken is sent a second time.
            self._put_back(batch)
        else:
            self._outbox.split(batch, rest, sent=taken)

    def _put_back(self, batch: Batch) -> None:
        if batch.origin is Origin.MEMORY or batch.path is None:
            self._outbox.give_back(batch)
        else:
            events = None if batch.origin is Origin.FOUND else len(batch.lines)
            self._outbox.stored.append(Stored(batch.path, batch.owner, batch.msgid, events))
            self._outbox.tell()

    def _keep(self, batch: Batch, rest: Batch, *, sent: int) -> bool:
        """Bring ``rest``, which is left of ``batch``, to the disk; return False when that cannot be done."""
        if self._spool is None:
            return False
        was_there = rest.on_disk
        try:
            stored = self._spool.keep(rest)
        except OSError as error:
            self._spool_fails(self._spool, error)
            return False
        if not was_there:
            self._notices.over("spool")
        self._outbox.settle(batch, sent=sent, stored=[stored])
        return True

    def _halve(self, batch: Batch) -> None:
        halves = batch.halves()
        if self._spool is None or batch.path is None:
            self._outbox.replace(batch, halves)
            return
        stored: list[Stored] = []
        try:
            stored += [self._spool.keep(half) for half in halves]
        except OSError as error:
            self._spool_fails(self._spool, error)
            self._pause(Busy("a batch has to be divided, and the spool cannot be written"))
            self._put_back(batch)
            return
        if self._outbox.settle(batch, stored=stored):
            self._remove(batch)

    def _refuse(self, batch: Batch, refused: Refused) -> None:
        """Set a batch aside that nobody wants, or let it go when there is no place for it."""
        if not self._outbox.settle(batch, failed=len(batch.lines)):
            return
        count, kept = len(batch.lines), "they are lost, since there is no spool"
        if self._spool is not None:
            try:
                path = self._spool.refuse(batch.msgid, batch.lines, refused.reason, refused.answer)
            except OSError as error:
                # Its file, if it has one, stays for the next run.
                self._spool_fails(self._spool, error)
                kept = "they cannot be kept"
            else:
                kept = f"they are kept in {path}"
                self._remove(batch)
        text = "%s refused %d telemetry events: %s; %s. Further refusals are only counted."
        self._notices.once("refused", text, self._name, count, refused.reason, kept)

    def _remove(self, batch: Batch) -> None:
        if self._spool is not None and batch.path is not None:
            try:
                self._spool.remove(batch.path, batch.owner)
            except OSError as error:
                self._notices.once("remove", "%s was sent and cannot be removed: %s", batch.path, error)

    def _spool_fails(self, spool: Spool, error: OSError) -> None:
        text = "the telemetry spool %s cannot be used; events wait in memory: %s"
        self._notices.once("spool", text, spool.folder, error)
