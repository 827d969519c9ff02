"""What could not be delivered: kept as OTLP/JSON request lines, one file a request, and read again to be sent.

The files have the format of ``--output``, so ``sunbird-otel replay`` sends either. Sending changes nothing in them;
who reads them removes them when the sink has taken everything. Ids are part of the requests, so a request that
arrives twice makes the same spans.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sunbird_otel.errors import SourceError
from sunbird_otel.sinks.otlp.request import looks_like_request, parse, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sunbird_otel.sinks.otlp.request import Request

_HEAD = 256
_MAX_LINE = 256 << 20


class UndeliveredFolder:
    """Keeps requests in ``folder``, which is made when it is needed.

    File names sort in the order in which requests were kept, over all runs; the files are readable by their owner
    alone. A file gets its name when it is complete and on the disk, so a crash leaves none that is cut.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._prefix = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(clock()))}-{os.getpid()}"
        self._number = 0

    def keep(self, request: Request) -> Path:
        """Write ``request`` to a file of its own and return its path.

        Raises:
            OSError: When it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        path = self.folder / f"{self._prefix}-{self._number:06}-{request.kind}.jsonl"
        partial = path.with_suffix(".partial")
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(to_json(request) + b"\n")
                file.flush()
                os.fsync(fd)
            partial.rename(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise
        return path


def recognise(path: Path) -> bool:
    """Tell by its content whether the file holds OTLP/JSON export requests."""
    with path.open("rb") as file:
        return looks_like_request(file.read(_HEAD))


def read(path: Path) -> Iterator[Request]:
    """Yield the requests of a file, or of all ``.jsonl`` files of a folder in the order of their names.

    Raises:
        SourceError: When a file cannot be read or a line is no export request, after what stands before it.
    """
    try:
        for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
            yield from _read_file(file)
    except OSError as error:
        raise SourceError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _read_file(path: Path) -> Iterator[Request]:
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE:
                raise SourceError(f"{path}, line {number}: longer than {_MAX_LINE:,} bytes")
            if not line.strip():
                continue
            try:
                yield parse(line.removeprefix(b"\xef\xbb\xbf"))
            except SourceError as error:
                raise SourceError(f"{path}, line {number}: {error}") from None
