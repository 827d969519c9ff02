"""From JSON to events in normal form: what is equal comes out equal, whoever wrote it and at whatever stage."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from decoding import body, context, in_array, in_batch, items, itself, one, text
from events import T0
from hypothesis import given
from hypothesis import strategies as st

from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS, decode
from sunbird_otel._event import Event
from sunbird_otel._findings import ADVICE, Finding, Position
from sunbird_otel._limits import Limits

MS = 1_000_000
Change = Callable[[object], object]


# --- Documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [itself, in_array, in_batch])
@pytest.mark.parametrize("write", [text, itself])
def test_an_event_an_array_and_a_batch_give_the_same_event(wrap: Change, write: Change) -> None:
    assert one(write(wrap(body()))).payload == one(body()).payload


def test_batches_inside_an_array_are_opened() -> None:
    events = items([body(mid="a"), {"events": [body(mid="b"), body(mid="c")]}, body(mid="d")])
    assert [event.mid for event in events] == ["a", "b", "c", "d"]


def test_members_of_a_batch_know_their_index() -> None:
    events = items(text([body(mid="a"), {"events": [body(mid="b"), body(mid="c")]}]), position=Position("f", 7))
    assert [event.position for event in events] == [Position("f", 7, 0), Position("f", 7, 1), Position("f", 7, 2)]


def test_an_event_alone_has_the_position_of_its_document() -> None:
    (event,) = items(text(body()), position=Position("f", 7))
    assert event.position == Position("f", 7)


def test_a_bad_member_does_not_keep_the_others() -> None:
    found = items({"events": [body(mid="a"), 42, body(mid="b")]})
    assert [item.mid for item in found] == ["a", "", "b"]
    assert isinstance(found[1], Finding)
    assert (found[1].code, found[1].path) == ("not_an_event", "$.events[1]")


def test_an_event_with_a_field_called_events_is_an_event() -> None:
    assert one(body(events=[1])).mid == "m1"


@pytest.mark.parametrize("document", [[], {"events": []}])
def test_an_empty_batch_holds_nothing(document: object) -> None:
    assert items(document) == []


def test_values_that_are_given_are_not_changed() -> None:
    given_value = {"events": [body(ets=float(T0), object=None, context=context(sid=7, cdata={"type": "a", "id": [1]}))]}
    before = copy.deepcopy(given_value)
    one(given_value)
    assert given_value == before


def test_on_event_sees_the_event_as_it_came() -> None:
    seen: list[tuple[dict[str, Any], Position | None]] = []
    came = body(syncts=1, ets=float(T0))
    list(decode([came, body(mid=None)], Position("f", 1), Limits(), lambda value, place: seen.append((value, place))))
    assert seen == [(came, Position("f", 1, 0))]


# --- Normal form -----------------------------------------------------------------------------------------------------

PIPELINE: dict[str, Any] = {
    "syncts": 1_795_200_000_000,
    "@timestamp": "2026-11-21T00:00:00Z",
    "@version": "1",
    "flags": {"pp_validation_processed": True},
    "type": "events",
    "metadata": {"checksum": "x"},
    "uuid": "u",
    "key": "k",
    "ts": "2026-11-21T00:00:00Z",
    "host": "h",
    "path": "p",
    "devicedata": {"state": "Karnataka"},
    "userdata": {"usertype": "teacher"},
    "contentdata": {"name": "n"},
    "collectiondata": {"name": "n"},
    "l2data": {"name": "n"},
    "dialcodedata": {"identifier": "d"},
    "derivedlocationdata": {"state": "s", "district": "d", "from": "user-profile"},
}


@pytest.mark.parametrize("field", PIPELINE)
def test_what_the_pipeline_adds_is_taken_off(field: str) -> None:
    assert one(body(**{field: PIPELINE[field]})).payload == one(body()).payload


def test_a_field_of_its_own_stays() -> None:
    assert one(body(device="mine")).body["device"] == "mine"


@pytest.mark.parametrize(
    ("ets", "ns"),
    [
        (T0, T0 * MS),
        (float(T0), T0 * MS),
        (T0 + 0.5, T0 * MS + 500_000),
        (str(T0), T0 * MS),
        (f" {T0} ", T0 * MS),
        (f"{T0}.25", T0 * MS + 250_000),
        ("1.7951544E12", T0 * MS),
        (EARLIEST_ETS_MS, EARLIEST_ETS_MS * MS),
        (LATEST_ETS_MS - 1, (LATEST_ETS_MS - 1) * MS),
        (T0 + 1, (T0 + 1) * MS),
        (1_795_154_400_123, 1_795_154_400_123_000_000),
    ],
)
def test_ets_becomes_nanoseconds_by_integer_arithmetic(ets: object, ns: int) -> None:
    assert one(body(ets=ets)).ets_ns == ns


def test_the_spellings_of_one_time_give_one_event() -> None:
    spellings = [b"1795154400000", b"1795154400000.0", b"1.7951544E12", b'"1795154400000"', b"17951544e5"]
    documents = [text(body(ets=0)).replace(b'"ets": 0', b'"ets": ' + ets) for ets in spellings]
    assert len({one(document).payload for document in documents}) == 1


@given(st.integers(EARLIEST_ETS_MS, LATEST_ETS_MS - 1))
def test_no_nanosecond_is_lost(ets: int) -> None:
    assert one(body(ets=ets)).ets_ns == one(body(ets=float(ets))).ets_ns == one(body(ets=str(ets))).ets_ns == ets * MS


def test_numbers_without_fraction_are_integers_at_any_depth() -> None:
    plain, rewritten = {"a": [12, {"b": 3}], "c": 1.5}, {"a": [12.0, {"b": 3.0}], "c": 1.5}
    assert one(text(body(edata=rewritten))).payload == one(text(body(edata=plain))).payload


@pytest.mark.parametrize("number", ["1e3", "1E3", "1000.0", "1.0e3", "10e+2"])
def test_a_number_in_any_spelling_is_the_same(number: str) -> None:
    document = text(body(edata={"type": "session", "x": "?"})).replace(b'"?"', number.encode())
    assert one(document).payload == one(body(edata={"type": "session", "x": 1000})).payload


def test_integers_beyond_64_bits_become_floats() -> None:
    event = one(text(body(edata={"type": "x", "big": 1 << 70, "small": -(1 << 63)})))
    assert event.edata["big"] == float(1 << 70)
    assert isinstance(event.edata["big"], float)
    assert event.edata["small"] == -(1 << 63)


def test_an_eid_is_read_in_any_case() -> None:
    assert one(body(eid="start")).eid == "START"


@pytest.mark.parametrize(
    ("field", "value", "normal"),
    [
        ("sid", 17, "17"),
        ("sid", 17.0, "17"),
        ("did", 1.5, "1.5"),
        ("channel", 126, "126"),
        ("env", None, None),
        ("sid", None, None),
    ],
)
def test_ids_that_are_numbers_become_text_and_null_is_absent(field: str, value: object, normal: str | None) -> None:
    assert one(body(context=context(**{field: value}))).body["context"].get(field) == normal


@pytest.mark.parametrize("name", ["actor", "object", "edata"])
def test_an_object_that_is_null_is_absent(name: str) -> None:
    assert name not in one(body(**{name: None})).body


def test_a_mid_may_be_a_number() -> None:
    assert one(body(mid=1623412345)).mid == "1623412345"


def test_types_and_modes_of_flows_become_text() -> None:
    assert one(body(edata={"type": 5, "mode": None, "pageid": 1.0})).edata == {"type": "5", "pageid": "1"}


def test_the_fields_of_other_events_keep_their_type() -> None:
    assert one(body(eid="AUDIT", edata={"type": 5})).edata == {"type": 5}


CDATA: list[tuple[object, list[Any]]] = [
    (None, []),
    ([], []),
    ({}, []),
    ([None], []),
    ({"type": "a", "id": "1"}, [{"type": "a", "id": "1"}]),
    ([{"type": "a", "id": 1}], [{"type": "a", "id": "1"}]),
    ([{"type": "a", "id": ["1", "2"]}], [{"type": "a", "id": "1"}, {"type": "a", "id": "2"}]),
    ([{"type": "a", "id": []}], []),
    ([{"id": "1"}], [{"type": "", "id": "1"}]),
    ([{"type": "a", "id": None}], [{"type": "a", "id": ""}]),
    ([{"type": "a", "id": "1", "more": 2}], [{"type": "a", "id": "1", "more": 2}]),
]


@pytest.mark.parametrize(("cdata", "normal"), CDATA)
def test_cdata_becomes_a_list_of_types_and_ids(cdata: object, normal: list[Any]) -> None:
    assert one(body(context=context(cdata=cdata))).context.cdata == normal


def test_the_last_of_two_values_of_one_key_counts() -> None:
    document = text(body()).replace(b'"mid": "m1"', b'"mid": "first", "mid": "m1"')
    assert one(document).payload == one(body()).payload


def test_bytes_that_are_no_utf8_become_the_replacement_character() -> None:
    assert one(text(body(edata={"type": "?"})).replace(b"?", b"\xff\xc3")).edata["type"] == "\ufffd\ufffd"


@pytest.mark.parametrize("write", [text, itself])
def test_lone_surrogates_become_the_replacement_character(write: Change) -> None:
    event = one(write(body(edata={"type": "a\ud800b", "k\udc00": 1})))
    assert event.edata == {"type": "a\ufffdb", "k\ufffd": 1}


def test_a_surrogate_pair_is_one_character() -> None:
    assert one(body(edata={"type": "\ud83d\ude00"})).edata["type"] == "\N{GRINNING FACE}"


def test_the_order_of_keys_makes_no_difference() -> None:
    turned = dict(reversed(body().items()))
    assert one(turned).payload == one(body()).payload


def test_an_event_without_actor_object_and_edata_is_read() -> None:
    event = one({"eid": "HEARTBEAT", "ets": T0, "mid": "m", "context": {}})
    context = event.context
    assert (context.sid, context.did, context.channel, context.pdata_id, event.actor_id) == ("", "", "", "", "")
    assert (event.object, event.edata, event.context.cdata) == ({}, {}, [])


# --- Any input -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=60))
def test_no_bytes_raise(document: bytes) -> None:
    check_items(items(document))


@given(JSON)
def test_no_value_raises(value: object) -> None:
    check_items(items(value))


@given(st.sampled_from(["eid", "ets", "ver", "mid", "actor", "context", "object", "edata", "tags"]), JSON)
def test_no_field_raises(field: str, value: object) -> None:
    check_items(items(body(**{field: value})))


@given(st.sampled_from(["channel", "env", "sid", "did", "pdata", "cdata", "rollup"]), JSON)
def test_no_field_of_the_context_raises(field: str, value: object) -> None:
    check_items(items(body(context=context(**{field: value}))))


def check_items(found: list[Event | Finding]) -> None:
    for item in found:
        if isinstance(item, Event):
            json.loads(item.payload)
            (again,) = items(item.body)
            assert isinstance(again, Event)
            assert again.payload == item.payload, "normal form is stable"
        else:
            assert item.code in ADVICE
            assert item.path.startswith("$")
            assert item.expected
            assert item.found
