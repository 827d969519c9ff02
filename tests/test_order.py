"""Events in the order of their own time: the lateness window, the memory budget, copies, and equal times."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from bridging import compact, run
from decoding import one
from events import JOB, MOBILE, PLATFORM, PLAYER, T0, Event, content, correlation

from sunbird_otel import _order, names
from sunbird_otel._findings import Position
from sunbird_otel._order import Entry, Sequencer, distinct

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel import _event

SECOND = 1_000_000_000
T0_NS = T0 * 1_000_000


def at(seconds: float, page: str = "library", position: Position | None = None) -> _event.Event:
    event = one(MOBILE.impression(seconds, page))
    event.position = position
    return event


def push(order: Sequencer, event: _event.Event) -> bool:
    return order.push(event.ets_ns, event.payload, event.position)


def all_of(step: Callable[[], list[Entry]]) -> list[float]:
    """Return the times of all that leaves, in seconds."""
    found: list[float] = []
    while entries := step():
        assert len({entry[0] for entry in entries}) == 1
        found += [(entry[0] - T0_NS) / SECOND for entry in entries]
    return found


# --- The window ------------------------------------------------------------------------------------------------------


def test_without_a_window_nothing_leaves_before_the_end() -> None:
    order = Sequencer(None, 1 << 30)
    for time in (5, 1, 99_999, 3):
        assert push(order, at(time))
        assert order.due() == []
    assert all_of(order.rest) == [1, 3, 5, 99_999]
    assert order.rest() == []


def test_an_event_leaves_when_a_newer_one_is_further_ahead_than_the_window() -> None:
    order = Sequencer(10 * SECOND, 1 << 30)
    push(order, at(0))
    push(order, at(10))
    assert order.due() == [], "10 s behind is not beyond 10 s"
    push(order, at(10.001))
    assert all_of(order.due) == [0]


def test_events_leave_in_the_order_of_their_time() -> None:
    order = Sequencer(10 * SECOND, 1 << 30)
    for time in (4, 2, 3, 1, 13):
        push(order, at(time))
    assert all_of(order.due) == [1, 2]
    assert all_of(order.rest) == [3, 4, 13]


def test_an_event_behind_the_window_is_late_even_when_nothing_left() -> None:
    order = Sequencer(10 * SECOND, 1 << 30)
    push(order, at(100))
    assert push(order, at(90))
    assert not push(order, at(89.999))


def test_time_that_is_passed_from_outside_lets_events_go() -> None:
    order = Sequencer(None, 1 << 30)
    push(order, at(1))
    push(order, at(2))
    assert all_of(lambda: order.before(T0_NS + 2 * SECOND)) == [1]
    assert not push(order, at(1.5))
    assert push(order, at(2)), "its time has come but not passed"


def test_beyond_the_memory_the_oldest_go_early() -> None:
    order = Sequencer(None, 3_000)
    for time in (5, 1, 4, 2, 3):
        push(order, at(time))
    early = all_of(order.due)
    assert early == sorted(early)
    assert early[0] == 1
    assert order.released_early == len(early) > 0
    assert early + all_of(order.rest) == [1, 2, 3, 4, 5]


def test_events_keep_their_position() -> None:
    order = Sequencer(None, 1 << 30)
    push(order, at(1, position=Position("f", 3, 2)))
    [(_, _, _, position, _)] = order.rest()
    assert position == Position("f", 3, 2)


def test_what_comes_while_the_rest_leaves_is_put_in_its_place() -> None:
    order = Sequencer(None, 1 << 30)
    for time in (1, 5, 3):
        push(order, at(time))
    assert [entry[0] for entry in order.rest()] == [T0_NS + SECOND]
    assert push(order, at(4))
    assert all_of(order.rest) == [3, 4, 5]


# --- Copies ----------------------------------------------------------------------------------------------------------


def test_copies_of_one_event_meet_and_the_first_is_kept() -> None:
    events, copies = distinct([at(1, position=Position("f", line)) for line in (7, 8, 9)])
    assert [event.position for event in events] == [Position("f", 7)]
    assert [event.position for event in copies] == [Position("f", 8), Position("f", 9)]


def test_events_that_share_all_but_their_content_are_numbered_by_it() -> None:
    twins = [one(MOBILE.impression(0, page, mid="m")) for page in ("home", "library", "profile")]
    for events in itertools.permutations(twins):
        assert distinct(list(events)).copies == []
        assert [event.twin for event in twins] == [0, 1, 2]


def test_a_late_event_that_shares_all_but_its_content_has_a_span_of_its_own() -> None:
    events = [MOBILE.impression(0, page, mid="m") for page in ("home", "library", "home", "profile")]
    done = run([events[0], MOBILE.impression(100), *events[1:]], lateness=10 * SECOND)
    assert (done.tally.duplicate, done.tally.late) == (1, 2)
    assert len({span.span_id for span in done.spans}) == len(done.spans) == 4


def test_one_mid_for_two_events_makes_no_copy() -> None:
    events = [MOBILE.impression(0, "home", mid="m"), MOBILE.impression(0, "library", mid="m"), MOBILE.log(0, mid="m")]
    assert run(events).tally.duplicate == 0


def test_two_mids_for_one_content_make_no_copy() -> None:
    assert run([MOBILE.impression(0, mid="m1"), MOBILE.impression(0, mid="m2")]).tally.duplicate == 0


def test_a_copy_that_the_pipeline_has_marked_is_a_copy() -> None:
    event = MOBILE.impression(0)
    marked = {**event, "ets": float(event["ets"]), "syncts": 1, "flags": {"ex_processed": True}, "type": "events"}
    assert run([event, marked]).tally.duplicate == 1


def test_a_late_copy_is_a_duplicate_and_not_late() -> None:
    done = run([MOBILE.impression(0), MOBILE.impression(100), MOBILE.impression(0)], lateness=10 * SECOND)
    assert (done.tally.duplicate, done.tally.late) == (1, 0)


@pytest.mark.parametrize("ets", [9_999_999_999_999, 4_102_444_800_000, 1e13, 1e300, 100_000_000_000])
def test_a_time_that_cannot_be_makes_nothing_late(ets: float) -> None:
    impossible = {**MOBILE.impression(0), "ets": ets}
    events = compact([MOBILE.impression(0), impossible, MOBILE.impression(1)])
    done = run(events, as_lines=True, lateness=10 * SECOND)
    assert (done.tally.late, done.tally.rejected, done.tally.translated) == (0, 1, 2)


@pytest.mark.parametrize("ets", ["1.7.6E12", "..E12", "1E999", "1E", ".5E12", "1.76E12.0", "0x1", "1_0E12"])
def test_a_number_that_is_none_costs_its_line_alone(ets: str) -> None:
    [good, bad] = compact([MOBILE.impression(0), {**MOBILE.impression(1), "ets": "ETS"}])
    for line in (bad, bad.replace(b'{"eid"', b'{"x":1,"eid"')):
        done = run([good, line.replace(b'"ETS"', ets.encode())], as_lines=True)
        assert (done.tally.rejected, done.tally.translated) == (1, 1)


def test_a_late_event_and_its_copy_are_one_late_event() -> None:
    done = run([MOBILE.impression(100), MOBILE.impression(0), MOBILE.impression(0)], lateness=0)
    assert (done.tally.duplicate, done.tally.late) == (1, 1)


@pytest.mark.interpreted
def test_only_the_newest_released_events_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_order, "_REMEMBERED", 2)
    order = Sequencer(0, 1 << 30)
    for time in (1, 2, 3):
        event = at(time)
        push(order, event)
        order.remember(event)
    assert [order.is_copy(at(time)) for time in (1, 2, 3)] == [False, True, True]


# --- Equal times -----------------------------------------------------------------------------------------------------

P1, P2 = content("do_1"), content("do_2")


def told(events: list[Event]) -> str:
    """Return the tree, which must be the same for every order of arrival."""
    shuffles = itertools.islice(itertools.permutations(events), 120)
    trees = {run(order).tree() for order in shuffles}
    assert len(trees) == 1
    return trees.pop()


def test_what_belongs_to_a_flow_that_ends_now_comes_before_its_end() -> None:
    last = PLAYER.interact(9, object=P1)
    events = [
        MOBILE.start(0, "session"),
        PLAYER.start(1, "content", object=P1),
        last,
        PLAYER.end(9, "content", object=P1),
        PLAYER.start(9, "content", object=P2),
        MOBILE.end(20, "session"),
    ]
    done = run(events)
    assert [event.attributes[names.MID] for event in done.flow("player").events] == [last["mid"]]
    assert not done.flow("player", 1).events or done.flow("player", 1).events[0].attributes[names.MID] != last["mid"]
    assert done.tally.paired == 2


def test_of_flows_that_end_together_the_innermost_ends_first() -> None:
    events = [
        MOBILE.start(0, "app"),
        MOBILE.start(1, "session"),
        PLAYER.start(2, "content", object=P1),
        MOBILE.end(9, "app"),
        MOBILE.end(9, "session"),
        PLAYER.end(9, "content", object=P1),
    ]
    done = run(events)
    assert told(events) == "app > session > player"
    assert done.tally.violations == {}
    assert done.tally.closed["end"] == 3


def test_of_flows_that_start_together_the_outermost_starts_first() -> None:
    events = [PLAYER.start(0, "content", object=P1), MOBILE.start(0, "session"), MOBILE.start(0, "app")]
    done = run(events)
    assert done.tree(like="") == "app > session > player"
    assert not done.tally.violations.keys() & {"wrong_parent", "missing_parent"}


def test_ends_come_before_starts() -> None:
    events = [
        MOBILE.start(0, "session"),
        PLAYER.start(1, "content", object=P1),
        PLAYER.start(5, "content", object=P2),
        PLAYER.end(5, "content", object=P1),
        PLAYER.end(8, "content", object=P2),
    ]
    done = run(events)
    assert done.tree(like="") == "session > (player, player)"
    assert done.tally.closed["end"] == 2
    assert done.tally.closed["restart"] == 0


def test_what_belongs_to_a_flow_that_starts_now_comes_after_its_start() -> None:
    first = PLAYER.impression(1, object=P1)
    done = run([MOBILE.start(0, "session"), first, PLAYER.start(1, "content", object=P1)])
    assert [event.attributes[names.MID] for event in done.flow("player").events] == [first["mid"]]


def test_the_end_of_a_flow_that_also_starts_now_comes_last() -> None:
    events = [
        MOBILE.start(0, "session"),
        PLAYER.end(1, "content", object=P1),
        PLAYER.impression(1, object=P1),
        PLAYER.start(1, "content", object=P1),
    ]
    done = run(events)
    assert done.tally.paired == 1
    assert done.tally.orphan == 0
    assert [event.name for event in done.flow("player").events] == ["sunbird.impression"]
    assert told(events) == done.tree()


def test_what_starts_and_ends_now_ends_before_what_is_around_it() -> None:
    events = [
        MOBILE.start(0, "session"),
        MOBILE.end(1, "session"),
        PLAYER.end(1, "content", object=P1),
        PLAYER.start(1, "content", object=P1),
    ]
    done = run(events)
    assert done.tree(like="") == "session > player"
    assert (done.tally.paired, dict(done.tally.violations)) == (2, {})


def test_an_end_and_a_start_of_one_content_at_one_time_are_two_plays_when_one_was_open() -> None:
    events = [
        MOBILE.start(0, "session"),
        PLAYER.start(1, "content", object=P1),
        PLAYER.start(5, "content", object=P1),
        PLAYER.end(5, "content", object=P1),
        PLAYER.end(9, "content", object=P1),
    ]
    done = run(events)
    assert done.tree(like="") == "session > (player, player)"
    assert (done.tally.paired, done.tally.closed["restart"]) == (2, 0)


def test_a_request_comes_after_the_events_that_it_gathers() -> None:
    rid = "6f0b2f6e-1111-4222-8333-0123456789ab"
    events = [
        PLATFORM.api_access(1, 40, rid),
        PLATFORM.log(1, cdata=correlation(Request=rid)),
        PLATFORM.log(1, "other", cdata=correlation(Request=rid)),
    ]
    assert told(events) == "request[log, log]"


def test_collections_that_start_together_nest_by_their_place_in_the_content() -> None:
    book = content("do_book", "TextBook")
    unit: dict[str, Any] = {**content("do_unit", "TextBookUnit"), "rollup": {"l1": "do_book"}}
    part: dict[str, Any] = {**content("do_part", "TextBookUnit"), "rollup": {"l1": "do_book", "l2": "do_unit"}}
    events = [
        MOBILE.start(0, "session"),
        MOBILE.start(1, "TextBookUnit", object=part),
        MOBILE.start(1, "TextBook", object=book),
        MOBILE.start(1, "TextBookUnit", object=unit),
    ]
    done = run(events)
    assert done.tree(like="") == "session > collection > collection > collection"
    span = next(span for span in done.spans if span.attributes.get(names.OBJECT_ID) == "do_part")
    around = [span]
    while (parent := done.parent(around[-1])) is not None:
        around.append(parent)
    assert [outer.attributes.get(names.OBJECT_ID) for outer in around] == ["do_part", "do_unit", "do_book", None]
    assert told(events) == done.tree()


def test_starts_and_ends_of_two_jobs_at_one_time_find_their_own() -> None:
    run1, run2 = correlation(JobRun="1"), correlation(JobRun="2")
    events = [
        JOB.job_start(0, cdata=run1),
        JOB.job_end(5, cdata=run1),
        JOB.job_start(5, cdata=run2),
        JOB.job_end(5, cdata=run2),
    ]
    assert run(events).tally.paired == 2
    assert told(events) == "job | job"
