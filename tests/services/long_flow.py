"""A program with one session in which much happens, as an OpenTelemetry span."""

from __future__ import annotations

from opentelemetry import trace

tracer = trace.get_tracer("long_flow")
with tracer.start_as_current_span("session", attributes={"sunbird.flow.type": "session", "text": "x" * 2000}) as span:
    for number in range(250):
        span.add_event("sunbird.interact", {"n": number})
