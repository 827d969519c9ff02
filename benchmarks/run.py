"""The entry to all benchmarks: ratios, measured side by side in one process a table. ``make bench`` runs it.

    make bench ARGS="--only throughput --events 200000 --rounds 7"
    make bench ARGS="--full" RECORD=1
    make bench COMPILED=1

Each table is measured in a process of its own, by each Python that ``--interpreter`` names, so that an installed
compiled package can stand beside the interpreted one; no ratio is taken across processes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING, Final

import record
import workload
from figures import GOALS, Result
from record import Measured
from rich.console import Console
from rich.table import Table

import sunbird_otel
from sunbird_otel.cli._garbage import little_garbage

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLES: Final = {
    "throughput": ("throughput", "measure"),
    "memory": ("memory", "measure"),
    "growth": ("growth", "measure"),
    "collector": ("against_collector", "measure"),
    "replay": ("replay", "measure"),
    "emit": ("printed", "emitter"),
    "plugin": ("printed", "plugin"),
}
"""The module and function of each table."""

FULL: Final = {"events": 200_000, "flows": 1_000_000, "long": 10_000_000, "replay_events": 500_000}
"""The sizes that the goals speak of. It takes tens of minutes, and as much memory as there is."""


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = _options(arguments)
    if options.json:
        (table,) = options.only
        module, function = TABLES[table]
        measure = getattr(importlib.import_module(module), function)
        with little_garbage():
            result: Result = measure(options)
        measured = Measured(form=_form(), machine=record.machine(), date=record.today(), result=result)
        print(json.dumps(measured.as_json()))
        return
    console = Console(width=100 if not sys.stdout.isatty() else None)
    found: dict[str, list[Measured]] = {}
    for table in options.only:
        for interpreter in options.interpreter:
            one = _measured(interpreter, table, arguments)
            if any(one.form == other.form for other in found.get(table, [])):
                sys.exit(f"{interpreter}: expected another form of the package, found it {one.form} once more.")
            _show(console, one)
            found.setdefault(table, []).append(one)
    _show_goals(console, [one for several in found.values() for one in several])
    if options.record:
        record.keep(found)
        console.print(f"Kept in {record.RESULTS.name}, told in {record.PAGE.name}.")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=TABLES, default=[*TABLES], metavar="TABLE", help=f"of {', '.join(TABLES)}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of all ways in turns (default %(default)s)")
    parser.add_argument("--full", action="store_true", help="the sizes that the goals speak of: tens of minutes")
    parser.add_argument("--record", action="store_true", help="keep the results, and tell them in docs/performance.md")
    parser.add_argument(
        "--interpreter", nargs="+", default=[sys.executable], help="Pythons in which the package is installed"
    )
    parser.add_argument("--json", action="store_true", help="measure one table here, and print it as JSON")
    sizes = parser.add_argument_group("sizes of single tables")
    for name, usual, what in (
        ("--flows", 20_000, "memory: open flows"),
        ("--flow-events", 20, "memory: events in each of them"),
        ("--short", 100_000, "growth: events of the short run"),
        ("--long", 300_000, "growth: events of the long run"),
        ("--replay-events", 100_000, "replay: events of a run"),
        ("--calls", 1_500, "emit and plugin: calls a round"),
        ("--call-rounds", 11, "emit and plugin: rounds"),
    ):
        sizes.add_argument(name, type=int, default=usual, help=f"{what} (%(default)s)")
    workload.add_options(parser)
    if parser.parse_args(arguments).full:
        parser.set_defaults(**FULL)
    return parser.parse_args(arguments)


def _measured(interpreter: str, table: str, arguments: Sequence[str]) -> Measured:
    command = [interpreter, str(Path(__file__)), *arguments, "--only", table, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"the table {table} could not be measured by {interpreter}; the reason stands above.")
    return Measured.from_json(json.loads(done.stdout.splitlines()[-1]))


def _form() -> str:
    """Tell whether the package that this Python finds is compiled."""
    folder = Path(sunbird_otel.__file__).parent
    return (
        "compiled"
        if any(file.name.endswith(tuple(EXTENSION_SUFFIXES)) for file in folder.rglob("*"))
        else "interpreted"
    )


def _show(console: Console, one: Measured) -> None:
    result = one.result
    console.print(f"\n[bold]{result.title}[/bold], {one.form}")
    if result.text:
        print(result.text)
    if result.rows:
        table = Table()
        for number, heading in enumerate(result.headings):
            table.add_column(heading, justify="right" if number else "left")
        for row in result.rows:
            table.add_row(*row)
        console.print(table)
    for note in result.notes:
        console.print(note)


def _show_goals(console: Console, measured: list[Measured]) -> None:
    figures = record.figures_by_form(measured)
    console.print("\n[bold]Goals[/bold]")
    table = Table("figure")
    for heading in ("at least", "goal", *figures):
        table.add_column(heading, justify="right")
    for goal in GOALS:
        cells = [record.verdict(goal.key, found) for found in figures.values()]
        table.add_row(goal.figure, f"{goal.at_least:g}x", f"{goal.goal:g}x", *cells)
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
