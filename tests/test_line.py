"""The quick way in: what a line says without the careful decoder is what that decoder finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bridging import compact, run
from decoding import one
from events import MOBILE, PORTAL, Event, content, correlation

from sunbird_otel import Limits, _line
from sunbird_otel._json import ADDED_BY_PIPELINE
from sunbird_otel._line import LineReader

START = {**MOBILE.start(0, "session"), "object": content("do_1"), "tags": ["a"], "edata": {"type": "session"}}
INFINITE = b'{"eid":"LOG","ets":1795154400000,"mid":"m","actor":{},"context":{"pdata":{}},"edata":{},"seen":1e400}'


def text(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


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
    quick, careful = LineReader(Limits()).event(text(event)), one(event)
    assert quick is not None
    for field in ("eid", "mid", "ets_ns", "actor_id", "actor_type", "object", "edata", "payload", "body"):
        assert getattr(quick, field) == getattr(careful, field)
    assert (quick.tags or None) == (careful.tags or None)
    assert quick.context.value == careful.context.value


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
    assert LineReader(Limits()).event(text({**START, **change})) is None, why


def test_lines_that_are_no_json_are_left_to_the_careful_way() -> None:
    good = text(START)
    for line in (good[:-1], good + b"x", good.replace(b'"session"', b'"ses\xffsion"'), b"{}", b"", b"[1]"):
        assert LineReader(Limits()).event(line) is None


def test_equal_contexts_are_one() -> None:
    reader = LineReader(Limits())
    first, second, other = (reader.event(text(MOBILE.impression(at, "p"))) for at in (1, 2, 3))
    assert first is not None
    assert second is not None
    assert first.context is second.context
    changed = {**MOBILE.impression(4, "p"), "context": {**MOBILE.impression(4, "p")["context"], "env": "elsewhere"}}
    other = reader.event(text(changed))
    assert other is not None
    assert (other.context.env, first.context.env) == ("elsewhere", "home")


@pytest.mark.interpreted
def test_contexts_are_forgotten_but_not_those_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_line, "_MOST_CONTEXTS", 2)
    reader = LineReader(Limits())

    def context(number: int) -> object:
        event = MOBILE.impression(1, "p")
        event["context"] = {**event["context"], "cdata": correlation(PlaySession=f"p{number}")}
        found = reader.event(text(event))
        assert found is not None
        return found.context

    used, unused = context(0), context(1)
    for number in range(2, 9):
        context(number)
        assert context(0) is used
    assert context(1) is not unused


def test_what_the_pipeline_adds_may_be_anything() -> None:
    added = {name: {"x": [None, 1.5]} for name in ADDED_BY_PIPELINE}
    quick = LineReader(Limits()).event(text({**START, **added}))
    assert quick is not None
    assert quick.payload == one(START).payload


def test_a_number_that_no_float_holds_harms_nothing_where_nobody_reads_it() -> None:
    event = LineReader(Limits()).event(INFINITE)
    assert event is not None
    assert event.body["seen"] == "1e400"
    twice = run([INFINITE, INFINITE], as_lines=True)
    assert (twice.tally.translated, twice.tally.duplicate) == (1, 1)


def test_copies_that_are_spelled_alike_are_not_compared_further() -> None:
    events = [MOBILE.impression(1, "p")] * 3
    found = run(compact(events), as_lines=True)
    assert (found.tally.translated, found.tally.duplicate) == (1, 2)
