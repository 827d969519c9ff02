"""What each policy makes of each violation of the nesting rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bridging import POLICIES, run
from events import MOBILE, PLATFORM, PLAYER, PORTAL, Event, correlation

from sunbird_otel import names
from sunbird_otel._findings import VIOLATIONS

SECOND = 1_000_000_000
T0_NS = 1_795_154_400 * SECOND

BROKEN: dict[str, list[Event]] = {
    "wrong_parent": [
        MOBILE.start(0, "session"), MOBILE.start(1, "app"), MOBILE.end(2, "app"), MOBILE.end(3, "session"),
    ],
    "missing_parent": [PLAYER.start(0, "content"), PLAYER.end(1, "content")],
    "unclosed_child": [PORTAL.start(0, "session"), PORTAL.start(1, "content"), PORTAL.end(2, "session")],
    "missing_end": [PORTAL.start(0, "session"), PORTAL.start(1, "content"), PORTAL.interact(2)],
    "orphan_end": [PORTAL.start(0, "session"), PORTAL.end(1, "content")],
    "repeated_end": [
        PORTAL.start(0, "session"), PORTAL.start(1, "content"), PORTAL.end(2, "content"), PORTAL.end(3, "content"),
    ],
    "event_outside_flow": [PORTAL.start(0, "session"), PORTAL.assess(1)],
}  # fmt: skip


def test_there_is_a_case_for_each_violation() -> None:
    assert BROKEN.keys() == set(VIOLATIONS)


@pytest.mark.parametrize("code", BROKEN)
@pytest.mark.parametrize("policy", POLICIES)
def test_each_violation_is_counted_and_reported_once(code: str, policy: str) -> None:
    done = run(BROKEN[code], policy=policy)
    assert done.tally.violations == {code: 1}
    (finding,) = [finding for finding in done.findings if finding.code == code and not finding.refused]
    assert finding.mid


@pytest.mark.parametrize(
    ("code", "tree"),
    [
        ("wrong_parent", "session > app!wrong_parent"),
        ("missing_parent", "player!missing_parent"),
        ("unclosed_child", "session > player!unclosed_child"),
        ("missing_end", "session > player!missing_end[interact]"),
        ("orphan_end", "session[end!orphan_end]"),
        ("repeated_end", "session[end!repeated_end] > player"),
        ("event_outside_flow", "session > ~sunbird.assess!event_outside_flow"),
    ],
)
def test_annotate_marks_and_keeps_the_observed_tree(code: str, tree: str) -> None:
    assert run(BROKEN[code], policy="annotate").tree() == tree


@pytest.mark.parametrize(
    ("code", "tree"),
    [
        ("wrong_parent", "app!wrong_parent > session"),
        ("missing_parent", "session > player!missing_parent"),
        ("unclosed_child", "session > player!unclosed_child"),
        ("missing_end", "session > player!missing_end[interact]"),
        ("orphan_end", "session[end!orphan_end]"),
        ("repeated_end", "session[end!repeated_end] > player"),
        ("event_outside_flow", "session > player[assess!event_outside_flow]"),
    ],
)
def test_repair_gives_the_tree_of_the_rules(code: str, tree: str) -> None:
    assert run(BROKEN[code], policy="repair").tree() == tree


@pytest.mark.parametrize(
    ("code", "tree", "rejected"),
    [
        ("wrong_parent", "session", 2),
        ("missing_parent", "", 2),
        ("unclosed_child", "session", 1),
        ("missing_end", "session", 2),
        ("orphan_end", "session", 1),
        ("repeated_end", "session > player", 1),
        ("event_outside_flow", "session", 1),
    ],
)
def test_reject_keeps_the_flow_from_the_output(code: str, tree: str, rejected: int) -> None:
    done = run(BROKEN[code], policy="reject")
    assert done.tree() == tree
    assert done.tally.rejected_by_reason == {code: rejected}
    assert len(done.kept_out) == rejected
    assert {finding.code for finding in done.kept_out} == {code}


def test_reject_takes_along_every_flow_in_the_offending_one() -> None:
    events = [PORTAL.start(0, "session"), PORTAL.start(1, "Page"), PORTAL.start(2, "content"), PORTAL.assess(3)]
    events += [PORTAL.end(4, "content"), PORTAL.interact(5), PORTAL.end(9, "session")]
    done = run(events, policy="reject")
    assert done.tree() == "session"
    assert done.tally.rejected_by_reason == {"unclosed_child": 5}


def test_reject_takes_along_the_lone_events_in_the_offending_flow() -> None:
    lone = PLATFORM.search(2, cdata=correlation(session=PORTAL.sid))
    done = run([PORTAL.start(0, "session"), PORTAL.start(1, "Page"), lone, PORTAL.end(9, "session")], policy="reject")
    assert done.tree() == "session"
    assert lone["mid"] in {finding.mid for finding in done.kept_out}


def test_what_was_refused_is_put_aside_whole() -> None:
    events = BROKEN["missing_parent"]
    done = run(events, policy="reject")
    assert [(f.eid, f.mid, f.refused) for f in done.kept_out] == [(e["eid"], e["mid"], True) for e in events]
    assert all(run([finding.event]).tally.rejected == 0 for finding in done.kept_out)


# --- Repair ----------------------------------------------------------------------------------------------------------


def test_a_span_that_repair_made_says_so_and_has_no_mid() -> None:
    done = run(BROKEN["missing_parent"], policy="repair")
    made = done.flow("session")
    assert made.synthetic
    assert done.tally.synthetic_spans == 1
    assert made.attributes[names.FLOW_REPAIR] == ["synthetic"]
    assert names.START_MID not in made.attributes
    assert names.END_MID not in made.attributes


def test_the_observed_times_stay_on_a_span_that_was_moved() -> None:
    done = run(BROKEN["wrong_parent"], policy="repair")
    app = done.flow("app")
    assert (app.start_ns - T0_NS, app.end_ns - T0_NS) == (0, 3 * SECOND)
    assert app.attributes[names.FLOW_END_REASON] == "end"
    assert app.attributes[names.FLOW_OBSERVED_START] == T0_NS + SECOND
    assert app.attributes[names.FLOW_OBSERVED_END] == T0_NS + 2 * SECOND
    assert app.attributes[names.FLOW_REPAIR] == ["start_moved", "end_moved"]


def test_repair_puts_a_missing_session_between_app_and_player() -> None:
    done = run([MOBILE.start(0, "app"), PLAYER.start(1, "content"), PLAYER.end(2, "content")], policy="repair")
    assert done.tree(like="") == "app > session > player"
    assert [span.synthetic for span in sorted(done.spans, key=lambda span: span.name)] == [False, False, True]


def test_a_session_that_repair_made_holds_the_next_plays_too() -> None:
    plays = [PLAYER.start(1, "content"), PLAYER.end(2, "content"), PLAYER.start(3, "content"), PLAYER.end(4, "content")]
    assert run(plays, policy="repair").tree(like="") == "session > (player, player)"


def test_what_repair_puts_into_an_app_of_the_day_before_is_in_its_trace() -> None:
    evening = 17.9 * 3600
    events = [MOBILE.start(evening, "app"), MOBILE.impression(evening + 600), PLAYER.start(evening + 1200, "content")]
    done = run(events, policy="repair")
    assert done.tree(like="") == "app > session > player"
    assert len({span.trace_id for span in done.spans}) == 1


def test_an_event_that_needs_a_player_gets_player_and_session() -> None:
    done = run([PLAYER.assess(0)], policy="repair")
    assert done.tree() == "session > player[assess!event_outside_flow]"
    assert done.tally.synthetic_spans == 2


def test_flows_that_repair_made_count_among_the_open_ones() -> None:
    clients = [replace(PLAYER, did=f"d{number}", sid=f"s{number}") for number in range(20)]
    done = run([client.assess(number) for number, client in enumerate(clients)], policy="repair", max_open_flows=2)
    assert done.tally.closed == {"evicted": 38, "drain": 2}
