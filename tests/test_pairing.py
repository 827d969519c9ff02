"""Which START an END belongs to, and when a START is the same flow once more."""

from __future__ import annotations

import pytest
from bridging import Run, run
from events import JOB, MOBILE, PLATFORM, PLAYER, Event, content, correlation

from sunbird_otel import names

P1, P2 = content("do_1"), content("do_2")
SESSION = MOBILE.start(0, "session")


def closed(events: list[Event]) -> dict[object, object]:
    """Return the mid of the START of each flow that an END closed, by that END's mid."""
    spans = [span for span in run(events).spans if names.END_MID in span.attributes]
    return {span.attributes[names.END_MID]: span.attributes[names.START_MID] for span in spans}


def pairs(start: Event, end: Event) -> bool:
    return closed([SESSION, start, end]) == {end["mid"]: start["mid"]}


# --- Keys in their order of preference -------------------------------------------------------------------------------


def test_the_play_session_decides_before_everything_else() -> None:
    first = PLAYER.start(1, "content", object=P1, cdata=correlation(PlaySession="p1"))
    book = MOBILE.start(2, "workflow", object=P2)
    second = PLAYER.start(3, "player", object=P2, cdata=correlation(PlaySession="p2"))
    end = PLAYER.end(4, "player", object=P1, cdata=correlation(PlaySession="p2"))
    assert closed([SESSION, first, book, second, end]) == {end["mid"]: second["mid"]}


def test_another_play_session_is_another_play() -> None:
    start = PLAYER.start(1, "content", object=P1, cdata=correlation(PlaySession="p1"))
    assert not pairs(start, PLAYER.end(2, "content", object=P1, cdata=correlation(PlaySession="p2")))


def test_without_a_play_session_at_the_end_the_content_decides() -> None:
    start = PLAYER.start(1, "content", object=P1, cdata=correlation(PlaySession="p1"))
    assert pairs(start, PLAYER.end(2, "content", object=P1))
    assert not pairs(start, PLAYER.end(2, "content", object=P2))


def test_the_content_session_decides_together_with_the_type() -> None:
    start = PLAYER.start(1, "content", object=P1, cdata=correlation(ContentSession="c1"))
    assert pairs(start, PLAYER.end(2, "content", object=P1, cdata=correlation(ContentSession="c1")))
    assert not pairs(start, PLAYER.end(2, "player", object=P1, cdata=correlation(ContentSession="c1")))
    assert pairs(start, PLAYER.end(2, "content", object=P2, cdata=correlation(ContentSession="c1")))
    assert not pairs(start, PLAYER.end(2, "content", object=P1, cdata=correlation(ContentSession="c2")))


@pytest.mark.parametrize("type_", ["app", "session", "qr"])
def test_app_session_and_qr_pair_by_their_type_alone(type_: str) -> None:
    start = MOBILE.start(1, type_, "play", object=P1)
    assert pairs(start, MOBILE.end(2, type_, "other", object=P2))


def test_an_end_of_one_type_does_not_close_a_flow_of_another() -> None:
    assert not pairs(MOBILE.start(1, "TextBook", object=P1), MOBILE.end(2, "TextBookUnit", object=P1))


# --- What fits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [("Content", "content"), ("TextBook", "TEXTBOOK"), ("Page", "page")])
def test_types_are_equal_in_any_case(start: str, end: str) -> None:
    assert pairs(MOBILE.start(1, start, object=P1), MOBILE.end(2, end, object=P1))


@pytest.mark.parametrize(
    ("start", "end"), [("play", None), (None, "play"), ("play", ""), ("", "Play"), ("Play", "play")]
)
def test_a_missing_mode_fits_any(start: str | None, end: str | None) -> None:
    assert pairs(PLAYER.start(1, "content", start, object=P1), PLAYER.end(2, "content", end, object=P1))


def test_another_mode_is_another_flow() -> None:
    assert not pairs(PLAYER.start(1, "content", "play", object=P1), PLAYER.end(2, "content", "preview", object=P1))


def test_a_missing_object_fits_any() -> None:
    assert pairs(PLAYER.start(1, "content", object=P1), PLAYER.end(2, "content"))
    assert pairs(PLAYER.start(1, "content"), PLAYER.end(2, "content", object=P1))


def test_another_object_is_another_flow() -> None:
    assert not pairs(PLAYER.start(1, "content", object=P1), PLAYER.end(2, "content", object=P2))


def test_page_env_process_and_version_may_differ() -> None:
    start = PLAYER.start(1, "content", object=content("do_1", ver="1"))
    end = MOBILE.end(2, "content", object=content("do_1", "Other", "16"))
    end["edata"]["pageid"] = "endpage"
    assert pairs(start, end)


def test_of_flows_that_fit_the_one_with_more_in_common_is_taken() -> None:
    exact = MOBILE.start(1, "workflow", object=P1)
    loose = MOBILE.start(2, "workflow")
    end = MOBILE.end(3, "workflow", object=P1)
    assert closed([SESSION, exact, loose, end])[end["mid"]] == exact["mid"]


