"""How flows nest, how they close, which may stay open, and to which workflow they belong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bridging import Run, run
from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Client, Event, content, correlation

from sunbird_otel import Rules, names

SECOND = 1_000_000_000
T0_NS = 1_795_154_400 * SECOND
HALF_HOUR = 1800
P1, P2 = content("do_1"), content("do_2")
NOBODY = replace(PORTAL, did="", sid="", actor="anonymous")


def span_of_flow(done: Run, kind: str, number: int = 0) -> tuple[float, float, str]:
    """Return start and end in seconds, and why it ended."""
    span = done.flow(kind, number)
    return (span.start_ns - T0_NS) / SECOND, (span.end_ns - T0_NS) / SECOND, str(span.attributes[names.FLOW_END_REASON])


def reason(done: Run, kind: str, number: int = 0) -> str:
    return span_of_flow(done, kind, number)[2]


# --- Nesting ---------------------------------------------------------------------------------------------------------


def test_flows_of_one_lane_nest() -> None:
    done = run(
        [
            MOBILE.start(0, "app"),
            MOBILE.start(1, "session"),
            PLAYER.start(2, "content", object=P1),
            PLAYER.end(3, "content", object=P1),
            MOBILE.end(4, "session"),
            MOBILE.end(5, "app"),
        ]
    )
    assert done.tree() == "app > session > player"
    assert done.tally.violations == {}


def test_an_event_goes_to_the_innermost_flow() -> None:
    events = [PORTAL.start(0, "session"), PORTAL.impression(1), PORTAL.start(2, "content"), PORTAL.assess(3)]
    events += [PORTAL.end(4, "content"), PORTAL.interact(5)]
    assert run(events).tree() == "session[impression, interact] > player[assess]"


def test_an_event_that_the_innermost_flow_may_not_hold_goes_further_out() -> None:
    update = MOBILE.event("APP_UPDATE", 2, {"message": "6.1"})
    assert (
        run([MOBILE.start(0, "app"), MOBILE.start(1, "session"), update]).tree(like="[") == "app[app_update] > session"
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(MOBILE, did="other", sid="other"),
        replace(MOBILE, channel="other", sid="other"),
        replace(MOBILE, pdata="other", sid="other"),
    ],
)
def test_device_channel_and_producer_make_the_lane(other: Client) -> None:
    assert run([MOBILE.start(0, "session"), other.start(1, "app")]).tree(like="") == "session | app"


def test_session_user_and_process_do_not_make_the_lane() -> None:
    other = replace(MOBILE, sid="other", actor="other", pid="other")
    assert run([MOBILE.start(0, "session"), other.impression(1)]).tree(like="[") == "session[impression]"


@pytest.mark.parametrize("field", ["sid", "actor"])
def test_without_a_device_the_session_or_else_the_user_makes_the_lane(field: str) -> None:
    client = replace(NOBODY, **{field: "one"})
    other = replace(NOBODY, **{field: "two"})
    done = run([client.start(0, "session"), client.impression(1), other.impression(2)])
    assert done.tree() == "session[impression] | ~sunbird.impression"


@pytest.mark.parametrize("actor", ["", "anonymous", "Anonymous", "null"])
def test_two_users_without_ids_never_share_a_lane(actor: str) -> None:
    client = replace(NOBODY, actor=actor)
    done = run([client.start(0, "session"), client.start(1, "session"), client.impression(2), client.end(3, "session")])
    assert done.tree(like="[") == "session | session | ~sunbird.impression | ~sunbird.end"
    assert done.tally.closed["drain"] == 2
    assert done.tally.orphan == 1


def test_jobs_of_one_producer_overlap() -> None:
    runs = [correlation(JobRun=name) for name in ("a", "b")]
    events = [JOB.job_start(0, cdata=runs[0]), JOB.job_start(1, cdata=runs[1]), JOB.job_log(2, cdata=runs[0])]
    events += [JOB.job_end(3, cdata=runs[0]), JOB.job_end(4, cdata=runs[1])]
    assert run(events).tree() == "job[job_log] | job"


# --- Closing ---------------------------------------------------------------------------------------------------------


def test_a_flow_ends_at_its_end() -> None:
    done = run([MOBILE.start(0, "session"), MOBILE.end(60, "session")])
    assert span_of_flow(done, "session") == (0, 60, "end")


def test_a_flow_of_no_length_lasts_one_nanosecond() -> None:
    span = run([MOBILE.start(0, "session"), MOBILE.end(0, "session")]).flow("session")
    assert span.end_ns - span.start_ns == 1


def test_a_flow_whose_parent_ends_ends_with_its_last_event() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content"), PLAYER.interact(5), MOBILE.end(60, "session")]
    done = run(events)
    assert span_of_flow(done, "player") == (1, 5, "parent_end")
    assert done.flow("player").attributes[names.FLOW_VIOLATIONS] == ["unclosed_child"]


def test_the_end_of_a_player_is_an_event_of_its_session() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content"), PLAYER.end(5, "content")]
    assert span_of_flow(run(events), "session") == (0, 5, "drain")


def test_a_restart_closes_what_stands_in_the_flow() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content"), MOBILE.start(9, "session")]
    done = run(events)
    assert [reason(done, "session"), reason(done, "session", 1), reason(done, "player")] == [
        "restart",
        "drain",
        "parent_end",
    ]


def test_a_flow_is_idle_after_more_than_half_an_hour() -> None:
    start = MOBILE.start(0, "session")
    assert reason(run([start, MOBILE.impression(HALF_HOUR)]), "session") == "drain"
    idle = run([start, MOBILE.impression(7), MOBILE.impression(7 + HALF_HOUR + 0.001)])
    assert span_of_flow(idle, "session") == (0, 7, "idle")
    assert idle.instant("IMPRESSION").parent_span_id == b""


def test_a_flow_is_not_idle_while_something_happens_inside_it() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content")]
    events += [PLAYER.interact(at) for at in range(1000, 10_000, 1000)]
    assert span_of_flow(run([*events, MOBILE.end(10_000, "session")]), "session") == (0, 10_000, "end")


def test_the_idle_gap_can_be_set() -> None:
    events = [MOBILE.start(0, "session"), MOBILE.impression(60)]
    assert reason(run(events, idle_gap=59 * SECOND), "session") == "idle"
    assert reason(run(events, idle_gap=60 * SECOND), "session") == "drain"


def test_a_job_has_a_longer_gap() -> None:
    start = JOB.job_start(0)
    assert reason(run([start, MOBILE.impression(6 * 3600)]), "job") == "drain"
    assert reason(run([start, MOBILE.impression(6 * 3600 + 1)]), "job") == "idle"


def test_the_run_of_a_service_is_never_idle() -> None:
    done = run([PLATFORM.ready(0), MOBILE.impression(40 * 86_400)], idle_gap=SECOND)
    assert reason(done, "service") == "drain"
    assert done.tally.violations == {}


def test_what_is_open_at_the_end_of_the_input_is_drained() -> None:
    done = run([MOBILE.start(0, "session"), PLAYER.start(1, "content"), PLAYER.interact(5)])
    assert span_of_flow(done, "session") == (0, 5, "drain")
    assert span_of_flow(done, "player") == (1, 5, "drain")


def test_the_flow_that_has_been_idle_longest_is_evicted() -> None:
    clients = [replace(MOBILE, did=f"d{number}", sid=f"s{number}") for number in range(3)]
    events = [clients[0].start(0, "session"), clients[1].start(1, "session"), clients[0].impression(2)]
    done = run([*events, clients[2].start(3, "session")], max_open_flows=2)
    assert [reason(done, "session", number) for number in range(3)] == ["drain", "evicted", "drain"]
    assert done.tally.closed["evicted"] == 1


def test_of_flows_that_are_idle_alike_the_innermost_is_evicted() -> None:
    events = [MOBILE.start(0, "session"), PLAYER.start(1, "content"), replace(MOBILE, did="other").start(2, "session")]
    done = run(events, max_open_flows=2)
    assert [reason(done, "session"), reason(done, "player")] == ["drain", "evicted"]


def test_a_client_that_never_writes_end_does_not_nest_without_bound() -> None:
    events = [MOBILE.start(0, "session")]
    events += [MOBILE.start(number, "TextBookUnit", object=content(f"do_{number}")) for number in range(1, 400)]
    done = run(events)
    assert 0 < done.tally.closed["evicted"] < 400


@pytest.mark.interpreted
def test_a_lane_that_is_used_again_while_others_are_forgotten_stays_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sunbird_otel._open._QUIET_LANES", 1)
    other = replace(MOBILE, did="other", sid="other")
    events = [MOBILE.start(0, "session"), MOBILE.end(1, "session"), other.start(2, "session")]
    events += [MOBILE.start(3, "session"), MOBILE.end(4, "session"), other.start(5, "session")]
    done = run(events, max_open_flows=1)
    assert (done.tally.paired, done.tally.orphan) == (2, 0)


# --- What may stay open ----------------------------------------------------------------------------------------------


def marks(done: Run, kind: str) -> object:
    return done.flow(kind).attributes.get(names.FLOW_VIOLATIONS)


def test_a_session_of_the_portal_may_stay_open() -> None:
    assert marks(run([PORTAL.start(0, "session")]), "session") is None


def test_a_session_in_an_app_may_not_stay_open() -> None:
    assert marks(run([MOBILE.start(0, "app"), MOBILE.start(1, "session")]), "session") == ["missing_end"]


def test_a_session_of_a_mobile_producer_may_not_stay_open() -> None:
    assert marks(run([MOBILE.start(0, "session")]), "session") == ["missing_end"]


def test_a_session_around_an_editor_may_stay_open() -> None:
    done = run([PORTAL.start(0, "session"), EDITOR.start(1, "editor"), EDITOR.end(2, "editor")])
    assert marks(done, "session") is None
    assert done.flow("session").attributes[names.WORKFLOW] == "editor"


@pytest.mark.parametrize("type_", ["content", "editor", "Page", "TextBook", "qr", "Resource", "workflow"])
def test_every_other_flow_must_end(type_: str) -> None:
    done = run([PORTAL.start(0, "session"), PORTAL.start(1, type_)])
    assert done.tally.violations["missing_end"] == 1


def test_the_field_profile_accepts_what_mobile_clients_do() -> None:
    events = [MOBILE.start(0, "session"), MOBILE.start(1, "app")]
    assert run(events).tally.violations == {"wrong_parent": 1, "missing_end": 2}
    assert run(events, rules=Rules.field()).tally.violations == {}


# --- Workflows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "kind", "workflow"),
    [
        ([PORTAL.start(0, "session")], "session", "portal"),
        ([MOBILE.start(0, "session")], "session", "mobile_app"),
        ([PORTAL.start(0, "app"), PORTAL.start(1, "session")], "session", "mobile_app"),
        ([PORTAL.start(0, "session"), PORTAL.start(1, "editor")], "session", "editor"),
        ([PLATFORM.ready(0)], "service", "backend_service"),
        ([PLATFORM.api_access(0)], "request", "backend_service"),
        ([JOB.job_start(0)], "job", "analytics_job"),
    ],
)
def test_the_workflow_follows_from_all_that_a_flow_held(events: list[Event], kind: str, workflow: str) -> None:
    assert run(events).flow(kind).attributes[names.WORKFLOW] == workflow
