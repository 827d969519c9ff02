"""Running a bridge in tests, and what must be true of it at any moment."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from encoding import encode
from span_tree import nodes, tree

from sunbird_otel import Bridge, Rules, names
from sunbird_otel._decode import decode
from sunbird_otel._document import Lines
from sunbird_otel._event import Event
from sunbird_otel._findings import ADVICE, VIOLATIONS, Finding
from sunbird_otel._limits import Limits
from sunbird_otel._measure import measurements
from sunbird_otel._rules import Closes
from sunbird_otel._signals import MetricPoint, Signal, Span, SpanEvent
from sunbird_otel.sinks.otlp.json import JsonForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sunbird_otel._tally import Tally

POLICIES = ("annotate", "repair", "reject")
MID_KEYS = (names.MID, names.START_MID, names.END_MID)


@cache
def standard() -> Rules:
    """Return the standard rules, read once."""
    return Rules.standard()


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one input."""

    signals: list[Signal]
    tally: Tally
    findings: list[Finding]

    @property
    def spans(self) -> list[Span]:
        return [signal for signal in self.signals if isinstance(signal, Span)]

    @property
    def points(self) -> list[MetricPoint]:
        return [signal for signal in self.signals if isinstance(signal, MetricPoint)]

    @property
    def text(self) -> str:
        """Return the whole output as text: equal texts are equal outputs."""
        return "\n".join(map(repr, self.signals))

    @property
    def kept_out(self) -> list[Finding]:
        """Return what the policy kept from the output, though it could be read."""
        return [finding for finding in self.findings if finding.refused and finding.code in VIOLATIONS]

    @property
    def codes(self) -> Counter[str]:
        """Return how many findings there are of each code."""
        return Counter(finding.code for finding in self.findings)

    def tree(self, like: str = "![") -> str:
        """Return the output as :mod:`span_tree` writes it, with violations and events only where ``like`` has some."""
        requests = [json.loads(encode(JsonForm(), [span])) for span in self.spans]
        return tree(nodes(requests), like)

    def flow(self, kind: str, number: int = 0) -> Span:
        """Return a flow's span, the ``number``-th of its kind in the order of their start."""
        found = [span for span in self.spans if span.attributes.get(names.FLOW_TYPE) == kind]
        return sorted(found, key=lambda span: (span.start_ns, span.end_ns))[number]

    def instant(self, eid: str, number: int = 0) -> Span:
        """Return the span of a lone event."""
        found = [span for span in self.spans if span.name == event_name(eid)]
        return sorted(found, key=lambda span: span.start_ns)[number]

    def parent(self, span: Span) -> Span | None:
        """Return the span around ``span``, which must have been written; None for a root."""
        if not span.parent_span_id:
            return None
        return next(s for s in self.spans if s.trace_id == span.trace_id and s.span_id == span.parent_span_id)


def event_name(eid: str) -> str:
    return names.EVENT_PREFIX + eid.lower()


def run(events: Iterable[object], *, as_lines: bool = False, **options: Any) -> Run:
    """Feed each of ``events`` as a document of its own, or as a line of its own, to a new bridge, and drain it."""
    findings: list[Finding] = []
    bridge = Bridge(rules=options.pop("rules", standard()), on_finding=findings.append, **options)
    signals: list[Signal] = []
    for number, event in enumerate(events, 1):
        if as_lines:
            assert isinstance(event, bytes)
            signals += bridge.feed_lines(Lines("lines", number, [event]))
        else:
            signals += bridge.feed(event)
    signals += bridge.drain()
    done = Run(signals, bridge.tally, findings)
    check_balance(done.tally)
    check_drained(done)
    return done


def readable(documents: Iterable[object], limits: Limits | None = None) -> list[Event]:
    """Return the events of ``documents`` that can be read, without copies."""
    found: dict[bytes, Event] = {}
    for document in documents:
        for item in decode(document, None, limits or Limits()):
            if isinstance(item, Event):
                found.setdefault(item.payload, item)
    return list(found.values())


def check_balance(tally: Tally) -> None:
    """Assert what holds at any moment."""
    assert tally.received == tally.translated + tally.duplicate + tally.rejected + tally.held
    assert tally.opened == tally.open + sum(tally.closed.values())
    assert tally.rejected == sum(tally.rejected_by_reason.values())
    assert sum(tally.by_eid.values()) <= tally.received
    assert min(tally.translated, tally.duplicate, tally.rejected, tally.held, tally.open, tally.late) >= 0


