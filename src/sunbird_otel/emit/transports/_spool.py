"""The spool: batches on the disk that are still to be delivered, one file each.

The folder holds

* ``OWNER-NUMBER-MSGID.jsonl``: a batch, one event a line, as ``sunbird-otel replay`` reads them. Names sort by time.
* the same with ``.part`` or ``.tmp``: a batch that is being written, or whose process died over it.
* ``OWNER.lock``: locked by the process that deals with the files of that owner, for as long as it lives, however it
  ends. Files whose owner's lock is free belong to whoever takes it, so two processes never send the same file.
* ``refused/``: batches that the destination does not want, each with its answer beside it (``.answer.txt``). A
  later run sends those that are moved back.

Everything is readable by its owner alone: events name people.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import secrets
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from sunbird_otel.emit.transports._batch import Batch, Origin
from sunbird_otel.sinks._lock import LockFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME = re.compile(r"(?P<owner>\d{8}T\d{6}Z-\d+-[0-9a-f]{8})-\d{6,}-(?P<msgid>[0-9a-f-]{36})\.(jsonl|part|tmp)")
_OWNER_LOCK = re.compile(r"(?P<owner>\d{8}T\d{6}Z-\d+-[0-9a-f]{8})\.lock")
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch on the disk; ``events`` is how many this process wrote, ``None`` when another wrote them."""

    path: Path
    owner: str
    msgid: str
    events: int | None


