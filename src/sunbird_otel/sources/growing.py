"""A file that grows: read to its end, and on as more is written, also when it is rotated.

What a pipe or FIFO gives is read in the same way, until the last writer has closed it.
"""

from __future__ import annotations

import os
import select
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sunbird_otel._frame import Framer
from sunbird_otel.errors import SourceError
from sunbird_otel.sources.files import STDIN, open_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

    from sunbird_otel._document import Document, Lines
    from sunbird_otel._findings import Finding
    from sunbird_otel._limits import Limits

_CHUNK = 1 << 16
_PAUSE_S = 0.2
_GZIP = b"\x1f\x8b"


def follow(
    path: str,
    *,
    limits: Limits,
    on_progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Lines | Document | Finding | None]:
    """Read one input without an end.

    Args:
        path: a file or FIFO, or ``-`` for standard input. A file that is replaced by another of its name (rotation) is
            read to its end, then the other one from its start; one that is cut to less than what has been read of it is
            read from its start again.
        limits: how large a document may be.
        on_progress: called with the number of bytes taken since the last call.
        stopped: asked a few times a second whether to read on.

    Yields:
        What :func:`sunbird_otel.sources.files.read` yields, and None a few times a second, when there is nothing new.
        It ends with the last writer of a pipe, never with a file.

    Raises:
        SourceError: when iterated, if the input cannot be opened, is gzip, or cannot be read any more.
    """
    name = "standard input" if path == STDIN else path
    framer = Framer(limits, name)
    file = open_input(path, name, wait=False)
    took = on_progress or _nobody
    try:
        while not stopped():
            chunk = _read(file, name)
            if chunk is None:
                yield None
            elif chunk:
                took(len(chunk))
                yield from framer.feed(chunk)
            elif not _is_regular(file):
                break
            elif _is_cut(file):
                yield from framer.close()
                framer = Framer(limits, name)
                file.seek(0)
            elif (successor := _successor(file, path)) is not None:
                while chunk := _read(file, name):  # written between the last look and the rotation
                    took(len(chunk))
                    yield from framer.feed(chunk)
                yield from framer.close()
                framer = Framer(limits, name)
                file.close()
                file = successor
            else:
                yield None
                time.sleep(_PAUSE_S)
        yield from framer.close()
    finally:
        if path != STDIN:
            file.close()


def _nobody(_: int) -> None:
    pass


def _read(file: BufferedReader, name: str) -> bytes | None:
    """Return the next bytes, none at the end of what there is now; None when a pipe stays silent."""
    try:
        if not _is_regular(file) and not select.select([file], [], [], _PAUSE_S)[0]:
            return None
        chunk = file.read1(_CHUNK)
    except OSError as error:
        raise SourceError(
            f"{name}: reading failed ({error.strerror}); what came before has been read. Try again."
        ) from error
    # No text in UTF-8 has these bytes, wherever a chunk begins.
    if chunk.startswith(_GZIP):
        raise SourceError(f"{name} is gzip, which cannot be followed. Replay it without --follow.")
    return chunk


def _is_regular(file: BufferedReader) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _is_cut(file: BufferedReader) -> bool:
    return os.fstat(file.fileno()).st_size < file.tell()


def _successor(file: BufferedReader, path: str) -> BufferedReader | None:
    """Return the file that has taken the place of ``file`` under its name, opened; None while there is none."""
    if path == STDIN:
        return None
    with suppress(OSError):  # between two steps of a rotation there may be no file
        if not os.path.samestat(Path(path).stat(), os.fstat(file.fileno())):
            return Path(path).open("rb")
    return None
