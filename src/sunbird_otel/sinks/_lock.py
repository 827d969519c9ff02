"""A lock file, so that two runs do not write the same output."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class LockFile:
    """An exclusive lock, held by a file that exists as long as the lock does.

    The kernel releases it when the process ends, however it ends; a file that a crash left behind locks nobody out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock and return True; without ``wait``, return False when another process has it.

        Raises:
            OSError: When the file cannot be made.
        """
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last holder may have removed the file between our open and our flock: then we hold a lock
                # that nobody else will see.
                if self._is_ours(fd):
                    self._fd = fd
                    return True
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def forget(self) -> None:
        """Let go of a lock that another process holds: in a forked child, which has a copy of its parent's."""
        if self._fd is not None:
            # No unlock: parent and child share it, and it ends with the last of their descriptors.
            os.close(self._fd)
            self._fd = None

    def _is_ours(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False
