"""Bytes into documents: the same ones however the input is cut, and what is broken costs only itself."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunbird_otel._apart import documents as documents_of
from sunbird_otel._document import Document, Lines
from sunbird_otel._findings import ADVICE, Finding, Position
from sunbird_otel._frame import Framer
from sunbird_otel._limits import Limits
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

GOOD = b'{"eid":"START","edata":{"type":"app"},"x":[{"a":1},[2]]}'
BOM = b"\xef\xbb\xbf"
CHUNKS = (1, 2, 3, 7, 64, 1 << 20)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def frame(chunks: Iterable[bytes], limits: Limits | None = None, code: str = "not_json") -> list[Document | Finding]:
    limits = limits or Limits()
    framer = Framer(limits, "input")
    items = [item for chunk in chunks for item in one_by_one(framer.feed(chunk), limits)]
    return items + list(one_by_one(framer.close(code), limits))


def one_by_one(items: Iterable[Lines | Document | Finding], limits: Limits) -> Iterator[Document | Finding]:
    """Yield what came together in lines one by one."""
    for item in items:
        if isinstance(item, Lines):
            yield from documents_of(item, limits)
        else:
            yield item


def comparable(items: list[Document | Finding]) -> list[Any]:
    """Drop what depends on how the input was cut.

    That is the parsed value, which the quick way brings, and what is said of a broken line whose brackets are balanced
    by chance: who sees it whole judges it alone.
    """
    return [
        item._replace(value=None) if isinstance(item, Document) else replace(item, found="", raw="") for item in items
    ]


def framed(data: bytes, limits: Limits | None = None) -> list[Document | Finding]:
    """Frame ``data`` whole and cut in many ways, and make sure that it is all the same."""
    items = frame([data], limits)
    for size in CHUNKS:
        assert comparable(frame(cut(data, size), limits)) == comparable(items), f"in chunks of {size}"
    for item in items:
        if isinstance(item, Document):
            assert data[item.end - len(item.data) : item.end] == item.data
            assert item.value is None or item.value == orjson.loads(item.data)
        else:
            assert item.refused
            assert item.code in ADVICE
    return items


def documents(items: list[Document | Finding]) -> list[bytes]:
    return [item.data for item in items if isinstance(item, Document)]


def findings(items: list[Document | Finding]) -> list[Finding]:
    return [item for item in items if isinstance(item, Finding)]


def outline(data: bytes, limits: Limits | None = None) -> list[tuple[str, int, int | None]]:
    """Return (data or code, line, index) of each item."""
    return [
        (item.data.decode("utf-8", "replace"), item.position.line, item.position.index)
        if isinstance(item, Document)
        else (item.code, item.position.line if item.position else 0, item.position.index if item.position else None)
        for item in framed(data, limits)
    ]


PRETTY = json.dumps(json.loads(GOOD), indent=2).encode()
FLAT = json.dumps(json.loads(GOOD), indent=0).encode()


@pytest.mark.parametrize("bom", [b"", BOM], ids=["plain", "bom"])
@pytest.mark.parametrize(
    "document", [GOOD, PRETTY, FLAT, PRETTY.replace(b"\n", b"\r\n")], ids=["line", "2", "0", "crlf"]
)
@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"", b" ", b"\x1e", b"\n\n \t\n", b",\n", b"\n\x1e", b"\n" + BOM])
def test_documents_come_apart_whatever_stands_between(document: bytes, between: bytes, bom: bytes) -> None:
    items = framed(bom + between.join([document] * 3))
    assert documents(items) == [document] * 3
    assert findings(items) == []


@pytest.mark.parametrize("document", [GOOD, PRETTY, FLAT])
@pytest.mark.parametrize("between", [b",", b",\n", b" ,\r\n  ", b"\n,"])
@pytest.mark.parametrize("end", [b"]", b"\n]\n", b",]", b" ] "])
def test_arrays_are_read_element_by_element(document: bytes, between: bytes, end: bytes) -> None:
    items = framed(b"[\n" + between.join([document] * 3) + end + b"\n" + GOOD)
    assert documents(items) == [document] * 3 + [GOOD]
    assert [item.position.index for item in items if isinstance(item, Document)] == [0, 1, 2, None]


def test_lines_are_counted() -> None:
    assert outline(b'\n{"a":1}\r\n\n{\n"b":2}{"c":3}\n[{"d":4},\n{"e":5}]\n{"f":6}') == [
        ('{"a":1}', 2, None),
        ('{\n"b":2}', 4, None),
        ('{"c":3}', 5, None),
        ('{"d":4}', 6, 0),
        ('{"e":5}', 7, 1),
        ('{"f":6}', 8, None),
    ]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_the_usual_line_brings_its_value(line_end: bytes) -> None:
    (item,) = frame([GOOD + line_end])
    assert item == Document(GOOD, Position("input", 1), len(GOOD), json.loads(GOOD))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1' + b"0" * 400 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":"\xff\xfe"}',
        b"{'a': None}",
    ],
)
def test_what_is_balanced_is_left_to_the_decoder(text: bytes) -> None:
    assert documents(framed(text + b"\n" + GOOD + b"\n[" + text + b"," + GOOD + b"]")) == [text, GOOD, text, GOOD]


@pytest.mark.parametrize("text", [b"5", b"-1.5e3", b'"a {text}"', b"null", b"true"])
def test_json_without_brackets_is_a_document(text: bytes) -> None:
    """The decoder says that it is no event, which is more than saying that it is not JSON."""
    assert documents(framed(text + b" \n" + GOOD + b"\n" + text)) == [text, GOOD, text]
    assert documents(framed(b"[" + text + b", " + GOOD + b",\n" + text + b"]")) == [text, GOOD, text]


@pytest.mark.parametrize("text", [b"", b"\n \r\n\t\n", b"[]", b"[ ]\n[\n]", BOM, b"\x1e\n\x1e"])
def test_nothing_gives_nothing(text: bytes) -> None:
    assert framed(text) == []


CUT_LINES = [GOOD[:length] for length in range(1, len(GOOD))]


@pytest.mark.parametrize("broken", CUT_LINES, ids=range(1, len(GOOD)))
def test_a_line_that_was_cut_costs_only_itself(broken: bytes) -> None:
    items = framed(b"\n".join([GOOD, broken, GOOD, GOOD, broken, broken, GOOD, PRETTY, broken, GOOD]))
    assert documents(items) == [GOOD, GOOD, GOOD, GOOD, PRETTY, GOOD]
    assert [finding.position and finding.position.line for finding in findings(items)][:3] == [2, 5, 6]
    assert len(findings(items)) == 4
    assert all(broken.startswith(finding.raw.encode()) for finding in findings(items))


@pytest.mark.parametrize("broken", CUT_LINES, ids=range(1, len(GOOD)))
def test_an_array_that_was_cut_keeps_its_elements(broken: bytes) -> None:
    items = framed(b"[" + GOOD + b"," + broken + b"\n" + GOOD + b"\n" + GOOD)
    assert documents(items) == [GOOD] * 3
    assert [(f.code, f.position) for f in findings(items)] == [("not_json", Position("input", 1, 1))]


@pytest.mark.parametrize("end", [b"", b",", b",\n", b"\n"])
def test_an_array_without_its_end_is_one_finding(end: bytes) -> None:
    items = framed(b"\n[" + GOOD + b"," + GOOD + end)
    assert documents(items) == [GOOD] * 2
    assert [finding.position for finding in findings(items)] == [Position("input", 2, 2)]


def test_lines_after_an_array_without_its_end_are_read() -> None:
    items = framed(b"[" + GOOD + b"\n" + GOOD + b"\n" + GOOD + b"\n]\n" + GOOD)
    assert documents(items) == [GOOD] * 4
    assert len(findings(items)) == 1


BROKEN_LINES = [
    b"garbage", b"eid,ets,mid", b"2021-06-15 10:52:40 INFO started", b"}", b"]", b":", b",,", b"\\", b'"', b'"unclosed',
    b"\x00\x00", b"\xff\x00\x80", b'{"a":1]', b'{"a":"b}', b'{"a\\', b"{'it\"s': 1}", b"[{]", b"[}", b"[:2]", b"[,]",
    b"x" * 5000, b"[" + b"x" * 5000, b"[[[[", b"[" * 3000, b'{"a":' * 3000,
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN_LINES, ids=lambda broken: repr(broken[:20]))
def test_a_broken_line_is_one_finding_with_its_place_and_text(broken: bytes) -> None:
    items = framed(b"\n".join([GOOD, broken, GOOD, GOOD]))
    assert documents(items) == [GOOD] * 3
    (finding,) = findings(items)
    assert finding.position
    assert (finding.position.source, finding.position.line) == ("input", 2)
    assert finding.raw == "\x00" or finding.raw in broken.decode("utf-8", "replace")
    assert len(finding.raw) <= 200


def test_good_data_after_nul_bytes_on_the_same_line_is_read() -> None:
    data = b"\x00" * 5000 + GOOD + b"\n\x00" + GOOD + b"\n"
    assert [code for code, *_ in outline(data)] == ["not_json", GOOD.decode(), "not_json", GOOD.decode()]


def test_a_record_separator_ends_a_document_that_was_cut() -> None:
    assert outline(b'\x1e{"a":\x1e{"b":1}\n\x1e{"c":"x\x1e{"d":2}') == [
        ("not_json", 1, None),
        ('{"b":1}', 1, None),
        ("not_json", 2, None),
        ('{"d":2}', 2, None),
    ]


@pytest.mark.parametrize("length", range(1, len(PRETTY)))
def test_a_pretty_printed_document_that_was_cut_is_one_finding(length: int) -> None:
    items = framed(PRETTY + b"\n" + PRETTY[:length])
    assert documents(items) == [PRETTY]
    assert [finding.position for finding in findings(items)] == [Position("input", PRETTY.count(b"\n") + 2)]


@pytest.mark.parametrize("length", range(1, len(PRETTY)))
def test_what_follows_a_pretty_printed_document_that_was_cut_is_read(length: int) -> None:
    items = framed(PRETTY[:length] + b"\n" + PRETTY + b"\n" + GOOD + b"\n" + PRETTY)
    assert documents(items) == [PRETTY, GOOD, PRETTY]
    assert len(findings(items)) == 1


def test_a_batch_that_was_cut_gives_up_the_events_that_stand_on_lines_of_their_own() -> None:
    items = framed(b'{"events":[\n' + GOOD + b",\n" + GOOD + b',\n{"eid":"EN')
    assert documents(items) == [GOOD] * 2
    assert [finding.position for finding in findings(items)] == [Position("input", 1), Position("input", 4)]


def test_an_element_that_broke_does_not_cost_the_next_lines() -> None:
    items = framed(b'[\n  {"a":1},\n  {\n    "b": 1,\n    "c" 2\n    "d": 3\n  },\n  {"e":5}\n]\n' + GOOD)
    assert documents(items) == [b'{"a":1}', b'{"e":5}', GOOD]
    assert [finding.position for finding in findings(items)] == [Position("input", 3, 1)]


@pytest.mark.parametrize("bom", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_named_once(bom: bytes) -> None:
    (finding,) = framed(bom + b'{\x00"\x00\n\x00' * 50)
    assert isinstance(finding, Finding)
    assert "UTF-16" in finding.found


def test_a_caller_can_say_why_the_end_came_early() -> None:
    items = frame([GOOD, b'\n{"a'], code="truncated")
    assert [finding.code for finding in findings(items)] == ["truncated"]
    assert [finding.code for finding in findings(frame([b"[", GOOD], code="truncated"))] == ["truncated"]
    assert findings(frame([GOOD, b"\n"], code="truncated")) == []


SMALL = Limits(document_bytes=len(GOOD))
LARGE = b'{"eid":"END","long":"' + b"x" * 300 + b'","deep":[{"a":[{}]}]}'


@pytest.mark.parametrize("large", [LARGE, b'{"events":[' + LARGE + b",\n" + LARGE + b"]}", b'["' + b"y" * 300 + b'"]'])
@pytest.mark.parametrize("between", [b"\n", b"", b" "])
def test_what_is_too_large_is_refused_and_passed_over(large: bytes, between: bytes) -> None:
    items = framed(between.join([GOOD, large, GOOD, large, large, GOOD]), SMALL)
    assert documents(items) == [GOOD] * 3
    assert [finding.code for finding in findings(items)] == ["too_large"] * 3
    assert f"{len(GOOD)} bytes" in findings(items)[0].expected


def test_a_limit_is_kept_to_the_byte() -> None:
    one_more = b'{"eid":"START!","edata":{"type":"app"},"x":[{"a":1},[2]]}'
    assert len(one_more) == len(GOOD) + 1
    codes = [code for code, *_ in outline(GOOD + one_more + b"\n" + one_more + b"\n" + GOOD, SMALL)]
    assert codes == [GOOD.decode(), "too_large", "too_large", GOOD.decode()]


def test_elements_of_an_array_are_limited_one_by_one() -> None:
    assert outline(b"[" + GOOD + b"," + LARGE + b",\n" + GOOD + b"]", SMALL) == [
        (GOOD.decode(), 1, 0),
        ("too_large", 1, 1),
        (GOOD.decode(), 2, 2),
    ]


@pytest.mark.parametrize("cut_at", [30, 200, 325, len(LARGE) - 1])
def test_a_cut_in_what_is_too_large_costs_no_more(cut_at: int) -> None:
    items = framed(LARGE[:cut_at] + b"\n" + GOOD + b"\n" + GOOD + b"\n[" + LARGE[:cut_at] + b"\n" + GOOD, SMALL)
    assert documents(items)[-1] == GOOD
    assert documents(items) == [GOOD] * 3
    assert len(findings(items)) == 2


KEYS = st.text(max_size=8)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | KEYS
)
STRUCTURAL = st.text(alphabet='{}[]",:\\\n\x1e ab', max_size=12)
VALUES = st.recursive(
    SCALARS | STRUCTURAL,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | STRUCTURAL, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS | STRUCTURAL, VALUES, max_size=4)
TOPS = OBJECTS | st.lists(OBJECTS, max_size=4)
INDENTS = st.sampled_from([None, 0, 1, 2, "\t"])
BETWEEN = st.sampled_from([b"", b"\n", b"\r\n", b" ", b"\n\n\t", b"\x1e", b"\n\x1e", b"\n" + BOM])


def text_of(value: object, indent: int | str | None, *, ascii_only: bool) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")


@given(
    parts=st.lists(st.tuples(TOPS, INDENTS, st.booleans(), BETWEEN), max_size=6),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_what_was_written_comes_back(parts: list[tuple[Any, int | str | None, bool, bytes]], cuts: list[int]) -> None:
    data = b"".join(text_of(value, indent, ascii_only=plain) + between for value, indent, plain, between in parts)
    marks = [0, *sorted(min(mark, len(data)) for mark in cuts), len(data)]
    items = frame(data[start:end] for start, end in pairwise(marks))
    expected: list[Any] = []
    for value, *_ in parts:
        expected += value if isinstance(value, list) else [value]
    assert findings(items) == []
    assert [json.loads(data) for data in documents(items)] == expected


@given(st.lists(st.tuples(OBJECTS, st.none() | st.floats(0, 1)), max_size=12))
def test_cut_lines_never_take_good_lines_with_them(lines: list[tuple[dict[str, Any], float | None]]) -> None:
    good: list[bytes] = []
    data = b""
    broken = 0
    for value, share in lines:
        text = orjson.dumps(value)
        if share is None:
            good.append(text)
        else:
            text = text[: max(1, min(len(text) - 1, int(share * len(text))))]
            broken += 1
        data += text + b"\n"
    items = framed(data)
    assert documents(items) == good
    assert len(findings(items)) == broken


@given(
    st.lists(
        st.sampled_from([*(bytes([byte]) for byte in b'{}[],:"\\\n\r\x1e\x00 a1\xef\xbb\xbf\xff'), GOOD, BOM, b'{"a":'])
    )
)
def test_garbage_is_the_same_however_it_is_cut(parts: list[bytes]) -> None:
    framed(b"".join(parts))
    framed(b"".join(parts), Limits(document_bytes=5))


@given(st.binary())
def test_garbage_never_raises(data: bytes) -> None:
    framed(data)


@given(
    st.lists(
        st.sampled_from([b'{"a":\n', b"[\n", b'  {"b":[\n', b"{}\n", b"\n", b'"c":1,\n', b'{"a":"\n', b"}\n", b",\n"])
    )
)
def test_good_lines_survive_any_lines_around_them(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert documents(framed(data + GOOD + b"\n" + GOOD + b"\n" + GOOD + b"\n"))[-2:] == [GOOD] * 2


HEAVY = [
    (b"[", GOOD + b","), (b"[\n", b"  " + PRETTY.replace(b"\n", b"\n  ") + b",\n"), (b"", GOOD + b"\n"), (b"", GOOD),
    (b"", b"x"), (b"", b"\x00"), (b'{"a":"', b"x"), (b'{"a":[', b'{"b":1},'), (b'{"a":[\n', b'{"b":1},\n'),
    (b'["', b"\\u0000"), (b"{", b" "), (b"", b"\n"), (b"", b'{"a":\n'), (b"", b"[" * 999 + b"\n"),
]  # fmt: skip


@pytest.mark.parametrize(("start", "repeated"), HEAVY, ids=lambda part: repr(part[:9]))
def test_memory_does_not_grow_with_the_input(start: bytes, repeated: bytes) -> None:
    block = repeated * (1 + 4_096 // len(repeated))
    framer = Framer(Limits(document_bytes=8_000))
    tracemalloc.start()
    try:
        for chunk in (start, *[block] * 100):
            for _ in framer.feed(chunk):
                pass
        for _ in framer.close():
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 250_000


def test_recorded_telemetry_comes_apart(corpus: Path) -> None:
    for path in corpus.glob("*.jsonl"):
        lines = path.read_bytes().splitlines()
        whole = frame([path.read_bytes() + b"\n"])
        assert [item.value for item in whole if isinstance(item, Document)] == [orjson.loads(line) for line in lines]
        assert documents(frame(cut(path.read_bytes(), 4099))) == lines
        assert documents(frame(cut(b"[" + b",".join(lines) + b"]", 4099))) == lines
        assert documents(frame(cut(b"".join(lines), 4099))) == lines


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "64"])
def test_a_limit_is_a_positive_whole_number(value: Any) -> None:
    with pytest.raises(ConfigError, match="event_bytes"):
        Limits(event_bytes=value)
