"""The nesting exporter: what a batch shows is enforced, what it cannot show is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, TraceFlags
from plugin_rig import POLICIES, RULES, Rig, attribute, end_reason, play, repairs, story, tree, violations

from sunbird_otel import ConfigError, RuleError, names
from sunbird_otel.plugin import FlowNestingExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RULES", "POLICY", "CONFIG", "MAX_OPEN_FLOWS", "TRACE_SCOPE"):
        monkeypatch.delenv(f"SUNBIRD_OTEL_{name}", raising=False)


def app_inside_its_session(rig: Rig) -> None:
    session = rig.start("session")
    app = rig.start("app", session)
    rig.start("work", app, plain=True).end()
    app.end()
    session.end()


def lone_player(rig: Rig) -> None:
    rig.start("player").end()


def child_that_outlives_its_parent(rig: Rig) -> None:
    session = rig.start("session")
    player = rig.start("player", session)
    session.end()
    player.add_event("sunbird.interact")
    player.end()


def assess_outside_a_player(rig: Rig) -> None:
    session = rig.start("session")
    session.add_event("sunbird.assess")
    session.end()


BROKEN = {
    "wrong_parent": app_inside_its_session,
    "missing_parent": lone_player,
    "unclosed_child": child_that_outlives_its_parent,
    "event_outside_flow": assess_outside_a_player,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("code", BROKEN)
def test_a_batch_is_told_as_the_processor_tells_it(code: str, policy: str) -> None:
    told: list[Any] = []
    for through in ("processor", "exporter"):
        rig = Rig(policy, through)
        BROKEN[code](rig)
        spans = rig.finish()
        marks = {name: (violations(span), repairs(span)) for name, span in spans.items()}
        rejected = [[span.name for span in flow] for flow in rig.rejected]
        told.append((tree(spans.values()), marks, rejected, rig.tally.violations, rig.tally.closed))
    assert told[0] == told[1]
    assert told[0][3] == {code: 1}


def test_an_ended_child_keeps_all_its_events_when_it_is_cut() -> None:
    rig = Rig("repair", "exporter")
    child_that_outlives_its_parent(rig)
    spans = rig.finish()
    assert end_reason(spans["player"]) == "parent_end"
    assert spans["player"].end_time == spans["session"].end_time
    assert len(spans["player"].events) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_no_span_of_a_story_is_lost(policy: str) -> None:
    rig = Rig(policy, "exporter")
    for seed in range(20):
        play(story(seed, 20), rig, f"{seed}.")
    rig.provider.shutdown()
    spans = [*rig.memory.get_finished_spans(), *(span for flow in rig.rejected for span in flow)]
    told = sorted(span.name for span in spans if "synthetic" not in attribute(span, names.FLOW_REPAIR))
    assert told == sorted(f"{seed}.{s.number}" for seed in range(20) for s in story(seed, 20) if s.what == "end")
    assert rig.tally.errors == {}
    assert rig.tally.opened == sum(rig.tally.closed.values())


class Batches:
    """Exports spans in batches that the test chooses."""

    def __init__(self, policy: str = "annotate") -> None:
        self.memory = InMemorySpanExporter()
        self.exporter = FlowNestingExporter(self.memory, RULES, policy)
        source = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(source))
        self._source, self._tracer = source, provider.get_tracer("x")

    def spans(self, *kinds: str) -> tuple[ReadableSpan, ...]:
        """Return spans of ``kinds``, each in the one before it, the innermost first; an empty kind is no flow."""
        context, made = trace.set_span_in_context(trace.INVALID_SPAN), list[trace.Span]()
        for kind in kinds:
            attributes = {names.FLOW_TYPE: kind} if kind else {}
            made.append(self._tracer.start_span(kind or "plain", context, attributes=attributes))
            context = trace.set_span_in_context(made[-1])
        for span in reversed(made):
            span.end()
        return self._source.get_finished_spans()


def test_what_came_before_its_parents_is_not_judged_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    batches = Batches("repair")
    player, page, session = batches.spans("session", "page", "player")
    for batch in ([player], [page], [session]):
        assert batches.exporter.export(batch) is SpanExportResult.SUCCESS
    spans = batches.memory.get_finished_spans()
    assert [violations(span) for span in spans] == [[], [], []]
    assert [end_reason(span) for span in spans] == ["end"] * 3
    assert batches.exporter.tally.unjudged == 2
    assert len(caplog.records) == 1
    assert "the exporter judges each batch by itself" in caplog.text


def test_what_is_seen_of_a_torn_story_is_judged() -> None:
    batches = Batches()
    page, player, _ = batches.spans("session", "player", "page")
    batches.exporter.export([page, player])
    told = {span.name: violations(span) for span in batches.memory.get_finished_spans()}
    assert told == {"page": ["wrong_parent"], "player": []}


def test_flows_are_found_through_spans_that_are_none() -> None:
    batches = Batches()
    batches.exporter.export(batches.spans("", "session", "", "player"))
    assert batches.exporter.tally.violations == {}
    assert batches.exporter.tally.unjudged == 0


def test_a_batch_without_flows_is_handed_on_as_it_is() -> None:
    class Same(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            assert spans is batch
            return SpanExportResult.FAILURE

    batch = Batches().spans("", "")
    assert FlowNestingExporter(Same(), RULES).export(batch) is SpanExportResult.FAILURE


def test_flows_that_the_processor_has_judged_are_left_alone() -> None:
    rig = Rig("annotate")
    app_inside_its_session(rig)
    spans = list(rig.finish().values())
    memory = InMemorySpanExporter()
    FlowNestingExporter(memory, RULES, "repair").export(spans)
    assert list(memory.get_finished_spans()) == spans


def test_nonsense_is_exported_too() -> None:
    def odd(number: int, parent: int | None, kind: object = "page") -> ReadableSpan:
        context = SpanContext(1, number, is_remote=False, trace_flags=TraceFlags(1))
        above = SpanContext(1, parent, is_remote=False, trace_flags=TraceFlags(1)) if parent else None
        attributes: Any = {names.FLOW_TYPE: kind}
        return ReadableSpan("odd", context, above, Resource.get_empty(), attributes)

    memory = InMemorySpanExporter()
    exporter = FlowNestingExporter(memory, RULES, "repair")
    circle = [odd(1, 2), odd(2, 3), odd(3, 1), odd(4, 4)]
    unknown = [odd(5, 1, "quiz"), odd(6, 1, 7), ReadableSpan("odd", resource=Resource.get_empty())]
    exporter.export([*circle, *unknown, odd(1, None)])  # the last with an id that was there before
    told = [span for span in memory.get_finished_spans() if span.name == "odd"]
    assert len(told) == 8
    assert exporter.tally.errors == {}


def test_a_defect_of_our_own_lets_the_batch_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    batches = Batches()
    spans = batches.spans("player")
    monkeypatch.setattr("sunbird_otel.plugin._exporter.rebuild", defect)
    assert batches.exporter.export(spans) is SpanExportResult.SUCCESS
    assert batches.memory.get_finished_spans() == spans
    assert batches.exporter.tally.errors == {"own": 1}


class Broken(SpanExporter):
    """Raises whatever it is asked."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        raise ValueError

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        raise ValueError

    def shutdown(self) -> None:
        raise ValueError


