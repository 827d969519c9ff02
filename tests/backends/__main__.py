"""``python -m backends``: build or find the real programs, send through each route, and say what arrived.

Prints a table and ends with 1 when something did not arrive; ``--build`` only sees that the programs are there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backends.programs import CannotBuildError, collector, jaeger
from backends.replaying import DEMO
from backends.routes import ROUTES, Arrived, Route

_PROJECT = Path(__file__).resolve().parents[2]
_WIDE = 140

LIVE = "live service"


def main() -> int:
    """Do what the command line asks, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make backends", description=__doc__)
    parser.add_argument(
        "--build", action="store_true", help="build or find the programs, print where they are, and end"
    )
    asked = parser.parse_args()
    try:
        programs = [program.find() for program in (collector(), jaeger())]
    except CannotBuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if asked.build:
        sys.stdout.writelines(f"{program}\n" for program in programs)
        return 0
    # A table that goes to a file or a log has no width to keep to.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    good = True
    for name, files in inputs().items():
        table = Table("path", title=name, box=box.SIMPLE, title_justify="left")
        for column in ("spans sent", "spans found", "events sent", "events found"):
            table.add_column(column, justify="right")
        table.add_column("verdict")
        for route in ROUTES:
            if route.live != (name == LIVE):
                continue
            with Console(stderr=True).status(f"{name}: {route.name}"):
                result = travel(route, files)
            good &= not result.fault
            counts = (result.spans_sent, result.spans_found, result.events_sent, result.events_found)
            table.add_row(route.name, *(f"{count:,}" for count in counts), escape(result.fault or "all there"))
        console.print(table)
    return 0 if good else 1


def inputs() -> dict[str, list[Path]]:
    """Return what is sent: the demo, the recorded telemetry where there is any, and nothing for the live service."""
    found = {"demo": [_PROJECT / "examples" / "telemetry" / f"{name}.jsonl" for name in DEMO]}
    if corpus := os.environ.get("SUNBIRD_OTEL_CORPUS"):
        found["corpus"] = sorted(Path(corpus).glob("*.jsonl"))
    return found | {LIVE: []}


def travel(route: Route, files: list[Path]) -> Arrived:
    """Run one route in a folder of its own; whatever breaks is a fault of the route."""
    with tempfile.TemporaryDirectory(prefix="sunbird-otel-backends-") as folder:
        try:
            return route.run(files, Path(folder))
        except Exception as error:  # noqa: BLE001 - the other rows are wanted all the same
            return Arrived(0, 0, 0, 0, f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
