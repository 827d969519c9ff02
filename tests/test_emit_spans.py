"""What emitted events become on OpenTelemetry's side, where a replay cannot say it.

Other people's spans around, limits, metrics, processors that break, ids.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from command_line import environment
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from telling import CONTENT, PDATA, Teller, tree

from sunbird_otel import Rules, names
from sunbird_otel._ids import device_trace, session_trace
from sunbird_otel.emit import provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture
def teller() -> Teller:
    return Teller()


def server_span(teller: Teller, name: str = "GET /quiz") -> Any:
    """Return a span of somebody else's on the client's provider, as a block."""
    tracer = teller.telemetry._desk.spans._tracer._tracer
    return tracer.start_as_current_span(name)


# --- Other people's spans -------------------------------------------------------------------------------------------


def test_what_stands_in_no_flow_stands_in_the_current_span(teller: Teller) -> None:
    with server_span(teller) as server:
        teller.telemetry.log(type="system", level="INFO", message="m")
        with teller.telemetry.start(type="session"):
            pass
    here = server.get_span_context()
    assert {(row.trace, row.parent) for row in teller.rows if row.name != "GET /quiz"} == {
        (here.trace_id, here.span_id)
    }


def test_a_flow_that_is_to_have_no_parent_has_none(teller: Teller) -> None:
    with teller.telemetry.context(did="d", sid="s"), server_span(teller), teller.telemetry.start(type="session"):
        teller.telemetry.start(type="session", parent=None).end()
    root, inner = (row for row in teller.rows if row.name == "session")
    assert root.parent
    assert inner.parent == 0
    assert inner.trace == int.from_bytes(session_trace("0126684405014528002", "d", "s", inner.start_ns), "big")


def test_a_span_between_two_flows_keeps_its_place(teller: Teller) -> None:
    telemetry = teller.telemetry
    with telemetry.start(type="session"), server_span(teller, "SELECT"):
        telemetry.impression(type="view", pageid="p", uri="/")
        with telemetry.start(type="player", object=CONTENT):
            pass
    assert tree(teller.rows) == [("session", ["sunbird.impression"], [("SELECT", [], [("player", [], [])])])]


def test_a_named_parent_is_the_parent_whatever_is_current(teller: Teller) -> None:
    session = teller.telemetry.start(type="session")
    with server_span(teller):
        teller.telemetry.start(type="player", object=CONTENT, parent=session).end()
    session.end()
    assert teller.row("player").parent == session.span.get_span_context().span_id
    assert teller.events[1]["context"]["sid"] == session.sid


def test_current_is_the_flow_around_without_ending_it(teller: Teller) -> None:
    session = teller.telemetry.start(type="session")
    with session.current() as flow:
        teller.telemetry.impression(type="view", pageid="p", uri="/")
        assert trace.get_current_span() is flow.span
    assert session.is_open
    session.end()
    assert [name for name, _, _ in teller.row("session").events] == ["sunbird.impression"]


def test_the_span_of_an_http_instrumentation_can_stand_for_a_request(teller: Teller) -> None:
    telemetry = teller.telemetry
    with server_span(teller) as server, telemetry.context(request="r-1"):
        telemetry.log(type="system", level="INFO", message="m")
        telemetry.error(err="E1", errtype="SYSTEM")
        telemetry.access(method="GET", url="/quiz", status=200, duration=3, rid="r-1", span=server)
    (row,) = teller.rows
    assert [name for name, _, _ in row.events] == ["sunbird.log", "sunbird.error"]
    assert row.attributes["sunbird.flow.type"] == "request"
    assert "http.request.method" not in row.attributes
    assert row.status == "ERROR"


def test_what_waited_for_a_request_whose_span_has_ended_stands_in_it_all_the_same(teller: Teller) -> None:
    with server_span(teller) as server, teller.telemetry.context(request="r-1"):
        teller.telemetry.log(type="system", level="INFO", message="m")
    teller.telemetry.access(method="GET", url="/quiz", status=200, duration=3, rid="r-1", span=server)
    assert teller.row("sunbird.log").parent == server.get_span_context().span_id


def test_what_waits_for_a_request_that_never_comes_is_written_at_the_end(teller: Teller) -> None:
    teller.telemetry.log(type="system", level="INFO", message="m", context={"cdata": [{"type": "Request", "id": "r"}]})
    assert teller.rows == []
    teller.telemetry.close()
    assert [row.name for row in teller.rows] == ["sunbird.log"]


def test_what_has_waited_too_long_is_written(teller: Teller) -> None:
    cdata = {"cdata": [{"type": "Request", "id": "r"}]}
    with teller.telemetry.start(type="session"):
        teller.telemetry.log(type="system", level="INFO", message="m", context=cdata)
        teller.clock.now_ns += 3_600_000_000_000
        teller.telemetry.log(type="system", level="INFO", message="m")
    assert [name for name, _, _ in teller.row("session").events] == ["sunbird.log", "sunbird.log"]


# --- Ids ------------------------------------------------------------------------------------------------------------


def test_the_trace_is_the_one_that_a_backend_derives_from_the_headers(teller: Teller) -> None:
    with teller.telemetry.context(did="d-1"), teller.telemetry.start(type="session") as flow:
        pass
    row = teller.row("session")
    assert row.trace == int.from_bytes(device_trace("d-1", row.start_ns), "big")
    assert flow.span.get_span_context().trace_id == row.trace


def test_the_emitter_s_own_provider_says_who_the_producer_is() -> None:
    attributes = provider(PDATA).resource.attributes
    assert attributes["service.name"] == PDATA["id"]
    assert attributes["service.version"] == PDATA["ver"]
    assert "service.version" not in provider({"id": "x"}).resource.attributes


def test_without_a_provider_the_global_one_is_meant_also_when_it_comes_later() -> None:
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sunbird_otel.emit import MemoryTransport, Telemetry, provider
pdata = {"id": "p"}
telemetry = Telemetry(pdata=pdata, channel="c", env="e", transport=MemoryTransport())
with telemetry.start(type="session"):
    pass
exporter = InMemorySpanExporter()
trace.set_tracer_provider(provider(pdata, SimpleSpanProcessor(exporter)))
with telemetry.start(type="session"):
    pass
print([span.name for span in exporter.get_finished_spans()], telemetry.faults)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "['session'] {}\n"


# --- Limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [128, 10])
def test_no_event_is_cut_off_when_the_sdk_s_span_is_full(most: int) -> None:
    teller = Teller(tracer_provider=TracerProvider(span_limits=SpanLimits(max_events=most)))
    with teller.telemetry.start(type="player", object=CONTENT) as flow:
        for _ in range(3 * most + 5):
            flow.interact(type="TOUCH", id="b")
    player, *segments = teller.rows
    assert [len(row.events) for row in teller.rows] == [most, most, most, 5]
    assert player.attributes[names.FLOW_SEGMENTS] == 3
    assert [row.name for row in segments] == ["player segment"] * 3
    assert [row.attributes[names.FLOW_SEGMENT] for row in segments] == [1, 2, 3]
    assert {row.parent for row in segments} == {player.span}
    assert all(row.start_ns <= row.events[0][1] and row.end_ns > row.events[-1][1] for row in segments)


def test_a_span_without_a_limit_is_full_where_the_bridge_s_is() -> None:
    teller = Teller(tracer_provider=TracerProvider(span_limits=SpanLimits(max_events=SpanLimits.UNSET)))
    with teller.telemetry.start(type="player", object=CONTENT) as flow:
        for _ in range(2_001):
            flow.error(err="E", errtype="T")
    assert [len(row.events) for row in teller.rows] == [2_000, 1]
    assert [row.status for row in teller.rows] == ["ERROR", "ERROR"]


# --- Events after the end, and rules of one's own -------------------------------------------------------------------


def test_an_event_after_the_end_goes_to_the_flow_around(teller: Teller) -> None:
    with teller.telemetry.start(type="session") as session, session.start(type="player", object=CONTENT) as play:
        play.end()
        play.feedback(rating=5)
    assert [name for name, _, _ in teller.row("session").events] == ["sunbird.feedback"]
    assert teller.rows == teller.replayed()


def test_rules_of_one_s_own_decide(tmp_path: Any) -> None:
    rules = tmp_path / "quiz.toml"
    rules.write_text(
        '[workflow]\nname = "quiz"\ntitle = "Quiz"\nflows = ["round"]\nmarked_by_flows = ["round"]\nprecedence = 90\n'
        '[flows.round]\nsummary = "a round"\nopens = [{ eid = "START", "edata.type" = ["round"] }]\n'
        'closes = [{ eid = "END", "edata.type" = ["round"] }]\npair = [["edata.type"]]\nparents = ["root"]\n'
        'holds = ["*"]\nidle_gap = "30m"\nfails = { "edata.mode" = ["broken"] }\n'
    )
    teller = Teller(rules=Rules.load(str(rules)))
    with teller.telemetry.start(type="round", mode="broken"):
        teller.telemetry.interact(type="TOUCH", id="b")
    row = teller.row("round")
    assert row.attributes[names.WORKFLOW] == "quiz"
    assert row.status == "ERROR"
    assert len(row.events) == 1


def test_rules_that_know_no_such_flow_make_none(tmp_path: Any, teller: Teller) -> None:
    base = Rules.standard()
    flows = tuple(flow for flow in base.flows if flow.kind in {"session", "request", "service"})
    other = Teller(rules=Rules(workflows=base.workflows, flows=flows))
    with other.telemetry.start(type="session"), other.telemetry.start(type="player", object=CONTENT) as play:
        play.interact(type="TOUCH", id="b")
        with play.current():
            other.telemetry.interact(type="TOUCH", id="b")
    assert other.eids == ["START", "START", "INTERACT", "INTERACT", "END", "END"]
    (row,) = other.rows
    assert [name for name, _, _ in row.events] == [
        "sunbird.start", "sunbird.interact", "sunbird.interact", "sunbird.end"
    ]  # fmt: skip


# --- Metrics --------------------------------------------------------------------------------------------------------


def points(reader: InMemoryMetricReader) -> Iterator[tuple[str, str | None, Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            assert scope.scope.name == names.SCOPE
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    yield metric.name, metric.unit, point


def test_metrics_and_derived_figures_go_to_the_meter() -> None:
    reader = InMemoryMetricReader()
    teller = Teller(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    with teller.telemetry.start(type="session"):
        teller.telemetry.metrics(system="quiz", subsystem="db", metrics={"size": 3, "time": 0.5})
    found = list(points(reader))
    values = {p.attributes[names.METRIC_NAME]: p.value for name, _, p in found if name == names.METRIC}
    assert values == {"size": 3, "time": 0.5}
    (value,) = (p for name, _, p in found if name == names.METRIC and p.value == 3)
    assert value.attributes[names.METRIC_SYSTEM] == "quiz"
    assert value.attributes[names.CHANNEL] == "0126684405014528002"
    counts = {p.attributes[names.EID]: p.value for name, _, p in found if name == names.EVENTS}
    assert counts == {"START": 1, "METRICS": 1, "END": 1}
    (duration,) = (p for name, unit, p in found if name == names.FLOW_DURATION and unit == "s")
    assert duration.sum == pytest.approx(0.014)
    assert duration.exemplars[0].span_id == teller.row("session").span
    assert teller.row("session").events == []


# --- Nothing breaks the host ----------------------------------------------------------------------------------------


class Broken(SpanProcessor):
    """Raises where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.where == "start":
            raise RuntimeError(f"at the start of {span.name}, {parent_context}")

    def on_end(self, span: ReadableSpan) -> None:
        if self.where == "end":
            raise RuntimeError(f"at the end of {span.name}")


