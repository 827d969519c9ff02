"""What the emitter sends is what the schemas take; what they refuse is told, and not sent."""

from __future__ import annotations

import logging
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_events import FULL, full, paths, with_value, without
from telling import CONTENT, PDATA, Teller

from sunbird_otel.emit import MemoryTransport, Telemetry, TelemetryError
from sunbird_otel.emit._writer import _CHECKS
from sunbird_otel.errors import ConfigError, SunbirdOtelError
from sunbird_otel.schema import MODELS, Actor, Metric, Object, Pdata, Question, Target, validate

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def teller() -> Teller:
    return Teller()


@pytest.fixture
def telemetry(teller: Teller) -> Telemetry:
    return teller.telemetry


def whole(eid: str) -> dict[str, Any]:
    """Return a builder's arguments for an edata with every field that the schema knows."""
    edata = dict(FULL[eid])
    if eid == "ASSESS":
        edata["pass_"] = edata.pop("pass")
    if eid == "ERROR":
        edata["inline"] = edata.pop("object")
    return {"edata": edata} if eid == "HEARTBEAT" else edata


# --- Events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eid", sorted(FULL.keys() - {"START", "END"}))
def test_each_event_with_all_its_fields_is_what_the_schemas_take(eid: str, teller: Teller) -> None:
    getattr(teller.telemetry, eid.lower())(**whole(eid))
    assert teller.last["eid"] == eid
    assert teller.last["edata"] == FULL[eid]
    assert validate(teller.last) == []


def test_a_start_and_its_end_with_all_their_fields(teller: Teller) -> None:
    flow = teller.telemetry.start(**FULL["START"], object=CONTENT, tags=["t"])
    flow.end(pageid="end", summary=[{"progress": 100}], duration=30)
    start, end = teller.events
    assert start["edata"] == FULL["START"]
    assert end["edata"] == FULL["END"]
    assert validate(start) == validate(end) == []
    assert end["tags"] == ["t"]
    assert start["context"]["cdata"] == end["context"]["cdata"]


def test_the_envelope(teller: Teller) -> None:
    teller.telemetry.interrupt(type="background")
    assert teller.last == {
        "eid": "INTERRUPT",
        "ets": 1_795_154_400_007,
        "ver": "3.0",
        "mid": "INTERRUPT:0001",
        "actor": {"id": "", "type": "System"},
        "context": {"channel": "0126684405014528002", "env": "quiz", "pdata": PDATA},
        "edata": {"type": "background"},
    }


def test_mids_are_the_eid_and_a_uuid() -> None:
    memory = MemoryTransport()
    telemetry = Telemetry(pdata=PDATA, channel="c", env="e", transport=memory)
    for _ in range(2_000):
        telemetry.interrupt(type="resume")
    mids = {event["mid"] for event in memory.events}
    assert len(mids) == 2_000
    pattern = r"INTERRUPT:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(pattern, mid) for mid in mids)


def test_models_do_as_well_as_mappings(teller: Teller) -> None:
    assert Teller(pdata=Pdata(id="p", ver="1")).telemetry.faults == {}
    telemetry = teller.telemetry
    target = Target(id="b", ver="1", type="Button")
    telemetry.interact(
        type="TOUCH",
        id="b",
        target=target,
        object=Object(id="do_1", type="Content"),
        actor=Actor(id="u", type="User"),
        context={"pdata": Pdata(id="other"), "cdata": [{"type": "X", "id": "1"}]},
    )
    assert teller.last["edata"]["target"] == {"id": "b", "ver": "1", "type": "Button"}
    assert teller.last["object"] == {"id": "do_1", "type": "Content"}
    assert teller.last["context"]["pdata"] == {**PDATA, "id": "other"}
    telemetry.assess(item=Question(id="q"), pass_=True, score=1.0, resvalues=(), duration=2)
    assert teller.last["edata"] == {"item": {"id": "q"}, "pass": "Yes", "score": 1, "resvalues": [], "duration": 2}
    telemetry.metrics(system="s", subsystem="t", metrics=[Metric(metric="m", value=1)])
    assert teller.last["edata"]["metrics"] == [{"metric": "m", "value": 1}]


def test_what_the_caller_changes_afterwards_does_not_change_the_event(teller: Teller) -> None:
    extra = {"pos": [1]}
    object_ = {"id": "do_1"}
    with teller.telemetry.start(type="player", object=object_) as flow:
        object_["id"] = "do_2"
        flow.interact(type="TOUCH", id="b", extra=extra)
        extra["pos"].append(2)
    assert [event["object"]["id"] for event in teller.events] == ["do_1"] * 3
    assert teller.events[1]["edata"]["extra"] == {"pos": [1]}


def test_access_is_a_log_of_type_api_access(teller: Teller) -> None:
    teller.telemetry.access(method="GET", url="/v1/read", status=200, duration=12.5, rid="r1", size=10, uip="::1")
    assert teller.last["eid"] == "LOG"
    assert teller.last["edata"]["type"] == "api_access"
    merged = {key: value for entry in teller.last["edata"]["params"] for key, value in entry.items()}
    assert merged == {
        "rid": "r1", "method": "GET", "url": "/v1/read", "status": 200, "duration": 12.5, "size": 10, "uip": "::1"
    }  # fmt: skip
    assert teller.last["context"]["cdata"] == [{"type": "Request", "id": "r1"}]
    assert validate(teller.last) == []


