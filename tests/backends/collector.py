"""The OpenTelemetry Collector as a running program."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING, Any, ClassVar

from backends.processes import HOST, OtelProcess
from backends.programs import CONFIGURATIONS, collector

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)


class Collector(OtelProcess):
    """A Collector with files of ``collector_config`` (their names, or paths of others), on ports of its own."""

    listens: ClassVar = ("http", "grpc", "telemetry", "prometheus")

    def __init__(
        self,
        *configs: str | Path,
        folder: Path,
        variables: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        name: str = "collector",
    ) -> None:
        paths = [path_of(config) for config in configs]
        super().__init__(name, collector().find(), *paths, folder=folder, variables=variables)
        self._more = dict(settings or {})
        self._scraped = any("prometheus:" in path.read_text("utf-8").split() for path in paths)

    @property
    def http(self) -> str:
        """The base URL of its OTLP receiver over HTTP."""
        return f"http://{HOST}:{self.ports['http']}"

    @property
    def grpc(self) -> str:
        """The URL of its OTLP receiver over gRPC."""
        return f"http://{HOST}:{self.ports['grpc']}"

    @property
    def settings(self) -> dict[str, Any]:
        """Its own ports, and its counts where a test can read them."""
        reader = {"pull": {"exporter": {"prometheus": {"host": HOST, "port": self.ports["telemetry"]}}}}
        settings: dict[str, Any] = {
            "receivers": {
                "otlp": {
                    "protocols": {
                        protocol: {"endpoint": f"{HOST}:{self.ports[protocol]}"} for protocol in ("http", "grpc")
                    }
                }
            },
            "service": {"telemetry": {"metrics": {"readers": [reader]}}},
            **self._more,
        }
        if self._scraped:
            settings["exporters"] = {"prometheus": {"endpoint": f"{HOST}:{self.ports['prometheus']}"}}
        return settings

    def count(self, name: str, **labels: str) -> int:
        """Return one of its own counters, summed over what ``labels`` leaves open: ``receiver_accepted_spans``."""
        total = 0.0
        for sample in _SAMPLE.finditer(_get(f"http://{HOST}:{self.ports['telemetry']}/metrics")):
            if sample["name"] in (f"otelcol_{name}", f"otelcol_{name}_total"):
                found = sample["labels"] or ""
                if all(f'{key}="{value}"' in found for key, value in labels.items()):
                    total += float(sample["value"])
        return int(total)

    def scrape(self) -> str:
        """Return what Prometheus would find at its ``prometheus`` exporter, in the format that it asks for."""
        return _get(f"http://{HOST}:{self.ports['prometheus']}/metrics", "application/openmetrics-text;version=1.0.0")


def path_of(config: str | Path) -> Path:
    """Return where a configuration file stands; a name means one of ``collector_config``."""
    return CONFIGURATIONS / config if isinstance(config, str) else config


def _get(url: str, accept: str = "text/plain") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - the URL is our own
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode("utf-8"))
