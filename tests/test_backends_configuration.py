"""What can be known of configurations without their programs: Tempo, Prometheus, Grafana and Docker are not here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from backends.programs import CONFIGURATIONS, JAEGER_VERSION, MANIFEST

FILES = sorted(CONFIGURATIONS.rglob("*.yaml"))

# The sections of Tempo 3.0's configuration that tempo.yaml uses, with the keys that its reference lists there. Under
# `receivers` stand the receivers of the Collector.
TEMPO_KEYS: dict[str, str] = {
    "": "backend_scheduler backend_worker block_builder cache distributor ingest internal_server live_store "
    "live_store_client memberlist memory metrics_generator multitenancy_enabled overrides querier query_frontend "
    "server storage stream_over_http_enabled target usage_report",
    "server": "grpc_listen_address grpc_listen_port graceful_shutdown_timeout http_listen_address http_listen_port "
    "http_server_read_timeout http_server_write_timeout log_format log_level",
    "distributor": "forwarders max_attribute_bytes receivers retry_after_on_resource_exhausted ring usage",
    "live_store": "block_config commit_interval complete_block_concurrency complete_block_timeout fail_on_high_lag "
    "flush_check_period flush_op_timeout max_block_bytes max_block_duration max_live_traces_bytes max_trace_idle "
    "max_trace_live metrics partition_ring query_block_concurrency readiness_max_wait readiness_target_lag ring "
    "shutdown_marker_dir wal",
    "live_store.wal": "ingestion_time_range_slack path version",
    "storage": "trace",
    "storage.trace": "azure backend block blocklist_poll blocklist_poll_concurrency gcs local pool s3 search wal",
    "storage.trace.wal": "ingestion_time_range_slack path version",
    "storage.trace.local": "path",
    "query_frontend": "api_timeout max_outstanding_per_tenant max_query_expression_size_bytes max_retries mcp_server "
    "metrics multi_tenant_queries_enabled query_end_cutoff response_consumers search trace_by_id weights",
    "query_frontend.metrics": "concurrent_jobs exemplars interval max_duration max_exemplars max_intervals "
    "max_response_series query_backend_after target_bytes_per_job",
    "query_frontend.search": "concurrent_jobs default_result_limit default_spans_per_span_set duration_slo "
    "max_duration max_result_limit max_spans_per_span_set most_recent_shards query_backend_after "
    "target_bytes_per_job",
    "overrides": "defaults per_tenant_override_config per_tenant_override_period",
    "overrides.defaults": "compaction cost_attribution forwarders global ingestion metrics_generator read storage",
    "overrides.defaults.global": "max_bytes_per_trace",
    "overrides.defaults.ingestion": "artificial_delay burst_size_bytes max_attribute_bytes max_global_traces_per_user "
    "max_traces_per_user rate_limit_bytes rate_strategy tenant_shard_size",
    "overrides.defaults.compaction": "block_retention compaction_disabled compaction_window",
    "usage_report": "backoff reporting_enabled",
}


def load(name: str) -> Any:
    return yaml.safe_load((CONFIGURATIONS / name).read_text("utf-8"))


def resolved(text: str) -> str:
    """Return what the Collector or Jaeger reads when no variable is set."""
    return re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def services() -> dict[str, Any]:
    """Return the services of the compose file."""
    return dict(load("compose.yaml")["services"])


@pytest.fixture
def listens(services: dict[str, Any]) -> dict[str, set[int]]:
    """Return on which ports each service listens inside the network of the compose file."""
    collector, jaeger = resolved_of("collector-span-metrics.yaml"), resolved_of("jaeger.yaml")
    overlay = resolved_of("collector-compose.yaml")
    [reader] = overlay["service"]["telemetry"]["metrics"]["readers"]
    otlp = load("tempo.yaml")["distributor"]["receivers"]["otlp"]["protocols"]
    return {
        "collector": ports_in(collector["receivers"])
        | ports_in(collector["exporters"]["prometheus"])
        | {reader["pull"]["exporter"]["prometheus"]["port"]},
        "jaeger": ports_in(jaeger["receivers"]) | ports_in(jaeger["extensions"]),
        "tempo": ports_in(otlp) | {load("tempo.yaml")["server"]["http_listen_port"]},
        "prometheus": {9090},  # their own defaults
        "grafana": {3000},
    }


def resolved_of(name: str) -> Any:
    return yaml.safe_load(resolved((CONFIGURATIONS / name).read_text("utf-8")))


def ports_in(settings: Any) -> set[int]:
    """Return the ports of all `endpoint`s."""
    found: set[int] = set()
    if isinstance(settings, dict):
        for key, value in cast("dict[str, Any]", settings).items():
            found |= {int(str(value).rpartition(":")[2])} if key == "endpoint" else ports_in(value)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_yaml_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    assert text.startswith("# ")


def test_the_collector_and_its_components_are_of_one_version() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text("utf-8"))
    components = [
        part["gomod"].split(" ")[1]
        for kind in ("receivers", "processors", "exporters", "connectors", "extensions")
        for part in manifest[kind]
    ]
    assert set(components) == {f"v{manifest['dist']['version']}"}
    assert f"builder@v{manifest['dist']['version']}" in MANIFEST.read_text("utf-8")


def test_the_images_are_pinned_to_what_is_tested(services: dict[str, Any]) -> None:
    images = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    assert images["collector"] == yaml.safe_load(MANIFEST.read_text("utf-8"))["dist"]["version"]
    assert images["jaeger"] == JAEGER_VERSION
    assert (CONFIGURATIONS / "tempo.yaml").read_text("utf-8").startswith("# Grafana Tempo 3.0,")
    assert images["tempo"].startswith("3.0.")
    assert (CONFIGURATIONS / "prometheus.yaml").read_text("utf-8").startswith("# Prometheus 3:")
    assert images["prometheus"].startswith("v3.")
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", tag) for tag in images.values())


def test_the_compose_file_mounts_what_there_is_and_the_programs_read_what_is_mounted(services: dict[str, Any]) -> None:
    volumes = load("compose.yaml")["volumes"]
    for name, service in services.items():
        mounted: dict[str, str] = {}
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            mounted[target] = source
            if source.startswith("./"):
                assert (CONFIGURATIONS / source).is_file() or source.startswith("./grafana/")
                assert volume.endswith(":ro")
            else:
                assert source in volumes
        read = [
            argument.partition("=")[2]
            for argument in service.get("command", [])
            if re.match(r"--?config(\.file)?=", argument)
        ]
        assert set(read) <= set(mounted), name
        assert {Path(mounted[path]).name for path in read} == {Path(path).name for path in read}
    assert load("grafana/provisioning/dashboards/sunbird-otel.yaml")["providers"][0]["options"]["path"] in {
        volume.split(":")[1] for volume in services["grafana"]["volumes"]
    }


def test_nobody_else_on_the_network_can_look(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)


def test_every_address_is_that_of_a_service_that_listens_there(listens: dict[str, set[int]]) -> None:
    addresses = [
        *re.findall(
            r":-(?:http://)?([a-z]+:\d+)\}", (CONFIGURATIONS / "collector-span-metrics.yaml").read_text("utf-8")
        ),
        *re.findall(r":-(?:http://)?([a-z]+:\d+)\}", (CONFIGURATIONS / "collector-compose.yaml").read_text("utf-8")),
        *(
            target
            for job in load("prometheus.yaml")["scrape_configs"]
            for target in job["static_configs"][0]["targets"]
        ),
        *(
            source["url"].removeprefix("http://")
            for source in load("grafana/provisioning/datasources/sunbird-otel.yaml")["datasources"]
        ),
    ]
    assert len(addresses) == 8
    for address in addresses:
        host, _, port = address.partition(":")
        assert int(port) in listens[host], address


def test_published_ports_are_those_that_are_listened_on(services: dict[str, Any], listens: dict[str, set[int]]) -> None:
    for name, service in services.items():
        assert {int(port.rpartition(":")[2]) for port in service["ports"]} <= listens[name]


def test_the_data_sources_have_the_ids_that_dashboards_name() -> None:
    sources = load("grafana/provisioning/datasources/sunbird-otel.yaml")["datasources"]
    assert {source["uid"]: source["type"] for source in sources} == {
        "tempo": "tempo",
        "jaeger": "jaeger",
        "prometheus": "prometheus",
    }
    for source in sources:
        links = json.dumps(source.get("jsonData", {}))
        assert set(re.findall(r'"datasourceUid": "(.*?)"', links)) <= {"tempo", "prometheus"}


def test_tempo_knows_every_key() -> None:
    def check(settings: Any, place: str) -> None:
        if isinstance(settings, dict) and place != "distributor.receivers":
            found = cast("dict[str, Any]", settings)
            assert set(found) <= set(TEMPO_KEYS[place].split()), place
            for key, value in found.items():
                check(value, f"{place}.{key}".removeprefix("."))

    check(load("tempo.yaml"), "")


def test_every_choice_for_tempo_has_its_reason() -> None:
    plain = {"backend", "path", "endpoint", "burst_size_bytes", "rate_strategy"}
    lines = (CONFIGURATIONS / "tempo.yaml").read_text("utf-8").splitlines()
    settings = [line for line in lines if re.match(r" *\w+: [^#]", line)]
    assert len(settings) > 20
    assert {line.split(":")[0].strip() for line in settings if "#" not in line} <= plain


def test_tempo_takes_what_sunbird_otel_writes() -> None:
    """Late events come up to a year back, and a search must find what is kept."""
    tempo = load("tempo.yaml")
    hours = {
        "live": tempo["live_store"]["wal"]["ingestion_time_range_slack"],
        "stored": tempo["storage"]["trace"]["wal"]["ingestion_time_range_slack"],
        "kept": tempo["overrides"]["defaults"]["compaction"]["block_retention"],
    }
    assert hours == dict.fromkeys(hours, f"{366 * 24}h")
    assert load("prometheus.yaml")["storage"]["tsdb"]["out_of_order_time_window"] == "366d"
