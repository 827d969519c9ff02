"""Replays arrive in Jaeger: straight and through the Collector, as Jaeger's own API tells what it holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from backends.processes import wait_until
from backends.replaying import DEMO, replay, replay_to_file
from backends.spans import difference

if TYPE_CHECKING:
    from pathlib import Path

    from backends.collector import Collector
    from backends.jaeger import Jaeger
    from backends.spans import SeenSpan

# What a person sees in Jaeger: service and name of each span, in the order of the starts; what stands inside follows
# after ">". Written down by hand from `sunbird-otel view`.
TREES = {
    "mobile-app": "app > session > (collection > collection > (player, player!), qr)",
    "portal": "sunbird.audit | session > (player, player!)",
    "editor": "session > (POST /content/v3/create, sunbird.audit, editor! > (sunbird.search, sunbird.search, "
    "PATCH /content/v3/update/{id}, sunbird.audit, player, PATCH /content/v3/update/{id}, "
    "POST /content/v3/review/{id}, sunbird.audit))",
    "backend-service": "service | sunbird.log | GET /content/v3/read/{id} | POST /v3/search | "
    "PATCH /content/v3/update/{id}! | POST /v3/search! | GET /content/v3/read/{id} | GET /health | "
    "POST /content/v3/publish/{id} > sunbird.log | sunbird.log | GET /content/v3/read/{id}",
    "analytics-job": "job | job! | sunbird.job_log | job | job",
}

SERVICES = {
    "mobile-app": {"staging.sunbird.app": ["app", "collection", "player", "qr", "session"]},
    "portal": {"staging.sunbird.portal": ["player", "session", "sunbird.audit"]},
    "editor": {
        "staging.sunbird.editor": ["editor", "player"],
        "staging.sunbird.learning.service": [
            "PATCH /content/v3/update/{id}",
            "POST /content/v3/create",
            "POST /content/v3/review/{id}",
            "sunbird.audit",
            "sunbird.search",
        ],
        "staging.sunbird.portal": ["session"],
    },
    "backend-service": {
        "staging.sunbird.learning.service": [
            "GET /content/v3/read/{id}",
            "GET /health",
            "PATCH /content/v3/update/{id}",
            "POST /content/v3/publish/{id}",
            "POST /v3/search",
            "service",
            "sunbird.log",
        ]
    },
    "analytics-job": {"AnalyticsDataPipeline": ["job", "sunbird.job_log"]},
}


def tree(spans: list[SeenSpan]) -> str:
    """Return the tree that the parents make; ``!`` marks a span whose status says error."""
    inside: defaultdict[str, list[SeenSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start_ns, -span.end_ns)):
        inside[span.parent].append(span)

    def text(span: SeenSpan) -> str:
        inner = [text(child) for child in inside[span.span_id]]
        held = f" > ({', '.join(inner)})" if len(inner) > 1 else "".join(f" > {one}" for one in inner)
        return f"{span.name}{'!' * span.failed}{held}"

    return " | ".join(text(root) for root in inside[""])


def demo(project: Path, *names: str) -> list[Path]:
    return [project / "examples" / "telemetry" / f"{name}.jsonl" for name in names or DEMO]


@pytest.mark.parametrize("workflow", DEMO)
def test_a_workflow_looks_in_jaeger_as_it_was(
    workflow: str, project: Path, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    files = demo(project, workflow)
    replay(files, "--endpoint", jaeger_server.http, folder=tmp_path)
    found = jaeger_server.spans()
    assert tree(found) == TREES[workflow]
    assert {name: jaeger_server.operations(name) for name in jaeger_server.services()} == SERVICES[workflow]
    assert difference(replay_to_file(files, tmp_path), found) == ""


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_the_counts_of_every_hop_are_those_of_the_report(
    protocol: str, project: Path, collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    endpoint = collector_to_jaeger.grpc if protocol == "grpc" else collector_to_jaeger.http
    done = replay(demo(project), "--endpoint", endpoint, "--protocol", protocol, folder=tmp_path)
    found = jaeger_server.wait_for(done.spans)
    assert len(found) == done.spans
    assert sum(len(span.events) for span in found) == done.events
    transport = "grpc" if protocol == "grpc" else "http"
    assert collector_to_jaeger.count("receiver_accepted_spans", transport=transport) == done.spans
    assert collector_to_jaeger.count("exporter_sent_spans", exporter="otlp_grpc/jaeger") == done.spans
    assert collector_to_jaeger.count("receiver_accepted_metric_points") == done.report["signals"]["metric_points"]
    assert difference(replay_to_file(demo(project), tmp_path), found) == ""


def test_the_page_shows_times_links_and_errors_and_warns_only_of_what_lies_outside(
    project: Path, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    """The form that Jaeger's page reads is older than OTLP: tags, logs and references, times in microseconds."""
    sent = {span.span_id: span for span in replay_to_file(demo(project), tmp_path)}
    replay(demo(project), "--endpoint", jaeger_server.http, folder=tmp_path)
    shown = 0
    for trace_id in {span.trace_id for span in sent.values()}:
        page = jaeger_server.page(trace_id)
        for span in page["spans"]:
            was = sent[span["spanID"]]
            shown += 1
            assert (span["operationName"], span["startTime"]) == (was.name, was.start_ns // 1000)
            assert span["duration"] == (was.end_ns - was.start_ns) // 1000
            assert page["processes"][span["processID"]]["serviceName"] == was.service
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            assert tags.get("error", False) == was.failed
            assert tags.get("session.id") == was.attributes.get("session.id")
            assert sorted(log["timestamp"] for log in span["logs"]) == [event.time_ns // 1000 for event in was.events]
            references = {(one["refType"], one["traceID"], one["spanID"]) for one in span["references"]}
            expected = {("FOLLOWS_FROM", link.trace_id, link.span_id) for link in was.links}
            assert references == expected | ({("CHILD_OF", was.trace_id, was.parent)} if was.parent else set())
            assert warnings(span) == outside(was, sent)
    assert shown == len(sent)


def warnings(span: dict[str, Any]) -> bool:
    return bool(span["warnings"])


def outside(span: SeenSpan, sent: dict[str, SeenSpan]) -> bool:
    """Tell whether the span lies outside of its parent, which is what Jaeger warns of."""
    parent = sent.get(span.parent)
    return parent is not None and not parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns


def test_a_second_replay_changes_nothing(
    project: Path, collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    for times in (1, 2):
        done = replay(demo(project), "--endpoint", collector_to_jaeger.http, folder=tmp_path)
        assert wait_until(partial(sent_by, collector_to_jaeger, times * done.spans))
    assert difference(replay_to_file(demo(project), tmp_path), jaeger_server.spans()) == ""


def sent_by(collector: Collector, spans: int) -> bool:
    return collector.count("exporter_sent_spans") == spans


def test_looked_at_between_two_replays_only_what_lies_outside_of_its_parent_is_shown_twice(
    project: Path, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    """Jaeger 2.13 writes its warning into the span that it keeps in memory, which then is no longer like its copy."""
    sent = {span.span_id: span for span in replay_to_file(demo(project), tmp_path)}
    replay(demo(project), "--endpoint", jaeger_server.http, folder=tmp_path)
    assert len(jaeger_server.spans()) == len(sent)
    replay(demo(project), "--endpoint", jaeger_server.http, folder=tmp_path)
    found = Counter(span.span_id for span in jaeger_server.spans())
    twice = {span_id for span_id, times in found.items() if times > 1}
    assert twice == {span_id for span_id, span in sent.items() if outside(span, sent)}
    assert twice
