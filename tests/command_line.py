"""The command line for tests: in this process where that is enough, else in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from events import MOBILE, Event

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (sys.executable, "-c", "from sunbird_otel.cli import main; main()")
"""What the installed ``sunbird-otel`` does."""

TIMEOUT = 60
"""Seconds; a process that takes longer hangs."""


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing is configured but ``more``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "SUNBIRD_OTEL_"))}
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", **more}


def run(
    *arguments: str,
    cwd: Path,
    stdin: bytes = b"",
    stdout: int | IO[bytes] = subprocess.PIPE,
    **variables: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run the program in a process of its own, in the folder ``cwd``, and return what it wrote and its exit code."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(**variables),
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        check=False,
    )


def session(number: int = 0, touches: int = 2) -> list[Event]:
    """Return a session of the mobile app that keeps every rule; another number is another device."""
    client = replace(MOBILE, did=f"device-{number}", sid=f"session-{number}")
    at = number * 3600
    return [
        client.start(at, "app"),
        client.start(at + 1, "session"),
        *(client.interact(at + 2 + touch, f"button-{touch}") for touch in range(touches)),
        client.end(at + 60, "session"),
        client.end(at + 61, "app"),
    ]


def lines(events: list[Event]) -> bytes:
    """Return the events as JSON lines."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def write(path: Path, events: list[Event]) -> Path:
    """Write the events as JSON lines and return the path."""
    path.write_bytes(lines(events))
    return path
