"""What the dashboards ask of Prometheus is what a Collector with the shipped configuration has to tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from backends.collector import Collector
from backends.processes import HOST, wait_until
from backends.replaying import replay
from command_line import write
from grammar import parse
from grafana_boards import PROMQL
from views_telemetry import telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grammar import Node

# No Jaeger and no Prometheus stand behind it: what goes to the one fails at once, so that its failures are counted,
# and what would be pushed to the other is read where the metrics of the spans are.
BEHIND_IT = {
    "connectors": {"span_metrics": {"metrics_flush_interval": "1s"}},
    "exporters": {"otlp_grpc/jaeger": {"endpoint": f"{HOST}:1", "retry_on_failure": {"enabled": False}}},
    "service": {"pipelines": {"metrics": {"exporters": ["prometheus"]}}},
}
COMPARE = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
}


class Sample(NamedTuple):
    """One value that Prometheus would scrape."""

    name: str
    labels: dict[str, str]


@pytest.fixture(scope="module")
def scraped(backends: None, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Return what Prometheus scrapes from a Collector to which the telemetry was sent: of the spans, and of itself."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "behind.yaml").write_text(json.dumps(BEHIND_IT), "utf-8")
    with Collector("collector-span-metrics.yaml", folder / "behind.yaml", folder=folder) as collector:
        replay([write(folder / "cases.jsonl", telemetry())], "--endpoint", collector.http, folder=folder)
        wanted = ("traces_span_metrics_events_total{", "sunbird_metrics_value_ratio{")
        assert wait_until(lambda: all(name in collector.scrape() for name in wanted)), collector.scrape()
        assert wait_until(lambda: collector.count("exporter_send_failed_spans") > 0)
        return [*samples(collector.scrape()), *samples(collector.scrape_itself())]
