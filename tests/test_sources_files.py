"""Files, FIFOs and standard input: whatever can be read is read, and the rest is named in a sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import sys
import threading
import tracemalloc
import zipfile
from typing import IO, TYPE_CHECKING, Any

import pytest

from sunbird_otel._apart import documents as documents_of
from sunbird_otel._findings import Finding, Position
from sunbird_otel._limits import Limits
from sunbird_otel.errors import SourceError
from sunbird_otel.sources import files
from sunbird_otel.sources.files import Document, Lines, read, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

EVENTS: list[dict[str, Any]] = [{"eid": "START", "mid": f"m{n}", "edata": {"n": [n, {}]}} for n in range(50)]
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)
BOM = b"\xef\xbb\xbf"
LAYOUTS = {
    "lines": LINES,
    "crlf": LINES.replace(b"\n", b"\r\n"),
    "no newline at the end": LINES[:-1],
    "concatenated": LINES.replace(b"\n", b""),
    "record separators": b"\x1e" + LINES.replace(b"\n", b"\n\x1e"),
    "pretty": "\n".join(json.dumps(event, indent=2) for event in EVENTS).encode(),
    "array": json.dumps(EVENTS).encode(),
    "pretty array": json.dumps(EVENTS, indent=2).encode(),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "members": lambda data: b"".join(gzip.compress(data[n : n + 100]) for n in range(0, len(data), 100)),
    "empty members": lambda data: gzip.compress(b"", mtime=0) + gzip.compress(data) + gzip.compress(b""),
    "padded": lambda data: gzip.compress(data) + b"\x00" * 512,
}


def one_by_one(items: Iterable[Lines | Document | Finding]) -> Iterator[Document | Finding]:
    """Yield what came together in lines one by one."""
    for item in items:
        if isinstance(item, Lines):
            yield from documents_of(item, Limits())
        else:
            yield item


def values(items: list[Document | Finding]) -> list[Any]:
    return [json.loads(item.data) for item in items if isinstance(item, Document)]


def read_until_error(path: Path | str, limits: Limits | None = None) -> tuple[list[Document | Finding], str]:
    """Return what comes out, and the text of the error that must follow."""
    items: list[Document | Finding] = []
    with pytest.raises(SourceError) as caught:
        items.extend(one_by_one(read(str(path), limits=limits or Limits())))
    text = str(caught.value)
    assert "\n" not in text
    assert "Error" not in text
    return items, text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a path whose name says nothing about the content."""
    return tmp_path / "events"


@pytest.mark.parametrize("bom", [b"", BOM], ids=["", "bom"])
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_packing_gives_the_same_events(file: Path, layout: str, packing: str, bom: bytes) -> None:
    file.write_bytes(PACKINGS[packing](bom + LAYOUTS[layout]))
    items = list(one_by_one(read(str(file), limits=Limits())))
    assert values(items) == EVENTS
    assert len(items) == len(EVENTS)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_batch_is_one_document(file: Path, packing: str) -> None:
    batch = {"id": "api.sunbird.telemetry", "events": EVENTS}
    file.write_bytes(PACKINGS[packing](json.dumps(batch).encode() + b"\n" + json.dumps(batch, indent=1).encode()))
    assert values(list(one_by_one(read(str(file), limits=Limits())))) == [batch, batch]


def test_files_that_were_put_one_after_the_other(file: Path) -> None:
    file.write_bytes(gzip.compress(BOM + LINES) + gzip.compress(BOM + LINES[:-1]) + gzip.compress(BOM + LINES))
    assert values(list(one_by_one(read(str(file), limits=Limits())))) == EVENTS * 3