def test_exporters_that_raise_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    exporter = FlowNestingExporter(Broken(), RULES, "reject", on_reject=Broken())
    assert exporter.export(Batches().spans("session")) is SpanExportResult.FAILURE
    assert exporter.export(Batches().spans("player")) is SpanExportResult.SUCCESS
    assert not exporter.force_flush()
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.tally.errors == {"exporter": 3, "on_reject": 3}
    assert len(caplog.records) == 2


def test_flush_and_shutdown_are_handed_on() -> None:
    inner, rejects = InMemorySpanExporter(), InMemorySpanExporter()
    exporter = FlowNestingExporter(inner, RULES, "reject", on_reject=rejects)
    exporter.export(Batches().spans("player"))
    assert [span.name for span in rejects.get_finished_spans()] == ["player"]
    assert exporter.force_flush()
    exporter.shutdown()
    assert [memory.export([]) for memory in (inner, rejects)] == [SpanExportResult.FAILURE] * 2


# --- Options ----------------------------------------------------------------------------------------------------


def test_an_exporter_is_named_as_in_yaml() -> None:
    exporter = FlowNestingExporter(
        inner={"otlp_proto_http": {"endpoint": "http://localhost:1/v1/traces"}},
        rules=["standard"],
        policy="reject",
        on_reject={"console": None},
    )
    assert isinstance(exporter._inner, HttpExporter)
    assert exporter._inner._endpoint == "http://localhost:1/v1/traces"
    assert isinstance(exporter._on_reject, ConsoleSpanExporter)
    assert isinstance(FlowNestingExporter("console")._inner, ConsoleSpanExporter)


def test_without_options_the_environment_says_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("SUNBIRD_OTEL_POLICY", "repair")
    monkeypatch.setenv("SUNBIRD_OTEL_RULES", "field")
    exporter = FlowNestingExporter()
    assert isinstance(exporter._inner, HttpExporter)
    assert (exporter._policy, exporter._rules.profile) == ("repair", "field")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    grpc = FlowNestingExporter()._inner
    assert "grpc" in type(grpc).__module__
    grpc.shutdown()


def test_rules_of_the_environment_that_cannot_be_read_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SUNBIRD_OTEL_RULES", "no-such-file.toml")
    assert FlowNestingExporter("console")._rules.profile == "standard"
    assert "The standard rules are used instead." in caplog.text


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: FlowNestingExporter("console", policy="mark"), r"policy: expected one of annotate.*; found 'mark'"),
        (lambda: FlowNestingExporter("no_such"), r"inner: expected the name .*console.*; found 'no_such'"),
        (lambda: FlowNestingExporter("sunbird"), r"found 'sunbird'"),
        (lambda: FlowNestingExporter({"console": {}, "otlp": {}}), r"inner: expected the name"),
        (lambda: FlowNestingExporter({"console": ["x"]}), r"inner: expected the name"),  # type: ignore[dict-item]
        (lambda: FlowNestingExporter("console", on_reject="no_such"), r"on_reject: expected the name"),
    ],
)
def test_wrong_options_are_refused(make: Callable[[], object], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        make()


def test_wrong_rules_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("nonsense = 1\n")
    with pytest.raises(RuleError, match=r"mine\.toml"):
        FlowNestingExporter("console", rules=str(path))
