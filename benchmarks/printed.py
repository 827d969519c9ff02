"""The benchmarks of the emitter and the plugin, which print tables of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from figures import Result

if TYPE_CHECKING:
    import argparse

_HERE: Final = Path(__file__).parent
_WIDTH: Final = 118


def emitter(options: argparse.Namespace) -> Result:
    """Measure what an event of the emitter costs."""
    return _printed("emit.py", "The emitter", "--events", options.calls, options.call_rounds)


def plugin(options: argparse.Namespace) -> Result:
    """Measure what the plugin adds to a span."""
    return _printed("plugin.py", "The plugin", "--spans", options.calls, options.call_rounds)


def _printed(file: str, title: str, size: str, calls: int, rounds: int) -> Result:
    done = subprocess.run(
        [sys.executable, str(_HERE / file), size, str(calls), "--rounds", str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(_WIDTH), "NO_COLOR": "1"},
    )
    lines = (line.rstrip() for line in done.stdout.splitlines())
    return Result(title=f"{title}, {calls:,} calls, {rounds} rounds", text="\n".join(lines))