@pytest.mark.parametrize("where", ["start", "end"])
def test_a_processor_that_raises_is_counted_and_every_event_is_sent(where: str) -> None:
    teller = Teller(tracer_provider=provider(PDATA, Broken(where)))
    telemetry = teller.telemetry
    with telemetry.start(type="session") as session, telemetry.start(type="player", object=CONTENT):
        telemetry.interact(type="TOUCH", id="b")
    session.feedback(rating=1)
    telemetry.close()
    assert teller.eids == ["START", "START", "INTERACT", "END", "END", "FEEDBACK"]
    assert set(telemetry.faults) == {"tracing"}


def test_without_tracing_events_are_sent() -> None:
    teller = Teller(tracer_provider=NoOpTracerProvider_())
    with teller.telemetry.start(type="session") as flow:
        flow.interact(type="TOUCH", id="b")
    assert teller.eids == ["START", "INTERACT", "END"]
    assert teller.telemetry.faults == {}


class NoOpTracerProvider_(NoOpTracerProvider):  # noqa: N801 - it only takes the processor of the Teller
    def add_span_processor(self, processor: Any) -> None:
        """Have no use for it."""


def test_a_span_that_the_sampler_drops_still_is_a_flow() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    teller = Teller(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    with teller.telemetry.start(type="session") as session, teller.telemetry.start(type="player") as play:
        play.interact(type="TOUCH", id="b")
    assert teller.rows == []
    assert len({event["context"]["sid"] for event in teller.events}) == 1
    assert session.span.get_span_context().trace_id == play.span.get_span_context().trace_id
    assert teller.telemetry.faults == {}


# --- Span events that the SDK need not look at again ----------------------------------------------------------------


def test_events_are_as_the_sdk_would_have_added_them() -> None:
    teller = Teller()
    with teller.telemetry.start(type="player", object=CONTENT) as flow:
        flow.share(items=[{"id": "do_1", "type": "Content"}, {"id": "do_2", "type": "Content"}], dir="Out")
    (share,) = teller.exporter.get_finished_spans()[0].events
    public = TracerProvider().get_tracer("x").start_span("x")
    public.add_event(share.name, share.attributes, share.timestamp)
    (same,) = getattr(public, "events")  # noqa: B009 - not in the type
    assert dict(share.attributes or {}) == dict(same.attributes)
    assert (share.attributes or {})[names.SHARE_ITEM_IDS] == ("do_1", "do_2")
    assert (share.name, share.timestamp, share.dropped_attributes) == (same.name, same.timestamp, 0)


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({"max_attribute_length": 3}, {"sunbird.interact.type": "TOU", "sunbird.interact.id": "b"}),
        ({"max_event_attributes": 1}, {"sunbird.interact.id": "b"}),
    ],
)
def test_the_service_s_own_limits_are_kept(limits: dict[str, int], found: dict[str, str]) -> None:
    teller = Teller(tracer_provider=TracerProvider(span_limits=SpanLimits(**limits)))
    with teller.telemetry.start(type="session") as flow:
        flow.interact(type="TOUCH", id="b")
    (event,) = teller.exporter.get_finished_spans()[0].events
    assert found.items() <= dict(event.attributes or {}).items()
    assert len(event.attributes or {}) == (1 if "max_event_attributes" in limits else 3)
    assert event.dropped_attributes == (2 if "max_event_attributes" in limits else 0)


def test_an_event_after_the_end_is_dropped_as_the_sdk_does() -> None:
    teller = Teller()
    flow = teller.telemetry.start(type="session")
    flow.span.end()
    flow.interact(type="TOUCH", id="b")
    flow.end()
    assert teller.exporter.get_finished_spans()[0].events == ()
    assert teller.telemetry.faults == {}
