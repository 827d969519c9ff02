"""A file that grows: what is written is read at once, across rotation and cuts, until somebody stops it."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest
from test_sources_files import one_by_one

from sunbird_otel._findings import Finding, Position
from sunbird_otel._limits import Limits
from sunbird_otel.errors import SourceError
from sunbird_otel.sources import growing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from sunbird_otel.sources.files import Document


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(growing, "_PAUSE_S", 0.001)


class Followed:
    """An input that is followed, step by step."""

    def __init__(self, path: Path | str) -> None:
        self.stop = False
        self.read = 0
        self._items = growing.follow(str(path), limits=Limits(), on_progress=self._progress, stopped=lambda: self.stop)

    def _progress(self, read: int) -> None:
        self.read += read

    def found(self) -> list[Any]:
        """Return what has come until nothing new is there: values, and the codes of what cannot be read."""
        return [told(item) for item in self._until_silence()]

    def _until_silence(self) -> Iterator[Document | Finding]:
        for item in self._items:
            if item is None:
                return
            yield from one_by_one([item])

    def positions(self) -> list[Position | None]:
        return [item.position for item in self._until_silence()]

    def rest(self) -> list[Any]:
        """Stop, and return what still comes."""
        self.stop = True
        return [told(item) for item in one_by_one(item for item in self._items if item is not None)]


def told(item: Document | Finding) -> Any:
    return item.code if isinstance(item, Finding) else json.loads(item.data)


@contextmanager
def appending(path: Path) -> Generator[IO[bytes]]:
    with path.open("ab", buffering=0) as out:
        yield out


def line(number: int) -> bytes:
    return json.dumps({"eid": "LOG", "n": number}).encode() + b"\n"


def event(number: int) -> dict[str, Any]:
    return {"eid": "LOG", "n": number}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "telemetry.log"
    path.write_bytes(line(1) + line(2))
    return path


def test_what_is_there_and_what_is_written_later(log: Path) -> None:
    followed = Followed(log)
    assert followed.found() == [event(1), event(2)]
    assert followed.found() == []
    with appending(log) as out:
        out.write(line(3))
        assert followed.found() == [event(3)]
    assert followed.rest() == []
    assert followed.read == log.stat().st_size


def test_an_empty_file_is_waited_at(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    followed = Followed(tmp_path / "log")
    assert followed.found() == []
    (tmp_path / "log").write_bytes(line(1))
    assert followed.found() == [event(1)]


def test_half_lines_wait_for_their_other_half(log: Path) -> None:
    followed = Followed(log)
    followed.found()
    text = line(3) + line(4)
    with appending(log) as out:
        for at in range(0, len(text), 7):
            out.write(text[at : at + 7])
            before = followed.read
            found = followed.found()
            assert followed.read > before
            if found:
                assert found in ([event(3)], [event(4)])
    assert followed.read == log.stat().st_size


def test_the_lines_are_numbered_on(log: Path) -> None:
    followed = Followed(log)
    assert followed.positions() == [Position(str(log), 1), Position(str(log), 2)]
    with appending(log) as out:
        out.write(line(3))
    assert followed.positions() == [Position(str(log), 3)]


def test_a_last_half_is_refused_when_the_run_is_stopped(log: Path) -> None:
    followed = Followed(log)
    with appending(log) as out:
        out.write(line(3)[:9])
    assert followed.found() == [event(1), event(2)]
    assert followed.rest() == ["not_json"]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(log: Path) -> None:
    followed = Followed(log)
    with appending(log) as out:
        assert followed.found() == [event(1), event(2)]
        log.rename(log.with_suffix(".1"))
        assert followed.found() == []  # no new file yet
        out.write(line(3))
        assert followed.found() == [event(3)]
        log.write_bytes(line(4))
        out.write(line(5)[:9])  # the old one ends in the middle of a line
    assert followed.found() == ["not_json", event(4)]
    assert followed.positions() == []
    with appending(log) as out:
        out.write(line(6))
    assert followed.positions() == [Position(str(log), 2)]


def test_what_is_written_between_the_last_look_and_the_rotation_is_read(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.path.samestat

    def rotate(one: os.stat_result, other: os.stat_result) -> bool:
        monkeypatch.setattr(os.path, "samestat", real)
        with appending(log) as out:
            out.write(line(3))
        log.rename(log.with_suffix(".1"))
        log.write_bytes(line(4))
        return real(log.stat(), other)

    followed = Followed(log)
    assert followed.found() == [event(1), event(2)]
    monkeypatch.setattr(os.path, "samestat", rotate)
    assert followed.found() == [event(3), event(4)]


def test_a_file_that_is_cut_is_read_from_its_start(log: Path) -> None:
    followed = Followed(log)
    assert len(followed.found()) == 2
    os.truncate(log, 0)
    assert followed.found() == []
    with appending(log) as out:
        out.write(line(3))
    assert followed.positions() == [Position(str(log), 1)]


def test_a_fifo_is_read_until_its_last_writer_has_gone(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    followed = Followed(fifo)
    assert followed.found() == []  # opened, though nobody writes
    with fifo.open("wb", buffering=0) as out:
        out.write(line(1)[:5])
        assert followed.found() == []
        out.write(line(1)[5:] + line(2))
        assert followed.found() == [event(1), event(2)]
        out.write(line(3)[:-1])
        assert followed.found() == [event(3)]
    assert followed.rest() == []
    assert followed.read == 3 * len(line(1)) - 1


def test_a_fifo_ends_without_being_stopped(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    items = growing.follow(str(fifo), limits=Limits())
    assert next(items) is None
    writer = threading.Thread(target=lambda: fifo.write_bytes(line(1)))
    writer.start()
    assert [told(item) for item in one_by_one(item for item in items if item is not None)] == [event(1)]
    writer.join()


def test_a_dash_is_the_standard_input_which_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with io.TextIOWrapper(os.fdopen(reading, "rb")) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        followed = Followed("-")
        with os.fdopen(writing, "wb", buffering=0) as out:
            out.write(line(1))
            assert followed.positions() == [Position("standard input", 1)]
        assert followed.rest() == []
        assert not stdin.closed


def test_a_file_as_standard_input_is_followed_too(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(line(9))  # is not it
    with io.TextIOWrapper(log.open("rb")) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        followed = Followed("-")
        assert followed.found() == [event(1), event(2)]
        with appending(log) as out:
            out.write(line(3))
        assert followed.found() == [event(3)]
        os.truncate(log, 0)
        assert followed.found() == []
        log.write_bytes(line(4))
        assert followed.found() == [event(4)]
        assert followed.rest() == []
        assert not stdin.closed


def test_gzip_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(line(1)))
    with pytest.raises(SourceError, match=r"log is gzip, which cannot be followed\. Replay it without --follow\."):
        Followed(tmp_path / "log").found()


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        Followed(tmp_path / "none").found()
    with pytest.raises(SourceError, match="is a directory"):
        Followed(tmp_path).found()
