"""A program with one request and one play in it, then one play by itself, as OpenTelemetry spans."""

from __future__ import annotations

from opentelemetry import context, propagate, trace

tracer = trace.get_tracer("flow_job")

headers = {"X-Session-ID": "s1", "X-Device-ID": "d1", "X-Channel-ID": "c1"}
token = context.attach(propagate.extract(headers))
with tracer.start_as_current_span("GET /play", kind=trace.SpanKind.SERVER):
    pass
context.detach(token)

with (
    tracer.start_as_current_span("session", attributes={"sunbird.flow.type": "session"}),
    tracer.start_as_current_span("play in a session", attributes={"sunbird.flow.type": "player"}),
):
    pass

with tracer.start_as_current_span("play alone", attributes={"sunbird.flow.type": "player"}):
    pass
