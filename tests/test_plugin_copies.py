"""The nesting processor: what it leaves alone, what its copies keep, and what bounds its memory."""

from __future__ import annotations

import copy
import gc
import json
import weakref
from typing import Any, TypeVar

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import SpanContext, Status, StatusCode
from plugin_rig import (
    POLICIES,
    RULES,
    AlwaysRecord,
    Keeper,
    Rig,
    app_inside_its_session,
    end_reason,
    names_of,
    repairs,
    tree,
    violations,
)

from sunbird_otel import ConfigError, names
from sunbird_otel.plugin import FlowNestingProcessor, _known, _rebuild

T = TypeVar("T")

SECOND = 10**9
ASSESS = "sunbird.assess"


# --- What passes untouched ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_other_spans_pass_as_they_are(policy: str) -> None:
    keeper, sibling = Keeper(), Keeper()
    rig = Rig(policy, downstream=keeper)
    rig.provider.add_span_processor(sibling)
    outside = rig.start("outside", plain=True)
    session = rig.start("session")
    inside = rig.start("inside", session, plain=True)
    for span in (inside, session, outside):
        span.end()
    assert sorted(map(id, keeper.ended)) != sorted(map(id, sibling.ended))
    plain = {id(span) for span in sibling.ended if span.name != "session"}
    assert plain == {id(span) for span in keeper.ended if span.name != "session"}


def test_the_shared_span_stays_as_it_is() -> None:
    sibling = Keeper()
    rig = Rig("repair")
    rig.provider.add_span_processor(sibling)
    app_inside_its_session(rig)
    spans = rig.finish()
    assert all(list(span.attributes or {}) in ([names.FLOW_TYPE], []) for span in sibling.ended)
    assert tree(sibling.ended) == {"session": "", "app": "session", "work": "app"}
    assert spans["app"] not in sibling.ended


def test_unknown_kinds_pass_and_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    session = rig.start("session")
    quiz = rig.start("quiz", session)
    rig.start("player", quiz).end()
    rig.start("odd", attributes={names.FLOW_TYPE: ["a", "list"]}).end()
    quiz.end()
    session.end()
    spans = rig.finish()
    assert dict(spans["quiz"].attributes or {}) == {names.FLOW_TYPE: "quiz"}
    assert violations(spans["player"]) == []
    assert rig.tally.unknown_kinds == 2
    assert [record.message for record in caplog.records] == [
        "sunbird-otel: 'quiz' is no flow that the rules know, and its spans pass as they are; expected one of "
        + ", ".join(RULES.by_kind)
        + "."
    ]


def test_unsampled_spans_pass() -> None:
    keeper = Keeper()
    provider = TracerProvider(sampler=AlwaysRecord(sampled=False), shutdown_on_exit=False)
    rig = Rig(downstream=keeper, provider=provider)
    rig.start("player").end()
    assert [dict(span.attributes or {}) for span in keeper.ended] == [{names.FLOW_TYPE: "player"}]
    assert rig.tally.opened == 0


def test_a_span_without_context_passes() -> None:
    keeper = Keeper()
    odd = ReadableSpan("odd", resource=Resource.get_empty())
    FlowNestingProcessor(keeper, RULES).on_end(odd)
    assert keeper.ended == [odd]