# --- What the schemas refuse ------------------------------------------------------------------------------------------


def test_a_refused_event_is_not_sent_and_every_reason_is_told(teller: Teller) -> None:
    wrong: Any = 7
    with pytest.raises(TelemetryError) as caught:
        teller.telemetry.interact(type=wrong, id="b", extra={"a": 1}, target={"id": "b"})
    assert isinstance(caught.value, SunbirdOtelError)
    assert caught.value.eid == "INTERACT"
    assert "$.edata.type: expected a text, found 7" in str(caught.value)
    assert "$.edata.target.ver: expected present, found absent" in str(caught.value)
    assert teller.events == []
    assert teller.rows == []


def test_to_warn_sends_it_all_the_same_and_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    teller = Teller(validation="warn")
    wrong: Any = 7
    with caplog.at_level(logging.WARNING, "sunbird_otel"):
        for _ in range(3):
            teller.telemetry.interact(type=wrong, id="b")
    assert len(teller.events) == 3
    assert teller.telemetry.faults == {"refused": 3}
    assert len(caplog.records) == 1
    assert "$.edata.type: expected a text, found 7" in caplog.text


def test_off_looks_at_nothing() -> None:
    teller = Teller(validation="off")
    wrong: Any = 7
    teller.telemetry.interact(type=wrong, id="b", actor={})
    assert teller.last["edata"]["type"] == 7
    assert teller.telemetry.faults == {}


@pytest.mark.parametrize("validation", ["warn", "off"])
def test_what_json_cannot_hold_is_counted_and_never_sent(validation: Any) -> None:
    teller = Teller(validation=validation)
    teller.telemetry.heartbeat(edata={"x": object()})
    with teller.telemetry.start(type="session", object={"id": object()}):
        teller.telemetry.log(type="t", level="INFO", message="x" * 2_000_000)
    assert teller.eids == ["START", "END"]
    assert teller.telemetry.faults["unwritable"] == 3


def test_what_json_cannot_hold_is_told_in_the_strict_mode(telemetry: Telemetry) -> None:
    with pytest.raises(TelemetryError, match=r"\$\.edata: expected values that JSON can hold"):
        telemetry.heartbeat(edata={"x": {1, 2}})
    with pytest.raises(TelemetryError, match="more"):
        telemetry.log(type="t", level="INFO", message="x" * 2_000_000)
    with pytest.raises(TelemetryError, match="context"):
        telemetry.context(rollup={"l1": object()})


def test_a_context_that_is_refused_is_told_at_once(telemetry: Telemetry) -> None:
    with pytest.raises(TelemetryError, match=r"\$\.context\.cdata\[0\]\.type: expected present"):
        telemetry.context(cdata=[{"id": "1"}])


def test_a_client_that_could_send_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\$\.context\.pdata\.id: expected present"):
        Telemetry(pdata={"ver": "1"}, channel="c", env="e", transport=MemoryTransport())
    with pytest.raises(ConfigError, match="validation: expected one of raise, warn, off"):
        Telemetry(pdata=PDATA, channel="c", env="e", transport=MemoryTransport(), validation="strict")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="Telemetry"):
        Telemetry(pdata={"id": object()}, channel="c", env="e", transport=MemoryTransport())


TEXTS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(FULL.keys() - {"START", "END"})), st.dictionaries(st.integers(0, 9), JSON, max_size=3))
def test_what_is_sent_in_the_strict_mode_is_valid(eid: str, changes: dict[int, Any]) -> None:
    """Any values for any fields: refused with a TelemetryError, or sent and valid."""
    teller = Teller()
    given_ = whole(eid)
    for number, value in changes.items():
        given_[sorted(given_)[number % len(given_)]] = value
    try:
        getattr(teller.telemetry, eid.lower())(**given_)
    except TelemetryError:
        assert teller.events == []
    except (AttributeError, TypeError):
        assert eid in {"HEARTBEAT", "METRICS"}  # no mapping where the signature asks for one
    else:
        assert validate(teller.last) == []


# --- The quick look at edata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("eid", sorted(MODELS))
def test_edata_is_judged_as_by_its_model(eid: str) -> None:
    model: Any = MODELS[eid].model_fields["edata"].annotation
    edata = full(eid)["edata"]
    tried: list[Any] = [edata, {**edata, "no such field": 1}, {}, None]
    for path in paths(edata):
        others: tuple[object, ...] = ("", 1, -1.5, True, None, [], {}, math.nan)
        tried += [with_value(edata, path, value) for value in others]
        tried.append(without(edata, path))
    found = [_accepts(_CHECKS[eid], one) for one in tried]
    assert found == [_accepts(partial(model.model_validate, by_alias=True, by_name=False), one) for one in tried]
    assert found[0]
    assert False in found


def _accepts(check: Callable[[Any], object], value: object) -> bool:
    try:
        check(value)
    except ValidationError:
        return False
    return True
