"""What an event costs in a long stream against a short one, with a finite lateness and therefore bounded memory."""

from __future__ import annotations

import gc
import statistics
import time
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import ours
import workload
from figures import Result
from resident import resident_bytes

if TYPE_CHECKING:
    import argparse

_PIECE: Final = 5_000


class _Run(NamedTuple):
    events: int
    us: float
    """Of CPU time an event."""
    resident: int
    """Bytes of the process, at the most."""


def measure(options: argparse.Namespace) -> Result:
    """Measure short, long and short again, so that a slow moment of the machine does not decide alone."""
    short, long = options.short, options.long
    runs = [_run(options, short), _run(options, short), _run(options, long), _run(options, short)]
    least = min(run.us for run in runs if run.events == short)
    median = statistics.median(run.us for run in runs if run.events == short)
    (whole,) = (run for run in runs if run.events == long)
    return Result(
        title=f"Growth, {long:,} events against {short:,}",
        headings=["events", "us/event", "x least short", "MiB resident at most"],
        rows=[
            [f"{run.events:,}", f"{run.us:.2f}", f"{run.us / least:.3f}", f"{run.resident / (1 << 20):.0f}"]
            for run in runs
        ],
        figures={"growth": whole.us / median},
        notes=[f"Events wait {ours.LATENESS_NS // 1_000_000_000} s of event time for their order."],
    )


def _run(options: argparse.Namespace, events: int) -> _Run:
    wanted = workload.of(options, events=events)
    lines = workload.lines(wanted)
    pipeline = ours.Pipeline(lateness=ours.LATENESS_NS)
    seconds = 0.0
    resident = 0
    gc.collect()
    # The lines are made in between, and their making is not counted.
    while piece := list(islice(lines, _PIECE)):
        begun = time.process_time()
        for _ in pipeline.feed(piece):
            pass
        seconds += time.process_time() - begun
        resident = max(resident, resident_bytes() or 0)
    begun = time.process_time()
    for _ in pipeline.drain():
        pass
    seconds += time.process_time() - begun
    return _Run(events, seconds * 1e6 / events, resident)
