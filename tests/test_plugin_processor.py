"""The nesting processor: what becomes of flow spans under each policy, and which flow is around one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pytest
from opentelemetry import context as contexts
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from plugin_rig import (
    POLICIES,
    AlwaysRecord,
    Rig,
    app_inside_its_session,
    end_reason,
    names_of,
    repairs,
    tree,
    violations,
)

from sunbird_otel import names
from sunbird_otel.plugin._joined import join, with_joined

if TYPE_CHECKING:
    from opentelemetry.trace import Span


T = TypeVar("T")

SECOND = 10**9
ASSESS = "sunbird.assess"


# --- Each violation under each policy -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_a_story_without_fault_keeps_its_shape(policy: str) -> None:
    rig = Rig(policy)
    session = rig.start("session")
    page = rig.start("page", session)
    player = rig.start("player", page)
    player.add_event(ASSESS)
    for span in (player, page, session):
        span.end()
    spans = rig.finish()
    assert tree(spans.values()) == {"session": "", "page": "session", "player": "page"}
    assert [violations(span) + repairs(span) for span in spans.values()] == [[], [], []]
    assert {end_reason(span) for span in spans.values()} == {"end"}
    assert {str((span.attributes or {})[names.WORKFLOW]) for span in spans.values()} == {"portal"}
    assert rig.tally.report()["flows"]["closed"] == {"end": 3, "parent_end": 0, "drain": 0, "evicted": 0}


def test_wrong_parent_is_marked() -> None:
    rig = Rig("annotate")
    app_inside_its_session(rig)
    spans = rig.finish()
    assert tree(spans.values()) == {"session": "", "app": "session", "work": "app"}
    assert violations(spans["app"]) == ["wrong_parent"]
    assert rig.tally.violations == {"wrong_parent": 1}


def test_wrong_parent_is_repaired_by_standing_around_it() -> None:
    rig = Rig("repair")
    app_inside_its_session(rig)
    spans = rig.finish()
    app, session = spans["app"], spans["session"]
    assert tree(spans.values()) == {"app": "", "session": "app", "work": "app"}
    assert (app.start_time, app.end_time) == (session.start_time, session.end_time)
    assert repairs(app) == ["start_moved", "end_moved"]
    assert repairs(session) == ["adopted"]
    observed = (app.attributes or {})[names.FLOW_OBSERVED_START], (app.attributes or {})[names.FLOW_OBSERVED_END]
    assert session.start_time < observed[0] < observed[1] < session.end_time  # type: ignore[operator]
    assert violations(app) == ["wrong_parent"]


def test_wrong_parent_is_repaired_by_the_nearest_that_may_hold_it() -> None:
    rig = Rig("repair")
    session = rig.start("session")
    player = rig.start("player", session)
    rig.start("page", player).end()
    player.end()
    session.end()
    spans = rig.finish()
    assert tree(spans.values()) == {"session": "", "player": "session", "page": "session"}
    assert repairs(spans["page"]) == ["reparented"]


def test_wrong_parent_is_rejected_with_all_that_is_in_it() -> None:
    rig = Rig("reject")
    app_inside_its_session(rig)
    assert [names_of(flow) for flow in rig.rejected] == [["work", "app"]]
    assert violations(rig.rejected[0][1]) == ["wrong_parent"]
    assert list(rig.finish()) == ["session"]
    assert rig.tally.refused == 2


def test_missing_parent_is_marked() -> None:
    rig = Rig("annotate")
    rig.start("player").end()
    assert violations(rig.finish()["player"]) == ["missing_parent"]


def test_missing_parent_is_made() -> None:
    rig = Rig("repair")
    request = rig.start("GET /", plain=True)
    player = rig.start("player", request, attributes={names.DEVICE_ID: "d1", names.OBJECT_ID: "do_1"})
    player.end()
    request.end()
    spans = rig.finish()
    made = spans["session"]
    assert tree(spans.values()) == {"GET /": "", "session": "GET /", "player": "session"}
    assert (made.start_time, made.end_time) == (spans["player"].start_time, spans["player"].end_time)
    assert dict(made.attributes or {}) == {
        names.DEVICE_ID: "d1",
        names.FLOW_TYPE: "session",
        names.WORKFLOW: "portal",
        names.FLOW_END_REASON: "end",
        names.FLOW_REPAIR: ("synthetic",),
    }
    assert made.instrumentation_scope is not None
    assert made.instrumentation_scope.name == names.SCOPE
    assert made.resource is spans["player"].resource
    assert rig.tally.synthetic_spans == 1
    assert rig.tally.opened == sum(rig.tally.closed.values()) == 2


def test_missing_parent_is_made_between_two_that_are_there() -> None:
    rig = Rig("repair")
    app = rig.start("app")
    page = rig.start("page", app)
    rig.start("player", page).end()
    page.end()
    app.end()
    assert tree(rig.finish().values()) == {"app": "", "session": "app", "page": "session", "player": "page"}


def test_missing_parent_is_rejected() -> None:
    rig = Rig("reject")
    rig.start("player").end()
    assert [names_of(flow) for flow in rig.rejected] == [["player"]]
    assert rig.finish() == {}


def child_that_outlives_its_parent(rig: Rig) -> None:
    session = rig.start("session")
    player = rig.start("player", session)
    player.add_event("sunbird.interact")
    session.end()
    player.add_event("sunbird.interact")
    player.add_event("sunbird.interact")
    player.end()


def test_unclosed_child_is_marked_and_goes_on() -> None:
    rig = Rig("annotate")
    child_that_outlives_its_parent(rig)
    spans = rig.finish()
    assert violations(spans["player"]) == ["unclosed_child"]
    assert end_reason(spans["player"]) == "end"
    assert len(spans["player"].events) == 3
    assert (spans["player"].end_time or 0) > (spans["session"].end_time or 0)


def test_unclosed_child_is_closed_with_its_parent() -> None:
    rig = Rig("repair")
    child_that_outlives_its_parent(rig)
    spans = rig.finish()
    player = spans["player"]
    assert list(spans) == ["player", "session"]
    assert (violations(player), end_reason(player)) == (["unclosed_child"], "parent_end")
    assert player.end_time == spans["session"].end_time
    assert len(player.events) == 1
    assert (rig.tally.swallowed, rig.tally.swallowed_events) == (1, 2)
    assert rig.tally.closed == {"end": 1, "parent_end": 1}


def test_unclosed_child_is_rejected_when_it_ends() -> None:
    rig = Rig("reject")
    child_that_outlives_its_parent(rig)
    assert [names_of(flow) for flow in rig.rejected] == [["player"]]
    assert len(rig.rejected[0][0].events) == 3
    assert list(rig.finish()) == ["session"]


def test_a_flow_in_an_unclosed_child_is_one_too() -> None:
    rig = Rig("annotate")
    session = rig.start("session")
    page = rig.start("page", session)
    player = rig.start("player", page)
    session.end()
    player.end()
    page.end()
    spans = rig.finish()
    assert [violations(spans[name]) for name in ("page", "player")] == [["unclosed_child"]] * 2


@pytest.mark.parametrize("policy", ["annotate", "repair"])
def test_missing_end_is_marked_at_shutdown(policy: str) -> None:
    rig = Rig(policy)
    app = rig.start("app")
    page = rig.start("page", app)
    spans = rig.finish()
    assert list(spans) == ["page", "app"]
    assert {end_reason(span) for span in spans.values()} == {"drain"}
    assert [violations(span) for span in spans.values()] == [["missing_end"]] * 2
    assert all(span.end_time for span in spans.values())
    page.end()
    app.end()
    assert rig.tally.swallowed == 2
    assert len(rig.memory.get_finished_spans()) == 2


def test_missing_end_is_rejected_at_shutdown() -> None:
    rig = Rig("reject")
    rig.start("app")
    assert rig.finish() == {}
    assert [names_of(flow) for flow in rig.rejected] == [["app"]]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_may_stay_open_is_not_marked(policy: str) -> None:
    rig = Rig(policy)
    rig.start("session")
    rig.start("service")
    spans = rig.finish()
    assert {name: violations(span) for name, span in spans.items()} == {"session": [], "service": []}
    assert {end_reason(span) for span in spans.values()} == {"drain"}


def test_whether_it_may_stay_open_depends_on_the_workflow() -> None:
    rig = Rig(provider=TracerProvider(resource=Resource({"service.name": "prod.diksha.app"}), shutdown_on_exit=False))
    rig.start("session")
    session = rig.finish()["session"]
    assert (session.attributes or {})[names.WORKFLOW] == "mobile_app"
    assert violations(session) == ["missing_end"]


def assess_outside_a_player(rig: Rig) -> None:
    session = rig.start("session")
    session.add_event(ASSESS, {"a": 1})
    session.add_event("sunbird.interact")
    session.end()


def test_event_outside_flow_is_marked() -> None:
    rig = Rig("annotate")
    assess_outside_a_player(rig)
    session = rig.finish()["session"]
    marks = [dict(event.attributes or {}) for event in session.events]
    assert marks == [{"a": 1, names.FLOW_VIOLATIONS: ("event_outside_flow",)}, {}]
    assert violations(session) == ["event_outside_flow"]


def test_event_outside_flow_gets_a_flow() -> None:
    rig = Rig("repair")
    assess_outside_a_player(rig)
    spans = rig.finish()
    assert tree(spans.values()) == {"session": "", "player": "session"}
    assert [event.name for event in spans["session"].events] == ["sunbird.interact"]
    (assess,) = spans["player"].events
    assert dict(assess.attributes or {}) == {"a": 1, names.FLOW_VIOLATIONS: ("event_outside_flow",)}
    assert (spans["player"].start_time, spans["player"].end_time) == (assess.timestamp, assess.timestamp + 1)


def test_event_outside_flow_may_need_a_flow_around() -> None:
    rig = Rig("repair")
    session = rig.start("session")
    player = rig.start("player", session)
    player.add_event("sunbird.plugin_lifecycle")
    player.end()
    session.end()
    spans = rig.finish()
    assert tree(spans.values()) == {"session": "", "editor": "session", "player": "editor"}
    assert [event.name for event in spans["editor"].events] == ["sunbird.plugin_lifecycle"]


def test_event_outside_flow_is_rejected_with_its_flow() -> None:
    rig = Rig("reject")
    assess_outside_a_player(rig)
    assert [names_of(flow) for flow in rig.rejected] == [["session"]]
    assert rig.finish() == {}


def test_an_event_that_a_flow_around_may_hold_is_in_its_place() -> None:
    rig = Rig()
    session = rig.start("session")
    player = rig.start("player", session)
    activity = rig.start("activity", player)
    activity.add_event(ASSESS)
    for span in (activity, player, session):
        span.end()
    assert "event_outside_flow" not in rig.tally.violations


# --- Which flow is around -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended_first", [False, True])
def test_a_flow_is_found_through_spans_that_are_none(ended_first: bool) -> None:
    rig = Rig()
    session = rig.start("session")
    request = rig.start("GET /", session, plain=True)
    query = rig.start("SELECT", request, plain=True)
    if ended_first:
        query.end()
        request.end()
    rig.start("player", query).end()
    session.end()
    assert rig.tally.violations == {}
    if not ended_first:
        query.end()
        request.end()
    assert tree(rig.finish().values())["player"] == "SELECT"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_flow_that_is_over_holds_nothing(policy: str) -> None:
    rig = Rig(policy)
    session = rig.start("session")
    page = rig.start("page", session)
    page.end()
    rig.start("qr", page).end()  # a session may hold it, a page may not
    session.end()
    spans = rig.finish()
    assert rig.tally.violations == {}
    assert tree(spans.values())["qr"] == ("session" if policy == "repair" else "page")


def test_nothing_is_around_what_begins_in_a_root_that_is_over() -> None:
    rig = Rig()
    session = rig.start("session")
    session.end()
    rig.start("player", session).end()
    assert violations(rig.finish()["player"]) == ["missing_parent"]


def test_a_run_stands_beside_what_it_is_started_in() -> None:
    """Jobs live in the lane of their producer, in the core as here."""
    rig = Rig("repair")
    session = rig.start("session")
    job = rig.start("job", session)
    session.end()
    job.add_event("sunbird.job_log")
    job.end()
    spans = rig.finish()
    assert rig.tally.violations == {}
    assert (end_reason(spans["job"]), tree(spans.values())["job"]) == ("end", "session")


@pytest.mark.parametrize("plain_between", [False, True])
def test_what_begins_elsewhere_is_not_judged(plain_between: bool) -> None:
    rig = Rig("repair")
    parent: Span = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    if plain_between:
        parent = rig.start("GET /", parent, plain=True)
    player = rig.start("player", parent)
    rig.start("editor", player).end()
    player.add_event("sunbird.plugin_lifecycle")
    player.end()
    assert violations(rig.memory.get_finished_spans()[0]) == ["wrong_parent"]  # that much is seen
    assert (rig.tally.unjudged, rig.tally.synthetic_spans) == (1, 0)
    assert violations(rig.memory.get_finished_spans()[1]) == []


def test_the_session_of_a_client_is_elsewhere() -> None:
    rig = Rig()
    joined = join({"X-Session-ID": "s1", "X-Device-ID": "d1", "X-Channel-ID": "c1"}, time.time_ns())
    rig.start("player", context=with_joined(joined, contexts.Context())).end()
    assert (rig.tally.violations, rig.tally.unjudged) == ({}, 1)


def test_a_parent_that_was_not_sampled_is_elsewhere() -> None:
    unsampled = NonRecordingSpan(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0)))
    rig = Rig(provider=TracerProvider(sampler=AlwaysRecord(sampled=True), shutdown_on_exit=False))
    rig.start("player", unsampled).end()
    assert (rig.tally.violations, rig.tally.unjudged) == ({}, 1)


def test_a_kind_that_comes_later_counts_from_then_on() -> None:
    rig = Rig()
    session = rig.start("session")
    late = rig.start("editor", session, plain=True)
    late.set_attribute(names.FLOW_TYPE, "editor")
    late.add_event(ASSESS)
    late.end()
    session.end()
    editor = rig.finish()["editor"]
    assert violations(editor) == ["event_outside_flow"]
    assert end_reason(editor) == "end"
    assert rig.tally.opened == 2
