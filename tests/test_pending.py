"""Flows that are still open are shown by a span of their own, once, and change nothing of what comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bridging import Run as Done
from bridging import check_balance, check_spans, run, standard
from events import MOBILE, PLAYER, T0, content, correlation

from sunbird_otel import names
from sunbird_otel._form import Records
from sunbird_otel._pipeline import Pipeline
from sunbird_otel._signals import Signal, Span

if TYPE_CHECKING:
    from events import Event

S = 1_000_000_000
T0_NS = T0 * 1_000_000
P1 = content("do_1")
STORY = [
    MOBILE.start(0, "app"),
    MOBILE.start(1, "session"),
    PLAYER.start(2, "content", mode="play", object=P1, cdata=correlation(PlaySession="p1")),
    PLAYER.interact(3, object=P1),
    PLAYER.end(60, "content", object=P1, cdata=correlation(PlaySession="p1")),
    MOBILE.end(62, "session"),
    MOBILE.end(63, "app"),
]


class Watched:
    """A bridge that is asked for what is open."""

    def __init__(self, **options: Any) -> None:
        self.bridge: Pipeline[Signal] = Pipeline(Records(), rules=standard(), lateness=10 * S, pending=True, **options)
        self.signals: list[Signal] = []

    def feed(self, *events: Event) -> None:
        for event in events:
            self.signals += self.bridge.feed(event)
        check_balance(self.bridge.tally)

    def shown(self, at: float, after: float = 5) -> list[Span]:
        """Let the time up to which events are in order be ``at``, and return what is pending then."""
        self.signals += self.bridge.advance(T0_NS + int(at * S))
        found = [signal for signal in self.bridge.pending(int(after * S)) if isinstance(signal, Span)]
        self.signals += found
        return found

    def drain(self) -> Done:
        self.signals += self.bridge.drain()
        check_balance(self.bridge.tally)
        return Done(self.signals, self.bridge.tally, [])


def test_each_open_flow_is_shown_once_when_it_is_old_enough() -> None:
    watched = Watched()
    watched.feed(*STORY[:4])
    assert [span.name for span in watched.shown(4.9)] == []
    assert [span.name for span in watched.shown(6.5)] == ["app", "session"]
    assert [span.name for span in watched.shown(8)] == ["player"]
    assert watched.shown(50) == []


def test_what_is_pending_stands_inside_the_span_that_comes_later() -> None:
    watched = Watched()
    watched.feed(*STORY[:4])
    pending = watched.shown(20)
    watched.feed(*STORY[4:])
    done = watched.drain()
    assert done.tally.spans == len(done.spans) == 6
    check_spans(done)
    whole = run(STORY)
    later = [span for span in done.spans if span not in pending]
    assert set(map(repr, later)) == set(map(repr, whole.spans)), "as without --pending"
    assert done.tally.report()["events"] == whole.tally.report()["events"]
    for span, kind in zip(pending, ("app", "session", "player"), strict=True):
        flow = whole.flow(kind)
        assert (span.trace_id, span.parent_span_id, span.name) == (flow.trace_id, flow.span_id, kind)
        assert (span.start_ns, span.end_ns) == (flow.start_ns, flow.start_ns + 1)
        assert span.resource == flow.resource
        assert span.attributes[names.FLOW_PENDING] is True
        assert (names.FLOW_END_REASON in span.attributes, names.WORKFLOW in span.attributes) == (False, False)
        for key in (names.FLOW_TYPE, names.START_MID, names.SESSION_ID, names.EDATA_TYPE):
            assert span.attributes[key] == flow.attributes[key]
    assert pending[-1].attributes[names.OBJECT_ID] == "do_1"
    assert pending[-1].attributes[names.PLAY_SESSION] == "p1"
    assert not any(names.FLOW_PENDING in span.attributes for span in whole.spans)


def test_the_same_flow_has_the_same_pending_span_in_every_run() -> None:
    one, other = Watched(), Watched()
    one.feed(*STORY[:4])
    other.feed(*reversed(STORY[:4]))
    first = one.shown(20)
    assert first == [*other.shown(6.5), *other.shown(20)]


def test_a_flow_that_ends_before_the_delay_is_not_shown() -> None:
    watched = Watched()
    watched.feed(MOBILE.start(0, "app"), PLAYER.start(2, "content", object=P1), PLAYER.end(4, "content", object=P1))
    assert [span.name for span in watched.shown(30)] == ["app"]


def test_a_flow_whose_end_waits_for_its_order_is_not_shown() -> None:
    """The END has come, but may yet have something in front of it: by its own time the flow was never old enough."""
    watched = Watched()
    watched.feed(MOBILE.start(0, "app"), MOBILE.end(8, "app"), MOBILE.interact(15))
    assert [span.name for span in watched.shown(7, after=10)] == []
    assert [span.name for span in watched.shown(30, after=10)] == []
    assert [span.name for span in watched.drain().spans if names.FLOW_PENDING in span.attributes] == []


def test_what_is_wrong_with_an_open_flow_is_told() -> None:
    watched = Watched()
    watched.feed(PLAYER.start(0, "content", object=P1))
    [player] = watched.shown(20)
    assert player.attributes[names.FLOW_VIOLATIONS] == ["missing_parent"]


def test_a_flow_that_repair_made_is_shown_as_one() -> None:
    watched = Watched(policy="repair")
    watched.feed(PLAYER.start(0, "content", object=P1))
    pending = watched.shown(20)
    assert [span.name for span in pending] == ["session", "player"]
    assert names.START_MID not in pending[0].attributes
    done = watched.drain()
    assert done.tally.synthetic_spans == sum(span.synthetic for span in done.spans)
    check_spans(done)


def test_idle_flows_are_closed_by_the_clock() -> None:
    watched = Watched()
    watched.feed(*STORY[:4])
    watched.shown(3 + 1799)
    assert watched.bridge.tally.closed["idle"] == 0
    watched.shown(3 + 1801)
    assert watched.bridge.tally.closed["idle"] == 3
    assert watched.bridge.tally.held == 0


@pytest.mark.parametrize("pending", [True, False])
def test_who_does_not_ask_keeps_nothing(pending: bool) -> None:
    bridge: Pipeline[Signal] = Pipeline(Records(), rules=standard(), pending=pending)
    bridge.feed(STORY[0])
    bridge.advance(T0_NS + S)
    assert len(bridge.pending(0)) == pending
