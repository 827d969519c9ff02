"""What emitted events become on the given meter provider: their measurements, and figures derived from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import metrics
from opentelemetry.trace import set_span_in_context

from sunbird_otel import names
from sunbird_otel._fields import metric_attributes
from sunbird_otel._translate import METRIC_DESCRIPTION
from sunbird_otel._version import __version__
from sunbird_otel.schema import MODELS

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow

_DURATIONS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0)
"""Bounds in seconds: a play lasts minutes, a session up to hours."""

_BY_EID: Final = {eid: {names.EID: eid} for eid in MODELS}
_SECOND: Final = 1_000_000_000


class Meters:
    """Records on instruments. ``provider`` is ``None`` for the global one, also when that is set only later."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = (provider or metrics.get_meter_provider()).get_meter(names.SCOPE, __version__)
        self._value = meter.create_gauge(names.METRIC, "1", METRIC_DESCRIPTION)
        self._events = meter.create_counter(names.EVENTS, "{event}", "Sunbird events that were emitted")
        self._duration = meter.create_histogram(
            names.FLOW_DURATION, "s", "How long flows lasted", explicit_bucket_boundaries_advisory=_DURATIONS
        )

    def count(self, event: Event) -> None:
        """Count an emitted event."""
        self._events.add(1, _BY_EID[event.eid])

    def measured(self, event: Event, points: list[tuple[str, int | float]]) -> None:
        """Record the measurements of a METRICS event."""
        common = metric_attributes(event)
        for name, value in points:
            self._value.set(value, {names.METRIC_NAME: name, **common})

    def flow(self, flow: Flow, reason: str, end_ns: int, span: Span) -> None:
        """Record how long a flow lasted, with its span as the example."""
        attributes = {names.FLOW_TYPE: flow.kind, names.FLOW_END_REASON: reason}
        if flow.workflow:
            attributes[names.WORKFLOW] = flow.workflow
        self._duration.record((end_ns - flow.start_ns) / _SECOND, attributes, set_span_in_context(span))