def check_drained(done: Run) -> None:
    """Assert what holds once the input is over."""
    tally = done.tally
    assert tally.held == tally.open == 0
    assert tally.spans == len(done.spans)
    assert tally.synthetic_spans == sum(span.synthetic for span in done.spans)
    assert tally.span_events == sum(len(span.events) for span in done.spans)
    assert tally.metric_points == len(done.points)
    assert +tally.violations == Counter(f.code for f in done.findings if f.code in VIOLATIONS and not f.refused)
    assert len([f for f in done.findings if f.refused]) == tally.rejected
    for finding in done.findings:
        assert finding.code in ADVICE
        assert finding.path.startswith("$")
        assert finding.expected
        assert finding.found


def mids(signals: Iterable[Signal]) -> Counter[str]:
    """Return how often each mid stands in the output, in whatever role."""
    found: Counter[str] = Counter()
    for span in signals:
        if isinstance(span, Span):
            for attributes in (span.attributes, *(event.attributes for event in span.events)):
                found.update(str(attributes[key]) for key in MID_KEYS if key in attributes)
    return found


def expected_mids(events: Sequence[Event]) -> Counter[str]:
    """Return the mids that the output must hold: those of all events that are no measurement."""
    return Counter(event.mid for event in events if not measurements(event))


def closing(events: Sequence[Event]) -> int:
    """Return how many events close flows."""
    return sum(1 for event in events if isinstance(standard().role(event), Closes))


def lines(events: Iterable[object]) -> list[bytes]:
    """Return each event as one JSON document."""
    return [json.dumps(event).encode() for event in events]


def compact(events: Iterable[object]) -> list[bytes]:
    """Return each event as one line, as most producers write it."""
    return [json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") for event in events]


def check_found_once(done: Run, documents: Iterable[object], limits: Limits | None = None) -> None:
    """Assert that each event that could be read stands once in the output, or once among what was kept from it."""
    accepted = readable(documents, limits)
    kept_out = Counter(finding.mid for finding in done.kept_out)
    assert mids(done.signals) + kept_out == expected_mids(accepted)
    points = Counter((name, float(value), e.ets_ns) for e in accepted for name, value in measurements(e))
    found = Counter((p.attributes[names.METRIC_NAME], float(p.value), p.time_ns) for p in done.points)
    assert found == points
    assert done.tally.translated + sum(kept_out.values()) == len(accepted)


def check_spans(done: Run) -> None:
    """Assert what OTLP and the design ask of every span."""
    spans = done.spans
    ids = {(span.trace_id, span.span_id) for span in spans}
    assert len(ids) == len({span.span_id for span in spans}) == len(spans), "ids are unique"
    for span in spans:
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert any(span.trace_id)
        assert any(span.span_id)
        assert 0 < span.start_ns < span.end_ns < 1 << 63
        assert not span.parent_span_id or (span.trace_id, span.parent_span_id) in ids, "the parent was written"
        assert span.parent_span_id != span.span_id
        assert span.name
        check_attributes(span)
        for event in span.events:
            assert event.name.startswith(names.EVENT_PREFIX)
            check_attributes(event)
        assert [event.time_ns for event in span.events] == sorted(event.time_ns for event in span.events)
        for link in span.links:
            assert (len(link.trace_id), len(link.span_id)) == (16, 8)
            assert link.attributes


def check_attributes(holder: Span | SpanEvent) -> None:
    """Assert that each value is one that OTLP can carry."""
    for key, value in holder.attributes.items():
        assert key
        parts = value if isinstance(value, list) else [value]
        assert len({type(part) for part in parts}) == 1, "one type an array"
        for part in parts:
            assert type(part) in {str, bool, int, float}
            if isinstance(part, str):
                part.encode()  # no lone surrogates
            else:
                assert math.isfinite(part)
                assert isinstance(part, float) or -(1 << 63) <= part < 1 << 63


def check_contained(done: Run) -> None:
    """Assert what the policy repair promises: each span holds its children and its events."""
    by_id = {span.span_id: span for span in done.spans}
    for span in done.spans:
        if span.parent_span_id:
            parent = by_id[span.parent_span_id]
            assert parent.start_ns <= span.start_ns < span.end_ns <= parent.end_ns, f"{parent}\n  > {span}"
        assert all(span.start_ns <= event.time_ns <= span.end_ns for event in span.events)