def test_positions_name_the_file_and_the_line(file: Path) -> None:
    file.write_bytes(b'{"a":1}\n\nbroken\n[{"b":2},\n{"c":3}]')
    items = list(one_by_one(read(str(file), limits=Limits())))
    name = str(file)
    assert [item.position for item in items] == [
        Position(name, 1),
        Position(name, 3),
        Position(name, 4, 0),
        Position(name, 5, 1),
    ]
    assert isinstance(items[1], Finding)
    assert items[1].raw == "broken"


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_gives_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert list(one_by_one(read(str(file), limits=Limits()))) == []


@pytest.mark.parametrize("packing", PACKINGS)
def test_progress_adds_up_to_the_size(file: Path, packing: str) -> None:
    noise = random.Random(1).randbytes(200_000).hex().encode()
    file.write_bytes(PACKINGS[packing](LINES + b'{"noise":"' + noise + b'"}\n' + LINES))
    steps: list[int] = []
    list(read(str(file), limits=Limits(), on_progress=steps.append))
    assert sum(steps) == size(str(file)) == file.stat().st_size
    assert len(steps) > 1
    assert all(step > 0 for step in steps)


def test_size_is_known_for_files_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("-", str(tmp_path), str(tmp_path / "none"), str(tmp_path / "fifo"), "a\x00b"):
        assert size(path) is None


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_fifo_is_read(tmp_path: Path, packing: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    content = PACKINGS[packing](LINES)

    def write() -> None:
        with fifo.open("wb", buffering=0) as file:
            for start in range(0, len(content), 97):
                file.write(content[start : start + 97])

    writer = threading.Thread(target=write)
    writer.start()
    items = list(one_by_one(read(str(fifo), limits=Limits())))
    writer.join()
    assert values(items) == EVENTS


@pytest.mark.parametrize("end", [b"\n", b""], ids=["line", "no newline"])
def test_what_a_live_input_has_sent_is_there_at_once(tmp_path: Path, end: bytes) -> None:
    reading, writing = os.pipe()
    event = json.dumps(EVENTS[0]).encode() + end
    with os.fdopen(writing, "wb", buffering=0) as out:
        items = one_by_one(read(f"/dev/fd/{reading}", limits=Limits()))
        for line in range(1, 4):
            out.write(event)
            item = next(items)
            assert isinstance(item, Document)
            assert item.position.line == (line if end else 1)
    assert list(items) == []
    os.close(reading)


def with_stdin(monkeypatch: pytest.MonkeyPatch, raw: IO[bytes]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_dash_is_standard_input_which_stays_open(monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    with_stdin(monkeypatch, io.BytesIO(PACKINGS[packing](LINES)))
    items = list(one_by_one(read("-", limits=Limits())))
    assert values(items) == EVENTS
    assert items[0].position == Position("standard input", 1)
    assert not sys.stdin.closed


def test_standard_input_that_is_closed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in read_until_error("-")[1]


def test_what_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "none"
    assert read_until_error(missing) == ([], f"{missing}: there is no such file. Check the name and the folder.")
    directory = f"{tmp_path} is a directory, not a file. Name the files in it, for example {tmp_path}/*.json.gz"
    assert read_until_error(tmp_path) == ([], directory)
    assert "cannot be opened" in read_until_error("a\x00b")[1]
    assert "cannot be opened (File name too long)" in read_until_error("x" * 5000)[1]

    def forbid(*_arguments: object, **_options: object) -> None:
        raise PermissionError

    # Tests may run as a user who may read everything.
    monkeypatch.setattr(files, "open", forbid, raising=False)
    assert "this user may not read it" in read_until_error(missing)[1]


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("events.json", data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (bz2.compress(LINES), "bzip2 -dc"),
        (lzma.compress(LINES), "xz -dc"),
        (zipped(LINES), "unzip -p"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "zstd -dc"),
        (b"\x04\x22\x4d\x18\x64\x40", "lz4 -dc"),
    ],
)
def test_other_packings_are_named_with_the_command_that_unpacks_them(file: Path, content: bytes, command: str) -> None:
    file.write_bytes(content)
    items, text = read_until_error(file)
    assert items == []
    assert command in text


def test_a_gzip_file_that_was_cut_gives_what_stands_before_the_cut(file: Path) -> None:
    whole = gzip.compress(LINES)
    for length in range(2, len(whole), 37):
        file.write_bytes(whole[:length])
        items, text = read_until_error(file)
        read_events = values(items)
        assert read_events == EVENTS[: len(read_events)]
        assert [item.code for item in items[len(read_events) :] if isinstance(item, Finding)] in ([], ["truncated"])
        assert "end too early" in text
    file.write_bytes(whole[:-1])
    assert values(read_until_error(file)[0]) == EVENTS


def test_damage_gives_what_stands_before_it(file: Path) -> None:
    noise = random.Random(1)
    events = [{"eid": "LOG", "noise": noise.randbytes(500).hex()} for _ in range(200)]
    whole = bytearray(gzip.compress(b"".join(json.dumps(event).encode() + b"\n" for event in events)))
    middle = len(whole) // 2
    whole[middle : middle + 50] = b"\xff" * 50
    file.write_bytes(whole)
    items, text = read_until_error(file)
    assert "damaged" in text
    # Whether zlib sees the damage at once depends on the bits; what it gives before it is good.
    assert values(items[:90]) == events[:90]


def test_a_wrong_checksum_costs_nothing_but_is_said(file: Path) -> None:
    whole = bytearray(gzip.compress(LINES))
    whole[-5] ^= 1
    whole[-8] ^= 1
    file.write_bytes(whole)
    items, text = read_until_error(file)
    assert values(items) == EVENTS
    assert "damaged" in text


@pytest.mark.parametrize("garbage", [b"garbage", LINES, b"\x00\x00x", b"\x1f"])
def test_what_follows_gzip_and_is_none_is_said(file: Path, garbage: bytes) -> None:
    file.write_bytes(gzip.compress(LINES) + garbage)
    items, text = read_until_error(file)
    assert values(items) == EVENTS
    assert "no gzip" in text


def test_a_bomb_by_size_is_stopped(file: Path) -> None:
    file.write_bytes(gzip.compress(LINES * 1000))
    items, text = read_until_error(file, Limits(inflated_bytes=100_000))
    assert len(items) > 100_000 // len(LINES)
    assert "inflated_bytes" in text
    last = items[-1]
    assert isinstance(last, Finding)
    assert last.code == "inflated_too_large"


def test_a_bomb_by_ratio_is_stopped_in_little_memory(file: Path) -> None:
    file.write_bytes(gzip.compress(LINES) + gzip.compress(b'{"a":"' + b"0" * 70_000_000))
    tracemalloc.start()
    try:
        items, text = read_until_error(file, Limits(inflated_ratio=900, document_bytes=1_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values(items) == EVENTS
    assert [item.code for item in items if isinstance(item, Finding)] == ["too_large"]
    assert "inflated_ratio" in text
    assert peak < 4_000_000


def test_dense_telemetry_is_no_bomb(file: Path) -> None:
    file.write_bytes(gzip.compress(LINES * 20_000))
    assert file.stat().st_size * 20 < len(LINES) * 20_000
    assert sum(isinstance(item, Document) for item in one_by_one(read(str(file), limits=Limits()))) == 20_000 * len(
        EVENTS
    )


class Failing(io.BytesIO):
    """Fails like a disk or a network share once its content has been read."""

    def read1(self, size: int | None = -1, /) -> bytes:
        chunk = super().read1(size)
        if not chunk:
            raise OSError(5, "Input/output error")
        return chunk


def test_reading_that_fails_gives_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with_stdin(monkeypatch, Failing(LINES + b'{"eid":'))
    items, text = read_until_error("-")
    assert values(items) == EVENTS
    assert isinstance(items[-1], Finding)
    assert items[-1].code == "truncated"
    assert "reading failed (Input/output error)" in text
