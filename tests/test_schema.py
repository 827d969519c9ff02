"""The schema models: what they take, what they write, and every fault told in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from events import JOB, Event
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_events import FULL, full, with_value

from sunbird_otel import schema
from sunbird_otel.schema import MODELS, Refusal

if TYPE_CHECKING:
    from pydantic import JsonValue
    from schema_events import Steps


class TestModels:
    def test_there_is_a_model_for_each_event_of_the_specification(self) -> None:
        assert list(MODELS) == list(FULL)

    @pytest.mark.parametrize("eid", FULL)
    def test_a_full_event_passes(self, eid: str) -> None:
        assert schema.validate(full(eid)) == []

    @pytest.mark.parametrize("eid", FULL)
    def test_the_full_event_has_all_fields_of_the_model(self, eid: str) -> None:
        edata: Any = MODELS[eid].model_fields["edata"].annotation
        fields = {field.alias or name for name, field in edata.model_fields.items()}
        assert not fields - FULL[eid].keys()

    @pytest.mark.parametrize("eid", FULL)
    def test_through_the_model_and_back_loses_nothing(self, eid: str) -> None:
        event = full(eid)
        written = MODELS[eid].model_validate(event).to_event()
        assert event == written
        assert next(iter(written)) == "eid"

    def test_numbers_keep_their_type(self) -> None:
        event = schema.Log.model_validate({**full("LOG"), "ets": 1623412345678})
        assert isinstance(event.ets, int)
        event = schema.Log.model_validate({**full("LOG"), "ets": 1.623412345678e12})
        assert isinstance(event.ets, float)

    def test_a_built_event_leaves_out_what_was_not_given(self) -> None:
        event = schema.Assess(
            ets=1623412345678,
            ver="3.0",
            mid="ASSESS:1",
            actor=schema.Actor(id="u1", type="User"),
            context=schema.Context(channel="ch1", pdata=schema.Pdata(id="app", ver="1"), env="home"),
            edata=schema.AssessEdata(
                item=schema.Question(id="q1"), pass_="No", score=0, resvalues=[{"answer": None}], duration=2.5
            ),
        )
        assert event.to_event() == {
            "eid": "ASSESS",
            "ets": 1623412345678,
            "ver": "3.0",
            "mid": "ASSESS:1",
            "actor": {"id": "u1", "type": "User"},
            "context": {"channel": "ch1", "pdata": {"id": "app", "ver": "1"}, "env": "home"},
            "edata": {
                "item": {"id": "q1"},
                "pass": "No",
                "score": 0,
                "resvalues": [{"answer": None}],
                "duration": 2.5,
            },
        }
        assert schema.validate(event.to_event()) == []

    def test_a_field_has_its_sunbird_name_only(self) -> None:
        event = full("ASSESS")
        event["edata"]["pass_"] = event["edata"].pop("pass")
        assert [str(refusal) for refusal in schema.validate(event)] == [
            "$.edata.pass: expected present, found absent",
            '$.edata.pass_: expected no such field; the schema of ASSESS is closed, found "Yes"',
        ]

    def test_what_a_builder_got_wrong_is_explained_in_the_same_words(self) -> None:
        with pytest.raises(ValidationError) as raised:
            schema.LogEdata.model_validate({"type": "job", "level": None, "text": "hello"})
        assert schema.explain(raised.value) == [
            Refusal("$.level", "a text", "null"),
            Refusal("$.message", "present", "absent"),
            Refusal("$.text", "no such field; the schema of LOG is closed", '"hello"'),
        ]


class TestWords:
    @pytest.mark.parametrize(
        ("eid", "path", "value", "expected"),
        [
            ("LOG", ("edata", "message"), 5, "$.edata.message: expected a text, found 5"),
            ("LOG", ("edata", "params"), {"a": 1}, '$.edata.params: expected a list, found {"a": 1}'),
            ("LOG", ("edata", "params", 0), None, "$.edata.params[0]: expected an object, found null"),
            (
                "LOG",
                ("edata", "duration"),
                7,
                "$.edata.duration: expected no such field; the schema of LOG is closed, found 7",
            ),
            ("LOG", ("ets",), "2021-06-11", '$.ets: expected a number, found "2021-06-11"'),
            ("LOG", ("ets",), True, "$.ets: expected a number, found true"),
            ("LOG", ("ets",), float("inf"), "$.ets: expected a number, found inf"),
            ("LOG", ("ver",), "2.2", '$.ver: expected one of 3.0, 3.1, found "2.2"'),
            ("LOG", ("ver",), 3.0, "$.ver: expected one of 3.0, 3.1, found 3.0"),
            ("LOG", ("mid",), "", '$.mid: expected a text that is not empty, found ""'),
            ("LOG", ("object",), None, "$.object: expected an object, found null"),
            ("LOG", ("eid",), "log", '$.eid: expected LOG, found "log"'),
            ("LOG", ("eid",), "", '$.eid: expected a text that is not empty, found ""'),
            (
                "LOG",
                ("context", "cdata", 0, "name"),
                "x",
                '$.context.cdata[0].name: expected no such field; the schema of cdata is closed, found "x"',
            ),
            (
                "LOG",
                ("edata", "a.b c"),
                1,
                '$.edata["a.b c"]: expected no such field; the schema of LOG is closed, found 1',
            ),
            (
                "START",
                ("edata", "dspec", "mem"),
                -2,
                "$.edata.dspec.mem: expected a number, -1 or more, found -2",
            ),
            ("SHARE", ("edata", "items", 0, "id"), 4, "$.edata.items[0].id: expected a text, found 4"),
            ("AUDIT", ("edata", "props"), "Login", '$.edata.props: expected a list, found "Login"'),
            ("ASSESS", ("edata", "pass"), False, "$.edata.pass: expected a text, found false"),
        ],
    )
    def test_of_a_fault(self, eid: str, path: Steps, value: object, expected: str) -> None:
        assert [expected] == [str(refusal) for refusal in schema.validate(with_value(full(eid), path, value))]

    @pytest.mark.parametrize(
        ("eid", "expected"),
        [
            ("BOGUS", "an eid that has a schema"),
            ("OBJECT", "an eid that has a schema"),
            (
                "ME_SESSION_SUMMARY",
                (
                    "an eid that has a schema; this one has none, though Sunbird's analytics jobs write it; "
                    "the pipeline moves it to its failed topic"
                ),
            ),
            (
                "ACCESS",
                (
                    "an eid that has a schema; this one has none, though Sunbird's workflows name it; "
                    "services write LOG of type api_access instead"
                ),
            ),
        ],
    )
    def test_of_an_eid_without_schema(self, eid: str, expected: str) -> None:
        assert [Refusal("$.eid", expected, f'"{eid}"')] == schema.validate({"eid": eid})

    def test_of_a_job_which_sunbird_writes_and_its_pipeline_refuses(self) -> None:
        expected = (
            "an eid that has a schema; this one has none, though Sunbird's analytics jobs write it; "
            "the pipeline moves it to its failed topic"
        )
        assert [Refusal("$.eid", expected, '"JOB_START"')] == schema.validate(JOB.job_start(0))

    def test_of_an_event_without_eid_and_much_else(self) -> None:
        event: Event = {"ets": "now", "context": {"channel": "", "env": "home", "pdata": {}}, "tags": ["a", 1]}
        assert [str(refusal) for refusal in schema.validate(event)] == [
            "$.actor: expected present, found absent",
            '$.context.channel: expected a text that is not empty, found ""',
            "$.context.pdata.id: expected present, found absent",
            "$.edata: expected present, found absent",
            "$.eid: expected present, found absent",
            '$.ets: expected a number, found "now"',
            "$.mid: expected present, found absent",
            "$.tags[1]: expected a text, found 1",
            "$.ver: expected present, found absent",
        ]

    def test_come_in_the_order_of_the_paths_whatever_the_order_of_the_keys(self) -> None:
        edata = {**FULL["LOG"], "z": 1, "a": 1}
        event = full("LOG") | {"tags": [0] * 12, "mid": 1, "edata": edata}
        backwards = dict(reversed(event.items())) | {"edata": dict(reversed(edata.items()))}
        found = schema.validate(event)
        assert found == schema.validate(backwards)
        assert [refusal.path for refusal in found] == [
            "$.edata.a",
            "$.edata.z",
            "$.mid",
            *(f"$.tags[{index}]" for index in range(12)),
        ]

    def test_show_a_long_value_cut(self) -> None:
        (refusal,) = schema.validate({**full("LOG"), "mid": ["é" * 1000]})
        assert refusal.found == '["' + "é" * 77 + "…"

    def test_do_not_let_a_value_write_on_the_terminal(self) -> None:
        (refusal,) = schema.validate({**full("LOG"), "ver": "\x1b[2J\u202e\x9b"})
        assert refusal.found == r'"\u001b[2J\u202e\x9b"'

    @pytest.mark.parametrize("event", [None, True, 3, 2.5, "LOG", [], [{"eid": "LOG"}]])
    def test_of_what_is_no_event(self, event: Any) -> None:
        (refusal,) = schema.validate(event)
        assert (refusal.path, refusal.expected) == ("$", "an object")


class TestHostileInput:
    def test_depth_does_not_matter(self) -> None:
        deep: Any = []
        for _ in range(50_000):
            deep = [deep]
        event = with_value(full("LOG"), ("edata", "params", 0, "deep"), deep)
        assert schema.validate(event) == []
        (refusal,) = schema.validate({**event, "ver": deep})
        assert refusal.found == "[" * 79 + "…"

    def test_integers_of_any_length_are_numbers(self) -> None:
        huge = 10**5000
        assert schema.validate({**full("LOG"), "ets": huge}) == []
        (refusal,) = schema.validate({**full("LOG"), "mid": huge})
        assert re.fullmatch(r"0x[0-9a-f]{77}…", refusal.found)

    def test_half_a_surrogate_pair_is_text(self) -> None:
        event = with_value({**full("LOG"), "mid": "\ud800", "\udfff": 1}, ("context", "\ud800"), 1)
        assert schema.validate(event) == []
        del event["context"]["env"]
        event["edata"]["\ud800"] = "\udfff"
        refusals = schema.validate(event)
        assert [refusal.path for refusal in refusals] == ["$.context.env", '$.edata["?"]']
        assert "".join(str(refusal) for refusal in refusals).encode()

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["eid", "edata", "x"]) | st.text(), inner),
        ),
        st.sampled_from([*FULL, None]),
    )
    def test_nothing_raises(self, value: JsonValue, eid: str | None) -> None:
        event = value | {"eid": eid} if isinstance(value, dict) and eid else value
        for refusal in schema.validate(event):
            assert len(refusal.found) <= 80
            assert str(refusal).encode()
