"""Files, FIFOs and standard input: JSON in any layout, plain or gzip, told apart by their bytes, not by name."""

from __future__ import annotations

import os
import sys
import zlib
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from sunbird_otel._document import Document, Lines
from sunbird_otel._frame import Framer
from sunbird_otel.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from io import BufferedReader

    from sunbird_otel._findings import Finding
    from sunbird_otel._limits import Limits

__all__ = ["Document", "Lines", "read", "size"]

STDIN = "-"
"""The path that stands for standard input."""

_CHUNK = 1 << 16
_RATIO_FROM = 64 * 1024 * 1024  # inflated bytes; a short run of the same byte is no bomb
_GZIP = b"\x1f\x8b"
_GZIP_ONLY = 31  # zlib's number for the gzip format with its largest window
_OTHER_FORMATS = {
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -dc"),
    b"BZh": ("bzip2", "bzip2 -dc"),
    b"\xfd7zXZ\x00": ("xz", "xz -dc"),
    b"PK\x03\x04": ("a ZIP archive", "unzip -p"),
    b"\x04\x22\x4d\x18": ("LZ4", "lz4 -dc"),
    b"\x1f\x9d": ("compress (.Z)", "uncompress -c"),
}
_LONGEST_MAGIC = max(map(len, _OTHER_FORMATS))


