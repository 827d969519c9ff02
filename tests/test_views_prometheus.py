"""What the dashboards ask of Prometheus is what a Collector with the shipped configuration has to tell."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest
from backends.collector import Collector
from backends.processes import HOST, wait_until
from backends.replaying import replay
from command_line import write
from grafana_boards import PROMQL
from grammar import parse
from views_telemetry import telemetry

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grammar import Node

# Nobody is behind it: what goes to Jaeger fails at once, so that its failures are counted, and what would be pushed
# to Prometheus is read where the metrics of the spans are.
NOBODY_BEHIND = {
    "connectors": {"span_metrics": {"metrics_flush_interval": "1s"}},
    "exporters": {"otlp_grpc/jaeger": {"endpoint": f"{HOST}:1", "retry_on_failure": {"enabled": False}}},
    "service": {"pipelines": {"metrics": {"exporters": ["prometheus"]}}},
}
COMPARE: dict[str, Callable[[str, str], bool]] = {"=": str.__eq__, "!=": str.__ne__}


PAGE = names.PAGE_ID.replace(".", "_")


class Sample(NamedTuple):
    """One value that Prometheus scrapes, without the value."""

    name: str
    labels: dict[str, str]


@pytest.fixture(scope="module")
def scraped(backends: None, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Send the telemetry to a Collector and return what Prometheus scrapes there: of the spans, and of itself."""
    folder = tmp_path_factory.mktemp("collector")
    overlay = folder / "nobody-behind.yaml"
    overlay.write_text(json.dumps(NOBODY_BEHIND), "utf-8")
    with Collector("collector-span-metrics.yaml", overlay, folder=folder) as collector:
        replay([write(folder / "cases.jsonl", telemetry())], "--endpoint", collector.http, folder=folder)
        own = f"http://{HOST}:{collector.ports['telemetry']}/metrics"
        wanted = ("traces_span_metrics_events_total{", "sunbird_metrics_value_ratio{")
        assert wait_until(lambda: all(name in collector.scrape() for name in wanted)), collector.scrape()
        assert wait_until(lambda: collector.count("exporter_send_failed_spans") > 0)
        with urllib.request.urlopen(own, timeout=10) as answer:
            return [*samples(collector.scrape()), *samples(answer.read().decode())]


def samples(text: str) -> Iterator[Sample]:
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+", text, re.MULTILINE):
        yield Sample(name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))


def fits(selector: Node, sample: Sample) -> bool:
    """Tell whether a selector such as ``name{label="value"}`` selects a sample."""
    conditions = [
        [part.text for part in node.children] for node in selector.walk() if node.name.endswith("LabelMatcher")
    ]
    return selector.names("Identifier") == [sample.name] and all(
        COMPARE[sign](sample.labels.get(label, ""), wanted.strip('"')) for label, sign, wanted in conditions
    )


@pytest.mark.parametrize("panel", PROMQL)
def test_prometheus_can_answer_the_panel(panel: str, scraped: list[Sample]) -> None:
    (query,) = parse("promql", [PROMQL[panel]])
    selectors = [node for node in query.walk() if node.name == "VectorSelector"]
    assert selectors
    for selector in selectors:
        found = [sample for sample in scraped if fits(selector, sample)]
        assert found, f"nothing is told of {selector.text}"
        grouped = {label for node in query.walk() if node.name == "GroupingLabels" for label in node.names("LabelName")}
        assert [label for label in sorted(grouped) if not any(label in sample.labels for sample in found)] == []


def test_a_visit_counts_for_its_own_page(scraped: list[Sample]) -> None:
    """And not for the page on which the flow around it began, which its span has under the same name."""
    visits = [sample.labels for sample in scraped if "sunbird_impression_type" in sample.labels]
    assert {labels[PAGE] for labels in visits} == {"home", "library", "qr-help"}
