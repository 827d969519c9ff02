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
    program = local_collector.program()
    workers = "--workers" in _help(folder)
    if workers:
        for number in (1, 2):
            ways[f"to nothing, {number} workers"] = (*ways["to nothing"], "--workers", str(number))
    else:
        notes.append("Not measured: this version has no --workers.")
    if program is None:
        notes.append(local_collector.MISSING)
        _rounds(options.rounds, ways, folder, taken)
    else:
        with local_collector.Receiving(program, folder) as receiving:
            ways["to a Collector"] = (*_PROGRAM, "replay", str(path), "--quiet", "--endpoint", receiving.endpoint)
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
    if program is not None:
        result.figures["overlap"] = median_ratio(taken["to a Collector"], base)
    if workers:
        result.figures["workers"] = median_ratio(taken["to nothing, 1 workers"], taken["to nothing, 2 workers"])
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
