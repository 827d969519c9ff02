"""A service that is instrumented by one call: a provider, a telemetry client, and what both have written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from sunbird_otel import names
from sunbird_otel.emit import MemoryTransport, Telemetry
from sunbird_otel.plugin import SunbirdInstrumentor
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

ANSWERED: dict[str, Any] = {"http.request.method": "GET", "url.path": "/content/do_1", "http.response.status_code": 200}


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


@contextmanager
def serving() -> Generator[Service]:
    """Yield a service; what was wired in, also globally, is taken out again."""
    made = Service()
    before = propagate.get_global_textmap()
    yield made
    if made.instrumentor.is_instrumented_by_opentelemetry:
        made.instrumentor.uninstrument()
    propagate.set_global_textmap(before)
    made.provider.shutdown()
