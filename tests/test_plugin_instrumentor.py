"""One call wires the plugin in, another takes it out."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from instrumented import Service, serving
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from plugin_rig import end_reason, violations

from sunbird_otel import Rules
from sunbird_otel.errors import ConfigError, RuleError
from sunbird_otel.plugin import FlowNestingProcessor, InstrumentorConfiguration, SunbirdInstrumentor
from sunbird_otel.plugin._wiring import describe_entry_spans, is_settled, processors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


# --- In and out --------------------------------------------------------------------------------------------------


def test_one_call_wires_all_and_another_restores_it_exactly(service: Service) -> None:
    processors, ids = processors_of(service.provider), service.provider.id_generator
    textmap = propagate.get_global_textmap()
    service.instrument(emit_access=True, emit_errors=True)
    inside = processors_of(service.provider)
    assert inside is not None
    assert [type(one).__name__ for one in inside] == ["FlowNestingProcessor", "JoinedAttributes", "RequestEvents"]
    assert propagate.get_global_textmap().fields > textmap.fields
    service.instrumentor.uninstrument()
    assert processors_of(service.provider) == processors
    assert service.provider.id_generator is ids
    assert propagate.get_global_textmap() is textmap
    assert not is_settled(service.provider)


def test_the_rules_are_kept_while_it_is_in(service: Service) -> None:
    service.instrument()
    service.flow("alone", "player").end()
    service.instrumentor.uninstrument()
    service.flow("later", "player").end()
    assert violations(service.span("alone")) == ["missing_parent"]
    assert violations(service.span("later")) == []


def test_rules_and_policy_can_be_given(service: Service) -> None:
    service.instrument(rules="standard", policy="reject")
    service.flow("alone", "player").end()
    service.flow("session", "session").end()
    assert [span.name for span in service.memory.get_finished_spans()] == ["session"]


def test_flows_that_are_open_when_it_goes_are_exported_once(service: Service) -> None:
    service.instrument(policy="repair")
    session = service.flow("session", "session")
    player = service.flow("play", "player", session)
    service.instrumentor.uninstrument()
    player.end()
    session.end()
    assert sorted(span.name for span in service.memory.get_finished_spans()) == ["play", "session"]


def test_what_was_made_for_a_flow_that_is_open_is_kept(service: Service) -> None:
    service.instrument(policy="repair")
    service.flow("play", "player").end()
    service.instrumentor.uninstrument()
    play = service.span("play")
    assert play.parent is not None
    made = [span.context.span_id for span in service.memory.get_finished_spans() if span.context]
    assert play.parent.span_id in made


def test_the_exporter_lives_on_after_it(service: Service) -> None:
    class Shut(SpanProcessor):
        times = 0

        def shutdown(self) -> None:
            self.times += 1

    shut = Shut()
    service.provider.add_span_processor(shut)
    service.instrument()
    service.instrumentor.uninstrument()
    assert shut.times == 0
    service.instrument()
    service.provider.shutdown()
    assert shut.times == 1


def test_what_others_have_changed_meanwhile_stays(service: Service) -> None:
    service.instrument()
    added, theirs = SpanProcessor(), propagate.get_global_textmap().__class__([])  # type: ignore[call-arg]
    service.provider.add_span_processor(added)
    propagate.set_global_textmap(theirs)
    service.instrumentor.uninstrument()
    processors = processors_of(service.provider)
    assert processors is not None
    assert processors[1:] == (added,)
    assert propagate.get_global_textmap() is theirs


def test_twice_is_once(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.instrument()
    once = processors_of(service.provider)
    service.instrument()
    assert processors_of(service.provider) == once
    assert "already instrumented" in caplog.text
    service.instrumentor.uninstrument()
    service.instrumentor.uninstrument()
    service.instrument()
    assert len(processors_of(service.provider) or ()) == 2


def test_a_processor_that_is_there_is_not_doubled(service: Service) -> None:
    processor = FlowNestingProcessor(SpanProcessor())
    service.provider.add_span_processor(processor)
    service.instrument()
    found = processors_of(service.provider) or ()
    assert [one for one in found if isinstance(one, FlowNestingProcessor)] == [processor]


def test_what_the_hook_has_seen_to_stays_unless_options_are_given(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_entry_spans(service.provider)
    before = processors_of(service.provider)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: service.provider)
    service.instrument(tracer_provider=None)
    assert processors_of(service.provider) == before
    service.instrumentor.uninstrument()
    service.instrument(tracer_provider=None, policy="reject")
    assert processors_of(service.provider) != before
    service.instrumentor.uninstrument()
    assert processors_of(service.provider) == before


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        (NoOpTracerProvider(), "found NoOpTracerProvider. Nothing was wired in"),
        (TracerProvider(shutdown_on_exit=False), "has no span processors yet"),
    ],
)
def test_what_cannot_be_done_is_said(
    provider: trace.TracerProvider, told: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.instrument(tracer_provider=provider)
    assert told in caplog.text
    service.instrumentor.uninstrument()


def test_a_provider_that_hides_its_processors_is_only_watched(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: Callable[[object], None] = lambda _: None  # noqa: E731 - shorter than a function
    monkeypatch.setattr("sunbird_otel.plugin._instrumentor.processors_of", hidden)
    monkeypatch.setattr("sunbird_otel.plugin._wiring.processors_held", hidden)
    service.instrument(emit_access=True)
    service.flow("alone", "player").end()
    service.answer()
    assert violations(service.span("alone")) == []
    assert "only counted" in caplog.text
    assert len(service.transport.events) == 1
    service.instrumentor.uninstrument()
    service.answer()
    assert len(service.transport.events) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"policy": "mend"}, ConfigError),
        ({"rules": "nowhere.toml"}, (ConfigError, RuleError)),
        ({"emit_access": True, "telemetry": None}, ConfigError),
        ({"emit_errors": True, "telemetry": "nowhere.at_all:client"}, ConfigError),
        ({"emit_access": True, "telemetry": 1}, ConfigError),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_wired(options: dict[str, Any], error: Any, service: Service) -> None:
    before, textmap = processors_of(service.provider), propagate.get_global_textmap()
    with pytest.raises(error):
        service.instrument(**options)
    assert processors_of(service.provider) == before
    assert propagate.get_global_textmap() is textmap
    assert not service.instrumentor.is_instrumented_by_opentelemetry


def test_a_wrong_setting_stops_no_service(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNBIRD_OTEL_RULES", "nowhere.toml")
    service.instrument()
    assert "The standard rules are used instead" in caplog.text
    service.flow("alone", "player").end()
    assert violations(service.span("alone")) == ["missing_parent"]


def test_the_settings_bound_the_open_flows(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNBIRD_OTEL_MAX_OPEN_FLOWS", "1")
    service.instrument()
    service.flow("first", "session")
    service.flow("second", "session")
    assert end_reason(service.span("first")) == "evicted"


def test_threads_may_work_while_it_goes_in_and_out(service: Service) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        session = service.flow(f"session {number}", "session")
        service.flow(f"play {number}", "player", session).end()
        session.end()
        done.append(number)

    with ThreadPoolExecutor(8) as pool:
        for number in range(400):
            pool.submit(work, number)
        for _ in range(20):
            service.instrument(emit_access=True)
            service.instrumentor.uninstrument()
    assert len(done) == 400
    found = [span.name for span in service.memory.get_finished_spans()]
    assert len(found) == len(set(found)) == 800


def test_rules_can_be_an_object_and_flows_say_how_they_ended(service: Service) -> None:
    service.instrument(rules=Rules.standard(), policy="annotate")
    service.flow("session", "session").end()
    assert end_reason(service.span("session")) == "end"


# --- Found by OpenTelemetry --------------------------------------------------------------------------------------


def test_it_is_found_by_its_name() -> None:
    (found,) = entry_points(group="opentelemetry_instrumentor", name="sunbird")
    assert found.load() is SunbirdInstrumentor
    assert SunbirdInstrumentor().instrumentation_dependencies() == ()


def test_a_configuration_file_can_give_its_options(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = pytest.importorskip("opentelemetry.configuration.instrumentation")
    models = pytest.importorskip("opentelemetry.configuration.models")
    module = types.ModuleType("content_service")
    module.client = service.telemetry  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "content_service", module)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: service.provider)
    options = {"policy": "reject", "rules": ["standard"], "telemetry": "content_service:client", "emit_access": True}
    configuration.configure_instrumentation(models.ExperimentalInstrumentation(python={"sunbird": options}))
    assert service.instrumentor.is_instrumented_by_opentelemetry
    service.answer()
    service.flow("alone", "player").end()
    assert [span.name for span in service.memory.get_finished_spans()] == ["GET"]
    assert len(service.params()) == 1
    assert InstrumentorConfiguration(**options).emit_errors is False  # type: ignore[arg-type]


SERVICE = """
from sunbird_otel.emit import MemoryTransport, Telemetry
transport = MemoryTransport()
client = Telemetry(pdata={"id": "content"}, channel="c1", env="content", transport=transport)
"""
APP = """
import service_of_file
from opentelemetry import trace
from opentelemetry.trace import SpanKind
tracer = trace.get_tracer("app")
tracer.start_span("GET", kind=SpanKind.SERVER, attributes={"http.method": "GET", "http.target": "/x"}).end()
tracer.start_span("play", attributes={"sunbird.flow.type": "player"}).end()
print("events", len(service_of_file.transport.events))
"""
FILE = """
file_format: "1.0"
tracer_provider: {processors: [{simple: {exporter: {console: }}}]}
instrumentation/development:
  python:
    sunbird: {policy: repair, telemetry: "service_of_file:client", emit_access: true}
"""


def test_a_configuration_file_is_enough(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration")
    for name, text in (("service_of_file.py", SERVICE), ("app.py", APP), ("config.yaml", FILE)):
        (tmp_path / name).write_text(text)
    variables = {"OTEL_CONFIG_FILE": "config.yaml", "OTEL_PYTHON_CONFIGURATOR": "sunbird"}
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "app.py"],
        env={**os.environ, **variables, "PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "events 1" in done.stdout
    assert "synthetic" in done.stdout
