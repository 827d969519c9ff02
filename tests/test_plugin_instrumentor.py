"""One call wires the plugin in, another takes it out; requests are told as events that the pipeline accepts."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from flask import Flask
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.flask import FlaskInstrumentor  # pyright: ignore[reportMissingTypeStubs]
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, SpanKind, Status, StatusCode
from plugin_rig import end_reason, violations

from sunbird_otel import Rules, names
from sunbird_otel._ids import session_trace
from sunbird_otel.emit import MemoryTransport, Telemetry
from sunbird_otel.errors import ConfigError, RuleError
from sunbird_otel.plugin import FlowNestingProcessor, InstrumentorConfiguration, SunbirdInstrumentor
from sunbird_otel.plugin._emission import RequestEvents
from sunbird_otel.plugin._wiring import describe_entry_spans, is_settled, processors_of
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

ANSWERED: dict[str, Any] = {"http.request.method": "GET", "url.path": "/content/do_1", "http.response.status_code": 200}
OTHER_PROTOCOL: dict[str, Any] = {"rpc.system": "grpc"}
HEADERS = {"X-Session-ID": "s1", "X-Device-ID": "d1", "X-Channel-ID": "c1", "X-Request-ID": "r1"}


class Service:
    """A provider with an exporter, and a telemetry client whose own spans go to the same provider."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.transport = MemoryTransport()
        self.telemetry = telemetry(self.transport, self.provider)
        self.instrumentor = SunbirdInstrumentor()

    def instrument(self, **options: Any) -> None:
        options = {"tracer_provider": self.provider, "telemetry": self.telemetry} | options
        self.instrumentor.instrument(**options)

    @property
    def tracer(self) -> trace.Tracer:
        return self.provider.get_tracer("service")

    def answer(self, attributes: Mapping[str, Any] = ANSWERED, headers: Mapping[str, str] | None = None) -> None:
        context = propagate.extract(headers or {}, Context())
        token = contexts.attach(context)
        try:
            self.tracer.start_span("GET", context, SpanKind.SERVER, attributes=attributes).end()
        finally:
            contexts.detach(token)

    def params(self) -> list[dict[str, Any]]:
        """Return the params of each LOG that was emitted, after a look at all events by the schemas."""
        assert [problem for event in self.transport.events for problem in validate(event)] == []
        logs = [event["edata"] for event in self.transport.events if event["eid"] == "LOG"]
        return [{key: value for entry in log["params"] for key, value in entry.items()} for log in logs]

    def span(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.memory.get_finished_spans() if span.name == name)
        return span

    def flow(self, name: str, kind: str, parent: trace.Span | None = None) -> trace.Span:
        context = Context() if parent is None else trace.set_span_in_context(parent)
        return self.tracer.start_span(name, context, attributes={names.FLOW_TYPE: kind})


def telemetry(transport: Any, provider: Any = None, **options: Any) -> Telemetry:
    pdata = {"id": "prod.content.service", "ver": "1.0", "pid": "content"}
    return Telemetry(pdata=pdata, channel="c0", env="content", transport=transport, tracer_provider=provider, **options)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    before = propagate.get_global_textmap()
    yield made
    if made.instrumentor.is_instrumented_by_opentelemetry:
        made.instrumentor.uninstrument()
    propagate.set_global_textmap(before)
    made.provider.shutdown()


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


# --- Requests as events ------------------------------------------------------------------------------------------


def test_nothing_is_emitted_unless_asked(service: Service) -> None:
    service.instrument()
    service.answer()
    assert service.transport.events == []


