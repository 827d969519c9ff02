"""Which trace and which span: ids that anybody derives from the events alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bridging import Run, run
from decoding import one
from events import JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Client, content, correlation

from sunbird_otel import _ids
from sunbird_otel._ids import device_trace, event_trace, request_trace, session_trace, span_of, trace_of

RID = "6f0b2f6e-1111-4222-8333-0123456789ab"
DAY = 86_400
# T0 is 06:00 UTC.
MIDNIGHT = 18 * 3600
T0_NS = 1_795_154_400_000_000_000
NOBODY = replace(PORTAL, did="", sid="", actor="")


def traces(done: Run) -> set[bytes]:
    return {span.trace_id for span in done.spans}


def test_the_recipe_stays_as_it_is() -> None:
    """Ids that users have stored must be found again: another recipe takes a new version."""
    assert _ids.RECIPE == b"sunbird-otel/2"
    assert session_trace("ch", "d1", "s1", T0_NS).hex() == "51b815f0142898fbc2b28cd1f5c04eea"
    assert device_trace("d1", T0_NS).hex() == "53871592dd70086e70d23f6640c6126d"
    assert request_trace(RID).hex() == "57a317892d18e9e2fe5f7b7ff8f9d93f"
    event = one({"eid": "START", "ets": 1_795_154_400_000, "mid": "m", "context": {}})
    assert event_trace(event).hex() == "63103497b08c234b396507d610b90911"
    assert span_of(bytes(16), "session", event).hex() == "d673fa69442fd958"


def test_a_session_has_one_trace_a_day() -> None:
    done = run(
        [MOBILE.start(0, "session"), MOBILE.end(9, "session"), MOBILE.start(3600, "app"), MOBILE.end(3700, "app")]
    )
    assert traces(done) == {session_trace(MOBILE.channel, MOBILE.did, MOBILE.sid, T0_NS)}


def test_a_session_without_did_has_a_trace_of_its_own() -> None:
    client = replace(PORTAL, did="")
    assert traces(run([client.start(0, "session")])) == {session_trace(client.channel, "", client.sid, T0_NS)}


@pytest.mark.parametrize("field", ["channel", "did", "sid"])
def test_another_channel_device_or_session_is_another_trace(field: str) -> None:
    other = replace(MOBILE, **{field: "other"})
    assert traces(run([MOBILE.start(0, "session")])).isdisjoint(traces(run([other.start(0, "session")])))


def test_the_producer_and_the_user_make_no_difference_to_the_trace() -> None:
    other = replace(MOBILE, pdata="other", pid="other", actor="other", env="other")
    assert traces(run([MOBILE.start(0, "session")])) == traces(run([other.start(5, "session")]))


def test_without_a_session_the_device_and_its_day_make_the_trace() -> None:
    client = replace(PORTAL, sid="")
    assert traces(run([client.start(0, "session")])) == {device_trace(client.did, T0_NS)}


def test_without_session_and_device_the_request_makes_the_trace() -> None:
    assert traces(run([PLATFORM.api_access(0, 40, RID)])) == {request_trace(RID)}


def test_without_anything_the_event_makes_the_trace() -> None:
    event = PLATFORM.api_access(0, 40)
    assert traces(run([event])) == {event_trace(one(event))}


def test_a_session_comes_before_the_request() -> None:
    event = replace(PLATFORM, sid="s1").log(0, cdata=correlation(Request=RID))
    assert trace_of(one(event), RID, "session") == session_trace(PLATFORM.channel, "", "s1", T0_NS)


def test_what_stands_in_a_flow_is_in_its_trace_whatever_its_own_ids() -> None:
    done = run([MOBILE.start(0, "session"), replace(PLAYER, sid="another").start(1, "content", object=content("do_1"))])
    assert len(traces(done)) == 1


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [(0, MIDNIGHT - 0.001, True), (MIDNIGHT - 0.001, MIDNIGHT, False), (MIDNIGHT, MIDNIGHT + DAY - 0.001, True)],
)
@pytest.mark.parametrize("client", [MOBILE, replace(MOBILE, sid="")])
def test_the_day_begins_at_midnight_utc(client: Client, first: float, second: float, same: bool) -> None:
    found = traces(run([client.impression(first), client.impression(second)]))
    assert (len(found) == 1) is same


def test_a_flow_that_lasts_past_midnight_stays_in_the_trace_of_its_start() -> None:
    done = run([MOBILE.start(MIDNIGHT - 60, "session"), PLAYER.start(MIDNIGHT + 60, "content", object=content("do_1"))])
    assert len(traces(done)) == 1


def test_two_users_without_ids_share_no_trace() -> None:
    done = run([NOBODY.start(0, "session"), NOBODY.start(1, "session"), NOBODY.impression(2)])
    assert len(traces(done)) == 3


def test_the_scope_run_gives_each_root_a_trace() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content", object=content("do_1")), MOBILE.end(9, "session")]
    events += [MOBILE.start(20, "session"), MOBILE.end(29, "session")]
    assert len(traces(run(events))) == 1
    assert len(traces(run(events, trace_scope="run"))) == 2


def test_the_scope_run_leaves_a_request_in_the_trace_of_its_id() -> None:
    assert traces(run([PLATFORM.api_access(0, 40, RID)], trace_scope="run")) == {request_trace(RID)}


def test_runs_of_jobs_have_traces_of_their_own() -> None:
    done = run([JOB.job_start(0, cdata=correlation(JobRun=name)) for name in ("a", "b")])
    assert len(traces(done)) == 2


def test_a_span_id_depends_on_trace_role_and_event() -> None:
    event, other = one(MOBILE.start(0, "session")), one(MOBILE.start(1, "session"))
    ids = {span_of(trace, role, e) for trace in (bytes(16), b"x" * 16) for role in ("a", "b") for e in (event, other)}
    assert len(ids) == 8
    assert {len(id_) for id_ in ids} == {8}


def test_no_span_id_is_zero() -> None:
    event = one(MOBILE.start(0, "session"))
    opposite = span_of(bytes(16), "session", event) + bytes(8)
    assert span_of(opposite, "session", event) == bytes(7) + b"\1"


def test_the_same_event_from_another_stage_has_the_same_ids() -> None:
    event = MOBILE.start(0, "session")
    later = {**event, "ets": float(event["ets"]), "syncts": 1, "flags": {"ex_processed": True}}
    assert run([event]).text == run([later]).text
