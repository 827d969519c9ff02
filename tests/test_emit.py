"""What the emitter sends: valid events, ends for every start, and nothing raised that the caller cannot help."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import os
import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_events import FULL, full, paths, with_value, without
from telling import CONTENT, PDATA, FakeClock, Teller

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


# --- Flows ------------------------------------------------------------------------------------------------------------


def test_a_flow_ends_with_its_block_and_measures_by_the_monotonic_clock() -> None:
    clock = FakeClock(step_ms=250)
    teller = Teller(clock=clock)
    with teller.telemetry.start(type="player", mode="play", pageid="p", object=CONTENT) as flow:
        assert flow.is_open
        flow.interact(type="TOUCH", id="next")
    assert teller.eids == ["START", "INTERACT", "END"]
    assert teller.last["edata"] == {"type": "player", "mode": "play", "pageid": "p", "duration": 0.5}
    assert teller.last["object"] == CONTENT
    assert not flow.is_open
    flow.end()
    assert len(teller.events) == 3


def test_a_wall_clock_that_is_set_back_does_not_make_a_duration_negative() -> None:
    class Clock(FakeClock):
        elapsed = 0

        def time_ns(self) -> int:
            self.now_ns -= 3_600_000_000_000
            return self.now_ns

        def monotonic_ns(self) -> int:
            self.elapsed += 1_000_000_000
            return self.elapsed

    teller = Teller(clock=Clock())
    with teller.telemetry.start(type="session"):
        pass
    assert teller.last["edata"]["duration"] == 1
    assert teller.last["ets"] < teller.events[0]["ets"]


def test_an_exception_is_told_once_and_every_flow_ends(teller: Teller) -> None:
    telemetry = teller.telemetry
    with pytest.raises(KeyError), telemetry.start(type="session"), telemetry.start(type="player", object=CONTENT):
        raise KeyError("what \udcff")
    assert teller.eids == ["START", "START", "ERROR", "END", "END"]
    error = teller.events[2]["edata"]
    assert error["errtype"] == "KeyError"
    assert error["err"] == "'what \\udcff'"
    assert error["stacktrace"].startswith("Traceback")
    assert [validate(event) for event in teller.events] == [[]] * 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_is_no_fault_of_the_flow_is_no_error(error: type[BaseException], teller: Teller) -> None:
    with pytest.raises(error), teller.telemetry.start(type="session"):
        raise error
    assert teller.eids == ["START", "END"]


def test_an_exception_that_cannot_be_printed_goes_on_as_it_is(teller: Teller) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(OddError), teller.telemetry.start(type="session"):
        raise OddError
    assert teller.eids == ["START", "END"]
    assert teller.telemetry.faults == {"flow": 1}


def test_async_blocks(teller: Teller) -> None:
    async def main() -> None:
        async with teller.telemetry.context(did="d-1"), teller.telemetry.start(type="session") as flow:
            await asyncio.sleep(0)
            flow.impression(type="view", pageid="p", uri="/")

    asyncio.run(main())
    assert teller.eids == ["START", "IMPRESSION", "END"]
    assert {event["context"]["did"] for event in teller.events} == {"d-1"}


def test_a_start_that_is_refused_opens_nothing(teller: Teller) -> None:
    with pytest.raises(TelemetryError), teller.telemetry.start(type="player", duration="long"):  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        pytest.fail("it has begun")
    teller.telemetry.interact(type="TOUCH", id="b")
    assert teller.eids == ["INTERACT"]


def test_an_end_that_is_refused_leaves_the_flow_open(teller: Teller) -> None:
    wrong: Any = "much"
    with teller.telemetry.start(type="session") as flow:
        with pytest.raises(TelemetryError):
            flow.end(summary=wrong)
        assert flow.is_open
    assert teller.eids == ["START", "END"]


def test_players_carry_a_play_session_and_keep_one_that_is_given(teller: Teller) -> None:
    first = teller.telemetry.start(type="player")
    second = teller.telemetry.start(type="content", context={"cdata": [{"type": "PlaySession", "id": "mine"}]})
    assert first.play_session == first.mid.partition(":")[2]
    assert second.play_session == "mine"
    first.end()
    assert teller.last["context"]["cdata"] == [{"type": "PlaySession", "id": first.play_session}]


def test_a_flow_of_nobody_is_a_session_of_its_own(teller: Teller) -> None:
    with teller.telemetry.start(type="session") as flow, flow.start(type="player"):
        teller.telemetry.interact(type="TOUCH", id="b")
    assert {event["context"]["sid"] for event in teller.events} == {flow.sid}
    assert flow.sid == "0001"
    other = teller.telemetry.start(type="session")
    assert other.sid not in {"", flow.sid}
    teller.telemetry.log(type="system", level="INFO", message="m")
    assert "sid" not in teller.last["context"]


def test_context_says_who_acts_and_is_over_with_its_block(teller: Teller) -> None:
    telemetry = teller.telemetry
    user = {"id": "u-1", "type": "User"}
    with telemetry.context(did="d", sid="s", actor=user, channel="c2", env="e2", request="r1", object=CONTENT):
        telemetry.search(query="q", size=0, topn=[])
        with telemetry.context(cdata=[{"type": "X", "id": "1"}], tags=["t"], rollup={"l1": "o"}):
            telemetry.search(query="q", size=0, topn=[])
    inner, outer = teller.events[1], teller.events[0]
    assert outer["actor"] == user
    assert outer["context"] == {
        "channel": "c2", "env": "e2", "pdata": PDATA, "sid": "s", "did": "d", "cdata": [{"type": "Request", "id": "r1"}]
    }  # fmt: skip
    assert inner["context"]["cdata"] == [{"type": "Request", "id": "r1"}, {"type": "X", "id": "1"}]
    assert inner["context"]["rollup"] == {"l1": "o"}
    assert inner["tags"] == ["t"]
    telemetry.search(query="q", size=0, topn=[])
    assert teller.last["context"]["channel"] == "0126684405014528002"


def test_a_call_may_say_otherwise_for_one_event(teller: Teller) -> None:
    with teller.telemetry.start(type="player", object=CONTENT, context={"did": "d"}) as flow:
        flow.interact(
            type="TOUCH",
            id="b",
            object={"id": "do_9"},
            context={"env": "x", "did": None},
            actor={"id": "a", "type": "User"},
        )
        assert teller.last["object"] == {"id": "do_9"}
        assert teller.last["context"]["env"] == "x"
        assert "did" not in teller.last["context"]
        flow.interact(type="TOUCH", id="b")
    assert teller.events[2]["object"] == CONTENT
    assert teller.events[2]["actor"]["type"] == "System"


def test_inside_a_flow_context_still_says_who_acts(teller: Teller) -> None:
    with teller.telemetry.start(type="session") as flow, teller.telemetry.context(actor={"id": "u", "type": "User"}):
        flow.interact(type="TOUCH", id="b")
    assert teller.events[1]["actor"]["id"] == "u"
    assert teller.last["actor"]["id"] == ""


def test_a_client_s_flow_is_not_around_the_events_of_another_client(teller: Teller) -> None:
    other = Teller()
    with teller.telemetry.start(type="player", object=CONTENT):
        other.telemetry.interact(type="TOUCH", id="b")
    assert "object" not in other.last


def test_end_by_type_ends_the_innermost_flow_of_it(teller: Teller) -> None:
    with teller.telemetry.start(type="session") as session, teller.telemetry.start(type="player", mode="play") as play:
        teller.telemetry.end(type="PLAYER", summary=[{"progress": 1}])
        assert not play.is_open
        assert session.is_open
    assert teller.eids == ["START", "START", "END", "END"]
    assert teller.events[2]["edata"]["summary"] == [{"progress": 1}]


def test_end_of_a_flow_that_another_process_began(teller: Teller) -> None:
    teller.telemetry.end(type="session", duration=5, context={"sid": "s"})
    assert teller.last["edata"] == {"type": "session", "duration": 5}
    assert teller.rows[0].attributes["sunbird.flow.violations"] == ["orphan_end"]


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_a_job(teller: Teller) -> None:
    with teller.telemetry.job_start(name="wfs", data={"date": "2026-11-20"}) as job:
        teller.telemetry.job_log(message="half", data={"events": 10})
        job.job_end(message="done", data={"outputEvents": 7})
    assert teller.eids == ["START", "LOG", "LOG", "END"]
    assert teller.last["edata"]["summary"] == [{"status": "SUCCESS", "message": "done", "outputEvents": 7}]
    assert {event["context"]["pdata"]["pid"] for event in teller.events} == {"wfs"}
    assert len({str(event["context"]["cdata"]) for event in teller.events}) == 1
    row = teller.row("job")
    assert row.attributes["sunbird.workflow"] == "analytics_job"
    assert [name for name, _, _ in row.events] == ["sunbird.log", "sunbird.log"]


def test_a_job_that_breaks_or_says_that_it_has(teller: Teller) -> None:
    with pytest.raises(OSError, match="disk"), teller.telemetry.job_start(name="a"):
        raise OSError("disk")
    with teller.telemetry.job_start(name="b"):
        teller.telemetry.job_end(status="FAILED", message="no input")
    assert teller.eids == ["START", "ERROR", "END"] * 2
    assert [row.status for row in teller.rows] == ["ERROR", "ERROR"]
    assert teller.events[2]["edata"]["summary"] == [{"status": "FAILED"}]
    assert teller.last["edata"]["summary"] == [{"status": "FAILED", "message": "no input"}]


def test_job_end_without_a_job(telemetry: Telemetry) -> None:
    with pytest.raises(TelemetryError, match="keep the flow that job_start returned"):
        telemetry.job_end()


# --- Nothing breaks the host ------------------------------------------------------------------------------------------


class BrokenTransport(MemoryTransport):
    def send(self, event: Any) -> None:
        raise OSError(f"no route for {len(event) > 0}")


def test_a_transport_that_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    teller = Teller(transport=BrokenTransport())
    with teller.telemetry.start(type="session"):
        teller.telemetry.interact(type="TOUCH", id="b")
    assert teller.telemetry.faults == {"transport": 3}
    assert len(caplog.records) == 1
    assert "no route" in caplog.text
    assert [row.name for row in teller.rows] == ["session"]


def test_blocks_left_in_another_context_than_entered(teller: Teller, caplog: pytest.LogCaptureFixture) -> None:
    """As async generators do: frameworks finish their dependencies in a context of their own."""
    flow = teller.telemetry.start(type="session")
    entered = teller.telemetry.context(did="d")
    contextvars.copy_context().run(flow.__enter__)
    contextvars.copy_context().run(entered.__enter__)
    flow.__exit__(None, None, None)
    entered.__exit__(None, None, None)
    assert teller.eids == ["START", "END"]
    assert caplog.text == ""


def test_threads_end_a_flow_once() -> None:
    teller = Teller()
    flows = [teller.telemetry.start(type="session") for _ in range(200)]

    def end_all() -> None:
        for flow in flows:
            flow.end()

    threads = [threading.Thread(target=end_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert teller.eids.count("END") == 200
    assert len(teller.rows) == 200


def test_threads_each_in_their_own_flows() -> None:
    teller = Teller()

    def work(number: int) -> None:
        with teller.telemetry.context(did=f"d-{number}"), teller.telemetry.start(type="session"):
            for _ in range(20):
                with teller.telemetry.start(type="player", object=CONTENT) as play:
                    play.interact(type="TOUCH", id="b")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(teller.rows) == 16 * 21
    assert teller.telemetry.faults == {}
    players = [row for row in teller.rows if row.name == "player"]
    assert all(len(row.events) == 1 for row in players)
    parents = {row.span: row.attributes["device.id"] for row in teller.rows if row.name == "session"}
    assert all(parents[row.parent] == row.attributes["device.id"] for row in players)


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a fork of this process, and return how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_flow() -> None:
    """The child says what it does, but the flow is its parent's to end; locks that were held are new."""
    teller = Teller()
    telemetry = teller.telemetry

    def child() -> None:
        flow.interact(type="TOUCH", id="b")
        with telemetry.start(type="player", object=CONTENT):
            telemetry.log(type="system", level="INFO", message="m")
        flow.end()
        assert teller.eids == ["START", "INTERACT", "START", "LOG", "END"]
        assert [row.name for row in teller.rows] == ["sunbird.interact", "player"]
        assert teller.rows[0].parent == teller.rows[1].parent == flow.span.get_span_context().span_id

    with telemetry.start(type="session") as flow:
        held = telemetry._desk.spans._requests._lock
        with held:
            assert in_child(child) == 0
    assert teller.eids == ["START", "END"]


def test_a_client_as_a_block_closes_its_transport(teller: Teller) -> None:
    with teller.telemetry as telemetry:
        telemetry.interrupt(type="resume")
        assert telemetry.flush(1)
        assert telemetry.stats.sent == 1
    assert teller.transport.closed


def test_the_system_s_clock_is_the_default() -> None:
    memory = MemoryTransport()
    before = time.time_ns() // 1_000_000
    Telemetry(pdata=PDATA, channel="c", env="e", transport=memory).interrupt(type="resume")
    assert before <= memory.events[0]["ets"] <= time.time_ns() // 1_000_000
    assert type(memory.events[0]["ets"]) is int


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
