"""What the bridge puts out: plain records in the shape of the OpenTelemetry data model, without OpenTelemetry types.

Times are integer nanoseconds since the Unix epoch. Trace ids are 16 bytes, span ids 8 bytes, never zero. Attribute
values are ``str``, ``bool``, ``int`` (64 bit), ``float`` (finite) or a list of one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias

AttributeValue: TypeAlias = str | bool | int | float | list[str] | list[bool] | list[int] | list[float]
"""One attribute value as OTLP can carry it."""

Attributes: TypeAlias = dict[str, AttributeValue]
"""Attributes in the order in which they are written."""


class SpanKind(IntEnum):
    """The span kinds in use, with the numbers of OTLP's ``Span.SpanKind``."""

    INTERNAL = 1
    SERVER = 2


class StatusCode(IntEnum):
    """The status codes in use, with the numbers of OTLP's ``Status.StatusCode``."""

    UNSET = 0
    ERROR = 2


class Resource(NamedTuple):
    """The producer of a signal: ``pdata.id`` and ``pdata.ver`` of the event (either may be empty)."""

    service_name: str
    service_version: str


@dataclass(slots=True)
class SpanEvent:
    """One Sunbird event inside a span."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Link:
    """A reference to a span of another trace."""

    trace_id: bytes
    span_id: bytes
    attributes: Attributes


@dataclass(slots=True, kw_only=True)
class Span:
    """One finished span. ``parent_span_id`` is empty for a root; ``end_ns`` is always after ``start_ns``."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    resource: Resource
    attributes: Attributes
    events: list[SpanEvent] = field(default_factory=list[SpanEvent])
    links: list[Link] = field(default_factory=list[Link])
    status: StatusCode = StatusCode.UNSET
    status_message: str = ""
    synthetic: bool = False


@dataclass(slots=True, kw_only=True)
class MetricPoint:
    """One measurement with the time of the event that carried it, to be written as a gauge."""

    name: str
    description: str
    unit: str
    value: int | float
    time_ns: int
    resource: Resource
    attributes: Attributes


Signal: TypeAlias = Span | MetricPoint
"""What :meth:`sunbird_otel.Bridge.feed` returns."""
