"""The quick way in: what a line says without the careful decoder is what that decoder finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bridging import compact, run
from decoding import one
from events import MOBILE, PORTAL, Event, content, correlation

from sunbird_otel import Limits, _line
from sunbird_otel._envelope import LEVELS
from sunbird_otel._json import ADDED_BY_PIPELINE
from sunbird_otel._line import LineReader, time_of

if TYPE_CHECKING:
    from sunbird_otel import _event

START: Event = {**MOBILE.start(0, "session"), "object": content("do_1"), "tags": ["a"], "edata": {"type": "session"}}
INFINITE = b'{"eid":"LOG","ets":1795154400000,"mid":"m","actor":{},"context":{"pdata":{}},"edata":{},"seen":1e400}'


MS = 1_000_000
AT_NS: int = START["ets"] * MS

# What may stand in an event as the value of a field, as text.
VALUES = {
    "an integral float": "1.7E12",
    "a float with a point": "12.0",
    "a long float": "0.30000000000000004",
    "the smallest float": "5e-324",
    "more than floats tell apart": "9007199254740993.0",
    "no number": "NaN",
    "no zero": "-0",
    "a float below zero": "-0.0",
    "the largest integer of 63 bits": "9223372036854775807",
    "64 bits": "9223372036854775808",
    "all 64 bits": "18446744073709551615",
    "more than 64 bits": "18446744073709551616",
    "the smallest integer of 64 bits": "-9223372036854775808",
    "a smaller one": "-9223372036854775809",
    "a zero before it": "012",
    "true": "true",
    "null": "null",
    "a key twice": '{"a":1,"b":2,"a":3}',
    "a key with an escape": '{"\\u0061":1,"a":2}',
    "another alphabet": '"h\u00e4user \u0928\u092e\u0938\u094d\u0924\u0947 \U0001f600"',
    "escapes": '"\\u0000\\/\\n\\ud83d\\ude00"',
    "half a character": '"\\ud800"',
    "two wrong halves": '"\\udc00\\ud800"',
    "no escape": '"\\x"',
    "a control character": '"\u0001"',
    "a line end": '"\n"',
    "lists of all sorts": '[1,2.5,"a",null,true,[],{},[{"a":[1]}]]',
    "many brackets": json.dumps([{}] * 70),
    "deeper than usual": "[" * 10 + "]" * 10,
    "too deep": "[" * 70 + "]" * 70,
    "deeper than any parser goes": "[" * 3_000 + "]" * 3_000,
    "no value": "{]",
}

PLACES = {
    "edata": b'"edata":{"type":"session","x":%s}',
    "edata itself": b'"edata":%s',
    "two edata": b'"edata":{"x":%s},"edata":{"type":"session"}',
    "context": b'"edata":{},"context":{"channel":"c","pdata":{"id":"p"},"rollup":{"l1":%s}}',
    "two contexts": b'"edata":{},"context":{"pdata":%s},"context":{"channel":"c","pdata":{"id":"p"}}',
    "actor": b'"edata":{},"actor":{"id":"a","x":%s}',
    "object": b'"edata":{},"object":{"id":"o","type":"t","x":%s}',
    "tags": b'"edata":{},"tags":[%s]',
    "flags": b'"edata":{},"flags":{"x":%s}',
    "a field that nobody reads": b'"edata":{},"ver":%s',
    "an unknown field": b'"edata":{},"seen":%s',
}


def text(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def with_value(place: str, value: bytes) -> bytes:
    head = text({name: START[name] for name in ("eid", "ets", "mid", "actor", "context")})
    return head[:-1] + b"," + PLACES[place] % value + b"}"


def quick(event: Event, reader: LineReader | None = None) -> _event.Event | None:
    return (reader or LineReader(Limits())).event(text(event), event["ets"] * MS)


def assert_equal(found: _event.Event, careful: _event.Event) -> None:
    for field in ("eid", "mid", "ets_ns", "actor_id", "actor_type", "object", "edata", "payload"):
        assert repr(getattr(found, field)) == repr(getattr(careful, field)), field
    own = {name: value for name, value in found.body.items() if name not in ADDED_BY_PIPELINE}
    assert (own, found.tags or None) == (careful.body, careful.tags or None)
    assert repr(found.context.value) == repr(careful.context.value)


@pytest.mark.parametrize(
    "event",
    [
        START,
        {**START, "seen": {"by": ["x"]}, "ver": 3},
        {**START, "object": {"id": "do_1", "type": "Content", "rollup": {"l1": "do_0"}}},
        dict(reversed(START.items())),
        {**MOBILE.interact(1, "ok"), "tags": None},
        PORTAL.impression(2, "häuser"),
    ],
)
def test_a_usual_event_is_read_as_the_careful_way_reads_it(event: Event) -> None:
    found = quick(event)
    assert found is not None
    assert_equal(found, one(event))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_read_quickly_is_read_as_the_careful_way_reads_it(value: str, place: str) -> None:
    for shown in (value.encode(), b'"\xff"'):
        line = with_value(place, shown)
        assert time_of(line) == AT_NS
        found = LineReader(Limits()).event(line, AT_NS)
        after_unusual = LineReader(Limits())
        assert after_unusual.event(b"{}", AT_NS) is None
        again = after_unusual.event(line, AT_NS)
        assert (found is None) == (again is None)
        if found is not None and again is not None:
            careful = one(line)
            assert_equal(found, careful)
            assert_equal(again, careful)


def test_an_event_of_many_levels_is_read_where_it_has_few_brackets() -> None:
    reader = LineReader(Limits())
    for depth in (LEVELS - 2, LEVELS - 1, 40):
        event = {**START, "edata": {"x": json.loads("[" * depth + "]" * depth)}}
        for found in (quick(event), quick(event, reader)):
            assert found is not None
            assert_equal(found, one(event))


def test_unusual_events_and_those_that_follow_are_read_alike() -> None:
    reader = LineReader(Limits())
    unusual, usual = {**START, "seen": {"by": ["x"]}}, START
    for event in [unusual, *[usual] * 70, unusual, unusual, usual]:
        found = quick(event, reader)
        assert found is not None
        assert_equal(found, one(event))


@pytest.mark.parametrize("hidden", ["[" * 60 + "]" * 60, "[" * 3_000 + "]" * 3_000], ids=["deep", "very deep"])
def test_a_context_that_a_second_one_hides_costs_no_depth(hidden: str) -> None:
    line = text(START).replace(b'"context":', b'"context":%s,"context":' % hidden.encode())
    found = LineReader(Limits()).event(line, AT_NS)
    assert (found is None) == (len(hidden) > 1_000)
    if found is not None:
        assert_equal(found, one(line))


def test_where_little_depth_is_allowed_every_event_is_looked_at() -> None:
    assert LineReader(Limits(nesting_depth=LEVELS - 1)).event(text(START), AT_NS) is None
    assert LineReader(Limits(nesting_depth=LEVELS)).event(text(START), AT_NS) is not None


@pytest.mark.parametrize(
    ("ets", "ms"),
    [
        ("1795154400001", 1_795_154_400_001),
        ("1.795154400001E12", 1_795_154_400_001),
        ("1.795154400001e+12", 1_795_154_400_001),
        ("1795154400001.0", 1_795_154_400_001),
        ("2E12", 2_000_000_000_000),
        ("17951544000010E-1", 0),
        ("1.7951544000015E12", 1_795_154_400_001.5),
        ("1795154400001.5", 0),
        ("946684799999", 0),
        ("9.46684799999E11", 0),
        ("9.46684800000E11", 946_684_800_000),
        ("4102444799999", 4_102_444_799_999),
        ("4102444800000", 0),
        ("4.1024448E12", 0),
        ("1E999", 0),
        ("1.5E", 0),
        ("01795154400001", 0),
        ('"1795154400001"', 0),
    ],
)
@pytest.mark.parametrize("head", [b'{"eid":"LOG","ets":%s,"mid":"m"}', b'{ "mid": "m", "eid": "LOG", "ets": %s }'])
def test_the_time_is_read_from_the_text(head: bytes, ets: str, ms: float) -> None:
    assert time_of(head % ets.encode()) == (ms * MS if ms == int(ms) else 0)


def test_a_time_that_the_event_does_not_have_is_left_to_the_careful_way() -> None:
    line = text(START)
    for found_ns in (0, AT_NS - MS, AT_NS + MS):
        assert LineReader(Limits()).event(line, found_ns) is None
    twice = line.replace(b'"ets":', b'"ets":1795154400123,"ets":')
    assert LineReader(Limits()).event(twice, time_of(twice)) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"object": None}, "a copy without it would not be equal"),
        ({"object": {"id": 5}}, "a text is wanted"),
        ({"object": {"id": "a", "parent": None}}, "a value of another type"),
        ({"tags": "a"}, "no list"),
        ({"tags": [{"a": 1}]}, "no texts"),
        ({"actor": None}, "null is absent"),
        ({"actor": {"id": 5}}, "a text is wanted"),
        ({"mid": ""}, "a mid is wanted"),
        ({"ets": 1_795_154_400_000.5}, "part of a millisecond"),
        ({"ets": "1795154400000"}, "text"),
        ({"ets": True}, "no number"),
        ({"ets": 5}, "a time that cannot be"),
        ({"eid": "impression"}, "small letters"),
        ({"edata": [1]}, "no object"),
        ({"edata": {"type": 5}}, "the type of a START is a text"),
        ({"edata": {"type": "\ud800"}}, "half a character"),
        ({"ver": "\ud800"}, "half a character, where nothing is read"),
        ({"context": {"channel": "c"}}, "no producer"),
        ({"context": {"pdata": {}, "cdata": {"type": "a", "id": "1"}}}, "no list"),
        ({"context": {"pdata": {}, "sid": None}}, "null is absent"),
        ({"seen": json.loads("[" * 70 + "]" * 70)}, "deep"),
        ({"edata": {"type": "t" * 300_000}}, "long"),
    ],
)
def test_what_is_not_usual_is_left_to_the_careful_way(change: dict[str, Any], why: str) -> None:
    line = text({**START, **change})
    assert LineReader(Limits()).event(line, time_of(line)) is None, why


def test_lines_that_are_no_json_are_left_to_the_careful_way() -> None:
    good = text(START)
    for line in (good[:-1], good + b"x", good.replace(b'"session"', b'"ses\xffsion"'), b"{}", b"", b"[1]"):
        assert LineReader(Limits()).event(line, AT_NS) is None


def test_equal_contexts_are_one() -> None:
    reader = LineReader(Limits())
    first, second, other = (quick(MOBILE.impression(at, "p"), reader) for at in (1, 2, 3))
    assert first is not None
    assert second is not None
    assert first.context is second.context
    changed = {**MOBILE.impression(4, "p"), "context": {**MOBILE.impression(4, "p")["context"], "env": "elsewhere"}}
    other = quick(changed, reader)
    assert other is not None
    assert (other.context.env, first.context.env) == ("elsewhere", "home")


@pytest.mark.interpreted
def test_contexts_are_forgotten_but_not_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_line, "_MOST_CONTEXTS", 2)
    reader = LineReader(Limits())

    def context(number: int) -> object:
        event = MOBILE.impression(1, "p")
        event["context"] = {**event["context"], "cdata": correlation(PlaySession=f"p{number}")}
        found = quick(event, reader)
        assert found is not None
        return found.context

    used, unused = context(0), context(1)
    for number in range(2, 9):
        context(number)
        assert context(0) is used
    assert context(1) is not unused


def test_what_the_pipeline_adds_may_be_anything() -> None:
    added = {name: {"x": [None, 1.5]} for name in ADDED_BY_PIPELINE}
    found = quick({**START, **added})
    assert found is not None
    assert found.payload == one(START).payload


def test_a_number_that_no_float_holds_harms_nothing_where_nobody_reads_it() -> None:
    event = LineReader(Limits()).event(INFINITE, time_of(INFINITE))
    assert event is not None
    assert event.body["seen"] == "1e400"
    twice = run([INFINITE, INFINITE], as_lines=True)
    assert (twice.tally.translated, twice.tally.duplicate) == (1, 1)


@pytest.mark.parametrize("place", ["edata", "edata itself", "context", "object", "tags"])
def test_a_number_that_no_float_holds_is_left_to_the_careful_way_where_it_is_read(place: str) -> None:
    assert LineReader(Limits()).event(with_value(place, b"1e400"), AT_NS) is None


def test_copies_that_are_spelled_alike_are_not_compared_further() -> None:
    events = [MOBILE.impression(1, "p")] * 3
    found = run(compact(events), as_lines=True)
    assert (found.tally.translated, found.tally.duplicate) == (1, 2)
