"""From lines in memory or a file to encoded requests: the bare parse, the naive bridge, ours, and each stage of ours."""

from __future__ import annotations

import gzip
import os
import statistics
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import figures
import naive
import orjson
import ours
import stages
import workload
from figures import Result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

PARSE: Final = "bare orjson.loads of each line"
OURS: Final = "ours: lines in memory to requests"
NAIVE: Final = "naive bridge over the stock SDK: lines in memory to requests"
GZIP_LEVEL: Final = 6


def measure(options: argparse.Namespace) -> Result:
    """Measure all ways in turns, for ``options.rounds`` rounds."""
    wanted = workload.of(options)
    lines = list(workload.lines(wanted))
    handle, name = tempfile.mkstemp(suffix=".jsonl")
    os.close(handle)
    path = Path(name)
    try:
        path.write_bytes(b"\n".join(lines) + b"\n")
        return _table(options.rounds, lines, path)
    finally:
        path.unlink()


def _table(rounds: int, lines: list[bytes], path: Path) -> Result:
    bodies = [body for _, body, _ in ours.requests(lines)]
    signals = sum(items for _, _, items in ours.requests(lines))
    ways: dict[str, Callable[[], object]] = {
        PARSE: lambda: _use_up(map(orjson.loads, lines)),
        OURS: lambda: _use_up(ours.requests(lines)),
        "ours: from a file to requests": lambda: _use_up(ours.requests_of_file(path)),
        NAIVE: lambda: _use_up(naive.requests(lines)),
        f"gzip of the requests, level {GZIP_LEVEL}": lambda: _use_up(gzip.compress(b, GZIP_LEVEL) for b in bodies),
    }
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way, (seconds,) in figures.alternate(ways, 1).items():
            taken.setdefault(way, []).append(seconds)
        for stage, seconds in _stages(path.read_bytes()).items():
            taken.setdefault(f"  stage: {stage}", []).append(seconds)
    return Result(
        title=f"Throughput: {len(lines):,} events, {rounds} rounds",
        headings=[
            "",
            "us an event, least",
            "median",
            "x the parse, least",
            "median",
            "x the naive rate, least",
            "median",
        ],
        rows=[_row(name, times, taken, len(lines)) for name, times in taken.items()],
        figures={
            "parse": figures.median_ratio(taken[OURS], taken[PARSE]),
            "naive": figures.median_ratio(taken[NAIVE], taken[OURS]),
        },
        notes=[
            f"A line has {sum(map(len, lines)) / len(lines):.0f} bytes on average, a request for it "
            f"{sum(map(len, bodies)) / len(lines):.0f}; {signals:,} spans and points in {len(bodies):,} requests."
        ],
    )


def _stages(text: bytes) -> dict[str, float]:
    taken: dict[str, float] = {}
    value: Any = text
    for name, stage in stages.STAGES.items():
        made: list[Any] = []
        taken[name] = figures.cpu_seconds(lambda stage=stage, value=value, made=made: made.append(stage(value)))
        (value,) = made
    return taken


def _row(name: str, times: list[float], taken: dict[str, list[float]], events: int) -> list[str]:
    scale = 1e6 / events
    cells = [f"{min(times) * scale:.2f}", f"{statistics.median(times) * scale:.2f}"]
    for ratio in (figures.least_ratio, figures.median_ratio):
        cells.append(f"{ratio(times, taken[PARSE]):.2f}")
    for ratio in (figures.least_ratio, figures.median_ratio):
        cells.append(f"{ratio(taken[NAIVE], times):.2f}")
    return [name, *cells]


def _use_up(items: Iterable[object]) -> None:
    deque(items, maxlen=0)
