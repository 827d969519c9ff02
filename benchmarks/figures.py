"""What a benchmark hands back, how time is taken, and the goals that the figures are held against."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(kw_only=True)
class Result:
    """A table of figures that were taken in one process, and those of them that have a goal."""

    title: str
    headings: list[str] = field(default_factory=list[str])
    rows: list[list[str]] = field(default_factory=list[list[str]])
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """By the key of a :class:`Goal`."""
    notes: list[str] = field(default_factory=list[str])
    text: str = ""
    """In place of a table: what another benchmark printed."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure, what it has to be at least, and what it should be."""

    key: str
    figure: str
    at_least: float
    goal: float
    more_is_better: bool = False

    def verdict(self, measured: float) -> str:
        """Say how ``measured`` stands to it."""
        for limit, word in ((self.goal, "goal met"), (self.at_least, "least met")):
            if measured >= limit if self.more_is_better else measured <= limit:
                return word
        return "missed"


GOALS: Final = (
    Goal(
        key="naive",
        figure="ours against the naive stock-SDK bridge, events a second to encoded bytes",
        at_least=6,
        goal=10,
        more_is_better=True,
    ),
    Goal(key="parse", figure="ours against the bare orjson parse, time an event", at_least=4.5, goal=3),
    Goal(key="collector", figure="CPU an event against the Collector's parse-only pipeline", at_least=0.5, goal=0.25),
    Goal(key="workers", figure="two workers against one, on two cores", at_least=1.6, goal=1.85, more_is_better=True),
    Goal(key="growth", figure="time an event of the long run against the short one", at_least=1.15, goal=1.05),
    Goal(key="memory", figure="memory of open flows against the raw JSON of their events", at_least=2, goal=1.5),
    Goal(key="overlap", figure="wall time to a local Collector against to nothing", at_least=1.3, goal=1.1),
)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one run in this process, all threads together."""
    gc.collect()
    # What the benchmark itself holds is no business of the garbage collector during the run.
    gc.freeze()
    begun = time.process_time()
    kept = work()
    taken = time.process_time() - begun
    del kept
    gc.unfreeze()
    return taken


def median_ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Return the median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def least_ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Return the ratio of the least times."""
    return min(of) / min(to)
