"""The file sink: ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl`` in one folder.

Each line is one OTLP/JSON export request, as the Collector's file exporter writes them. The same signals make the
same bytes.

* All three files are there after a run, empty when there was nothing of the kind, so that a reader need not ask.
* Requests are written to ``NAME.jsonl.partial``; :meth:`FileSink.close` puts all of them in place, one rename each.
  So a run that crashes leaves no file that looks complete and spoils none of an earlier run, and a run that ends well
  replaces the earlier output.
* When a write fails, the partial file is cut after its last whole line: what it holds can be sent with ``replay``.
* A lock keeps a second run out of the folder while the first one writes.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sunbird_otel.errors import SinkError
from sunbird_otel.sinks._base import SinkReport
from sunbird_otel.sinks._lock import LockFile
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.json import JsonForm
from sunbird_otel.sinks.otlp.request import KINDS, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sunbird_otel._signals import Signal
    from sunbird_otel.sinks.otlp.batch import Full
    from sunbird_otel.sinks.otlp.request import Kind, Request
    from sunbird_otel.sinks.otlp.written import Written

LOCK_NAME = ".sunbird-otel.lock"


class FileSink:
    """Writes signals into ``folder``, which is made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._report = SinkReport()
        self.form = JsonForm()
        """How this sink wants signals written."""
        self._batcher = Batcher(self.form)
        self._lock = LockFile(folder / LOCK_NAME)
        self._closed = False
        self._failure: SinkError | None = None
        self._files: dict[Kind, _PartialFile] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            locked = self._lock.acquire()
        except OSError as error:
            raise SinkError(
                f"the output folder {folder} cannot be used: {error.strerror}. Name a folder that can be written."
            ) from error
        if not locked:
            raise SinkError(
                f"another run is writing to {folder}. Wait until it has ended, or name another folder; "
                "nothing has been written."
            )
        try:
            for kind in KINDS:
                self._files[kind] = _PartialFile(folder / f"{kind}.jsonl")
        except OSError as error:
            self.abort()
            raise SinkError(f"the output folder {folder} cannot be written: {error.strerror}.") from error

    @property
    def report(self) -> SinkReport:
        """What was written so far."""
        return self._report

    def write(self, signals: Sequence[Signal | Written]) -> None:
        """Take ``signals``; a request is written when it is full.

        Raises:
            SinkError: When the disk takes no more.
        """
        self.write_encoded(self._batcher.add(signals))

    def write_encoded(self, requests: Iterable[Full]) -> None:
        """Write requests that are written in this sink's form already.

        Raises:
            SinkError: When the disk takes no more.
        """
        for kind, line, items in requests:
            self._write(kind, line, items)

    def send_requests(self, requests: Iterable[Request]) -> None:
        """Write requests that were read from files, unchanged.

        Raises:
            SinkError: When the disk takes no more.
        """
        for request in requests:
            self._write(request.kind, to_json(request), request.items)

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            SinkError: When the disk takes no more.
        """
        for kind, line, items in self._batcher.rest():
            self._write(kind, line, items)

    def close(self) -> SinkReport:
        """Write what is buffered and put the files in place.

        Raises:
            SinkError: When that fails, now or before; then the files of an earlier run still stand.
        """
        if self._failure is not None:
            raise self._failure
        if self._closed:
            return self._report
        self.flush()
        try:
            for file in self._files.values():
                file.sync()
            for file in self._files.values():
                file.publish()
        except OSError as error:
            raise self._fail(error, f"the files in {self.folder} cannot be completed") from error
        self._release()
        return self._report

    def abort(self) -> None:
        """Leave the partial files as they are and give the folder free."""
        self._release()

    def _write(self, kind: Kind, line: bytes, items: int) -> None:
        if self._failure is not None:
            raise self._failure
        file = self._files[kind]
        try:
            file.append(line + b"\n")
        except OSError as error:
            raise self._fail(error, f"{file.partial} cannot be written") from error
        self._report.requests += 1
        self._report.delivered[kind] += items

    def _fail(self, error: OSError, what: str) -> SinkError:
        reason = "the file size limit of this process is reached" if error.errno == errno.EFBIG else error.strerror
        written = ", ".join(f"{file.partial.name} ({file.size:,} bytes)" for file in self._files.values() if file.size)
        self._failure = SinkError(
            f"{what}: {reason}. The folder {self.folder} keeps what was written before: {written or 'nothing'}, in "
            "whole lines; the files of an earlier run are untouched. Make room and run again."
        )
        self._release()
        return self._failure

    def _release(self) -> None:
        self._closed = True
        for file in self._files.values():
            file.close()
        self._lock.release()


class _PartialFile:
    """A file in the making: whole lines only, under a name that shows that it is not complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}.partial")
        self.size = 0
        self._fd: int | None = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def append(self, line: bytes) -> None:
        """Write all of ``line``, or, with an OSError, nothing of it."""
        fd = self._open_fd()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, self.size)
            raise
        self.size += len(line)

    def sync(self) -> None:
        """Bring everything to the disk."""
        os.fsync(self._open_fd())

    def publish(self) -> None:
        """Give the file its name."""
        self.close()
        self.partial.replace(self.path)

    def close(self) -> None:
        """Release the file, as it is."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open_fd(self) -> int:
        if self._fd is None:
            raise OSError(errno.EBADF, "the sink was closed")
        return self._fd
