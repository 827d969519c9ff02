"""Events in a file, one a line, as ``sunbird-otel replay`` reads them."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sunbird_otel.emit.transports._lines import LineTransport
from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks._lock import LockFile
from sunbird_otel.sinks.dead_letter import ends_amid_a_line

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS = 1.0
_WRITE_SECONDS = 0.01


class FileTransport(LineTransport):
    """Appends events to ``path`` as lines of JSON, each with one write, so that several processes can share the file.

    ``rotate_bytes`` sets a file of that size aside as ``NAME.1``, ``NAME.2`` ... (the lowest free number) and begins
    anew; ``None`` leaves that to others, and a file that others rename or remove is made anew within a second. The
    file is readable by its owner alone, since events name people; ``flush`` brings it to the disk.

    Raises:
        ConfigError: ``rotate_bytes`` is no positive number.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rotate_bytes: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if rotate_bytes is not None and rotate_bytes < 1:
            raise ConfigError(f"rotate_bytes is {rotate_bytes!r}; give a number of bytes of at least 1, or None")
        super().__init__()
        self.path = Path(path).absolute()
        self._rotate_bytes = rotate_bytes
        self._monotonic = monotonic
        self._look_at = 0.0
        self._fd: int | None = None

    def __str__(self) -> str:
        return str(self.path)

    def _write(self, line: bytes) -> None:
        fd = self._opened()
        if self._rotate_bytes is not None and 0 < os.fstat(fd).st_size > self._rotate_bytes - len(line):
            fd = self._rotated(fd)
        written = os.write(fd, line)
        if written < len(line):
            # The rest, or the reason why not; an end of the line, so that the next one stays whole.
            try:
                os.write(fd, line[written:])
            except OSError:
                self._let_go()
                raise

    def _opened(self) -> int:
        now = self._monotonic()
        if self._fd is not None and now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            if not self._is_the_file(self._fd):
                self._let_go()
        if self._fd is None:
            self._look_at = now + _LOOK_SECONDS
            self._fd = self._open()
        return self._fd

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if ends_amid_a_line(self.path):
            # Either a crash has cut it, or another process is writing it just now.
            time.sleep(_WRITE_SECONDS)
            if ends_amid_a_line(self.path):
                os.write(fd, b"\n")
        return fd

    def _rotated(self, fd: int) -> int:
        lock = LockFile(self.path.with_name(f"{self.path.name}.lock"))
        lock.acquire(wait=True)
        try:
            # Another process may have done it since.
            if self._is_the_file(fd):
                number = 1
                while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
                    number += 1
                self.path.rename(aside)
            self._let_go()
            self._fd = self._open()
        finally:
            lock.release()
        return self._fd

    def _is_the_file(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False

    def _make_safe(self) -> None:
        if self._fd is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                # Pipes and terminals have nothing to bring anywhere.
                if error.errno != errno.EINVAL:
                    raise

    def _let_go(self) -> None:
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None
