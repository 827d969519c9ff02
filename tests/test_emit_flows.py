"""Flows and jobs of the emitter: an end for every start, and what is said inside belongs to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from telling import CONTENT, PDATA, FakeClock, Teller

from sunbird_otel.emit import Telemetry, TelemetryError
from sunbird_otel.schema import validate


@pytest.fixture
def teller() -> Teller:
    return Teller()


@pytest.fixture
def telemetry(teller: Teller) -> Telemetry:
    return teller.telemetry


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
