"""The bridge as a whole: what it takes, what it gives back when, what it says about it, and real telemetry."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bridging import (
    POLICIES,
    Run,
    check_balance,
    check_contained,
    check_drained,
    check_spans,
    compact,
    run,
    standard,
)
from events import JOB, MOBILE, PLATFORM, PLAYER, PORTAL, T0, Event, content, correlation
from strategies import BENIGN, UNREADABLE

from sunbird_otel import Bridge, names
from sunbird_otel._findings import Finding, Position
from sunbird_otel._limits import Limits
from sunbird_otel.errors import ConfigError
from sunbird_otel.sources.files import Document, Lines, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sunbird_otel._signals import Signal

SECOND = 1_000_000_000
T0_NS = T0 * 1_000_000
STORY = [MOBILE.start(0, "session"), PLAYER.start(1, "content"), PLAYER.end(2, "content"), MOBILE.end(60, "session")]


# --- Options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"policy": "keep"}, "policy: expected one of annotate, repair, reject, found 'keep'"),
        ({"trace_scope": "day"}, "trace_scope: expected one of session, run, found 'day'"),
        ({"memory": 0}, "memory: expected a number above 0, found 0"),
        ({"max_open_flows": -1}, "max_open_flows: expected a number above 0, found -1"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_words(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Bridge(rules=standard(), **options)
    assert str(raised.value) == text


def test_the_standard_rules_are_the_default() -> None:
    bridge = Bridge()
    assert [*bridge.feed(STORY), *bridge.drain()] == run(STORY).signals


# --- What comes when -------------------------------------------------------------------------------------------------


def test_nothing_comes_before_the_end_when_all_may_be_late() -> None:
    bridge = Bridge(rules=standard())
    assert bridge.feed(STORY) == []
    assert (bridge.tally.held, bridge.tally.translated) == (4, 0)
    assert len(bridge.drain()) == 2
    assert (bridge.tally.held, bridge.tally.translated) == (0, 4)


def test_a_flow_comes_when_it_has_ended_and_the_window_has_passed() -> None:
    bridge = Bridge(rules=standard(), lateness=100 * SECOND)
    assert bridge.feed(STORY) == []
    signals = bridge.feed(MOBILE.impression(161))
    assert [signal.name for signal in signals] == ["player", "session"], "the player's END came first"


def test_advance_lets_time_pass_without_events() -> None:
    bridge = Bridge(rules=standard(), lateness=3600 * SECOND)
    bridge.feed(STORY[:1])
    assert bridge.advance(T0_NS + 1800 * SECOND) == []
    assert bridge.tally.open == 1
    (span,) = bridge.advance(T0_NS + 1801 * SECOND)
    assert bridge.tally.closed["idle"] == 1
    assert span.attributes[names.FLOW_END_REASON] == "idle"


def test_advance_makes_older_events_late() -> None:
    bridge = Bridge(rules=standard())
    bridge.advance(T0_NS + SECOND)
    bridge.feed(MOBILE.impression(0.999))
    bridge.feed(MOBILE.impression(1))
    assert bridge.tally.late == 1


def test_time_does_not_go_back() -> None:
    bridge = Bridge(rules=standard())
    bridge.advance(T0_NS + 100 * SECOND)
    bridge.advance(T0_NS)
    bridge.feed(MOBILE.impression(50))
    assert bridge.tally.late == 1


def test_a_second_drain_gives_nothing() -> None:
    bridge = Bridge(rules=standard())
    bridge.feed(STORY)
    bridge.drain()
    before = bridge.tally.report()
    assert bridge.drain() == []
    assert bridge.tally.report() == before


def test_events_that_there_is_no_room_for_go_early_and_are_counted() -> None:
    bridge = Bridge(rules=standard(), memory=4_000)
    for at in range(50):
        bridge.feed(MOBILE.impression(at))
        check_balance(bridge.tally)
    assert 40 < bridge.released_early < 50
    assert bridge.tally.late == 0


def test_the_output_keeps_the_order_in_which_flows_close() -> None:
    ends = [span.end_ns for span in run(STORY).spans]
    assert ends == sorted(ends)


# --- What it says ----------------------------------------------------------------------------------------------------


def findings_of(document: object, position: Position | None = None, **options: Any) -> list[Finding]:
    findings: list[Finding] = []
    bridge = Bridge(rules=standard(), on_finding=findings.append, **options)
    bridge.feed(document, position)
    bridge.drain()
    return findings


def test_a_finding_says_where() -> None:
    batch = {"events": [PORTAL.impression(0), {"eid": "START"}]}
    (finding,) = findings_of(json.dumps(batch).encode(), Position("f.jsonl", 3))
    assert (finding.code, finding.position) == ("missing_field", Position("f.jsonl", 3, 1))


def test_a_violation_says_where() -> None:
    (finding,) = findings_of([PORTAL.assess(0)], Position("f.jsonl", 3))
    assert finding.code == "event_outside_flow"
    assert finding.position == Position("f.jsonl", 3, 0)
    assert (finding.expected, finding.found) == ("an open player or assessment", "nothing open")
    assert not finding.refused


def test_a_duplicate_says_which_copy_was_left_out() -> None:
    event = PORTAL.impression(0)
    (finding,) = findings_of([event, event], Position("f.jsonl", 3))
    assert (finding.code, finding.mid, finding.position) == ("duplicate", event["mid"], Position("f.jsonl", 3, 1))


AFTER_A_VIOLATION: dict[str, list[object]] = {
    "no JSON": [PORTAL.impression(9), b"{"],
    "an event that must be read with care, and is refused": [{**PORTAL.impression(2), "context": 5}],
    "a copy": [PORTAL.impression(2)] * 2,
    "an event that is late": [PORTAL.impression(9), PORTAL.impression(1)],
    "another violation": [PORTAL.assess(2)],
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("others", AFTER_A_VIOLATION.values(), ids=AFTER_A_VIOLATION)
def test_findings_come_in_the_order_of_the_events_however_many_come_together(others: list[object], policy: str) -> None:
    events = [PORTAL.assess(0), *others, PORTAL.impression(20)]
    texts = [event if isinstance(event, bytes) else compact([event])[0] for event in events]
    one_by_one: list[Finding] = []
    together: list[Finding] = []
    bridge = Bridge(rules=standard(), policy=policy, lateness=SECOND, on_finding=one_by_one.append)
    for number, line in enumerate(texts, 1):
        bridge.feed_lines(Lines("f.jsonl", number, [line]))
    bridge = Bridge(rules=standard(), policy=policy, lateness=SECOND, on_finding=together.append)
    bridge.feed_lines(Lines("f.jsonl", 1, texts))
    assert one_by_one[0].position == Position("f.jsonl", 1)
    assert len(one_by_one) > 1 or policy == "repair"
    assert together == one_by_one


def test_what_a_source_could_not_frame_counts_as_received_and_rejected() -> None:
    findings: list[Finding] = []
    bridge = Bridge(rules=standard(), on_finding=findings.append)
    finding = Finding(code="truncated", path="$", expected="more", found="the end", refused=True)
    bridge.refuse(finding)
    assert findings == [finding]
    assert bridge.tally.report()["events"]["rejected_by_reason"] == {"truncated": 1}
    check_balance(bridge.tally)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_event_costs_itself_alone(name: str) -> None:
    bad = UNREADABLE[name](PORTAL.impression(5))
    done = run([*STORY, *bad])
    assert done.text == run(STORY).text
    assert (done.tally.received, done.tally.rejected) == (5, 1)


@pytest.mark.parametrize("name", BENIGN)
def test_an_event_with_a_defect_that_can_be_borne_is_not_refused(name: str) -> None:
    events = [changed for event in STORY for changed in BENIGN[name](event)]
    assert run(events).tally.rejected == 0


def test_limits_are_obeyed() -> None:
    bridge = Bridge(rules=standard(), limits=Limits(event_bytes=100))
    bridge.feed(STORY)
    assert bridge.tally.rejected_by_reason == {"too_large": 4}


def test_events_are_counted_by_eid() -> None:
    assert run([*STORY, 42]).tally.report()["events"]["by_eid"] == {"END": 2, "START": 2}


def test_on_event_sees_what_could_be_read() -> None:
    seen: list[Event] = []
    bridge = Bridge(rules=standard(), on_event=lambda event, _: seen.append(event))
    bridge.feed([*STORY, 42, STORY[0]])
    assert seen == [*STORY, STORY[0]]


def test_metrics_count_as_translated() -> None:
    done = run([PLATFORM.metrics(0, jobs=3, errors=0)])
    assert (done.tally.translated, done.tally.metric_points, done.tally.spans) == (1, 2, 0)


# --- Deep and wide inputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_devices_that_share_a_session_id_do_not_nest_without_bound(policy: str) -> None:
    clients = [replace(PORTAL, did=f"d{number}") for number in range(1_500)]
    events = [client.start(number, "workflow") for number, client in enumerate(clients)]
    assert run(events, policy=policy, idle_gap=1 << 60).tally.closed == {"drain": 1_500}


def sessions(number: int) -> list[Event]:
    clients = (replace(PORTAL, did=f"d{n}", sid=f"s{n}") for n in range(number))
    return [client.start(0, "session") for client in clients]


def plays_of_a_session(number: int) -> list[Event]:
    clients = (replace(PORTAL, did=f"d{n}") for n in range(number))
    return [PORTAL.start(0, "session"), *(client.start(1, "content") for client in clients)]


def plays_at_one_time(number: int) -> list[Event]:
    objects = [content(f"do_{n}") for n in range(number)]
    return [write(0, "content", object=one) for one in objects for write in (PLAYER.start, PLAYER.end)]


def events_of_plays_at_one_time(number: int) -> list[Event]:
    return [*(PLAYER.interact(0, f"i{n}") for n in range(number)), *plays_at_one_time(number // 4)]


def runs_of_a_job(number: int) -> list[Event]:
    runs = [correlation(JobRun=f"r{n}") for n in range(number)]
    starts = [JOB.job_start(n / 1000, cdata=cdata) for n, cdata in enumerate(runs)]
    return [*starts, *(JOB.job_end(100 + n / 1000, cdata=cdata) for n, cdata in enumerate(runs))]


def logs_of_a_request(number: int) -> list[Event]:
    request = correlation(Request="r")
    logs = [PLATFORM.log(n / 1000, cdata=request) for n in range(number)]
    return [*logs, *(PLATFORM.api_access(100 + n / 1000, cdata=request) for n in range(number))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [sessions, plays_of_a_session, plays_at_one_time, events_of_plays_at_one_time, runs_of_a_job, logs_of_a_request],
)
def test_work_grows_with_the_input_and_not_with_its_square(write: Callable[[int], list[Event]]) -> None:
    def seconds(number: int) -> float:
        events = write(number)
        begun = time.process_time()
        run(events)
        return time.process_time() - begun

    # Four times the input takes four times as long, and sixteen times when each event is compared with each other.
    assert seconds(2_000) < 8 * seconds(500) + 0.2


# --- Real telemetry --------------------------------------------------------------------------------------------------


def documents(corpus: Path, *files: str) -> list[bytes]:
    found: list[bytes] = []
    for name in files:
        for document in read(str(corpus / name), limits=Limits()):
            assert isinstance(document, Lines | Document)
            found += document.texts if isinstance(document, Lines) else [document.data]
    return found


CORPUS = ("ingest-batches.jsonl", "raw-events.jsonl", "mobile-session.jsonl", "mobile-textbook.jsonl")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("file", CORPUS)
def test_the_accounts_of_real_telemetry_balance(corpus: Path, file: str, policy: str) -> None:
    findings: list[Finding] = []
    bridge = Bridge(rules=standard(), policy=policy, on_finding=findings.append)
    signals: list[Signal] = []
    for document in documents(corpus, file):
        signals += bridge.feed(document)
        check_balance(bridge.tally)
    for step in bridge.drain_steps(events=20):
        signals += step
        check_balance(bridge.tally)
    done = Run(signals, bridge.tally, findings)
    check_drained(done)
    check_spans(done)
    if policy == "repair":
        check_contained(done)


def test_every_event_of_both_topics_is_received(corpus: Path) -> None:
    done = run(documents(corpus, "ingest-batches.jsonl", "raw-events.jsonl"))
    assert done.tally.received == 468
    assert done.tally.duplicate > 0


@pytest.mark.parametrize("policy", POLICIES)
def test_shuffled_real_telemetry_gives_the_same(corpus: Path, policy: str) -> None:
    lines = documents(corpus, *CORPUS)
    shuffled = lines.copy()
    random.Random(1).shuffle(shuffled)
    assert run(lines, policy=policy).text == run(shuffled, policy=policy).text


@pytest.mark.parametrize("policy", POLICIES)
def test_real_telemetry_in_a_small_live_run_balances(corpus: Path, policy: str) -> None:
    options: dict[str, Any] = {"lateness": 60 * SECOND, "memory": 20_000, "max_open_flows": 3, "policy": policy}
    done = run(documents(corpus, *CORPUS), **options)
    check_spans(done)
    if policy == "repair":
        check_contained(done)


def test_web_clients_that_send_twice_are_seen_through(corpus: Path) -> None:
    once = documents(corpus, "ingest-batches.jsonl")
    assert run([*once, *once]).text == run(once).text
