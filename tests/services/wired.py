"""What services do that wire sunbird-otel in by code: exporter, client, then the instrumentor, then the framework's."""

from __future__ import annotations

import os
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sunbird_otel.emit import FileTransport, Telemetry
from sunbird_otel.plugin import SunbirdInstrumentor

tracing = TracerProvider()
tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracing)
telemetry = Telemetry(
    pdata={"id": "prod.quiz.service", "ver": "1.0", "pid": "quiz"},
    channel="0126684405014528002",
    env="quiz",
    transport=FileTransport(os.environ["EVENTS"]),
    meter_provider=NoOpMeterProvider(),
)
SunbirdInstrumentor().instrument(telemetry=telemetry, emit_access=True, emit_errors=True)


def play(headers: Any, content_id: str) -> None:
    """Tell of a play in the session of the request."""
    with (
        telemetry.context(sid=headers["x-session-id"], did=headers["x-device-id"]),
        telemetry.start(type="session"),
        telemetry.start(type="player", object={"id": content_id, "type": "Content"}) as player,
    ):
        player.assess(item={"id": "q1"}, pass_=True, score=1, resvalues=[{"1": "a"}], duration=4)
