"""Signals as bytes: what the OTLP forms have in common.

A span or a metric point is written once, when it is known, and stays bytes from then on: inside an open flow, in a
request, on the wire. What repeats is written once for all: attribute keys, values that come again, names.

What is written beyond the records themselves:

* Resources stand in the order of their first signal. An empty service name becomes ``unknown_service``, an empty
  version is left out. ``telemetry.sdk.*`` is left out too: it describes the SDK inside the service, and there was none.
* The scope is this package with its version.
* The span flags are 1, "sampled". Whether the parent is remote is left unknown (bit 8 stays 0): spans of one trace
  come from several producers, and a record does not say which side of a network call its parent was on. Jaeger,
  Tempo and the Collector show and search no flags; a receiver that samples keeps what is marked sampled.
* Metric points become gauges, one metric for each name of a resource, with description and unit of its first point.
* A string that is no valid Unicode (a lone surrogate) is written with U+FFFD instead, since one such string would
  otherwise cost the whole request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sunbird_otel import names
from sunbird_otel._form import Draft, Form
from sunbird_otel._signals import MetricPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sunbird_otel._signals import Attributes, AttributeValue, Resource, Signal

SAMPLED: Final = 1
"""The span flags: see the head of this module."""

_REPEATED: Final = 1_024
"""Values of one attribute that are kept written."""

_WORTH: Final = 2
"""How often a kept value must have been asked for, on average, for the attribute to be one whose values repeat."""


class Written:
    """One span, or one point of the metric ``metric`` (its name, description and unit), as a part of a request.

    ``records`` is how much it weighs: 1, and 1 for each event in it.
    """

    __slots__ = ("body", "metric", "records", "resource")

    def __init__(self, resource: Resource, body: bytes, records: int, metric: tuple[str, str, str] | None) -> None:
        self.resource = resource
        self.body = body
        self.records = records
        self.metric = metric


class Gauge(NamedTuple):
    """The points of one metric of a resource."""

    name: str
    description: str
    unit: str
    points: list[bytes]


class Key:
    """An attribute key as it is written, with the values that were written with it lately.

    ``before`` is what every attribute stands after, ``prefix`` what each begins with. ``heads`` and ``wholes`` are the
    form's own: what stands before a text, and before an integer, of so many bytes where that makes a difference.
    """

    __slots__ = ("asked", "before", "heads", "integers", "prefix", "texts", "wholes")

    def __init__(self, before: bytes, prefix: bytes) -> None:
        self.before = before
        self.prefix = prefix
        self.texts: dict[str, bytes] | None = {}
        self.integers: dict[int, bytes] = {}
        self.asked = 0
        self.heads: list[bytes] = []
        self.wholes: list[bytes] = []


class Keys:
    """Attribute keys as they are written in one kind of place, where each attribute stands after ``before``."""

    __slots__ = ("before", "known")

    def __init__(self, before: bytes) -> None:
        self.before = before
        self.known: dict[str, Key] = {}


class WrittenForm(Form[Written]):
    """Writes signals as bytes; a subclass knows the encoding."""

    def traces(self, spans: Mapping[Resource, Sequence[bytes]]) -> bytes:
        """Return one ``ExportTraceServiceRequest`` of spans by resource."""
        raise NotImplementedError

    def metrics(self, gauges: Mapping[Resource, Mapping[str, Gauge]]) -> bytes:
        """Return one ``ExportMetricsServiceRequest`` of gauges by resource and name."""
        raise NotImplementedError

    def record(self, signal: Signal) -> Written:
        """Write a record."""
        if isinstance(signal, MetricPoint):
            return self.point(signal)
        return self.span(
            Draft(
                signal.trace_id,
                signal.span_id,
                signal.parent_span_id,
                signal.name,
                signal.kind,
                signal.start_ns,
                signal.end_ns,
                signal.resource,
                (),
                signal.attributes,
                [self.event(event.name, event.time_ns, event.attributes) for event in signal.events],
                signal.links,
                signal.status,
                signal.status_message,
            )
        )

    def _add(self, attributes: Attributes, keys: Keys, parts: list[bytes]) -> None:  # noqa: C901 - hot: no calls
        """Add the parts of which attributes consist."""
        keys_known = keys.known
        for key, value in attributes.items():
            known = keys_known.get(key)
            if known is None:
                known = keys_known[key] = Key(keys.before, self._key(key))
            if type(value) is str:
                texts = known.texts
                if texts is None:
                    self._text(known, value, parts)
                    continue
                pair = texts.get(value)
                if pair is None:
                    pair = self._pair(known, value)
                    if len(texts) >= _REPEATED:
                        if known.asked < _WORTH * _REPEATED:
                            known.texts = None
                        texts.clear()
                        known.asked = 0
                    texts[value] = pair
                else:
                    known.asked += 1
                parts.append(pair)
            elif type(value) is int:
                integers = known.integers
                pair = integers.get(value)
                if pair is None:
                    pair = self._integer(known, value)
                    if len(integers) < _REPEATED:
                        integers[value] = pair
                parts.append(pair)
            else:
                parts.append(self._pair(known, value))

    def _joined(self, attributes: Attributes, keys: Keys) -> bytes:
        """Return attributes as they are written."""
        parts: list[bytes] = []
        self._add(attributes, keys, parts)
        return b"".join(parts)

    def _text(self, key: Key, value: str, parts: list[bytes]) -> None:
        """Add the parts of one attribute whose values do not repeat."""
        raise NotImplementedError

    def _integer(self, key: Key, value: int) -> bytes:
        """Return one attribute, with what it stands after."""
        raise NotImplementedError

    def _key(self, key: str) -> bytes:
        """Return what every attribute ``key`` begins with."""
        raise NotImplementedError

    def _pair(self, key: Key, value: AttributeValue) -> bytes:
        """Return one attribute, with what it stands after."""
        raise NotImplementedError


def resource_attributes(resource: Resource) -> Attributes:
    """Return the attributes of a resource."""
    attributes: Attributes = {names.SERVICE_NAME: resource.service_name or names.UNKNOWN_SERVICE}
    if resource.service_version:
        attributes[names.SERVICE_VERSION] = resource.service_version
    return attributes
