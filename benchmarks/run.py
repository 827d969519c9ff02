"""The entry to all benchmarks: ratios, measured side by side in one process a table. ``make bench`` runs it.

    make bench ARGS="--only throughput --events 200000 --rounds 7"

Each table is measured in a process of its own, in each interpreter that ``--interpreter`` names, so that an installed
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
from typing import TYPE_CHECKING, Any, Final

import workload
from figures import GOALS, Result
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLES: Final = ("throughput", "memory", "growth")
"""Each is a module with a function ``measure``."""


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = _options(arguments)
    if options.json:
        (table,) = options.only
        result: Result = importlib.import_module(table).measure(options)
        print(json.dumps({"form": _form(), **result.as_json()}))
        return
    console = Console()
    measured: dict[str, dict[str, float]] = {}
    for interpreter in options.interpreter:
        for table in options.only:
            form, result = _measured(interpreter, table, arguments)
            _show(console, form, result)
            measured.setdefault(form, {}).update(result.figures)
    _show_goals(console, measured)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--interpreter", nargs="+", default=[sys.executable], help="Pythons in which the package is installed"
    )
    parser.add_argument("--json", action="store_true", help="measure one table here, and print it as JSON")
    parser.add_argument("--flows", type=int, default=20_000, help="open flows of the memory table (%(default)s)")
    parser.add_argument("--flow-events", type=int, default=20, help="events in each of them (%(default)s)")
    parser.add_argument("--short", type=int, default=100_000, help="events of the short run of growth (%(default)s)")
    parser.add_argument("--long", type=int, default=300_000, help="events of the long run of growth (%(default)s)")
    workload.add_options(parser)
    return parser.parse_args(arguments)


def _measured(interpreter: str, table: str, arguments: Sequence[str]) -> tuple[str, Result]:
    command = [interpreter, str(Path(__file__)), *arguments, "--only", table, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values.pop("form"), Result(**values)


def _form() -> str:
    """Tell whether the package that was measured is compiled."""
    files = (
        getattr(module, "__file__", None) or ""
        for name, module in sys.modules.items()
        if name.startswith("sunbird_otel")
    )
    return "compiled" if any(file.endswith(tuple(EXTENSION_SUFFIXES)) for file in files) else "interpreted"


def _show(console: Console, form: str, result: Result) -> None:
    table = Table(title=f"{result.title} ({form})")
    for number, heading in enumerate(result.headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    for note in result.notes:
        console.print(note)


def _show_goals(console: Console, measured: dict[str, dict[str, float]]) -> None:
    table = Table(title="Goals")
    table.add_column("figure")
    for heading in ("at least", "goal", *measured):
        table.add_column(heading, justify="right")
    for goal in GOALS:
        cells = [_verdict(goal.key, found) for found in measured.values()]
        table.add_row(goal.figure, f"{goal.at_least:g}x", f"{goal.goal:g}x", *cells)
    console.print(table)


def _verdict(key: str, found: dict[str, float]) -> str:
    goal = next(goal for goal in GOALS if goal.key == key)
    return f"{found[key]:.2f}x, {goal.verdict(found[key])}" if key in found else "not measured"


if __name__ == "__main__":
    main(sys.argv[1:])