def test_of_flows_that_fit_equally_the_newest_is_taken() -> None:
    runs = [JOB.job_start(0), JOB.job_start(1)]
    ends = [JOB.job_end(2), JOB.job_end(3)]
    newest_first = {ends[0]["mid"]: runs[1]["mid"], ends[1]["mid"]: runs[0]["mid"]}
    assert closed([*runs, *ends]) == newest_first


@pytest.mark.parametrize("key", ["JobRun", "Job", "Request"])
def test_runs_of_one_job_pair_by_the_id_of_the_run(key: str) -> None:
    runs = [JOB.job_start(number, cdata=correlation(**{key: f"r{number}"})) for number in range(3)]
    ends = [JOB.job_end(5 + number, cdata=correlation(**{key: f"r{number}"})) for number in range(3)]
    assert closed([*runs, *ends]) == {end["mid"]: start["mid"] for start, end in zip(runs, ends, strict=True)}


def test_jobs_of_two_names_do_not_mix() -> None:
    other = JOB.event("JOB_END", 2, {}, context={"pdata": {"id": JOB.pdata, "pid": "Other"}})
    assert closed([JOB.job_start(0), other]) == {}


def test_a_service_stops_the_run_of_its_own() -> None:
    ready, stopped = PLATFORM.ready(0), PLATFORM.stopped(9)
    assert closed([ready, stopped]) == {stopped["mid"]: ready["mid"]}


def test_an_end_at_the_time_of_its_start_closes_it() -> None:
    assert pairs(PLAYER.start(1, "content", object=P1), PLAYER.end(1, "content", object=P1))


def test_an_end_before_the_start_does_not_close_it() -> None:
    assert not pairs(PLAYER.start(2, "content", object=P1), PLAYER.end(1, "content", object=P1))


def test_ends_that_arrive_first_pair_all_the_same() -> None:
    start, end = PLAYER.start(1, "content", object=P1), PLAYER.end(2, "content", object=P1)
    assert closed([end, start, SESSION]) == {end["mid"]: start["mid"]}


# --- The END that comes again, or for nothing ------------------------------------------------------------------------


def ends(done: Run) -> tuple[int, int, int]:
    return done.tally.paired, done.tally.orphan, done.tally.repeated


def test_a_second_end_is_repeated() -> None:
    play = correlation(PlaySession="p1")
    start = PLAYER.start(1, "content", object=P1, cdata=play)
    done = run([SESSION, start, *(PLAYER.end(at, "content", object=P1, cdata=play) for at in (2, 3))])
    assert ends(done) == (1, 0, 1)
    assert done.flow("player").end_ns - done.flow("player").start_ns == 1_000_000_000, "the first END decides"


def test_an_end_without_start_is_an_orphan() -> None:
    assert ends(run([SESSION, PLAYER.end(2, "content", object=P1)])) == (0, 1, 0)


def test_an_end_after_a_flow_was_closed_without_one_is_an_orphan() -> None:
    events = [SESSION, PLAYER.start(1, "content", object=P1), PLAYER.start(2, "content", object=P2)]
    assert ends(run([*events, PLAYER.end(3, "content", object=P1)])) == (0, 1, 0)


# --- The same flow again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["session", "app", "content", "qr", "Page", "editor", "Resource"])
def test_a_kind_that_cannot_hold_itself_restarts(type_: str) -> None:
    done = run([MOBILE.start(0, type_, object=P1), MOBILE.start(5, type_, object=P2)])
    assert done.tally.closed["restart"] == 1


@pytest.mark.parametrize("type_", ["TextBook", "TextBookUnit", "collection", "Course", "workflow"])
def test_collections_restart_only_with_the_same_object(type_: str) -> None:
    start = MOBILE.start(0, type_, object=P1)
    assert run([start, MOBILE.start(5, type_, object=P1)]).tally.closed["restart"] == 1
    assert run([start, MOBILE.start(5, type_, object=P2)]).tally.closed["restart"] == 0


def test_a_collection_of_another_type_is_no_restart() -> None:
    done = run([MOBILE.start(0, "TextBook", object=P1), MOBILE.start(5, "TextBookUnit", object=P1)])
    assert done.tally.closed["restart"] == 0


def test_a_job_restarts_only_with_the_id_of_its_run() -> None:
    assert run([JOB.job_start(0), JOB.job_start(5)]).tally.closed["restart"] == 0
    run1, run2 = correlation(JobRun="1"), correlation(JobRun="2")
    assert run([JOB.job_start(0, cdata=run1), JOB.job_start(5, cdata=run2)]).tally.closed["restart"] == 0
    assert run([JOB.job_start(0, cdata=run1), JOB.job_start(5, cdata=run1)]).tally.closed["restart"] == 1


def test_a_service_that_is_ready_again_has_restarted() -> None:
    assert run([PLATFORM.ready(0), PLATFORM.ready(60)]).tally.closed["restart"] == 1


def test_a_restart_ends_at_the_last_event_before() -> None:
    done = run([SESSION, MOBILE.impression(7), MOBILE.start(60, "session")])
    span = done.flow("session")
    assert span.attributes[names.FLOW_END_REASON] == "restart"
    assert span.end_ns - span.start_ns == 7_000_000_000
