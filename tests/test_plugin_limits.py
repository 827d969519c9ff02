"""Flows that hold more than a span may: nothing is cut without a word, and what is written stays small enough."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from plugin_rig import POLICIES, RULES, Keeper, Rig, count, end_reason, in_order, numbers, violations
from telling import CONTENT, PDATA, Teller

from sunbird_otel import names
from sunbird_otel.emit import provider as emitting
from sunbird_otel.plugin import FlowNestingExporter, FlowNestingProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

GRPC_MESSAGE = 4 << 20


def provider(**limits: Any) -> TracerProvider:
    return TracerProvider(span_limits=SpanLimits(**limits), shutdown_on_exit=False)


def session_with(rig: Rig, events: int, **more: str) -> list[ReadableSpan]:
    """Return what is written of a session with so many events, its parts in order and its own span last."""
    session = rig.start("session", attributes={"session.id": "s-1", "other": "x"})
    count(session, events, **more)
    session.end()
    rig.provider.shutdown()
    return in_order(rig.memory.get_finished_spans())


# --- More events than the SDK holds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_what_the_sdk_drops_is_kept(policy: str) -> None:
    rig, sibling = Rig(policy), Keeper()
    rig.provider.add_span_processor(sibling)
    (session,) = session_with(rig, 1_000)
    assert numbers(session) == list(range(1_000))
    assert (session.dropped_events, rig.tally.lost_events) == (0, 0)
    # Who stands beside sees what there would be without us.
    (seen,) = sibling.ended
    assert numbers(seen) == list(range(872, 1_000))
    assert seen.dropped_events == 872


@pytest.mark.parametrize("policy", POLICIES)
def test_too_many_events_go_on_in_further_spans(policy: str) -> None:
    rig = Rig(policy, span_events=2_000)
    *segments, session = session_with(rig, 9_000)
    assert [numbers(span) for span in (*segments, session)] == [
        list(range(begin, min(begin + 2_000, 9_000))) for begin in range(0, 9_000, 2_000)
    ]
    assert (session.attributes or {})[names.FLOW_SEGMENTS] == rig.tally.segments == 4
    for number, segment in enumerate(segments, 1):
        assert segment.name == "session segment"
        assert segment.parent == session.context
        assert dict(segment.attributes or {}) == {
            names.FLOW_TYPE: "session",
            names.FLOW_SEGMENT: number,
            "session.id": "s-1",
        }
        assert (segment.start_time, segment.end_time) == (segment.events[0].timestamp, segment.events[-1].timestamp)
        assert segment.resource is session.resource
    ids = {span.context.span_id for span in (*segments, session) if span.context}
    assert len(ids) == 5


@pytest.mark.parametrize("derived", [True, False])
def test_the_division_is_that_of_a_replay(derived: bool) -> None:
    memory = InMemorySpanExporter()
    nesting = FlowNestingProcessor(SimpleSpanProcessor(memory), RULES)
    live = emitting(PDATA, nesting) if derived else TracerProvider(shutdown_on_exit=False)
    if not derived:
        live.add_span_processor(nesting)
    teller = Teller(tracer_provider=live)
    with teller.telemetry.start(type="session"), teller.telemetry.start(type="player", object=CONTENT) as flow:
        for number in range(4_500):
            if number == 2_500:
                flow.error(err="E", errtype="T")
            else:
                flow.interact(type="TOUCH", id=f"{number}")
    nesting.force_flush()
    mine = {(span.name, (span.attributes or {}).get(names.FLOW_SEGMENT)): span for span in memory.get_finished_spans()}
    theirs = {(row.name, row.attributes.get(names.FLOW_SEGMENT)): row for row in teller.replayed()}
    parts = [("player segment", 1), ("player segment", 2)]
    assert mine.keys() == theirs.keys() == {("session", None), ("player", None), *parts}
    for key, row in theirs.items():
        span = mine[key]
        assert span.context is not None
        assert (span.context.span_id == row.span) is derived
        assert [(event.name, event.timestamp) for event in span.events] == [(name, at) for name, at, _ in row.events]
        assert json.loads(json.dumps(dict(span.attributes or {}))) == row.attributes
        assert (span.start_time, span.end_time) == (row.start_ns, row.end_ns)
        # A live span knows of an error in any of its parts, a replay of those in the part itself.
        assert key == ("player", None) or span.status.status_code.name == row.status
    assert mine["player", None].status.status_code is StatusCode.ERROR


def test_a_limit_that_the_service_chose_is_kept() -> None:
    *segments, session = session_with(Rig(provider=provider(max_events=50)), 120)
    assert [len(span.events) for span in (*segments, session)] == [50, 50, 20]


@pytest.mark.parametrize(("said", "divided"), [("128", [128, 128, 44]), ("", [300]), ("500", [300])])
def test_the_sdk_s_own_limit_is_kept_when_somebody_says_it(
    said: str, divided: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", said)
    assert [len(span.events) for span in session_with(Rig(), 300)] == divided


def test_who_wants_no_events_gets_none() -> None:
    rig = Rig(provider=provider(max_events=0))
    (session,) = session_with(rig, 3)
    assert (session.events, session.dropped_events, rig.tally.lost_events) == ((), 3, 3)


def test_without_a_limit_all_are_divided_at_the_end() -> None:
    rig = Rig(provider=provider(max_events=SpanLimits.UNSET), span_events=100)
    assert [len(span.events) for span in session_with(rig, 250)] == [100, 100, 50]


@pytest.mark.parametrize("policy", POLICIES)
def test_full_by_bytes(policy: str) -> None:
    rig = Rig(policy, span_bytes=300_000)
    spans = session_with(rig, 10, text="x" * 60_000)
    assert [len(span.events) for span in spans] == [5, 5, 0]
    assert [number for span in spans for number in numbers(span)] == list(range(10))


def test_a_grpc_message_holds_any_span() -> None:
    rig = Rig()
    *segments, session = session_with(rig, 3_000, text="नमस्ते" * 50, more="x" * 300)
    assert len(segments) == 2
    sizes = [encode_spans([span]).ByteSize() for span in (*segments, session)]
    assert sum(len(span.events) for span in (*segments, session)) == 3_000
    assert max(sizes) < GRPC_MESSAGE
    assert 1_000_000 < max(sizes) < 2_000_000


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_full_is_judged_too(policy: str) -> None:
    rig = Rig(policy, span_events=500)
    session = rig.start("session")
    count(session, 1_500, "sunbird.assess")
    session.end()
    rig.provider.shutdown()
    assert rig.tally.violations == {"event_outside_flow": 1_500}
    written = in_order(rig.memory.get_finished_spans())
    if policy == "reject":
        (rejected,) = rig.rejected
        assert written == []
        written = rejected
    found = [event for span in written for event in span.events]
    assert [(event.attributes or {})["n"] for event in found] == list(range(1_500))
    assert all((event.attributes or {})[names.FLOW_VIOLATIONS] == ("event_outside_flow",) for event in found)
    kinds = {str((span.attributes or {})[names.FLOW_TYPE]) for span in written if span.events}
    assert kinds == ({"player"} if policy == "repair" else {"session"})


def test_an_error_in_a_full_span_marks_it() -> None:
    rig = Rig(span_events=10)
    session = rig.start("session")
    session.add_event("sunbird.error", {names.EXCEPTION_MESSAGE: "E1", names.ERROR_TYPE: "SYSTEM"})
    count(session, 12)
    session.end()
    segment, _ = in_order(rig.memory.get_finished_spans())
    assert (segment.status.status_code, segment.status.description) == (StatusCode.ERROR, "E1: SYSTEM")


def test_spans_that_are_parts_are_no_flows() -> None:
    rig = Rig()
    session = rig.start("session")
    player = rig.start("player", session)
    part = rig.start("part", player, plain=True, attributes={names.FLOW_TYPE: "player", names.FLOW_SEGMENT: 1})
    inner = rig.start("page", part)
    for span in (inner, part, player, session):
        span.end()
    spans = rig.finish()
    assert rig.tally.opened == 3
    assert dict(spans["part"].attributes or {}) == {names.FLOW_TYPE: "player", names.FLOW_SEGMENT: 1}
    assert violations(spans["page"]) == ["wrong_parent"]  # known through the part to stand in the player


@pytest.mark.parametrize("policy", POLICIES)
def test_drained_and_ended_later(policy: str) -> None:
    rig = Rig(policy, span_events=200)
    session = rig.start("session")
    count(session, 500)
    rig.provider.shutdown()
    drained = in_order(rig.memory.get_finished_spans())
    assert [len(span.events) for span in drained] == [200, 200, 100]
    assert end_reason(drained[-1]) == "drain"
    count(session, 1_000)
    session.end()
    kept: Any = session
    assert len(kept._events.aside) == 0
    assert (rig.tally.swallowed, rig.tally.swallowed_events) == (1, 1_000)


# --- What was lost all the same -------------------------------------------------------------------------------------


def test_what_was_lost_before_the_processor_came_is_told(caplog: pytest.LogCaptureFixture) -> None:
    early = TracerProvider(shutdown_on_exit=False)
    tracer = early.get_tracer("x")
    spans = [tracer.start_span("session", attributes={names.FLOW_TYPE: "session"}) for _ in range(2)]
    rig = Rig(provider=early)
    for span in spans:
        count(span, 130)
        span.end()
    for written in rig.memory.get_finished_spans():
        assert ((written.attributes or {})[names.FLOW_LOST_EVENTS], written.dropped_events) == (2, 2)
    assert rig.tally.lost_events == rig.tally.report()["spans"]["lost_events"] == 4
    (record,) = caplog.records
    assert record.message.startswith("sunbird-otel: OpenTelemetry's SDK had dropped 2 span events of a flow")


def test_the_exporter_tells_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(through="exporter")
    session = rig.start("session")
    count(session, 130)
    session.end()
    (written,) = rig.finish().values()
    assert ((written.attributes or {})[names.FLOW_LOST_EVENTS], written.dropped_events) == (2, 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "event_count_limit" in caplog.text


def test_an_exporter_behind_the_processor_takes_its_parts_as_they_are() -> None:
    memory = InMemorySpanExporter()
    exporter = FlowNestingExporter(memory, RULES)
    rig = Rig(downstream=SimpleSpanProcessor(exporter), span_events=100, pending=True, pending_after=0)
    session = rig.start("session")
    count(session, 250)
    session.end()
    assert [span.name for span in memory.get_finished_spans()] == ["session", *["session segment"] * 2, "session"]
    assert exporter.tally.opened == 0


def test_the_exporter_divides() -> None:
    memory = InMemorySpanExporter()
    own = provider(max_events=SpanLimits.UNSET)
    own.add_span_processor(SimpleSpanProcessor(FlowNestingExporter(memory, RULES, span_events=100, attribute_bytes=9)))
    session = own.get_tracer("x").start_span("session", attributes={names.FLOW_TYPE: "session", "long": "1234567890"})
    count(session, 250)
    session.end()
    spans = memory.get_finished_spans()
    assert [len(span.events) for span in spans] == [100, 100, 50]
    assert (spans[-1].attributes or {})["long"] == "123456789"
