"""From lines to encoded requests: the bare parse, the naive bridge, ours, and each stage of ours."""

from __future__ import annotations

import gzip
import statistics
import tempfile
from collections import deque
from functools import partial
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

PARSE: Final = "orjson.loads"
OURS: Final = "ours"
NAIVE: Final = "naive over the SDK"
GZIP_LEVEL: Final = 6
_PIECE: Final = 2_000


def measure(options: argparse.Namespace) -> Result:
    """Measure all ways in turns, for ``options.rounds`` rounds."""
    lines = list(workload.lines(workload.of(options)))
    requests = list(ours.requests(lines))
    bodies = [body for _, body, _ in requests]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.jsonl")
        path.write_bytes(b"\n".join(lines) + b"\n")
        taken = _taken(options.rounds, lines, bodies, path)
    items = sum(items for _, _, items in requests)
    count = len(lines)
    zipped = f"{_bytes(gzip.compress(body, GZIP_LEVEL) for body in bodies) / count:.0f}"
    return Result(
        title=f"Throughput, {count:,} events, {options.rounds} rounds",
        headings=["", "us/event", "median", "x parse", "median", "x naive rate", "median"],
        rows=[_row(name, times, taken, count) for name, times in taken.items()],
        figures={
            "parse": figures.median_ratio(taken[OURS], taken[PARSE]),
            "naive": figures.median_ratio(taken[NAIVE], taken[OURS]),
        },
        notes=[
            "Each pair of columns is the least and the median of CPU times that were taken in turns.",
            f"{items:,} spans and points in {len(bodies):,} requests.",
            f"Bytes a line: {_bytes(lines) / count:.0f} read, {_bytes(bodies) / count:.0f} written, {zipped} zipped.",
        ],
    )


def _bytes(texts: Iterable[bytes]) -> int:
    return sum(map(len, texts))


def _taken(rounds: int, lines: list[bytes], bodies: list[bytes], path: Path) -> dict[str, list[float]]:
    ways: dict[str, Callable[[], object]] = {
        PARSE: lambda: _use_up(map(orjson.loads, lines)),
        OURS: lambda: _use_up(ours.requests(lines)),
        "ours, from a file": lambda: _use_up(ours.requests_of_file(path)),
        NAIVE: lambda: _use_up(naive.requests(lines)),
        "gzip of ours": lambda: _use_up(gzip.compress(body, GZIP_LEVEL) for body in bodies),
    }
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            taken.setdefault(name, []).append(figures.cpu_seconds(way))
        for name, seconds in _stages(lines).items():
            taken.setdefault(f"stage: {name}", []).append(seconds)
    return taken


def _stages(lines: list[bytes]) -> dict[str, float]:
    """Return the CPU time of each stage, over pieces so short that what one makes is still at hand for the next."""
    taken: dict[str, float] = dict.fromkeys(stages.STAGES, 0.0)
    for start in range(0, len(lines), _PIECE):
        value: Any = b"\n".join(lines[start : start + _PIECE]) + b"\n"
        for name, stage in stages.STAGES.items():
            made: list[Any] = []
            taken[name] += figures.cpu_seconds(partial(_append, made, stage, value))
            (value,) = made
    return taken


def _append(made: list[Any], stage: Callable[[Any], Any], value: Any) -> None:
    made.append(stage(value))


def _row(name: str, times: list[float], taken: dict[str, list[float]], events: int) -> list[str]:
    cells = [seconds * 1e6 / events for seconds in (min(times), statistics.median(times))]
    ratios = (figures.least_ratio, figures.median_ratio)
    cells += [ratio(times, taken[PARSE]) for ratio in ratios]
    cells += [ratio(taken[NAIVE], times) for ratio in ratios]
    return [name, *(f"{cell:.2f}" for cell in cells)]


def _use_up(items: Iterable[object]) -> None:
    deque(items, maxlen=0)
