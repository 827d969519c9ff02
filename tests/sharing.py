"""Running what one bridge does with one bridge, and with several that share the work, inside the test process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from bridging import standard

from sunbird_otel import Bridge, Rules
from sunbird_otel._divide import Divider, Round
from sunbird_otel._form import Records
from sunbird_otel._limits import Limits
from sunbird_otel._pipeline import DEFAULT_MEMORY, Pipeline
from sunbird_otel._share import Share
from sunbird_otel.sinks.dead_letter import letter

if TYPE_CHECKING:
    from sunbird_otel._findings import Finding
    from sunbird_otel._signals import Signal

Feed: TypeAlias = Callable[[Pipeline[Any], Callable[[list[Any]], None]], None]
"""Feeds all of an input to a bridge, and hands on what that returns."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an input, whatever the order."""

    signals: Counter[str]
    report: dict[str, Any]
    findings: Counter[bytes]


def alone(feed: Feed, *, rules: Rules | None = None, policy: str = "annotate", **options: Any) -> Outcome:
    """Feed one bridge."""
    findings: list[Finding] = []
    signals: list[Signal] = []
    bridge = Bridge(rules=rules or standard(), policy=policy, on_finding=findings.append, **options)
    feed(bridge, signals.extend)
    signals += bridge.drain()
    return Outcome(Counter(map(repr, signals)), bridge.tally.report(), Counter(map(letter, findings)))


class Sharing:
    """Bridges that share one input."""

    def __init__(
        self,
        processes: int,
        *,
        rules: Rules | None = None,
        policy: str = "annotate",
        lateness: int | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        self._findings: list[Finding] = []
        self._signals: list[Signal] = []
        rules = rules or standard()
        self.divider = Divider(
            processes, rules=rules, policy=policy, lateness=lateness, memory=memory, on_finding=self._findings.append
        )
        self.shares = [
            Share(
                Records(),
                rules=rules,
                policy=policy,
                idle_gap=None,
                trace_scope="session",
                max_open_flows=1_000_000,
                limits=Limits(),
                on_finding=self._findings.append,
            )
            for _ in range(processes)
        ]
        self.dealt = [0] * processes

    def take(self, rounds: list[Round]) -> None:
        """Give each share what it was dealt."""
        for late_may_come, deals in rounds:
            for number, (share, deal) in enumerate(zip(self.shares, deals, strict=True)):
                self.dealt[number] += len(deal)
                self._signals += share.feed_dealt(deal, late_may_come=late_may_come)

    def finish(self) -> Outcome:
        """Close everything."""
        for rounds in self.divider.drain_steps():
            self.take(rounds)
        newest_ns = max(share.moved_ns for share in self.shares)
        tally = self.divider.tally
        for share in self.shares:
            for signals in share.rest_steps(newest_ns):
                self._signals += signals
            tally.add(share.tally.counts())
        return Outcome(Counter(map(repr, self._signals)), tally.report(), Counter(map(letter, self._findings)))


def shared(feed: Feed, processes: int, **options: Any) -> Outcome:
    """Feed bridges that share the work."""
    sharing = Sharing(processes, **options)
    feed(sharing.divider, sharing.take)
    return sharing.finish()


def check_same(one: Outcome, several: Outcome) -> None:
    """Assert that sharing has changed nothing but the order."""
    assert several.signals - one.signals == one.signals - several.signals == Counter()
    assert several.report == one.report
    assert several.findings == one.findings
