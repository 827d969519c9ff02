"""What cannot be read is refused with its place, what was expected and what was found; and so is what is too large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from decoding import body, context, itself, one, refusal, text
from events import T0

from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS
from sunbird_otel._limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

MILLISECONDS = "milliseconds since 1970"
RANGE = "milliseconds from 2000 to 2100"


class Case(NamedTuple):
    """A document that is refused, and how."""

    document: object
    code: str
    path: str
    expected: str
    found: str


REFUSED: list[tuple[object, str, str, str, str]] = [
    (42, "not_an_event", "$", "an event object with eid", "42"),
    (None, "not_an_event", "$", "an event object with eid", "null"),
    ({}, "not_an_event", "$", "an event object with eid", "an empty object"),
    ({"a": 1, "b": 2}, "not_an_event", "$", "an event object with eid", "an object with a, b"),
    ([[1, 2]], "not_an_event", "$[0]", "an event object with eid", "an array of 2"),
    ({"events": {}}, "wrong_type", "$.events", "an array of events", "an empty object"),
    ({"events": None}, "wrong_type", "$.events", "an array of events", "null"),
    (body(eid=None), "missing_field", "$.eid", "a text such as START", "absent or null"),
    (body(eid=7), "wrong_type", "$.eid", "a text such as START", "7"),
    (body(eid=""), "invalid_value", "$.eid", "letters, digits and _, at most 64, such as START", "''"),
    (body(eid="A B"), "invalid_value", "$.eid", "letters, digits and _, at most 64, such as START", "'A B'"),
    (body(mid=None), "missing_field", "$.mid", "a text that is not empty", "null"),
    (body(mid=""), "missing_field", "$.mid", "a text that is not empty", "''"),
    (body(mid=["m"]), "wrong_type", "$.mid", "a text", "an array of 1"),
    (body(mid=True), "wrong_type", "$.mid", "a text", "True"),
    (body(ets=None), "missing_field", "$.ets", MILLISECONDS, "absent or null"),
    (body(ets=True), "wrong_type", "$.ets", "milliseconds since 1970, a number", "True"),
    (body(ets=[]), "wrong_type", "$.ets", "milliseconds since 1970, a number", "an array of 0"),
    (body(ets="yesterday"), "invalid_value", "$.ets", MILLISECONDS, "'yesterday'"),
    (body(ets="NaN"), "ets_out_of_range", "$.ets", RANGE, "'NaN'"),
    (body(ets=T0 // 1000), "ets_out_of_range", "$.ets", RANGE, "1795154400"),
    (body(ets=T0 * 1000), "ets_out_of_range", "$.ets", RANGE, "1795154400000000"),
    (body(ets=-1), "ets_out_of_range", "$.ets", RANGE, "-1"),
    (body(ets=EARLIEST_ETS_MS - 1), "ets_out_of_range", "$.ets", RANGE, "946684799999"),
    (body(ets=LATEST_ETS_MS), "ets_out_of_range", "$.ets", RANGE, "4102444800000"),
    (body(ets="1e999"), "ets_out_of_range", "$.ets", RANGE, "'1e999'"),
    (body(context=None), "missing_field", "$.context", "an object with channel, env and pdata", "absent"),
    (body(context="c"), "wrong_type", "$.context", "an object", "'c'"),
    (body(context=context(channel=["c"])), "wrong_type", "$.context.channel", "a text", "an array of 1"),
    (body(context=context(sid={"a": 1})), "wrong_type", "$.context.sid", "a text", "an object with a"),
    (body(context=context(pdata=1)), "wrong_type", "$.context.pdata", "an object", "1"),
    (body(context=context(pdata={"id": []})), "wrong_type", "$.context.pdata.id", "a text", "an array of 0"),
    (body(context=context(cdata="p")), "wrong_type", "$.context.cdata", "an array of {type, id}", "'p'"),
    (body(context=context(cdata=["p"])), "wrong_type", "$.context.cdata[0]", "an object {type, id}", "'p'"),
    (
        body(context=context(cdata=[{"type": "a", "id": "1"}, {"type": "b", "id": {}}])),
        "wrong_type",
        "$.context.cdata[1].id",
        "a text",
        "an empty object",
    ),
    (body(actor=[]), "wrong_type", "$.actor", "an object", "an array of 0"),
    (body(actor={"id": False}), "wrong_type", "$.actor.id", "a text", "False"),
    (body(object="o"), "wrong_type", "$.object", "an object", "'o'"),
    (body(object={"ver": {}}), "wrong_type", "$.object.ver", "a text", "an empty object"),
    (body(edata=[1]), "wrong_type", "$.edata", "an object", "an array of 1"),
    (body(edata={"type": ["a"]}), "wrong_type", "$.edata.type", "a text", "an array of 1"),
]


@pytest.mark.parametrize("case", [Case(*row) for row in REFUSED], ids=lambda case: f"{case.path} {case.found}")
@pytest.mark.parametrize("write", [text, itself])
def test_what_cannot_be_read_is_refused_with_place_and_reason(case: Case, write: Callable[[object], object]) -> None:
    finding = refusal(write(case.document))
    assert (finding.code, finding.path) == (case.code, case.path)
    assert (finding.expected, finding.found) == (case.expected, case.found)


@pytest.mark.parametrize("field", ["mid", "ets", "context"])
def test_a_field_that_must_be_there_is_missed(field: str) -> None:
    event = body()
    del event[field]
    finding = refusal(event)
    assert (finding.code, finding.path) == ("missing_field", f"$.{field}")
    assert finding.found.startswith("absent")


@pytest.mark.parametrize("broken", [b"", b"{", b'{"eid": }', b"nonsense", b"\x00", b'{"eid":"START"} x', b"\xff\xfe{"])
def test_text_that_is_no_json_is_refused_as_it_came(broken: bytes) -> None:
    finding = refusal(broken)
    assert (finding.code, finding.path) == ("not_json", "$")
    assert finding.event is None
    assert finding.raw == broken.decode("utf-8", "replace")


def test_a_refusal_carries_the_event_and_its_names() -> None:
    event = body(ets="x")
    finding = refusal(event)
    assert (finding.eid, finding.mid, finding.event) == ("START", "m1", event)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400])
def test_numbers_that_no_float_can_hold_are_refused(number: str) -> None:
    finding = refusal(text(body(edata={"list": [1, "?"]})).replace(b'"?"', number.encode()))
    assert (finding.code, finding.path) == ("invalid_number", "$.edata.list[1]")
    assert finding.found == number[:40]


@pytest.mark.parametrize(
    ("value", "code", "found"),
    [
        (float("nan"), "invalid_number", "nan"),
        (10**400, "invalid_number", "an integer of 1329 bits"),
        ({1, 2}, "wrong_type", "a Python set"),
        (b"bytes", "wrong_type", "a Python bytes"),
    ],
)
def test_values_that_are_no_json_are_refused(value: object, code: str, found: str) -> None:
    finding = refusal(body(edata={"x": value}))
    assert (finding.code, finding.path, finding.found) == (code, "$.edata.x", found)


def test_keys_that_are_no_text_are_refused() -> None:
    assert refusal(body(edata={7: 1})).path == "$.edata"


def test_tuples_are_arrays() -> None:
    assert one(body(edata={"x": (1, 2)})).edata["x"] == [1, 2]


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert refusal(body(edata={"x": loop})).code == "too_deep"


# --- Limits ----------------------------------------------------------------------------------------------------------


def test_a_large_event_is_refused() -> None:
    finding = refusal(text(body(edata={"x": ["y" * 100] * 20})), Limits(event_bytes=1000))
    assert (finding.code, finding.path, finding.expected) == (
        "too_large",
        "$",
        "at most 1000 bytes (limit event_bytes)",
    )


def test_what_the_pipeline_adds_does_not_make_an_event_large() -> None:
    assert one(body(devicedata={"x": "y" * 2000}), Limits(event_bytes=1000)).mid == "m1"


def test_a_long_text_is_refused_at_its_place() -> None:
    finding = refusal(body(edata={"a": {"b": ["", "y" * 101]}}), Limits(string_bytes=100))
    assert (finding.code, finding.path) == ("too_large", "$.edata.a.b[1]")


def test_a_text_of_the_longest_length_is_read() -> None:
    assert one(body(edata={"a": "y" * 100}), Limits(string_bytes=100)).mid == "m1"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_counted_from_the_event() -> None:
    limits = Limits(nesting_depth=10)
    assert one(body(edata={"x": nested(8)}), limits).mid == "m1"
    finding = refusal(body(edata={"x": nested(9)}), limits)
    assert (finding.code, finding.expected) == ("too_deep", "at most 10 levels (limit nesting_depth)")
    assert finding.path == "$.edata.x" + "[0]" * 8


@pytest.mark.parametrize("levels", [200, 250, 253, 254, 260, 500, 1020, 1030, 5_000, 100_000])
def test_nesting_of_any_depth_is_refused(levels: int) -> None:
    document = text(body(edata={"x": "?"})).replace(b'"?"', b"[" * levels + b"]" * levels)
    assert refusal(document).code == "too_deep"
    assert refusal(b"[" * levels + b"]" * levels).code in {"too_deep", "not_an_event"}


def test_a_value_of_any_depth_is_refused() -> None:
    assert refusal(body(edata={"x": nested(50_000)})).code == "too_deep"


def test_a_batch_of_too_many_events_is_refused_as_one() -> None:
    finding = refusal({"events": [body()] * 4}, Limits(batch_events=3))
    assert (finding.code, finding.path, finding.found) == ("too_many_events", "$.events", "4 events")


def test_a_list_of_ids_does_not_multiply_an_event() -> None:
    many = body(context=context(cdata=[{"type": "t" * 100_000, "id": ["i"] * 1_000}]))
    finding = refusal(many)
    assert (finding.code, finding.path, finding.found) == ("too_large", "$.context.cdata[0]", "1000 ids")
    assert len(one(body(context=context(cdata=[{"type": "t", "id": ["i"] * 1_000}]))).context.cdata) == 1_000
