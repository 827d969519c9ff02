"""The dead-letter file: what was refused, one JSON object a line, with where it stood, why, and the event itself.

What happens to the file of an earlier run is the caller's choice (``earlier``):

* ``"keep"``: this run's file takes the name when it is complete. An earlier file with other content is first set aside
  as ``NAME.1``, ``NAME.2`` ...; one with the same content, as after a second run over the same input, is replaced, so
  that nothing doubles and nothing is lost. A run that refuses nothing touches nothing.
* ``"replace"``: for a folder that holds the results of one run: the file is always there and belongs to the last run;
  it is empty when that refused nothing.
* ``"append"``: for services, which cannot be run again: every line is written at once, at the end of the file. A path
  that is no regular file (``/dev/stderr``, a pipe) is always written to in this way.

The file is readable by its owner alone: it holds events as clients sent them, with their users' ids.
"""

from __future__ import annotations

import filecmp
import json
import math
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Literal, cast

import orjson

from sunbird_otel.errors import SinkError
from sunbird_otel.sinks._lock import LockFile

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel._findings import Finding

_MODE = 0o600


class DeadLetters:
    """Writes findings to a file that is made with the first of them; :attr:`count` tells how many."""

    def __init__(self, path: Path, *, earlier: Literal["keep", "replace", "append"] = "keep") -> None:
        # Through a symbolic link, or the rename at the end would replace the link.
        special = path.exists() and not path.is_file()
        self.path = path if special else path.resolve()
        self.count = 0
        self.set_aside: Path | None = None
        self._append = special or earlier == "append"
        self._replace = earlier == "replace"
        self._partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        self._file: IO[bytes] | None = None
        self._closed = False
        self._failure: SinkError | None = None

    def write(self, finding: Finding) -> None:
        """Write one finding.

        Raises:
            SinkError: When the file cannot be written.
        """
        self.write_letter(letter(finding))

    def write_letter(self, line: bytes) -> None:
        """Write a finding that another process has made a line of, by :func:`letter`.

        Raises:
            SinkError: When the file cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(line)
        except OSError as error:
            self.abort()
            raise self._failed(error) from error
        self.count += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            SinkError: When that fails, or a write has failed before.
        """
        if self._failure is not None:
            raise self._failure
        if self._closed:
            return
        self._closed = True
        try:
            if self._file is None and self._replace and not self._append:
                self._file = self._open()
            if self._file is not None:
                self._file.close()
            if not self._append:
                self._publish()
        except OSError as error:
            raise self._failed(error) from error

    def abort(self) -> None:
        """Let go of a run that was broken off: its lines stay in a file that ends in ``.partial``."""
        self._closed = True
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _open(self) -> IO[bytes]:
        if not self.path.parent.exists():
            self.path.parent.mkdir(parents=True)
        if not self._append:
            fd = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
            return os.fdopen(fd, "wb")
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        file = os.fdopen(fd, "wb", buffering=0)
        if ends_amid_a_line(self.path):
            file.write(b"\n")
        return file

    def _publish(self) -> None:
        if self._file is None:
            return
        lock = LockFile(self.path.with_name(f"{self.path.name}.lock"))
        lock.acquire(wait=True)
        try:
            if not self._replace and self.path.exists() and not filecmp.cmp(self.path, self._partial, shallow=False):
                self.set_aside = self._free_name()
                self.path.rename(self.set_aside)
            self._partial.replace(self.path)
        finally:
            lock.release()

    def _free_name(self) -> Path:
        number = 1
        while (name := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        return name

    def _failed(self, error: OSError) -> SinkError:
        where = self.path if self._append else self._partial
        self._failure = SinkError(
            f"the dead-letter file {where} cannot be written: {error.strerror}; {self.count} refused events stand in "
            "it. Make room or name another file with --dead-letter, and run again."
        )
        return self._failure


def ends_amid_a_line(path: Path) -> bool:
    """Tell whether an earlier writer was cut off, so that the next line must not join its last."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def letter(finding: Finding) -> bytes:
    """Return the line that is kept of ``finding``."""
    position = finding.position
    row: dict[str, Any] = {
        "code": finding.code,
        "path": finding.path,
        "expected": finding.expected,
        "found": finding.found,
        "advice": finding.advice,
        "source": position.source if position else None,
        "line": position.line if position else None,
        "index": position.index if position else None,
        "eid": finding.eid,
        "mid": finding.mid,
    }
    if finding.event is None:
        row["raw"] = finding.raw
    else:
        row["event"] = finding.event
    try:
        # orjson writes NaN as null, which would hide the very thing that the finding is about.
        if finding.code != "invalid_number":
            return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        pass
    try:
        text = json.dumps(_writable(row), allow_nan=False)
    except RecursionError:
        del row["event"]
        row["raw"] = "(nested too deeply to be written here; see the source)"
        text = json.dumps(_writable(row), allow_nan=False)
    return text.encode() + b"\n"


def _writable(value: object) -> object:
    """Return ``value`` in the types of JSON: integers of any size stay, what JSON has no word for becomes text."""
    if isinstance(value, dict):
        return {str(key): _writable(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [_writable(item) for item in cast("list[object]", value)]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
