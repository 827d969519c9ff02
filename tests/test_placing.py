"""Where events go across producers, in requests and services, when they are late, and when a span has too many."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from bridging import POLICIES, run, standard
from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Event, content, correlation

from sunbird_otel import Rules, names
from sunbird_otel._limits import Limits
from sunbird_otel._signals import SpanKind, StatusCode

SECOND = 1_000_000_000
T0_NS = 1_795_154_400 * SECOND
RID = "6f0b2f6e-1111-4222-8333-0123456789ab"
P1 = content("do_1")


# --- Across producers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_", ["session", "Session", "SESSION"])
def test_an_event_joins_the_session_that_its_cdata_names(type_: str) -> None:
    event = PLATFORM.search(2, cdata=[{"type": type_, "id": PORTAL.sid}])
    done = run([PORTAL.start(0, "session"), event])
    assert done.tree() == "session > ~sunbird.search"


def test_an_event_joins_the_session_of_its_sid() -> None:
    assert run([PORTAL.start(0, "session"), EDITOR.interact(2)]).tree() == "session > ~sunbird.interact"


def test_an_event_of_another_producer_keeps_its_own_resource() -> None:
    done = run([PORTAL.start(0, "session"), EDITOR.interact(2)])
    assert done.instant("INTERACT").resource.service_name == EDITOR.pdata
    assert done.flow("session").resource.service_name == PORTAL.pdata


def test_a_flow_of_another_producer_joins_the_session() -> None:
    done = run([PORTAL.start(0, "session"), EDITOR.start(1, "editor", object=P1), EDITOR.end(3, "editor", object=P1)])
    assert done.tree() == "session > editor"


def test_an_event_joins_the_innermost_flow_that_may_hold_it() -> None:
    plugin = PORTAL.event("PLUGIN_LIFECYCLE", 2, {"type": "add", "pluginid": "p", "pluginver": "1"})
    done = run([PORTAL.start(0, "session"), EDITOR.start(1, "editor", object=P1), plugin])
    assert done.tree(like="[") == "session > editor > ~sunbird.plugin_lifecycle"


def test_an_event_with_a_lane_of_its_own_stays_there() -> None:
    done = run([PORTAL.start(0, "session"), EDITOR.start(1, "editor"), PORTAL.interact(2)])
    assert done.tree(like="[") == "session[interact] > editor"


def test_an_event_of_another_session_stays_alone() -> None:
    done = run([PORTAL.start(0, "session"), replace(EDITOR, sid="other").interact(2)])
    assert done.tree() == "session | ~sunbird.interact"


def test_an_event_before_the_session_is_not_in_it() -> None:
    done = run([PORTAL.start(5, "session"), EDITOR.interact(2)])
    assert done.tree() == "~sunbird.interact | session"


def test_an_end_finds_its_flow_by_the_session() -> None:
    start = EDITOR.start(1, "editor", object=P1)
    done = run([PORTAL.start(0, "session"), start, replace(EDITOR, did="d").end(3, "editor", object=P1)])
    assert done.tally.paired == 1


# --- Requests --------------------------------------------------------------------------------------------------------


def test_a_request_ends_at_its_time_and_lasts_its_duration() -> None:
    span = run([PLATFORM.api_access(10, 250)]).flow("request")
    assert (span.start_ns - T0_NS, span.end_ns - T0_NS) == (9_750_000_000, 10_000_000_000)
    assert span.kind is SpanKind.SERVER


@pytest.mark.parametrize(
    ("duration", "ns"),
    [("250", 250_000_000), (0.25, 250_000), (250.0, 250_000_000), (0, 1), (None, 1), ("x", 1), (-5, 1), (1e12, 1)],
)
def test_a_duration_that_cannot_be_is_none(duration: Any, ns: int) -> None:
    span = run([PLATFORM.api_access(10, duration)]).flow("request")
    assert span.end_ns - span.start_ns == ns


@pytest.mark.parametrize("key", ["Request", "RequestId", "X-Request-ID", "request"])
def test_a_request_holds_the_events_of_its_id(key: str) -> None:
    log = PLATFORM.log(9.9, cdata=correlation(**{key: RID}))
    other = PLATFORM.log(9.9, cdata=correlation(Request="another"))
    done = run([log, other, PLATFORM.api_access(10, 250, RID)])
    assert done.tree() == "request[log] | ~sunbird.log"


def test_an_event_that_comes_before_the_duration_stays_on_the_request() -> None:
    log = PLATFORM.log(5, cdata=correlation(Request=RID))
    done = run([log, PLATFORM.api_access(10, 250, RID)])
    assert done.flow("request").events[0].time_ns == T0_NS + 5 * SECOND
    assert run([log, PLATFORM.api_access(10, 250, RID)], policy="repair").flow("request").start_ns == T0_NS + 5 * SECOND


def test_an_event_of_another_service_in_a_request_is_a_span_in_it() -> None:
    other = replace(PLATFORM, pdata="another.service")
    done = run([other.log(9.9, cdata=correlation(Request=RID)), PLATFORM.api_access(10, 250, RID)])
    assert done.tree() == "request > ~sunbird.log"


def test_an_event_after_its_request_is_linked_to_it_under_repair() -> None:
    events = [PLATFORM.api_access(10, 250, RID), PLATFORM.log(11, cdata=correlation(Request=RID))]
    done = run(events, policy="repair")
    (link,) = done.instant("LOG").links
    assert (link.trace_id, link.span_id) == (done.flow("request").trace_id, done.flow("request").span_id)
    assert done.instant("LOG").parent_span_id == b""


def test_an_event_before_its_request_is_linked_to_it_under_repair() -> None:
    other = replace(PLATFORM, pdata="another.service")
    events = [other.log(1, cdata=correlation(Request=RID)), PLATFORM.api_access(10, 250, RID)]
    assert run(events, policy="repair").tree() == "~sunbird.log | request"


def test_an_event_whose_request_never_comes_goes_where_it_would_have_gone() -> None:
    events = [PORTAL.start(0, "session"), PORTAL.log(1, cdata=correlation(Request=RID)), PORTAL.end(9, "session")]
    assert run(events).tree() == "session[log]"


def test_a_request_of_a_session_is_in_it() -> None:
    done = run([PORTAL.start(0, "session"), PLATFORM.api_access(5, 40, RID, cdata=correlation(session=PORTAL.sid))])
    assert done.tree() == "session > request"


def test_requests_of_one_service_overlap() -> None:
    other = "6f0b2f6e-2222-4222-8333-0123456789ab"
    logs = [PLATFORM.log(9, cdata=correlation(Request=RID)), PLATFORM.log(9.5, cdata=correlation(Request=other))]
    done = run([*logs, PLATFORM.api_access(10, 2000, RID), PLATFORM.api_access(10.1, 2000, other)])
    assert done.tree() == "request[log] | request[log]"


@pytest.mark.interpreted
def test_of_too_many_events_that_wait_the_oldest_stops_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sunbird_otel._parked._MOST_EVENTS", 2)
    logs = [PLATFORM.log(at, cdata=correlation(Request=RID)) for at in (1, 2, 3)]
    assert run([*logs, PLATFORM.api_access(10, 40, RID)]).tree() == "~sunbird.log | request[log, log]"


# --- Services --------------------------------------------------------------------------------------------------------

SERVICE = [PLATFORM.ready(0), PLATFORM.api_access(10, 40, RID), PLATFORM.stopped(60)]


def test_a_request_links_to_the_run_of_its_service() -> None:
    done = run(SERVICE)
    request, service = done.flow("request"), done.flow("service")
    (link,) = request.links
    assert (link.trace_id, link.span_id, link.attributes) == (
        service.trace_id,
        service.span_id,
        {names.LINK_TYPE: "service_run"},
    )
    assert done.tree() == "service | request"
    assert request.trace_id != service.trace_id
    assert done.tally.violations == {}


def child_rules() -> Rules:
    """Return rules whose services hold their requests as children."""
    flows = tuple(replace(r, members="child") if r.kind == "service" else r for r in standard().flows)
    return Rules(standard().workflows, flows)


def test_a_request_is_a_child_of_the_run_when_the_rules_say_so() -> None:
    done = run(SERVICE, rules=child_rules())
    assert done.tree() == "service > request"
    assert done.flow("request").links == []


def test_the_run_is_found_by_the_producer_whoever_asks() -> None:
    user = replace(PLATFORM, actor="a-user", did="d1", sid="s1")
    assert run([SERVICE[0], user.api_access(10, 40)]).flow("request").links


def test_a_request_outside_a_run_is_marked_only_if_the_service_writes_audits() -> None:
    late = PLATFORM.api_access(70, 40)
    assert run([late]).tally.violations == {}
    done = run([*SERVICE, late])
    assert done.flow("request", 1).attributes[names.FLOW_VIOLATIONS] == ["missing_parent"]
    other = replace(PLATFORM, pid="another").api_access(70, 40)
    assert run([*SERVICE, other]).tally.violations == {}


def test_repair_makes_the_run_that_is_missing() -> None:
    done = run([*SERVICE, PLATFORM.api_access(70, 40)], policy="repair")
    assert done.tally.synthetic_spans == 1
    assert done.flow("request", 1).links[0].span_id == done.flow("service", 1).span_id


# --- Events that stand alone -----------------------------------------------------------------------------------------


def test_a_lone_event_lasts_one_nanosecond() -> None:
    span = run([PORTAL.impression(5)]).instant("IMPRESSION")
    assert (span.start_ns - T0_NS, span.end_ns - span.start_ns) == (5 * SECOND, 1)
    assert span.attributes[names.FLOW_END_REASON] == "instant"
    assert span.kind is SpanKind.INTERNAL


@pytest.mark.parametrize("event", [PORTAL.impression(0), PORTAL.interact(0), PORTAL.log(0), PORTAL.audit(0, "x", P1)])
def test_an_event_that_may_stand_alone_is_not_marked(event: Event) -> None:
    assert run([event]).tally.violations == {}


@pytest.mark.parametrize("eid", ["ASSESS", "RESPONSE", "JOB_LOG", "PLUGIN_LIFECYCLE", "LEVEL_SET"])
def test_an_event_that_makes_sense_only_in_a_flow_is_marked(eid: str) -> None:
    done = run([PORTAL.event(eid, 0, {})])
    assert done.tally.violations == {"event_outside_flow": 1}


def test_an_error_makes_its_span_fail() -> None:
    alone = run([PORTAL.error(0)]).instant("ERROR")
    assert (alone.status, alone.status_message) == (StatusCode.ERROR, "TypeError: SYSTEM")
    inside = run([PORTAL.start(0, "session"), PORTAL.error(1)]).flow("session")
    assert (inside.status, inside.status_message) == (StatusCode.ERROR, "TypeError: SYSTEM")


# --- Late events -----------------------------------------------------------------------------------------------------


def late_run(*events: Event, policy: str = "annotate") -> Any:
    return run(events, lateness=10 * SECOND, policy=policy)


def test_a_late_event_joins_the_flow_that_is_still_open() -> None:
    done = late_run(MOBILE.start(0, "session"), MOBILE.impression(100), MOBILE.interact(50))
    session = done.flow("session")
    assert [event.name for event in session.events] == ["sunbird.interact", "sunbird.impression"], "in order of time"
    assert session.events[0].attributes[names.LATE] is True
    assert names.LATE not in session.events[1].attributes
    assert done.tally.late == done.codes["late"] == 1


def test_a_late_event_of_a_closed_flow_is_a_span_in_it() -> None:
    events = [MOBILE.start(0, "session"), MOBILE.end(60, "session"), MOBILE.impression(100), MOBILE.interact(50)]
    done = late_run(*events)
    assert done.tree() == "session > ~sunbird.interact | ~sunbird.impression"


def test_under_reject_a_late_event_of_a_closed_flow_is_linked_to_it() -> None:
    """The flow around may yet be refused, and then the parent would not be in the output."""
    events = [PORTAL.start(0, "session"), PORTAL.end(60, "session"), PORTAL.impression(100), PORTAL.interact(50)]
    done = late_run(*events, policy="reject")
    assert done.instant("INTERACT").parent_span_id == b""
    assert done.instant("INTERACT").links[0].span_id == done.flow("session").span_id


def test_a_late_event_from_before_any_flow_is_alone() -> None:
    done = late_run(MOBILE.start(10, "session"), MOBILE.impression(100), MOBILE.interact(5))
    assert done.instant("INTERACT").parent_span_id == b""


def test_a_late_end_closes_its_flow() -> None:
    done = late_run(
        MOBILE.start(0, "session"), PLAYER.start(5, "content"), MOBILE.impression(100), PLAYER.end(50, "content")
    )
    assert done.flow("player").attributes[names.FLOW_END_REASON] == "end"
    assert done.flow("player").attributes[names.LATE] is True


def test_a_late_start_opens_its_flow_when_nothing_has_begun_or_ended_since() -> None:
    done = late_run(
        MOBILE.start(0, "session"), MOBILE.impression(100), MOBILE.start(50, "Page"), MOBILE.end(101, "Page")
    )
    assert done.tree(like="") == "session > page"
    assert done.flow("page").attributes[names.LATE] is True


def test_a_late_start_is_an_event_when_something_has_begun_since() -> None:
    events = [MOBILE.start(0, "session"), MOBILE.start(60, "Page"), MOBILE.impression(100), MOBILE.start(50, "qr")]
    done = late_run(*events)
    assert done.tally.opened == 2
    assert [event.name for event in done.flow("session").events] == ["sunbird.start"]


def test_a_late_event_is_not_lost_under_any_policy() -> None:
    for policy in POLICIES:
        done = late_run(MOBILE.impression(100), PLAYER.assess(5), MOBILE.end(6, "session"), policy=policy)
        assert done.tally.late == 2
        assert done.tally.translated + done.tally.rejected == 3


# --- Spans with many events ------------------------------------------------------------------------------------------


THREE_A_SPAN = Limits(span_events=3)


def test_a_flow_with_many_events_goes_on_in_segments() -> None:
    done = run(
        [PORTAL.start(0, "session"), *(PORTAL.impression(at) for at in range(1, 9)), PORTAL.end(10, "session")],
        limits=THREE_A_SPAN,
    )
    segments = [span for span in done.spans if names.FLOW_SEGMENT in span.attributes]
    (session,) = [span for span in done.spans if names.FLOW_SEGMENTS in span.attributes]
    assert [span.attributes[names.FLOW_SEGMENT] for span in segments] == [1, 2]
    assert [len(span.events) for span in (*segments, session)] == [3, 3, 2]
    assert {span.parent_span_id for span in segments} == {session.span_id}
    assert session.attributes[names.FLOW_SEGMENTS] == 2
    assert (segments[0].start_ns - T0_NS, segments[0].end_ns - T0_NS) == (SECOND, 3 * SECOND)


def test_an_error_in_a_segment_makes_the_segment_fail() -> None:
    done = run(
        [PORTAL.start(0, "session"), PORTAL.error(1), PORTAL.impression(2), PORTAL.impression(3)], limits=THREE_A_SPAN
    )
    (segment,) = [span for span in done.spans if names.FLOW_SEGMENT in span.attributes]
    assert segment.status is StatusCode.ERROR


def test_repair_moves_an_end_so_that_it_holds_a_segment_of_one_time() -> None:
    done = run(
        [PORTAL.start(0, "session"), *(PORTAL.impression(1, page) for page in "abc")],
        policy="repair",
        limits=THREE_A_SPAN,
    )
    (segment,) = [span for span in done.spans if names.FLOW_SEGMENT in span.attributes]
    assert segment.end_ns <= done.flow("session").end_ns


def test_reject_keeps_segments_out_too() -> None:
    events = [PLAYER.start(0, "content"), *(PLAYER.interact(at) for at in range(1, 9)), PLAYER.end(10, "content")]
    done = run(events, policy="reject", limits=THREE_A_SPAN)
    assert done.spans == []
    assert done.tally.rejected == 10


def test_large_events_make_segments_as_well() -> None:
    events = [PORTAL.start(0, "session"), *(PORTAL.impression(at) for at in range(1, 9))]
    done = run(events, limits=Limits(span_bytes=1_000))
    assert sum(names.FLOW_SEGMENT in span.attributes for span in done.spans) >= 2


def test_no_span_has_more_events_than_the_limit() -> None:
    log = [JOB.job_log(at / 10) for at in range(4_500)]
    done = run([JOB.job_start(0), *log, JOB.job_end(1000)])
    assert Counter(len(span.events) for span in done.spans) == {2000: 2, 500: 1}