class _Reader(Protocol):
    """What is needed of an open file."""

    def read1(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, as soon as there are any; none at the end."""
        ...


class _StoppedError(Exception):
    """The bytes end here before their time: ``code`` for a document that is cut off thereby, and a text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def read(
    path: str, *, limits: Limits, on_progress: Callable[[int], None] | None = None
) -> Iterator[Lines | Document | Finding]:
    """Read one input to its end, in memory that does not grow with it.

    Args:
        path: a file or FIFO, or ``-`` for standard input, which is left open.
        limits: how large a document, and how much larger than the file its inflated content, may be.
        on_progress: called with the number of bytes (as stored, so compressed ones for gzip) taken since the last call.

    Yields:
        Lines of one event each, other documents with their place, and a refused finding for each part that is none.

    Raises:
        SourceError: when iterated, if the input cannot be opened or not be read to its end; what could be read has
            been yielded before.
    """
    name = "standard input" if path == STDIN else path
    framer = Framer(limits, name)
    with _closing(path, open_input(path, name)) as file:
        try:
            for piece in _pieces(_chunks(file, on_progress), limits):
                yield from framer.feed(piece)
        except _StoppedError as stopped:
            yield from framer.close(stopped.code)
            raise SourceError(f"{name}: {stopped}") from stopped.__cause__
        yield from framer.close()


def size(path: str) -> int | None:
    """Return the size of a regular file in bytes as it is stored; None for what has none or cannot be looked at."""
    file = Path(path)
    try:
        return file.stat().st_size if path != STDIN and file.is_file() else None
    except (OSError, ValueError):
        return None


def _closing(path: str, file: BufferedReader) -> AbstractContextManager[BufferedReader]:
    """Close ``file`` in the end, unless it is the standard input, which is the caller's."""
    return nullcontext(file) if path == STDIN else file


def open_input(path: str, name: str, *, wait: bool = True) -> BufferedReader:
    """Open ``path`` for reading; ``wait`` for somebody to write to a FIFO.

    Raises:
        SourceError: when that cannot be; the text says why, of the input ``name``.
    """
    if path == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise SourceError("standard input is closed. Name a file, or pipe one in.")
        return cast("BufferedReader", sys.stdin.buffer)
    try:
        return open(path, "rb", opener=None if wait else _at_once)
    except FileNotFoundError as error:
        raise SourceError(f"{name}: there is no such file. Check the name and the folder.") from error
    except IsADirectoryError as error:
        example = Path(path, "*.json.gz")
        raise SourceError(f"{name} is a directory, not a file. Name the files in it, for example {example}") from error
    except PermissionError as error:
        raise SourceError(f"{name}: this user may not read it. Change its permissions, or the user.") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be opened ({_reason(error)}). Check the name.") from error


def _at_once(path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return fd


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _chunks(file: _Reader, on_progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Yield what is stored, as it comes."""
    while True:
        try:
            chunk = file.read1(_CHUNK)
        except OSError as error:
            text = (
                f"reading failed ({_reason(error)}); what came before has been read. Try again, or copy the file first."
            )
            raise _StoppedError("truncated", text) from error
        if not chunk:
            return
        if on_progress is not None:
            on_progress(len(chunk))
        yield chunk


def _pieces(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield the content, inflated if it is gzip, in pieces of bounded size."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _LONGEST_MAGIC:  # a FIFO may give a few bytes at a time
            break
    if head.startswith(_GZIP):
        yield from _Inflater(limits).inflate(chain((head,), chunks))
        return
    for magic, (kind, command) in _OTHER_FORMATS.items():
        if head.startswith(magic):
            text = (
                f"this is {kind}, which is not read here. Unpack it first, or pipe it in with '{command} FILE' and '-'."
            )
            raise _StoppedError("not_json", text)
    if head:
        yield head
        yield from chunks


class _Inflater:
    """Inflates gzip of one or more members, and stops at what looks like a bomb."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._member = zlib.decompressobj(wbits=_GZIP_ONLY)
        self._stored = 0
        self._inflated = 0

    def inflate(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the content of the members, one after the other."""
        inside = False
        data = b""
        for chunk in chunks:
            data += chunk
            while True:
                if not inside:
                    # Blocks of tape are filled up with zeros; gzip itself ignores them, too.
                    data = data.lstrip(b"\x00")
                    if len(data) < len(_GZIP) and _GZIP.startswith(data):
                        break
                    if not data.startswith(_GZIP):
                        raise _trailing()
                    self._member = zlib.decompressobj(wbits=_GZIP_ONLY)
                yield from self._feed(data)
                data = self._member.unused_data
                inside = not self._member.eof
                if inside:
                    break
        if inside:
            text = "the gzip data end too early; what stands before the cut has been read. Fetch the file again."
            raise _StoppedError("truncated", text)
        if data:
            raise _trailing()

    def _feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` adds to the content of the member."""
        member = self._member
        full = True
        while (data or full) and not member.eof:
            before = member.copy()
            try:
                piece = member.decompress(data, _CHUNK)
            except zlib.error as error:
                # zlib keeps back what a failing call had inflated: go up to the damage in small steps.
                with suppress(zlib.error):
                    for index in range(len(data)):
                        yield before.decompress(data[index : index + 1])
                text = "the gzip data are damaged; what stands before the damage has been read. Fetch the file again."
                raise _StoppedError("truncated", text) from error
            self._stored += len(data) - len(member.unconsumed_tail) - len(member.unused_data)
            self._inflated += len(piece)
            self._check()
            if piece:
                yield piece
            data = member.unconsumed_tail
            full = len(piece) == _CHUNK  # then zlib may hold more, even with no data left

    def _check(self) -> None:
        """Stop when more has come out than the limits allow."""
        most, ratio = self._limits.inflated_bytes, self._limits.inflated_ratio
        if self._inflated > most:
            found = f"more than {most} bytes come out of it (limit inflated_bytes)"
        elif self._inflated > _RATIO_FROM and self._inflated > ratio * self._stored:
            found = f"it inflates to more than {ratio} times its size (limit inflated_ratio)"
        else:
            return
        advice = "Look whether the gzip file is what it claims to be, or raise the limit."
        raise _StoppedError("inflated_too_large", f"{found}; the rest was not read. {advice}")


def _trailing() -> _StoppedError:
    text = "bytes that are no gzip follow the gzip data; what stands before has been read. Check how the file was made."
    return _StoppedError("truncated", text)
