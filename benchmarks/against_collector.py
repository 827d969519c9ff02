"""CPU an event, from a file to encoded requests, against what a Collector takes to read and parse the same file."""

from __future__ import annotations

import statistics
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import figures
import local_collector
import ours
import workload
from figures import Result

if TYPE_CHECKING:
    import argparse


def measure(options: argparse.Namespace) -> Result:
    """Measure both in turns; the Collector without what it takes to start and to find nothing to read."""
    if not local_collector.is_built():
        return Result(title="Against the Collector", notes=[local_collector.MISSING])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, empty = folder / "events.jsonl", folder / "empty.jsonl"
        with path.open("wb") as file:
            for line in workload.lines(workload.of(options)):
                file.write(line + b"\n")
        empty.touch()
        mine: list[float] = []
        theirs: list[float] = []
        for _ in range(options.rounds):
            mine.append(figures.cpu_seconds(lambda: deque(ours.requests_of_file(path), maxlen=0)))
            idle = local_collector.parse_seconds(empty, 0, folder)
            theirs.append(local_collector.parse_seconds(path, options.events, folder) - idle)
    scale = 1e6 / options.events
    rows = [
        [name, f"{min(times) * scale:.2f}", f"{statistics.median(times) * scale:.2f}"]
        for name, times in (("Collector: file_log, json_parser, nop", theirs), ("ours, from a file to requests", mine))
    ]
    least, median = figures.least_ratio(mine, theirs), figures.median_ratio(mine, theirs)
    rows[0] += ["1.00", "1.00"]
    rows[1] += [f"{least:.2f}", f"{median:.2f}"]
    return Result(
        title=f"Against the Collector, {options.events:,} events, {options.rounds} rounds",
        headings=["", "us/event", "median", "x Collector", "median"],
        rows=rows,
        figures={"collector": median},
        notes=["CPU time, user and system; that of the Collector without the time of a start with nothing to read."],
    )
