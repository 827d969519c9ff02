"""The Collector's configurations do what their comments say: each is loaded and run by the Collector itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from backends.collector import Collector
from backends.jaeger import Jaeger
from backends.processes import HOST, free_port, wait_until
from backends.programs import CONFIGURATIONS, collector, jaeger
from backends.replaying import DEMO, replay, replay_to_file
from backends.routes import metric_points
from backends.spans import difference
from otlp_receivers import HttpReceiver

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from backends.fixtures import StartCollector

COMMANDS = {
    "collector-compose.yaml": ["collector-span-metrics.yaml", "collector-compose.yaml"],
    "collector-durable.yaml": ["collector-durable.yaml"],
    "collector-span-metrics.yaml": ["collector-span-metrics.yaml"],
    "collector-to-jaeger.yaml": ["collector-to-jaeger.yaml"],
    "collector-to-tempo.yaml": ["collector-to-tempo.yaml"],
    "jaeger.yaml": ["jaeger.yaml"],
}
QUICK = {"connectors": {"span_metrics": {"metrics_flush_interval": "400ms"}}}
SERIES = re.compile(r"^(\w+)\{(.*?)\} (\S+)(?: # \{(.*?)\} .*)?$", re.MULTILINE)


@pytest.fixture
def demo(project: Path) -> list[Path]:
    """Return the files of the demo."""
    return [project / "examples" / "telemetry" / f"{name}.jsonl" for name in DEMO]


def test_no_configuration_is_left_out() -> None:
    files = {path.name for pattern in ("collector*.yaml", "jaeger*.yaml") for path in CONFIGURATIONS.glob(pattern)}
    assert files == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_program_itself_finds_nothing_wrong(backends: None, name: str) -> None:
    program = jaeger() if name == "jaeger.yaml" else collector()
    configs = [f"--config={CONFIGURATIONS / config}" for config in COMMANDS[name]]
    done = subprocess.run([program.find(), "validate", *configs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mistake_in_a_configuration_would_be_found(backends: None, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((CONFIGURATIONS / "collector-durable.yaml").read_text("utf-8").replace("queue_size", "queue"))
    done = subprocess.run(
        [collector().find(), "validate", f"--config={wrong}"], capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "queue" in done.stderr


def test_jaeger_says_on_its_health_port_that_it_is_ready(jaeger_server: Jaeger) -> None:
    from urllib.request import urlopen

    with urlopen(f"http://{HOST}:{jaeger_server.ports['health']}/status", timeout=10) as answer:
        assert answer.status == 200


def test_span_metrics_count_the_flows_as_the_report_does(
    demo: list[Path], start_collector: StartCollector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    with HttpReceiver() as prometheus:
        variables = {"JAEGER_ENDPOINT": jaeger_server.grpc_target, "PROMETHEUS_URL": prometheus.url}
        started = start_collector("collector-span-metrics.yaml", variables=variables, settings=QUICK)
        done = replay(demo, "--endpoint", started.http, folder=tmp_path)
        pointed_at = wait_until(lambda: exemplars(started))  # before the rest: they stand there for one interval
        spans = replay_to_file(demo, tmp_path)
        assert pointed_at
        assert pointed_at <= {span.trace_id for span in spans}
        assert wait_until(lambda: sum(counted(started, "calls_total").values()) == done.spans)
        assert counted(started, "calls_total", names.FLOW_TYPE) == Counter(
            span.attributes.get(names.FLOW_TYPE, "") for span in spans
        )
        assert counted(started, "calls_total", names.FLOW_END_REASON) == Counter(
            span.attributes.get(names.FLOW_END_REASON, "") for span in spans
        )
        assert counted(started, "calls_total", names.FLOW_VIOLATIONS) == Counter(
            json.dumps(span.attributes.get(names.FLOW_VIOLATIONS, "")).replace('""', "") for span in spans
        )
        events = [event.attributes for span in spans for event in span.events]
        for key in ("sunbird.impression.type", "sunbird.interact.type", "sunbird.assess.pass", names.ERROR_TYPE):
            assert counted(started, "events_total", key) == Counter(str(event.get(key, "")) for event in events)
        assert sum(counted(started, "duration_seconds_count").values()) == done.spans
        whole = sum(span.end_ns - span.start_ns for span in spans) / 1e9
        assert sum(counted(started, "duration_seconds_sum").values()) == pytest.approx(whole)
        assert wait_until(lambda: metric_points(prometheus) == done.report["signals"]["metric_points"])


def counted(started: Collector, metric: str, label: str = "") -> Counter[str]:
    """Return the values of a metric, summed by one of its labels."""
    found: Counter[str] = Counter()
    for name, labels, value, _ in SERIES.findall(started.scrape()):
        if name == f"traces_span_metrics_{metric}":
            by_label = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
            found[json.loads(f'"{by_label.get(label.replace(".", "_"), "")}"')] += float(value)  # type: ignore[assignment]  # durations are no whole numbers
    return found


def exemplars(started: Collector) -> set[str]:
    """Return the ids of the traces to which the counts point."""
    told = (exemplar for *_, exemplar in SERIES.findall(started.scrape()) if exemplar)
    return {dict(re.findall(r'(\w+)="(.*?)"', one))["trace_id"] for one in told}


def test_the_collector_of_the_compose_file_tells_jaeger_and_tempo(
    demo: list[Path], start_collector: StartCollector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    with HttpReceiver() as prometheus, Jaeger(folder=tmp_path, name="in-the-place-of-tempo") as tempo:
        variables = {
            "JAEGER_ENDPOINT": jaeger_server.grpc_target,
            "TEMPO_ENDPOINT": tempo.grpc_target,
            "PROMETHEUS_URL": prometheus.url,
        }
        started = start_collector(*COMMANDS["collector-compose.yaml"], variables=variables, settings=QUICK)
        done = replay(demo, "--endpoint", started.http, folder=tmp_path)
        expected = replay_to_file(demo, tmp_path)
        for backend in (jaeger_server, tempo):
            assert difference(expected, backend.wait_for(done.spans)) == ""
        assert wait_until(lambda: sum(counted(started, "calls_total").values()) == done.spans)


@contextmanager
def outage(config: str, tmp_path: Path, demo: list[Path], **variables: str) -> Generator[tuple[Jaeger, int]]:
    """Replay while Jaeger is not there, kill the Collector, and start both."""
    server = Jaeger(folder=tmp_path)
    server.ports = {name: free_port() for name in server.listens}
    named = dict.fromkeys(("JAEGER_ENDPOINT", "BACKEND_ENDPOINT"), server.grpc_target)
    with Collector(config, folder=tmp_path, variables={**named, **variables}) as started:
        done = replay(demo, "--endpoint", started.http, folder=tmp_path)
        started.kill()
        started.start()
        with server:
            yield server, done.spans


@pytest.mark.slow
def test_the_durable_collector_loses_nothing_when_it_is_killed_in_an_outage(
    backends: None, demo: list[Path], tmp_path: Path
) -> None:
    storage = str(tmp_path / "storage")
    with outage("collector-durable.yaml", tmp_path, demo, STORAGE_DIRECTORY=storage) as (server, spans):
        assert difference(replay_to_file(demo, tmp_path), server.wait_for(spans)) == ""


@pytest.mark.slow
def test_the_plain_collector_loses_what_waits_when_it_is_killed(
    backends: None, demo: list[Path], tmp_path: Path
) -> None:
    """This is why there is a durable one, and that the test of it can fail."""
    with outage("collector-to-jaeger.yaml", tmp_path, demo) as (server, _):
        assert server.wait_for(1, seconds=3) == []


def test_the_durable_collector_refuses_what_has_no_place(
    demo: list[Path], start_collector: StartCollector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    variables = {"BACKEND_ENDPOINT": jaeger_server.grpc_target, "STORAGE_DIRECTORY": str(tmp_path / "storage")}
    started = start_collector("collector-durable.yaml", variables=variables)
    done = replay(demo, "--endpoint", started.http, folder=tmp_path)
    assert "The receiver has no place for metric points" in done.summary
