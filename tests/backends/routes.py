"""The ways from Sunbird's events to a backend, each run with the real programs, and what came out at the other end.

``make backends`` prints them as a table; ``tests/test_backends_routes.py`` asks that each brings everything.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from command_line import TIMEOUT, environment
from otlp_receivers import HttpReceiver

from backends.collector import Collector, path_of
from backends.jaeger import Jaeger
from backends.processes import wait_until
from backends.replaying import replay, replay_to_file
from backends.spans import SeenSpan, difference, seen_in_file
from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SERVICE = Path(__file__).resolve().parents[1] / "services" / "live_flows.py"
_SECONDS: Final = 30
_TO_FILE: Final = """
receivers: {otlp: {protocols: {http: {}, grpc: {}}}}
exporters: {file: {path: "${env:FILE}"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was sent on a route and what was found at its end; ``fault`` is empty when everything came."""

    spans_sent: int
    spans_found: int
    events_sent: int
    events_found: int
    fault: str


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a backend; ``run`` takes the files to replay and an empty folder.

    A ``live`` one takes no files: the service has its own story.
    """

    name: str
    run: Callable[[Sequence[Path], Path], Arrived]
    live: bool = False


def straight(files: Sequence[Path], folder: Path, *, protocol: str, gzip: bool) -> Arrived:
    """Replay into Jaeger."""
    with Jaeger(folder=folder) as jaeger:
        endpoint = jaeger.grpc if protocol == "grpc" else jaeger.http
        done = replay(files, "--endpoint", endpoint, "--protocol", protocol, folder=folder, gzip=gzip)
        return arrived(done.spans, done.events, replay_to_file(files, folder), jaeger.wait_for(done.spans))


def collected(
    files: Sequence[Path], folder: Path, *, configs: Sequence[str], backend: str, protocol: str, gzip: bool
) -> Arrived:
    """Replay through a Collector into what stands in the place of ``backend``: a Jaeger, for Tempo, too.

    Both embed the Collector's own OTLP receiver. Metric points go to a receiver in the place of Prometheus.
    """
    with Jaeger(folder=folder) as jaeger, HttpReceiver() as prometheus:
        variables = {f"{backend}_ENDPOINT": jaeger.grpc_target, "PROMETHEUS_URL": prometheus.url}
        variables["STORAGE_DIRECTORY"] = str(folder / "storage")
        with Collector(*configs, folder=folder, variables=variables) as collector:
            endpoint = collector.grpc if protocol == "grpc" else collector.http
            done = replay(files, "--endpoint", endpoint, "--protocol", protocol, folder=folder, gzip=gzip)
            found = jaeger.wait_for(done.spans)
            result = arrived(done.spans, done.events, replay_to_file(files, folder), found)
            told = done.report["signals"]["metric_points"]
            if told and any("otlp_http/prometheus" in path_of(config).read_text("utf-8") for config in configs):
                wait_until(lambda: metric_points(prometheus) >= told, _SECONDS)
                if (points := metric_points(prometheus)) != told:
                    result = replace(result, fault=f"{result.fault} {told} metric points sent, {points} found".strip())
            return result


def through_an_outage(files: Sequence[Path], folder: Path) -> Arrived:
    """Replay into the durable Collector while Jaeger is down, kill the Collector, start both, and look in Jaeger."""
    jaeger = Jaeger(folder=folder)
    with jaeger:
        variables = {"BACKEND_ENDPOINT": jaeger.grpc_target, "STORAGE_DIRECTORY": str(folder / "storage")}
    with Collector("collector-durable.yaml", folder=folder, variables=variables) as collector:
        done = replay(files, "--endpoint", collector.http, folder=folder)
        collector.kill()
        collector.start()
        with jaeger:
            found = jaeger.wait_for(done.spans, 2 * _SECONDS)
            return arrived(done.spans, done.events, replay_to_file(files, folder), found)


def to_a_file(files: Sequence[Path], folder: Path) -> Arrived:
    """Replay into a Collector that writes files, and compare with the file that ``--output`` writes."""
    config, written = folder / "to-file.yaml", folder / "collected.jsonl"
    config.write_text(_TO_FILE, "utf-8")
    with Collector(config, folder=folder, variables={"FILE": str(written)}) as collector:
        done = replay(files, "--endpoint", collector.http, folder=folder)
        collector.stop()
    return arrived(done.spans, done.events, replay_to_file(files, folder), seen_in_file(written))


def live(_: Sequence[Path], folder: Path, *, protocol: str, gzip: bool = False) -> Arrived:
    """Run a service with the plugin in it, and compare with a replay of the Sunbird events that it emitted."""
    events = folder / "events.jsonl"
    with Jaeger(folder=folder) as jaeger:
        variables = {"JAEGER_ENDPOINT": jaeger.grpc_target}
        with Collector("collector-to-jaeger.yaml", folder=folder, variables=variables) as collector:
            run_service(events, collector, protocol, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"} if gzip else {})
            sent = replay_to_file([events], folder)
            found = [without_sdk(span) for span in jaeger.wait_for(len(sent))]
            return arrived(len(sent), sum(len(span.events) for span in sent), sent, found)


def run_service(events: Path, collector: Collector, protocol: str, variables: Mapping[str, str]) -> None:
    """Run the service of ``tests/services/live_flows.py`` to its end."""
    endpoint = collector.grpc if protocol == "grpc" else collector.http
    done = subprocess.run(
        [sys.executable, str(_SERVICE), str(events)],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"the service failed:\n{done.stdout}{done.stderr}"


def without_sdk(span: SeenSpan) -> SeenSpan:
    """Leave out of the Resource what the SDK says about itself and its process."""
    kept = {names.SERVICE_NAME, names.SERVICE_VERSION}
    return replace(span, resource={key: value for key, value in span.resource.items() if key in kept})


def arrived(spans: int, events: int, expected: list[SeenSpan], found: list[SeenSpan]) -> Arrived:
    """Compare what a report says with what ``--output`` writes and with what was found."""
    faults = [difference(expected, found)]
    if (spans, events) != (len(expected), sum(len(span.events) for span in expected)):
        faults.append("the report says otherwise than the file that --output writes")
    events_found = sum(len(span.events) for span in found)
    return Arrived(spans, len(found), events, events_found, "; ".join(fault for fault in faults if fault))


def metric_points(receiver: HttpReceiver) -> int:
    """Return how many metric points a receiver has got."""
    points = 0
    for request in list(receiver.got):
        if request.kind == "metrics":
            found: Any = request.message
            metrics = [m for group in found.resource_metrics for scope in group.scope_metrics for m in scope.metrics]
            points += sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics)
    return points


_VIA = partial(collected, configs=["collector-to-jaeger.yaml"], backend="JAEGER")
_COUNTED = partial(collected, configs=["collector-span-metrics.yaml"], backend="JAEGER")
_TO_TEMPO = partial(collected, configs=["collector-to-tempo.yaml"], backend="TEMPO")

ROUTES: Final = (
    Route("Jaeger, HTTP", partial(straight, protocol="http/protobuf", gzip=False)),
    Route("Jaeger, gRPC and gzip", partial(straight, protocol="grpc", gzip=True)),
    Route("Collector > Jaeger, HTTP", partial(_VIA, protocol="http/protobuf", gzip=False)),
    Route("Collector > Jaeger, HTTP and gzip", partial(_VIA, protocol="http/protobuf", gzip=True)),
    Route("Collector > Jaeger, gRPC", partial(_VIA, protocol="grpc", gzip=False)),
    Route("Collector > Jaeger, gRPC and gzip", partial(_VIA, protocol="grpc", gzip=True)),
    Route("Collector with span metrics > Jaeger", partial(_COUNTED, protocol="http/protobuf", gzip=False)),
    Route("Collector for Tempo > Jaeger in its place", partial(_TO_TEMPO, protocol="grpc", gzip=False)),
    Route("durable Collector, killed in an outage > Jaeger", through_an_outage),
    Route("Collector > file", to_a_file),
    Route("plugin > Collector > Jaeger, HTTP", partial(live, protocol="http/protobuf"), live=True),
    Route("plugin > Collector > Jaeger, gRPC and gzip", partial(live, protocol="grpc", gzip=True), live=True),
)
