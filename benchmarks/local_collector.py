"""A Collector on this machine, for the tables that measure against it: the one that the tests build."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from backends.collector import Collector
from backends.programs import collector

MISSING: Final = (
    "Not measured: there is no Collector on this machine. The tests of the backends build one (they need Go), and the "
    "next run finds it."
)
_POLL_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 600


def is_built() -> bool:
    """Tell whether the tests have built the Collector; it is not built here."""
    return collector().path.exists()


def receiving(folder: Path) -> Collector:
    """Return a Collector that takes OTLP and does nothing with it; log and configuration are kept in ``folder``."""
    pipeline = {"receivers": ["otlp"], "exporters": ["nop"]}
    return _collector("receiving", folder, {}, dict.fromkeys(("traces", "metrics", "logs"), pipeline))


def parse_seconds(source: Path, lines: int, folder: Path) -> float:
    """Return the CPU time that a Collector takes from its start until it has parsed ``lines`` lines and is stopped.

    It reads ``source`` by ``file_log``, parses each line by ``json_parser``, and drops what comes of it.
    """
    receiver = {"include": [str(source)], "start_at": "beginning", "operators": [{"type": "json_parser"}]}
    pipelines = {"logs": {"receivers": ["file_log"], "exporters": ["nop"]}}
    before = _children_seconds()
    with _collector("parsing", folder, {"file_log": receiver}, pipelines) as parsing:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while (found := parsing.count("receiver_accepted_log_records")) < lines:
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected the Collector to read {lines} lines, found {found} of them read in time")
            time.sleep(_POLL_SECONDS)
    return _children_seconds() - before


def _collector(name: str, folder: Path, receivers: dict[str, Any], pipelines: dict[str, Any]) -> Collector:
    config: dict[str, Any] = {"receivers": receivers, "exporters": {"nop": {}}, "service": {"pipelines": pipelines}}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config), "utf-8")  # which is YAML, too
    return Collector(path, folder=folder, name=name)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