class Spool:
    """The files of this process in ``folder``, and those that it has taken over.

    The folder and everything in it is made when it is needed. Together its files stay below ``limit`` bytes, as far
    as this process knows: what others write is seen at the next :meth:`adopt`.
    """

    def __init__(self, folder: Path, limit: int, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._limit = limit
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock()))
        self.owner = f"{stamp}-{os.getpid()}-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._bytes = 0
        self._own: LockFile | None = None
        self._adopted: dict[str, LockFile] = {}
        self._files_of: Counter[str] = Counter()
        # Between the worker and a thread that closes the transport.
        self._lock = threading.RLock()

    def journal(self, batch: Batch, line: bytes) -> None:
        """Add a line to the file of a batch that is still being filled, and begin that file with the first.

        It has then left the process, so that a kill cannot lose it.

        Raises:
            OSError: When it cannot be written; what was written before still stands.
        """
        self._make_room(len(line) + 1)
        if batch.journal is None:
            path = self._path(batch.msgid, ".part")
            batch.journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _MODE)
            batch.path, batch.owner = path, self.owner
        written = os.write(batch.journal, line + b"\n")
        if written <= len(line):
            with suppress(OSError):
                os.ftruncate(batch.journal, os.fstat(batch.journal).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._bytes += written

    def end(self, batch: Batch) -> None:
        """Close the file of a batch that gets no more lines; quick, since whoever sends an event waits for it."""
        fd, batch.journal = batch.journal, None
        if fd is not None:
            os.close(fd)

    def finish(self, batch: Batch) -> None:
        """Bring the file of a batch to the disk that gets no more lines, if that was not done before.

        Raises:
            OSError: When that fails.
        """
        with self._lock:
            if batch.path is None or batch.path.suffix != ".part":
                return
            fd = os.open(batch.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            whole = batch.path.with_suffix(".jsonl")
            batch.path.rename(whole)
            batch.path = whole

    def keep(self, batch: Batch) -> Stored:
        """See to it that a batch stands on the disk whole, and return where.

        Raises:
            OSError: When it cannot be written; then nothing has changed.
        """
        with self._lock:
            self.end(batch)
            if batch.path is None or not batch.on_disk:
                self._write(batch)
            else:
                self.finish(batch)
            return self.stored(batch)

    def stored(self, batch: Batch) -> Stored:
        """Return where a batch of ours stands on the disk."""
        if batch.path is None:
            raise ValueError(f"the batch {batch.msgid} has no file")
        return Stored(batch.path, batch.owner, batch.msgid, len(batch.lines))

    def load(self, stored: Stored) -> tuple[Batch, list[bytes]]:
        """Read a batch, and apart from it the lines that are no JSON: a crash cuts the last, a bad disk any.

        Raises:
            OSError: When it cannot be read.
        """
        lines: list[bytes] = []
        torn: list[bytes] = []
        for line in stored.path.read_bytes().split(b"\n"):
            if line.strip():
                (lines if _is_object(line) else torn).append(line)
        origin = Origin.FOUND if stored.events is None else Origin.SPOOL
        size = sum(map(len, lines))
        return Batch(stored.msgid, 0, 0.0, lines, size, origin, stored.path, stored.owner, on_disk=True), torn

    def remove(self, path: Path, owner: str) -> None:
        """Remove the file of a batch that needs it no more.

        Raises:
            OSError: When it cannot be removed.
        """
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self._bytes -= size
        with self._lock:
            if owner in self._adopted:
                self._files_of[owner] -= 1
                if self._files_of[owner] <= 0:
                    self._adopted.pop(owner).release()

    def refuse(self, msgid: str, lines: list[bytes], reason: str, answer: str) -> Path:
        """Set events aside that the destination does not want, with what it said, and return where.

        Raises:
            OSError: When they cannot be written.
        """
        folder = self.folder / "refused"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.owner}-{next(self._numbers):06}-{msgid}.jsonl"
        _write_safely(path, b"".join(line + b"\n" for line in lines))
        _write_safely(path.with_suffix(".answer.txt"), f"{reason}\n\n{answer}\n".encode("utf-8", "replace"))
        return path

    def adopt(self) -> list[Stored]:
        """Take over what dead processes have left, in the order in which it was written, and return it.

        Raises:
            OSError: When the folder cannot be read or locked.
        """
        found: dict[str, list[Stored]] = {}
        total = 0
        try:
            entries = sorted(os.scandir(self.folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        for entry in entries:
            if lock := _OWNER_LOCK.fullmatch(entry.name):
                found.setdefault(lock["owner"], [])
            elif name := _NAME.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
                found.setdefault(name["owner"], []).append(
                    Stored(self.folder / entry.name, name["owner"], name["msgid"], None)
                )
        self._bytes = total
        with self._lock:
            return [
                stored
                for owner, files in found.items()
                if owner != self.owner and owner not in self._adopted and self._take(owner)
                for stored in self._still_there(owner, files)
            ]

    def release(self) -> None:
        """Give up all files: those that are left belong to whoever looks next."""
        with self._lock:
            for lock in (self._own, *self._adopted.values()):
                if lock is not None:
                    lock.release()
            self._own = None
            self._adopted.clear()

    def forget(self, batch: Batch | None) -> None:
        """Close the child's copies of what its parent has open: files and locks stay the parent's."""
        if batch is not None:
            self.end(batch)
        for lock in (self._own, *self._adopted.values()):
            if lock is not None:
                lock.forget()

    def _path(self, msgid: str, suffix: str) -> Path:
        # Without the lock once we have ours: who sends an event must not wait for the worker's disk.
        if self._own is None:
            with self._lock:
                if self._own is None:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    lock = LockFile(self.folder / f"{self.owner}.lock")
                    lock.acquire()
                    self._own = lock
        return self.folder / f"{self.owner}-{next(self._numbers):06}-{msgid}{suffix}"

    def _make_room(self, size: int) -> None:
        if self._bytes + size > self._limit:
            raise OSError(errno.EDQUOT, f"the spool holds {self._bytes:,} bytes and may hold {self._limit:,}")

    def _write(self, batch: Batch) -> None:
        content = b"".join(line + b"\n" for line in batch.lines)
        self._make_room(len(content))
        path = self._path(batch.msgid, ".jsonl")
        _write_safely(path, content)
        self._bytes += len(content)
        former, owner = batch.path, batch.owner
        batch.path, batch.owner, batch.on_disk = path, self.owner, True
        if former is not None:
            self.remove(former, owner)

    def _take(self, owner: str) -> bool:
        lock = LockFile(self.folder / f"{owner}.lock")
        if not lock.acquire():
            return False
        self._adopted[owner] = lock
        return True

    def _still_there(self, owner: str, files: list[Stored]) -> list[Stored]:
        """Return the files that nobody dealt with between our look at the folder and our lock."""
        left = [stored for stored in files if stored.path.exists()]
        self._files_of[owner] = len(left)
        if not left:
            self._adopted.pop(owner).release()
        return left


def _write_safely(path: Path, content: bytes) -> None:
    """Write a file that has its name only when it is whole and on the disk."""
    partial = path.with_suffix(".tmp")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        partial.rename(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        pass
    try:
        # Half of a surrogate pair is JSON, though orjson takes none.
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
