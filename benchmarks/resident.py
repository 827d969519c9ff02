"""How much memory this process has, and how much of it the machine could still give."""

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


def available_share() -> float:
    """Return which part of the machine's memory could still be had without swapping; 1 where that is not told."""
    if not _MEMINFO.exists():
        return 1.0
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text("ascii").splitlines())
    available, total = (int(lines[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
    return available / total
