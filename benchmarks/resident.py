"""How much memory this process has, and how much the machine could still give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_MEMINFO: Final = Path("/proc/meminfo")


def resident_bytes() -> int | None:
    """Return what of this process is in memory; None where the system does not tell it as Linux does."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int | None:
    """Return how much memory could still be had without swapping."""
    if not _MEMINFO.exists():
        return None
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
