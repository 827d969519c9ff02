"""Strings that are no valid Unicode: JSON can spell a lone surrogate, OTLP cannot carry one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from sunbird_otel._signals import Attributes, AttributeValue, Link, MetricPoint, Resource, Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

S = TypeVar("S", Span, MetricPoint)


def well_formed(signals: Iterable[S]) -> list[S]:
    """Return copies of ``signals`` with U+FFFD in the place of every lone surrogate."""
    return [_signal(signal) for signal in signals]


def _signal(signal: S) -> S:
    resource = Resource(_text(signal.resource.service_name), _text(signal.resource.service_version))
    if isinstance(signal, MetricPoint):
        return replace(
            signal,
            name=_text(signal.name),
            description=_text(signal.description),
            unit=_text(signal.unit),
            resource=resource,
            attributes=_attributes(signal.attributes),
        )
    return replace(
        signal,
        name=_text(signal.name),
        resource=resource,
        attributes=_attributes(signal.attributes),
        events=[SpanEvent(_text(e.name), e.time_ns, _attributes(e.attributes)) for e in signal.events],
        links=[Link(link.trace_id, link.span_id, _attributes(link.attributes)) for link in signal.links],
        status_message=_text(signal.status_message),
    )


def _attributes(attributes: Attributes) -> Attributes:
    return {_text(key): _value(value) for key, value in attributes.items()}


def _value(value: AttributeValue) -> AttributeValue:
    match value:
        case str():
            return _text(value)
        case [str(), *_]:
            return [_text(str(item)) for item in value]
        case _:
            return value


def _text(text: str) -> str:
    # Through UTF-16, so that two surrogates that make a pair become the character that they stand for.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
