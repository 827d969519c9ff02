"""Long and late sessions in Jaeger, through the Collector, and in front of them a service with the plugin."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from backends.processes import wait_until
from backends.replaying import replay, replay_to_file
from backends.routes import run_service, without_sdk
from backends.spans import difference
from command_line import write
from events import MOBILE, T0
from test_backends_replay import tree

from sunbird_otel import names

if TYPE_CHECKING:
    from pathlib import Path

    from backends.collector import Collector
    from backends.fixtures import StartCollector
    from backends.jaeger import Jaeger
    from events import Event

HOUR = 3600
HOUR_NS = HOUR * 1_000_000_000


def session(events: int, hours: float, begins: float = 0) -> list[Event]:
    """Return a session with so many touches, at even distances."""
    seconds = hours * HOUR
    touches = [MOBILE.interact(begins + (n + 1) * seconds / (events + 2), f"button-{n}") for n in range(events)]
    return [MOBILE.start(begins, "session"), *touches, MOBILE.end(begins + seconds, "session")]


@pytest.mark.parametrize("protocol", ["http/protobuf", pytest.param("grpc", marks=pytest.mark.slow)])
def test_six_hours_with_two_thousand_events_arrive_whole(
    protocol: str, collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    told = session(2000, 6)
    path = write(tmp_path / "long.jsonl", told)
    endpoint = collector_to_jaeger.grpc if protocol == "grpc" else collector_to_jaeger.http
    done = replay([path], "--endpoint", endpoint, "--protocol", protocol, folder=tmp_path)
    found = jaeger_server.wait_for(done.spans)
    assert difference(replay_to_file([path], tmp_path), found) == ""
    [whole] = [span for span in found if not span.parent]
    assert whole.end_ns - whole.start_ns == 6 * HOUR_NS
    touched = [event.attributes[names.MID] for span in found for event in span.events]
    assert sorted(touched) == sorted(event["mid"] for event in told if event["eid"] == "INTERACT")
    assert sum(len(log) for log in logs(jaeger_server, whole.trace_id)) == len(touched) == 2000


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_many_sessions_are_counted_alike_at_every_hop(
    protocol: str, collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    told: list[Event] = []
    for number in range(1000):
        client = replace(MOBILE, did=f"device-{number}", sid=f"session-{number}")
        told += [
            client.start(0, "session"),
            *(client.interact(n + 1, f"b-{n}") for n in range(30)),
            client.end(40, "session"),
        ]
    path = write(tmp_path / "many.jsonl", told)
    endpoint = collector_to_jaeger.grpc if protocol == "grpc" else collector_to_jaeger.http
    done = replay([path], "--endpoint", endpoint, "--protocol", protocol, folder=tmp_path, gzip=True)
    assert (done.spans, done.events) == (1000, 30_000)
    assert wait_until(lambda: collector_to_jaeger.count("exporter_sent_spans") == 1000)
    assert collector_to_jaeger.count("receiver_accepted_spans") == 1000
    assert difference(replay_to_file([path], tmp_path), jaeger_server.spans()) == ""


def logs(jaeger: Jaeger, trace_id: str) -> list[list[object]]:
    """Return the events of each span as Jaeger's page gets them."""
    return [span["logs"] for span in jaeger.page(trace_id)["spans"]]


def test_what_comes_two_hundred_hours_late_is_found_by_its_own_time(
    collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    begins = int(time.time()) - 200 * HOUR
    late = replace(MOBILE, sid="late", did="late")
    told = [late.start(begins - T0 / 1000, "session"), late.end(begins - T0 / 1000 + 60, "session")]
    done = replay([write(tmp_path / "late.jsonl", told)], "--endpoint", collector_to_jaeger.http, folder=tmp_path)
    [span] = jaeger_server.wait_for(done.spans)
    assert span.start_ns == begins * 1_000_000_000

    def found(from_hours: float, to_hours: float) -> list[str]:
        window = (int(time.time_ns() - hours * HOUR_NS) for hours in (from_hours, to_hours))
        start_ns, end_ns = window
        return jaeger_server.find(MOBILE.pdata, start_ns=start_ns, end_ns=end_ns)

    assert found(201, 199) == [span.trace_id]
    assert found(48, 0) == []
    assert done.report["events"]["late"] == 0


@pytest.mark.parametrize(
    ("search", "workflows"),
    [
        # Jaeger 2.13 compares the text "true" with a boolean in its memory store, and never finds an error by it.
        ({"tags": {"error": "true"}}, []),
        ({"tags": {names.ERROR_TYPE: "CONTENT"}}, ["mobile_app"]),
        ({"tags": {names.SESSION_ID: "0eb0fe92-1473-4cf0-b21e-e1acf4dfe8bc"}}, ["mobile_app"]),
        ({"tags": {names.FLOW_VIOLATIONS: '["unclosed_child"]'}}, ["mobile_app"]),
        ({"tags": {"sunbird.assess.pass": "No"}}, ["mobile_app", "portal"]),
        ({"tags": {names.FLOW_END_REASON: "parent_end"}}, ["mobile_app"]),
        ({"operation": "player", "min_duration": "10m"}, ["mobile_app"]),
        ({"operation": "session", "max_duration": "20m"}, ["portal"]),
    ],
    ids=str,
)
def test_searches_of_the_page(
    search: dict[str, object], workflows: list[str], project: Path, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    files = [project / "examples" / "telemetry" / f"{name}.jsonl" for name in ("mobile-app", "portal")]
    replay(files, "--endpoint", jaeger_server.http, folder=tmp_path)
    found = {
        span.attributes[names.WORKFLOW]
        for service in jaeger_server.services()
        for trace_id in jaeger_server.find(service, **search)
        for span in jaeger_server.trace(trace_id)
        if names.WORKFLOW in span.attributes
    }
    assert sorted(found) == workflows


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_live_service_is_seen_as_its_events_tell(
    protocol: str, start_collector: StartCollector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    """The service has the plugin in front of its exporter, and emits the same story to Sunbird."""
    collector = start_collector("collector-to-jaeger.yaml", variables={"JAEGER_ENDPOINT": jaeger_server.grpc_target})
    run_service(tmp_path / "events.jsonl", collector, protocol, {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})
    expected = replay_to_file([tmp_path / "events.jsonl"], tmp_path)
    found = [without_sdk(span) for span in jaeger_server.wait_for(len(expected))]
    assert difference(expected, found) == ""
    assert tree(found) == (
        "app > session > (collection > player!, qr) | session > editor > player | service | "
        "GET /content/v3/read/{id}! | job!"
    )
    assert jaeger_server.services() == ["prod.quiz.backend"]
    [request] = [span for span in found if span.name.startswith("GET")]
    [run] = [span for span in found if span.name == "service"]
    assert [(link.trace_id, link.span_id) for link in request.links] == [(run.trace_id, run.span_id)]
    assert [event.name for event in request.events] == ["sunbird.log"]
    assert collector.count("receiver_accepted_spans") == collector.count("exporter_sent_spans") == len(found)
