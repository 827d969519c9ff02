"""Wall time of whole commands: to a receiver against to nothing, and with two workers against one."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import local_collector
import workload
from figures import Result, least_ratio, median_ratio

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_TO_NOTHING: Final = str(Path(__file__).with_name("to_nothing.py"))
_WORKERS: Final = ("to files, one worker", "to files, two workers")
_PROGRAM: Final = ("-c", "from sunbird_otel.cli import main; main()")


def measure(options: argparse.Namespace) -> Result:
    """Measure whole runs of the command, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "events.jsonl"
        with path.open("wb") as file:
            for line in workload.lines(workload.of(options, events=options.replay_events)):
                file.write(line + b"\n")
        return _table(options, path, folder)


def _table(options: argparse.Namespace, path: Path, folder: Path) -> Result:
    ways: dict[str, tuple[str, ...]] = {"to nothing": (_TO_NOTHING, "replay", str(path), "--quiet")}
    notes: list[str] = []
    taken: dict[str, list[float]] = {}
    built = local_collector.is_built()
    workers = "--workers" in _help(folder)
    if workers:
        for number, name in enumerate(_WORKERS, 1):
            # To files, since a process that is started anew sends to a real receiver.
            out = str(folder / f"out-{number}")
            ways[name] = (*_PROGRAM, "replay", str(path), "--quiet", "--output", out, "--workers", str(number))
    else:
        notes.append("Workers are not measured: this version has no --workers.")
    if not built:
        notes.append(local_collector.MISSING)
        _rounds(options.rounds, ways, folder, taken)
    else:
        with local_collector.receiving(folder) as receiving:
            ways["to a Collector"] = (*_PROGRAM, "replay", str(path), "--quiet", "--endpoint", receiving.http)
            _rounds(options.rounds, ways, folder, taken)
    base = taken["to nothing"]
    result = Result(
        title=f"Whole runs, {options.replay_events:,} events, {options.rounds} rounds, {os.cpu_count()} cores",
        headings=["", "wall s", "median", "x to nothing", "median"],
        rows=[
            [
                name,
                f"{min(times):.2f}",
                f"{statistics.median(times):.2f}",
                f"{least_ratio(times, base):.2f}",
                f"{median_ratio(times, base):.2f}",
            ]
            for name, times in taken.items()
        ],
        notes=[*notes, "The start of the interpreter is in all of them."],
    )
    if built:
        result.figures["overlap"] = median_ratio(taken["to a Collector"], base)
    if workers:
        result.figures["workers"] = median_ratio(*(taken[name] for name in _WORKERS))
    return result


def _rounds(rounds: int, ways: dict[str, tuple[str, ...]], folder: Path, taken: dict[str, list[float]]) -> None:
    for _ in range(rounds):
        for name, arguments in ways.items():
            begun = time.perf_counter()
            _run(arguments, folder)
            taken.setdefault(name, []).append(time.perf_counter() - begun)


def _help(folder: Path) -> str:
    return _run((*_PROGRAM, "replay", "--help"), folder)


def _run(arguments: Sequence[str], folder: Path) -> str:
    """Run the program in an environment in which nothing is configured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SUNBIRD_OTEL_"))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=kept, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