@pytest.mark.parametrize(
    "attributes",
    [
        {**ANSWERED, "http.route": "/content/{id}", "url.scheme": "https"},
        {
            "http.method": "GET",
            "http.target": "/content/do_1?token=secret",
            "http.status_code": 200,
            "http.route": "/content/{id}",
            "http.scheme": "https",
        },
        {
            "http.method": "GET",
            "http.url": "https://host/content/do_1?token=secret",
            "http.status_code": 200,
            "http.route": "/content/{id}",
            "http.scheme": "https",
        },
    ],
    ids=["stable", "older", "older with a url"],
)
def test_a_request_is_told_with_the_session_that_it_belongs_to(attributes: Mapping[str, Any], service: Service) -> None:
    service.instrument(emit_access=True)
    service.answer(attributes, HEADERS)
    (params,) = service.params()
    assert params.pop("duration") >= 0
    assert params == {
        "rid": "r1",
        "title": "/content/{id}",
        "method": "GET",
        "url": "/content/do_1",
        "status": 200,
        "protocol": "https",
    }
    (event,) = service.transport.events
    context = event["context"]
    assert (context["sid"], context["did"], context["channel"]) == ("s1", "d1", "c1")
    assert context["cdata"] == [{"type": "Request", "id": "r1"}]
    # The span stands for the request: there is no other, and it is in the client's trace.
    span = service.span("GET")
    assert span.start_time is not None
    assert span.context is not None
    assert span.context.trace_id == int.from_bytes(session_trace("c1", "d1", "s1", span.start_time))
    assert len(service.memory.get_finished_spans()) == 1


def test_duration_is_in_milliseconds(service: Service) -> None:
    service.instrument(emit_access=True)
    span = service.tracer.start_span("GET", Context(), SpanKind.SERVER, attributes=ANSWERED, start_time=10**9)
    span.end(10**9 + 12_345_678)
    assert service.params()[0]["duration"] == 12.346


def test_only_http_server_spans_are_requests(service: Service) -> None:
    service.instrument(emit_access=True, emit_errors=True)
    for kind, attributes in (
        (SpanKind.CLIENT, ANSWERED),
        (SpanKind.INTERNAL, ANSWERED),
        (SpanKind.SERVER, OTHER_PROTOCOL),
    ):
        service.tracer.start_span("other", Context(), kind, attributes=attributes).end()
    assert service.transport.events == []


def test_an_exception_is_an_error_of_the_request(service: Service) -> None:
    service.instrument(emit_access=True, emit_errors=True)
    attributes = {"http.request.method": "POST", "url.path": "/x", names.REQUEST_ID: "r9", names.SESSION_ID: "s9"}
    with (
        pytest.raises(ZeroDivisionError),
        service.tracer.start_as_current_span("POST", Context(), SpanKind.SERVER, attributes=attributes),
    ):
        raise ZeroDivisionError("by zero")
    error, log = service.transport.events
    assert service.params()[0]["status"] == 500
    assert error["eid"] == "ERROR"
    assert (error["edata"]["err"], error["edata"]["errtype"]) == ("by zero", "ZeroDivisionError")
    assert "Traceback" in error["edata"]["stacktrace"]
    assert error["context"]["cdata"] == log["context"]["cdata"] == [{"type": "Request", "id": "r9"}]
    assert error["context"]["sid"] == "s9"
    assert log["edata"]["level"] == "ERROR"
    request, told = service.span("POST"), service.span("sunbird.error")
    assert told.parent is not None
    assert request.context is not None
    assert told.parent.span_id == request.context.span_id


def test_an_exception_without_a_request_id_is_in_the_request_too(service: Service) -> None:
    service.instrument(emit_errors=True)
    span = service.tracer.start_span("GET", Context(), SpanKind.SERVER, attributes=ANSWERED)
    span.record_exception(ValueError())
    span.end()
    (error,) = service.transport.events
    assert validate(error) == []
    assert error["edata"]["err"] == "ValueError"
    told = service.span("sunbird.error")
    assert told.parent is not None
    assert told.parent.span_id == span.get_span_context().span_id


def test_a_caller_who_is_gone_has_no_status(service: Service) -> None:
    service.instrument(emit_access=True)
    service.answer({"http.request.method": "GET"})
    (params,) = service.params()
    assert (params["status"], params["url"]) == ("", "/")


def test_a_failure_without_a_status_is_a_500(service: Service) -> None:
    service.instrument(emit_access=True)
    span = service.tracer.start_span("GET", Context(), SpanKind.SERVER, attributes={"http.method": "GET"})
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    assert service.params()[0]["status"] == 500


