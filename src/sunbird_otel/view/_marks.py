"""What a picture marks on a span, and what the marks mean to a reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sunbird_otel import names
from sunbird_otel._findings import ADVICE
from sunbird_otel._signals import StatusCode
from sunbird_otel._tally import END_REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._findings import Finding
    from sunbird_otel._signals import Attributes, Span

INSTANT = "instant"
SYNTHETIC = "synthetic"
UNFINISHED = frozenset(END_REASONS) - {"end"}

MEANINGS: dict[str, str] = {
    "restart": "The same flow started again before its END came.",
    "parent_end": "The flow around it ended first.",
    "idle": "No END came, and no event for the idle gap; the flow was closed at its last event.",
    "drain": "The input ended before its END came.",
    "evicted": "Too many flows were open; the longest idle were closed.",
    INSTANT: "One event without a flow that may hold it; the span marks its time.",
    SYNTHETIC: "Made by --policy repair: the rules ask for it, and no event opened it.",
    "reparented": "Moved by --policy repair under the parent that the rules ask for.",
    "adopted": "Given by --policy repair a parent that it had not.",
    "start_moved": "Its start was moved earlier by --policy repair, so that it holds its children.",
    "end_moved": "Its end was moved later by --policy repair, so that it holds its children.",
    "error": "An ERROR event came inside it.",
}
"""The marks that are no findings; the meaning of a violation stands in :data:`sunbird_otel._findings.ADVICE`."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands out about a span; ``unfinished`` is the reason, or empty."""

    unfinished: str
    violations: tuple[str, ...]
    repairs: tuple[str, ...]
    synthetic: bool
    instant: bool
    error: bool


def marks_of(span: Span) -> Marks:
    """Return the marks of ``span``, read from its attributes and status."""
    reason = text_of(span, names.FLOW_END_REASON)
    repairs = codes_of(span.attributes, names.FLOW_REPAIR)
    synthetic = span.synthetic or SYNTHETIC in repairs
    return Marks(
        unfinished=reason if reason in UNFINISHED else "",
        violations=codes_of(span.attributes, names.FLOW_VIOLATIONS),
        repairs=repairs or ((SYNTHETIC,) if synthetic else ()),
        synthetic=synthetic,
        instant=reason == INSTANT,
        error=span.status is StatusCode.ERROR,
    )


def meaning(mark: str) -> str:
    """Return what a mark or a violation's code means, or nothing for one that is not ours."""
    return MEANINGS.get(mark) or ADVICE.get(mark, "")


def text_of(span: Span, key: str) -> str:
    """Return an attribute as text, empty when the span has none."""
    value = span.attributes.get(key, "")
    return value if isinstance(value, str) else str(value)


def codes_of(attributes: Attributes, key: str) -> tuple[str, ...]:
    """Return an attribute that lists codes."""
    value = attributes.get(key)
    if isinstance(value, list):
        return tuple(str(code) for code in value)
    return (str(value),) if value else ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a code kept events from the output, with the first example."""

    code: str
    count: int
    first: Finding

    @property
    def place(self) -> str:
        """Return where the first example stood: source, line and index in its batch."""
        position = self.first.position
        if position is None:
            return ""
        index = "" if position.index is None else f"[{position.index}]"
        return f"{position.source}:{position.line}{index}"

    @property
    def example(self) -> str:
        """Return the first example in one line."""
        which = " ".join(part for part in (self.first.eid, self.first.mid) if part)
        told = f"{self.first.path}: expected {self.first.expected}, found {self.first.found}"
        return f"{which} {told}" if which else told


def refusals(findings: Iterable[Finding]) -> list[Refusal]:
    """Return what was refused by code, the most frequent first."""
    first: dict[str, Finding] = {}
    counts: Counter[str] = Counter()
    for finding in findings:
        first.setdefault(finding.code, finding)
        counts[finding.code] += 1
    return [Refusal(code, count, first[code]) for code, count in sorted(counts.items(), key=lambda it: (-it[1], it[0]))]
