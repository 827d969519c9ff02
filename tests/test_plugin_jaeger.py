"""Flows of a live service, looked at in a real Jaeger: those with very many events, and those that are still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from backends.processes import wait_until
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sunbird_otel import names
from sunbird_otel.plugin import FlowNestingExporter, FlowNestingProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.jaeger import Jaeger
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

SERVICE = "quiz"
NO_PARENT = "is not in the trace"


class Service:
    """A service that exports to Jaeger."""

    def __init__(self, exporter: SpanExporter, **options: Any) -> None:
        batch = BatchSpanProcessor(FlowNestingExporter(exporter), schedule_delay_millis=100)
        self.processor = FlowNestingProcessor(batch, **options)
        self.provider = TracerProvider(resource=Resource({names.SERVICE_NAME: SERVICE}), shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)
        self.tracer: Tracer = self.provider.get_tracer("quiz")

    def start(self, kind: str, parent: Span | None = None) -> Span:
        around = trace.set_span_in_context(parent) if parent is not None else None
        return self.tracer.start_span(kind, around, attributes={names.FLOW_TYPE: kind, names.SESSION_ID: "s-1"})


@pytest.fixture(params=["grpc", "http"])
def exporter(request: pytest.FixtureRequest, jaeger_server: Jaeger) -> SpanExporter:
    if request.param == "grpc":
        return GrpcExporter(jaeger_server.grpc_target, insecure=True)
    return HttpExporter(f"{jaeger_server.http}/v1/traces")


@pytest.fixture
def service(jaeger_server: Jaeger) -> Iterator[Service]:
    made = Service(HttpExporter(f"{jaeger_server.http}/v1/traces"), pending=True, pending_after=0.3)
    yield made
    made.provider.shutdown()


def warnings(span: dict[str, Any]) -> list[str]:
    return list(span["warnings"] or [])


def test_ten_thousand_events_of_one_session_arrive(exporter: SpanExporter, jaeger_server: Jaeger) -> None:
    service = Service(exporter)
    session = service.start("session")
    for number in range(10_000):
        # As much as an event of a real client says: with all of these, one message would be far too large.
        session.add_event("sunbird.interact", {"n": number, "text": "x" * 600})
    session.end()
    service.provider.shutdown()
    found = jaeger_server.wait_for(6)
    assert sorted(len(span.events) for span in found) == [0, 2_000, 2_000, 2_000, 2_000, 2_000]
    in_order = sorted(found, key=lambda span: span.attributes.get(names.FLOW_SEGMENT, 99))
    assert [event.attributes["n"] for span in in_order for event in span.events] == list(range(10_000))
    (whole,) = (span for span in found if not span.parent)
    assert whole.attributes[names.FLOW_SEGMENTS] == 5
    assert {span.parent for span in found} == {"", whole.span_id}


def test_what_is_open_is_seen(service: Service, jaeger_server: Jaeger) -> None:
    session = service.start("session")
    player = service.start("player", session)
    wait_until(lambda: len(jaeger_server.spans()) == 2)
    (found,) = jaeger_server.search(SERVICE, tags={names.FLOW_PENDING: "true"})
    shown = {span["operationName"]: span for span in found["spans"]}
    assert shown.keys() == {"session", "player"}
    # Until the flow's own span is there, Jaeger says that it misses the parent.
    assert all(NO_PARENT in warnings(span)[0] for span in shown.values())
    assert {span["duration"] for span in shown.values()} == {0}
    player.end()
    session.end()


def test_the_flow_and_what_was_told_of_it_stand_side_by_side(service: Service, jaeger_server: Jaeger) -> None:
    """Jaeger is asked at the end alone: its store in memory keeps a warning that it has given once."""
    session = service.start("session")
    player = service.start("player", session)
    wait_until(lambda: service.processor.tally.pending == 2)
    player.end()
    session.end()
    service.provider.force_flush()
    spans = {(span.name, names.FLOW_PENDING in span.attributes): span for span in jaeger_server.wait_for(4)}
    assert spans.keys() == {(kind, pending) for kind in ("session", "player") for pending in (True, False)}
    for kind in ("session", "player"):
        told, written = spans[kind, True], spans[kind, False]
        assert told.parent == written.span_id
        assert told.span_id != written.span_id
        assert (told.start_ns, told.end_ns) == (written.start_ns, written.start_ns + 1)
        assert names.FLOW_END_REASON not in told.attributes
        assert written.attributes[names.FLOW_END_REASON] == "end"
    assert spans["player", False].parent == spans["session", False].span_id
    page = jaeger_server.page(spans["session", False].trace_id)
    assert [warnings(span) for span in page["spans"]] == [[]] * 4
