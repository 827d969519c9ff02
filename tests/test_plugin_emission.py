"""Requests are told as events that the pipeline accepts: each once, and nothing that goes wrong reaches them."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
from flask import Flask
from instrumented import ANSWERED, Service, serving, telemetry
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.flask import FlaskInstrumentor  # pyright: ignore[reportMissingTypeStubs]
from opentelemetry.trace import SpanKind, Status, StatusCode

from sunbird_otel import names
from sunbird_otel._ids import session_trace
from sunbird_otel.emit import MemoryTransport
from sunbird_otel.plugin._emission import RequestEvents
from sunbird_otel.plugin._wiring import processors_of
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry import trace

OTHER_PROTOCOL: dict[str, Any] = {"rpc.system": "grpc"}
HEADERS = {"X-Session-ID": "s1", "X-Device-ID": "d1", "X-Channel-ID": "c1", "X-Request-ID": "r1"}


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


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
