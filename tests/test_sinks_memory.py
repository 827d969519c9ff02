"""The sink that keeps everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from span_factory import APP, BASE_NS, five_workflows

from sunbird_otel._signals import MetricPoint
from sunbird_otel.sinks import MemorySink

if TYPE_CHECKING:
    from sunbird_otel.sinks import Sink


def test_it_keeps_what_it_was_given_in_order() -> None:
    sink = MemorySink()
    as_sink: Sink = sink
    point = MetricPoint(name="m", description="", unit="1", value=1, time_ns=BASE_NS, resource=APP, attributes={})
    spans = five_workflows()
    as_sink.write([spans[0], point])
    as_sink.write(spans[1:])
    assert sink.signals == [spans[0], point, *spans[1:]]
    assert (sink.spans, sink.points) == (spans, [point])
    assert as_sink.close().delivered == {"traces": len(spans), "metrics": 1}
    assert sink.closed