def test_everything_else_is_handed_on() -> None:
    keeper = Keeper()
    rig = Rig(downstream=keeper)
    rig.start("session").end()
    assert rig.provider.force_flush(5000)
    rig.provider.shutdown()
    rig.processor.shutdown()
    calls = keeper.calls
    assert [call for call in calls if "ending" not in call][:2] == ["start session", "end session"]
    assert calls[-2].startswith("flush ")
    assert 4000 < int(calls[-2].split()[1]) <= 5000
    assert calls.count("shutdown") == 1
    rig.processor._on_ending(rig.start("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert calls[-1] == "ending x"


def test_after_shutdown_spans_pass() -> None:
    rig = Rig(downstream=(keeper := Keeper()))
    rig.provider.shutdown()
    rig.start("player").end()
    assert dict(keeper.ended[-1].attributes or {}) == {names.FLOW_TYPE: "player"}


def test_a_flow_that_began_before_the_processor_was_there() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    player = provider.get_tracer("x").start_span("player", attributes={names.FLOW_TYPE: "player"})
    rig = Rig(provider=provider)
    player.end()
    assert violations(rig.finish()["player"]) == ["missing_parent"]


# --- Copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_field", [True, False])
@pytest.mark.parametrize("drained", [True, False])
def test_a_copy_keeps_all_there_is(by_field: bool, drained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rebuild, "_KNOWN", by_field)
    limits = SpanLimits(max_span_attributes=3, max_links=1, max_event_attributes=1)
    rig = Rig(provider=TracerProvider(span_limits=limits, shutdown_on_exit=False))
    sibling = Keeper()
    rig.provider.add_span_processor(sibling)
    linked = rig.start("linked", plain=True)
    link = trace.Link(linked.get_span_context(), {"why": "test"})
    player = rig.start("session", kind=trace.SpanKind.SERVER, links=[link, link])
    for number in range(3):
        player.set_attribute(f"a{number}", number)
        player.add_event("sunbird.interact", {"x": 1, "y": 2})
    player.add_event(ASSESS, {"x": 1, "y": 2})
    player.set_status(Status(StatusCode.ERROR, "no"))
    if not drained:
        player.end()
    copied = rig.finish()["session"]
    player.end()
    original = sibling.ended[0]
    # The last one is moved nowhere and has a mark: a session may not hold it.
    assert copied.events[:3] == original.events[:3]
    assert original.dropped_attributes == copied.dropped_attributes == 1
    assert original.dropped_links == copied.dropped_links == 1
    assert [getattr(event, "dropped_attributes") for event in copied.events] == [1] * 4  # noqa: B009 - not in the type
    assert (copied.kind, copied.status.description) == (trace.SpanKind.SERVER, "no")
    assert copied.links == original.links
    assert copied.instrumentation_scope == original.instrumentation_scope
    assert copied.resource is original.resource
    assert copied.context == original.context
    assert {"a0": 0, "a1": 1, "a2": 2, names.FLOW_TYPE: "session"}.items() <= (copied.attributes or {}).items()
    assert json.loads(copied.to_json())["name"] == "session"


def test_a_copy_can_be_copied() -> None:
    rig = Rig()
    rig.start("player").end()
    (span,) = rig.memory.get_finished_spans()
    assert not hasattr(span, "no_such_thing")
    copied = copy.copy(span)
    assert (copied.name, violations(copied), copied.dropped_events) == ("player", ["missing_parent"], 0)


def test_a_copy_has_the_times_that_the_caller_gave() -> None:
    rig = Rig("repair")
    session = rig.start("session", start_time=10 * SECOND)
    rig.start("player", session, start_time=5 * SECOND).end(30 * SECOND)
    session.end(20 * SECOND)
    spans = rig.finish()
    session_span = spans["session"]
    assert (session_span.start_time, session_span.end_time) == (5 * SECOND, 30 * SECOND)
    assert repairs(session_span) == ["start_moved", "end_moved"]
    assert (session_span.attributes or {})[names.FLOW_OBSERVED_END] == 20 * SECOND


def test_made_spans_have_ids_that_a_retry_has_too() -> None:
    first = _rebuild.derived_context(SpanContext(1, 2, is_remote=False), "synthetic session")
    assert first == _rebuild.derived_context(SpanContext(1, 2, is_remote=False), "synthetic session")
    assert first.trace_id == 1
    assert first.is_valid
    assert (
        len({first.span_id, _rebuild.derived_context(SpanContext(1, 2, is_remote=False), "synthetic app").span_id, 2})
        == 3
    )


# --- Bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_too_many_open_flows_are_evicted(policy: str) -> None:
    rig = Rig(policy, max_open_flows=3)
    sessions = [rig.start(f"s{number}", plain=True, attributes={names.FLOW_TYPE: "session"}) for number in range(10)]
    assert rig.tally.open == 3
    assert rig.tally.closed == {"evicted": 7}
    for session in sessions:
        session.end()
    assert (rig.tally.open, rig.tally.swallowed) == (0, 7)
    spans = rig.finish()
    assert [end_reason(spans[f"s{number}"]) for number in range(10)] == ["evicted"] * 7 + ["end"] * 3


def test_what_is_active_is_evicted_last() -> None:
    rig = Rig(max_open_flows=4)
    busy = rig.start("session")
    rig.start("idle", plain=True, attributes={names.FLOW_TYPE: "session"})
    rig.start("page", busy)
    rig.start("other", plain=True, attributes={names.FLOW_TYPE: "session"})
    rig.start("last", plain=True, attributes={names.FLOW_TYPE: "session"})
    assert names_of(rig.memory.get_finished_spans()) == ["idle"]


def test_flows_nest_only_so_deep() -> None:
    rig = Rig()
    around = rig.start("session")
    spans = [around]
    for _ in range(300):
        around = rig.start("collection", around)
        spans.append(around)
    for span in reversed(spans):
        span.end()
    assert (rig.tally.errors, rig.tally.open) == ({}, 0)
    assert rig.tally.opened == len(rig.memory.get_finished_spans()) == 301
    assert rig.tally.closed["evicted"] == 201


def test_reject_lets_go_for_lack_of_room() -> None:
    rig = Rig("reject", max_held_spans=5)
    session = rig.start("session")
    for number in range(20):
        rig.start(f"p{number}", session, plain=True).end()
    assert len(rig.memory.get_finished_spans()) >= 15
    assert rig.tally.let_go >= 15
    session.end()
    assert len(rig.finish()) == 21


def test_reject_keeps_what_is_known_to_offend_however_much() -> None:
    rig = Rig("reject", max_held_spans=5)
    player = rig.start("player")
    for number in range(20):
        rig.start(f"p{number}", player, plain=True).end()
    player.end()
    rig.start("late", player, plain=True).end()
    assert sum(map(len, rig.rejected)) == rig.tally.refused == 22
    assert rig.finish() == {}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("plain", [True, False])
def test_a_session_that_goes_on_forgets_what_was_in_it(
    policy: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_known, "_WITH_OPEN_FLOWS", 50)
    rig = Rig(policy)
    session = rig.start("session")
    for _ in range(500):
        rig.start("page", session, plain=plain).end()
    assert len(rig.processor._nesting.nodes) <= 52
    session.end()
    assert rig.tally.violations == {}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"policy": "mark"}, "policy: expected annotate, repair or reject; found 'mark'."),
        ({"max_open_flows": 0}, "max_open_flows: expected 1 or more; found 0."),
        ({"max_held_spans": -1}, "max_held_spans: expected 1 or more; found -1."),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        FlowNestingProcessor(Keeper(), RULES, **options)


def test_a_processor_that_nobody_uses_goes() -> None:
    processor = FlowNestingProcessor(Keeper())
    gone = weakref.ref(processor)
    del processor
    gc.collect()
    assert gone() is None
