"""The accounts of a run: nothing disappears without a number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

END_REASONS = ("end", "restart", "parent_end", "idle", "drain", "evicted")
"""How a flow can close, in the order of the report."""

_BY_WORD = frozenset({"received_by", "rejected_by_reason", "closed_by", "violations"})
"""The counts that are kept by a word."""


@dataclass
class Tally:
    """Counts of one bridge. At any moment ``received == translated + duplicate + rejected + held``.

    ``opened == open + sum(closed.values())``, and each translated END, JOB_END and closing AUDIT is exactly one of
    ``paired``, ``orphan`` and ``repeated``.
    """

    received: int = 0
    translated: int = 0
    duplicate: int = 0
    rejected: int = 0
    held: int = 0
    late: int = 0
    received_by: dict[str, int] = field(default_factory=dict[str, int])  # a Counter is slow to count in
    rejected_by_reason: Counter[str] = field(default_factory=Counter[str])
    opened: int = 0
    open: int = 0
    closed_by: dict[str, int] = field(default_factory=dict[str, int])
    paired: int = 0
    orphan: int = 0
    repeated: int = 0
    violations: Counter[str] = field(default_factory=Counter[str])
    spans: int = 0
    synthetic_spans: int = 0
    span_events: int = 0
    metric_points: int = 0
    log_records: int = 0

    @property
    def by_eid(self) -> Counter[str]:
        """Return how many of the received events that could be read had each eid."""
        return Counter(self.received_by)

    @property
    def closed(self) -> Counter[str]:
        """Return how many flows were closed for each reason."""
        return Counter(self.closed_by)

    def see(self, eid: str, events: int = 1) -> None:
        """Count ``events`` of one eid; those that another process counts are taken off again."""
        _count(self.received_by, eid, events)

    def reject(self, reason: str, events: int = 1) -> None:
        """Count ``events`` refused for ``reason``."""
        self.rejected += events
        self.rejected_by_reason[reason] += events

    def open_flow(self, *, counted: bool = True) -> None:
        """Count a flow that was opened, unless another process counts it."""
        self.opened += counted
        self.open += counted

    def close_flow(self, reason: str, *, counted: bool = True) -> None:
        """Count a flow that was closed for ``reason``, unless another process counts it."""
        self.open -= counted
        _count(self.closed_by, reason, counted)

    def add(self, counts: dict[str, Any]) -> None:
        """Add what another process has counted, as its :meth:`counts` say."""
        for name, count in counts.items():
            mine: Any = getattr(self, name)
            if name in _BY_WORD:
                for word, number in count.items():
                    _count(mine, word, number)
            else:
                setattr(self, name, mine + count)

    def counts(self) -> dict[str, Any]:
        """Return every count under its name, as plain numbers and dictionaries."""
        found: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(count) if name in _BY_WORD else count for name, count in found.items()}

    def report(self) -> dict[str, Any]:
        """Return the report as plain data, in the layout that ``--report`` writes (version 1)."""
        return {
            "version": 1,
            "events": {
                "received": self.received,
                "translated": self.translated,
                "duplicate": self.duplicate,
                "rejected": self.rejected,
                "held": self.held,
                "late": self.late,
                "by_eid": dict(sorted(self.received_by.items())),
                "rejected_by_reason": dict(sorted(self.rejected_by_reason.items())),
            },
            "flows": {
                "opened": self.opened,
                "open": self.open,
                "closed": {reason: self.closed_by.get(reason, 0) for reason in END_REASONS},
            },
            "ends": {"paired": self.paired, "orphan": self.orphan, "repeated": self.repeated},
            "violations": dict(sorted(self.violations.items())),
            "signals": {
                "spans": self.spans,
                "synthetic_spans": self.synthetic_spans,
                "span_events": self.span_events,
                "metric_points": self.metric_points,
                "log_records": self.log_records,
            },
        }


def _count(counts: dict[str, int], word: str, number: int) -> None:
    counts[word] = counts.get(word, 0) + number
