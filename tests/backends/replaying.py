"""``sunbird-otel replay`` as a user runs it, with the counts of its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from command_line import run

from backends.spans import SeenSpan, seen_in_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEMO = ("mobile-app", "portal", "editor", "backend-service", "analytics-job")
"""The five workflows, by the names of their files in ``examples/telemetry``."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay reported, and what it wrote to the standard error."""

    report: dict[str, Any]
    summary: str

    @property
    def spans(self) -> int:
        """How many spans it says it has made."""
        return int(self.report["signals"]["spans"])

    @property
    def events(self) -> int:
        """How many span events it says it has made."""
        return int(self.report["signals"]["span_events"])


def replay(files: Sequence[Path], *arguments: str, folder: Path, gzip: bool = False) -> Replay:
    """Replay files with the command's own arguments, in a process of its own; a failure fails the test."""
    report = folder / "report.json"
    compression = "gzip" if gzip else "none"
    command = ["replay", *map(str, files), *arguments, "--report", str(report)]
    done = run(*command, cwd=folder, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    summary = done.stderr.decode()
    assert done.returncode == 0, f"the replay ended with {done.returncode}:\n{summary}"
    return Replay(json.loads(report.read_text("utf-8")), summary)


def replay_to_file(files: Sequence[Path], folder: Path) -> list[SeenSpan]:
    """Return the spans that a replay of these files writes with ``--output``: what a backend ought to hold."""
    replay(files, "--output", str(folder / "otlp"), folder=folder)
    return seen_in_file(folder / "otlp" / "traces.jsonl")
