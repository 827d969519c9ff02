"""Stories told through the emitter, and told again by replaying what it emitted: both in one form, to be compared."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from bridging import run, standard
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sunbird_otel import names
from sunbird_otel.emit import MemoryTransport, Telemetry, provider
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from sunbird_otel import Span

PDATA = {"id": "prod.quiz.service", "ver": "1.0", "pid": "quiz-service"}
CONTENT = {"id": "do_31290", "type": "Content", "ver": "1"}
T0_NS = 1_795_154_400_000 * 1_000_000


class FakeClock:
    """Goes on by ``step_ms`` whenever somebody looks at it; the monotonic clock has begun at 0."""

    def __init__(self, step_ms: int = 7) -> None:
        self.now_ns = T0_NS
        self.step_ns = step_ms * 1_000_000

    def time_ns(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns - T0_NS


class Row(NamedTuple):
    """A span in a form that both sides have; ids as numbers."""

    name: str
    trace: int
    span: int
    parent: int
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    links: list[tuple[int, int, Any]]
    status: str
    message: str


class Teller:
    """A client with a clock of its own, and all that came of what it was told."""

    def __init__(self, *, tracer_provider: Any = None, clock: FakeClock | None = None, **options: Any) -> None:
        self.clock = clock or FakeClock()
        self.exporter = InMemorySpanExporter()
        self.transport = MemoryTransport()
        numbers = count(1)

        def numbered(eid: str) -> str:
            return f"{eid}:{next(numbers):04}"

        processor = SimpleSpanProcessor(self.exporter)
        if tracer_provider is None:
            tracer_provider = provider(PDATA, processor)
        else:
            tracer_provider.add_span_processor(processor)
        given: dict[str, Any] = {
            "pdata": PDATA,
            "channel": "0126684405014528002",
            "env": "quiz",
            "transport": self.transport,
            "clock": self.clock,
            "mids": numbered,
            "rules": standard(),
            "tracer_provider": tracer_provider,
            **options,
        }
        self.telemetry = Telemetry(**given)

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.transport.events

    @property
    def last(self) -> dict[str, Any]:
        return self.transport.events[-1]

    @property
    def eids(self) -> list[str]:
        return [event["eid"] for event in self.events]

    @property
    def rows(self) -> list[Row]:
        """Return the finished spans in the order of their start."""
        return sorted(map(_of_sdk, self.exporter.get_finished_spans()), key=lambda row: (row.start_ns, row.span))

    def row(self, name: str) -> Row:
        """Return the one span of this name."""
        (found,) = (row for row in self.rows if row.name == name)
        return found

    def replayed(self) -> list[Row]:
        """Return what a replay of the emitted events gives, which must be valid by the schemas."""
        assert [validate(event) for event in self.events if validate(event)] == []
        done = run([json.dumps(event).encode() for event in self.events])
        assert done.tally.rejected == done.tally.duplicate == 0
        return sorted(map(_of_bridge, done.spans), key=lambda row: (row.start_ns, row.span))


def tree(rows: Iterable[Row]) -> list[tuple[str, list[str], list[Any]]]:
    """Return the tree without ids: of each root its name, the names of its events, and what stands in it."""
    known = list(rows)

    def inside(parent: int) -> list[tuple[str, list[str], list[Any]]]:
        return [
            (row.name, [name for name, _, _ in row.events], inside(row.span)) for row in known if row.parent == parent
        ]

    return inside(0)


def _of_sdk(span: ReadableSpan) -> Row:
    context = span.get_span_context()
    assert context is not None
    return Row(
        name=span.name,
        trace=context.trace_id,
        span=context.span_id,
        parent=span.parent.span_id if span.parent is not None else 0,
        kind=span.kind.name,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=_plain(span.attributes),
        events=[(event.name, event.timestamp, _plain(event.attributes)) for event in span.events],
        links=sorted(
            (link.context.trace_id, link.context.span_id, (link.attributes or {}).get(names.LINK_TYPE))
            for link in span.links
        ),
        status=span.status.status_code.name,
        message=span.status.description or "",
    )


def _of_bridge(span: Span) -> Row:
    return Row(
        name=span.name,
        trace=int.from_bytes(span.trace_id, "big"),
        span=int.from_bytes(span.span_id, "big"),
        parent=int.from_bytes(span.parent_span_id, "big"),
        kind=span.kind.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=dict(span.attributes),
        events=[(event.name, event.time_ns, dict(event.attributes)) for event in span.events],
        links=sorted(
            (
                int.from_bytes(link.trace_id, "big"),
                int.from_bytes(link.span_id, "big"),
                link.attributes[names.LINK_TYPE],
            )
            for link in span.links
        ),
        status=span.status.name,
        message=span.status_message,
    )


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return attributes with arrays as lists, as replay has them."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(attributes or {})))
    return plain