@pytest.mark.parametrize("opt_in", ["", "http"], ids=["older names", "stable names"])
def test_a_flask_service_under_its_stock_instrumentation(
    opt_in: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    app = Flask("content")

    def content(key: str) -> str:
        if key == "broken":
            raise KeyError(key)
        return key

    app.add_url_rule("/content/<key>", view_func=content)
    service.instrument(emit_access=True, emit_errors=True)
    instrument_app: Any = cast("Any", FlaskInstrumentor()).instrument_app
    instrument_app(app, tracer_provider=service.provider)
    client = app.test_client()
    assert client.get("/content/do_1?q=1", headers=HEADERS).status_code == 200
    assert client.get("/content/broken", headers={**HEADERS, "X-Request-ID": "r2"}).status_code == 500
    assert client.get("/nothing").status_code == 404
    shown = [(one.get("rid"), one["method"], one["url"], one["status"], one.get("title")) for one in service.params()]
    assert shown == [
        ("r1", "GET", "/content/do_1", 200, "/content/<key>"),
        ("r2", "GET", "/content/broken", 500, "/content/<key>"),
        (None, "GET", "/nothing", 404, None),
    ]
    errors = [event for event in service.transport.events if event["eid"] == "ERROR"]
    assert [(error["edata"]["errtype"], error["context"]["sid"]) for error in errors] == [("KeyError", "s1")]


# --- Nothing is told twice or without end, and nothing breaks ------------------------------------------------------


def test_a_request_that_the_application_tells_is_not_told_again(service: Service) -> None:
    service.instrument(emit_access=True)
    service.telemetry.access(method="GET", url="/own", status=200, duration=1)
    span = service.tracer.start_span("GET", Context(), SpanKind.SERVER, attributes=ANSWERED)
    service.telemetry.access(method="GET", url="/same", status=200, duration=1, span=span)
    span.end()
    assert [params["url"] for params in service.params()] == ["/own", "/same"]


class Posting(MemoryTransport):
    """Its way to the API is instrumented, and the API is in this very process."""

    tracer: trace.Tracer

    def send(self, event: Mapping[str, Any]) -> None:
        super().send(event)
        for kind in (SpanKind.CLIENT, SpanKind.SERVER):
            self.tracer.start_span("POST", kind=kind, attributes=ANSWERED).end()


def test_posts_of_the_telemetry_are_no_requests(service: Service) -> None:
    transport = Posting()
    transport.tracer = service.tracer
    service.instrument(telemetry=telemetry(transport, service.provider), emit_access=True)
    service.answer()
    assert len(transport.events) == 1


@pytest.mark.parametrize("key", ["user_agent.original", "http.user_agent"])
def test_posts_of_our_transport_to_this_service_are_no_requests(key: str, service: Service) -> None:
    service.instrument(emit_access=True)
    service.answer({**ANSWERED, key: "sunbird-otel/1.0"})
    service.answer({**ANSWERED, key: "curl/8"})
    assert len(service.transport.events) == 1


class Raising(MemoryTransport):
    def send(self, event: Mapping[str, Any]) -> None:  # noqa: ARG002 - the interface
        raise OSError("disk full")


def test_what_the_telemetry_raises_reaches_nobody(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def access(self, **_: Any) -> None:
            raise OSError("disk full")

        def error(self, **_: Any) -> None:
            raise OSError("disk full")

    service.instrument(telemetry=Broken(), emit_access=True)
    with caplog.at_level(logging.WARNING):
        service.answer()
        service.answer()
    assert caplog.text.count("a request could not be told") == 1
    (events,) = (one for one in processors_of(service.provider) or () if isinstance(one, RequestEvents))
    assert events.failed == 2
    assert len(service.memory.get_finished_spans()) == 2
    service.instrumentor.uninstrument()
    service.instrument(telemetry=telemetry(Raising(), service.provider), emit_access=True)
    service.answer()


def test_threads_tell_each_request_once(service: Service) -> None:
    service.instrument(emit_access=True, emit_errors=True)

    def answer(number: int) -> None:
        service.answer(ANSWERED, {**HEADERS, "X-Request-ID": f"r{number}"})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(answer, range(400)))
    assert sorted(params["rid"] for params in service.params()) == sorted(f"r{n}" for n in range(400))
    assert len(service.memory.get_finished_spans()) == 400


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
