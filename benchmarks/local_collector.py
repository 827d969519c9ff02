"""A Collector on this machine, for the tables that measure against it: the one that the tests build."""

from __future__ import annotations

import json
import resource
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

TESTS: Final = Path(__file__).resolve().parent.parent / "tests"
sys.path.append(str(TESTS))

from backends.processes import HOST, OtelProcess  # noqa: E402  the path comes first
from backends.programs import collector  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

MISSING: Final = (
    "Not measured: there is no Collector on this machine. The tests of the backends build one (they need Go), and the "
    "next run finds it."
)
_POLL_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 600


def program() -> Path | None:
    """Return the Collector, if the tests have built it; it is not built here."""
    path = collector().path
    return path if path.exists() else None


class Parsing(OtelProcess):
    """Reads a file, parses each line as JSON, and does nothing with it: ``file_log``, ``json_parser``, ``nop``."""

    listens: ClassVar[tuple[str, ...]] = ("metrics",)

    def __init__(self, program: Path, source: Path, folder: Path) -> None:
        """Read ``source``; keep log and configuration in ``folder``."""
        receiver = {"include": [str(source)], "start_at": "beginning", "operators": [{"type": "json_parser"}]}
        config: dict[str, Any] = {
            "receivers": {"file_log": receiver},
            "exporters": {"nop": {}},
            "service": {"pipelines": {"logs": {"receivers": ["file_log"], "exporters": ["nop"]}}},
        }
        super().__init__("parsing", program, _written(folder, config), folder=folder)

    @property
    def settings(self) -> dict[str, Any]:
        """Where its own metrics can be read."""
        exporter = {"prometheus": {"host": HOST, "port": self.ports["metrics"]}}
        return {"service": {"telemetry": {"metrics": {"readers": [{"pull": {"exporter": exporter}}]}}}}

    def accepted(self) -> int:
        """Return how many records it has read."""
        with urllib.request.urlopen(f"http://{HOST}:{self.ports['metrics']}/metrics") as answer:
            text: str = answer.read().decode()
        values = [
            line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("otelcol_receiver_accepted_log")
        ]
        return int(sum(map(float, values)))


class Receiving(OtelProcess):
    """Takes OTLP over HTTP and does nothing with it."""

    listens: ClassVar[tuple[str, ...]] = ("http",)

    def __init__(self, program: Path, folder: Path) -> None:
        """Keep log and configuration in ``folder``."""
        pipeline = {"receivers": ["otlp"], "exporters": ["nop"]}
        config: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": {"http": {}}}},
            "exporters": {"nop": {}},
            "service": {
                "pipelines": {"traces": pipeline, "metrics": pipeline, "logs": pipeline},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        super().__init__("receiving", program, _written(folder, config), folder=folder)

    @property
    def settings(self) -> dict[str, Any]:
        """Where it listens."""
        return {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"{HOST}:{self.ports['http']}"}}}}}

    @property
    def endpoint(self) -> str:
        """Where to send to."""
        return f"http://{HOST}:{self.ports['http']}"


def parse_seconds(program: Path, source: Path, lines: int, folder: Path) -> float:
    """Return the CPU time that a Collector takes from its start until it has parsed ``lines`` lines and is stopped."""
    before = _children_seconds()
    with Parsing(program, source, folder) as parsing:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while (found := parsing.accepted()) < lines:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"expected the Collector to read {lines} lines, found {found} after {_LONGEST_SECONDS} s"
                )
            time.sleep(_POLL_SECONDS)
    return _children_seconds() - before


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _written(folder: Path, config: Mapping[str, Any]) -> Path:
    path = folder / "collector.yaml"
    path.write_text(json.dumps(config), "utf-8")  # which is YAML, too
    return path
