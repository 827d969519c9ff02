"""A tracer provider on which the emitter's spans have the ids that a replay of its events gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from sunbird_otel import names
from sunbird_otel._limits import SPAN_EVENTS
from sunbird_otel.emit._context import fields
from sunbird_otel.plugin._id_generator import SunbirdIdGenerator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from sunbird_otel.emit._context import Fields
    from sunbird_otel.schema import Pdata


def provider(pdata: Pdata | Fields, *processors: SpanProcessor) -> TracerProvider:
    """Return a tracer provider whose Resource is the producer ``pdata`` and that passes its spans to ``processors``.

    Its ids are derived from the events, and its spans hold as many events as the bridge's before they go on in another
    span. The other settings are the SDK's, from the environment.
    """
    producer = fields(pdata)
    attributes = {names.SERVICE_NAME: producer["id"], names.SERVICE_VERSION: producer.get("ver", "")}
    made = TracerProvider(
        id_generator=SunbirdIdGenerator(),
        resource=Resource.create({key: value for key, value in attributes.items() if value}),
        span_limits=SpanLimits(max_events=SPAN_EVENTS),
    )
    for processor in processors:
        made.add_span_processor(processor)
    return made
