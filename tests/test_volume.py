"""Traces that hold more than a backend takes: where they go on, and how it leads back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from bridging import POLICIES, lines, run
from events import PLAYER, PORTAL, content

from sunbird_otel import names
from sunbird_otel._limits import Limits

if TYPE_CHECKING:
    from sunbird_otel._signals import Span

P1 = content("do_1")
SMALL_TRACES = Limits(trace_bytes=3_000)


def volume_of(spans: list[Span]) -> Counter[bytes]:
    """Return how many events each trace holds, those that opened or made its spans among them."""
    held: Counter[bytes] = Counter()
    for span in spans:
        held[span.trace_id] += len(span.events) + (names.FLOW_SEGMENT not in span.attributes)
    return held


def test_a_full_trace_goes_on_in_a_further_one_that_links_back() -> None:
    session = [PORTAL.start(0, "session"), *(PORTAL.impression(at) for at in range(1, 30)), PORTAL.end(40, "session")]
    done = run(session, limits=SMALL_TRACES)
    assert done.tally.span_events == 29
    held = volume_of(done.spans)
    assert len(held) > 3
    assert max(held.values()) * len(lines(session)[1]) < 2 * SMALL_TRACES.trace_bytes
    (own,) = [span for span in done.spans if names.FLOW_END_REASON in span.attributes]
    further = [span for span in done.spans if span.trace_id != own.trace_id]
    for span in further:
        assert span.parent_span_id == b""
        (link,) = span.links
        assert (link.trace_id, link.span_id, link.attributes) == (
            own.trace_id,
            own.span_id,
            {names.LINK_TYPE: "flow"},
        )
    (first,) = [span for span in done.spans if span.trace_id == own.trace_id and span != own]
    assert first.parent_span_id == own.span_id
    assert [span.attributes[names.FLOW_SEGMENT] for span in (first, *further)] == [*range(1, 2 + len(further))]
    assert own.attributes[names.FLOW_SEGMENTS] == 1 + len(further)


def test_a_flow_that_begins_when_the_trace_is_full_links_to_the_flow_around_it() -> None:
    events = [
        PORTAL.start(0, "session"),
        *(PORTAL.impression(at) for at in range(1, 9)),
        PORTAL.start(10, "content", object=P1),
        PORTAL.interact(11, object=P1),
        PORTAL.end(12, "content", object=P1),
        PORTAL.end(20, "session"),
    ]
    done = run(events, limits=SMALL_TRACES)
    player = done.flow("player")
    (session,) = [span for span in done.spans if span.attributes.get(names.FLOW_END_REASON) == "end" and span != player]
    assert player.trace_id != session.trace_id
    assert player.parent_span_id == b""
    assert [(link.span_id, link.attributes[names.LINK_TYPE]) for link in player.links] == [(session.span_id, "parent")]
    assert not done.tally.violations


def test_lone_events_of_one_device_fill_a_trace_too() -> None:
    done = run([PORTAL.interact(at) for at in range(30)], limits=SMALL_TRACES)
    assert len(volume_of(done.spans)) > 3
    assert {str(span.attributes[names.SESSION_ID]) for span in done.spans} == {PORTAL.sid}


def test_further_traces_do_not_depend_on_arrival() -> None:
    events = [PORTAL.start(0, "session"), *(PORTAL.impression(at) for at in range(1, 30)), PORTAL.end(40, "session")]
    assert run(events, limits=SMALL_TRACES).text == run(reversed(events), limits=SMALL_TRACES).text


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_kept_out_of_a_full_trace_is_kept_out_whole(policy: str) -> None:
    events = [PLAYER.start(0, "content"), *(PLAYER.interact(at) for at in range(1, 30)), PLAYER.end(40, "content")]
    done = run(events, policy=policy, limits=SMALL_TRACES)
    assert (done.tally.rejected, done.tally.translated) == ((31, 0) if policy == "reject" else (0, 31))
    assert bool(done.spans) is (policy != "reject")
