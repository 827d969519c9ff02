"""Spans as a backend tells them, in one shape to compare: what was sent equals what is found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from span_tree import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ERROR = 2
"""The code of a status that says error."""

_WARNINGS = "@jaeger@warnings"
"""Where Jaeger puts what it thinks of a span: among the attributes."""


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """A span event."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenLink:
    """A link to another span."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One span with all that OTLP says about it; ids as hexadecimal text, ``parent`` empty at a root."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: tuple[int, str]
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: tuple[str, str]
    events: list[SeenEvent]
    links: list[SeenLink]
    warnings: list[str] = field(compare=False)
    """What Jaeger notes about the span; it was not sent, so it is not compared."""

    @property
    def service(self) -> str:
        """The producer."""
        return str(self.resource.get("service.name", ""))

    @property
    def failed(self) -> bool:
        """Whether its status says error."""
        return self.status[0] == ERROR


def seen_in(requests: Iterable[dict[str, Any]]) -> list[SeenSpan]:
    """Return the spans of export requests or of Jaeger's answers (OTLP/JSON), sorted by trace, start and id."""
    found = [
        SeenSpan(
            warnings=plain(span.get("attributes", [])).get(_WARNINGS, []),
            trace_id=span["traceId"],
            span_id=span["spanId"],
            parent=span.get("parentSpanId", ""),
            name=span["name"],
            kind=int(span.get("kind", 0)),
            start_ns=int(span["startTimeUnixNano"]),
            end_ns=int(span["endTimeUnixNano"]),
            status=(int(span.get("status", {}).get("code", 0)), span.get("status", {}).get("message", "")),
            attributes={k: v for k, v in plain(span.get("attributes", [])).items() if k != _WARNINGS},
            resource=plain(group.get("resource", {}).get("attributes", [])),
            scope=(scope.get("scope", {}).get("name", ""), scope.get("scope", {}).get("version", "")),
            # Jaeger sorts them by name, and what has the same time has no order.
            events=sorted(
                (
                    SeenEvent(event["name"], int(event["timeUnixNano"]), plain(event.get("attributes", [])))
                    for event in span.get("events", [])
                ),
                key=lambda event: (event.time_ns, event.name, json.dumps(event.attributes, sort_keys=True)),
            ),
            links=sorted(
                (
                    SeenLink(link["traceId"], link["spanId"], plain(link.get("attributes", [])))
                    for link in span.get("links", [])
                ),
                key=lambda link: (link.trace_id, link.span_id),
            ),
        )
        for request in requests
        for group in request["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope.get("spans", [])  # Jaeger leaves a scope empty from which it took a copy
    ]
    return sorted(found, key=lambda span: (span.trace_id, span.start_ns, span.span_id))


def seen_in_file(path: Path) -> list[SeenSpan]:
    """Return the spans of a file of OTLP/JSON export requests, one a line: the ``traces.jsonl`` of a replay."""
    return seen_in(json.loads(line) for line in path.read_text("utf-8").splitlines())


def difference(sent: list[SeenSpan], found: list[SeenSpan]) -> str:
    """Say in a few words what is not as it was sent; empty when everything is."""
    of_sent, of_found = (Counter((span.trace_id, span.span_id) for span in spans) for spans in (sent, found))
    twice = sum(number > 1 for number in of_found.values())
    missing, strange = (of_sent.keys() - of_found.keys(), of_found.keys() - of_sent.keys())
    told = [
        f"{number} {what}"
        for number, what in ((len(missing), "missing"), (len(strange), "not sent"), (twice, "there twice"))
        if number
    ]
    by_id = {(span.trace_id, span.span_id): span for span in found}
    changed = [
        f"{span.name} {span.span_id}: {name} {getattr(span, name)!r} came as {getattr(other, name)!r}"
        for span in sent
        if (other := by_id.get((span.trace_id, span.span_id))) is not None and other != span
        for name in SeenSpan.__slots__
        if name != "warnings" and getattr(span, name) != getattr(other, name)
    ]
    return "; ".join(told + changed[:3])
