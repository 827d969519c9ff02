"""Requests without their signals: reading, writing, splitting, keeping, reading again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from encoding import encode
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from span_factory import APP, BASE_NS, PORTAL, five_workflows

from sunbird_otel._signals import MetricPoint
from sunbird_otel.errors import SourceError
from sunbird_otel.sinks.otlp.encode import ProtobufForm
from sunbird_otel.sinks.otlp.json import JsonForm
from sunbird_otel.sinks.otlp.request import KINDS, Request, limited, looks_like_request, parse, split, to_json
from sunbird_otel.sinks.otlp.undelivered import UndeliveredFolder, read, recognise

if TYPE_CHECKING:
    from pathlib import Path


def traces() -> Request:
    spans = five_workflows()
    return Request("traces", encode(ProtobufForm(), spans), len(spans))


def metrics(count: int = 7) -> Request:
    points = [
        MetricPoint(
            name="m",
            description="",
            unit="1",
            value=n,
            time_ns=BASE_NS,
            resource=APP if n < 5 else PORTAL,
            attributes={},
        )
        for n in range(count)
    ]
    return Request("metrics", encode(ProtobufForm(), points), count)


def items(request: Request) -> list[Any]:
    message: Any = KINDS[request.kind].request.FromString(request.body)
    if request.kind == "metrics":
        return [
            point.as_int
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.gauge.data_points
        ]
    return [
        span.span_id for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


@pytest.mark.parametrize("request_", [traces(), metrics()], ids=["traces", "metrics"])
def test_a_request_survives_being_written_and_read(request_: Request) -> None:
    line = to_json(request_)
    assert b"\n" not in line
    assert looks_like_request(line)
    assert parse(line) == request_


def test_what_is_kept_is_what_the_file_sink_writes() -> None:
    spans = five_workflows()
    assert parse(encode(JsonForm(), spans)) == parse(to_json(traces()))


@pytest.mark.parametrize("request_", [traces(), metrics()], ids=["traces", "metrics"])
def test_splitting_keeps_every_item_and_its_resource(request_: Request) -> None:
    first, second = split(request_)
    assert items(first) + items(second) == items(request_)
    assert abs(first.items - second.items) <= 1
    assert [part.items for part in limited(request_, len(request_.body))] == [request_.items]
    parts = list(limited(request_, 1))
    assert [part.items for part in parts] == [1] * request_.items
    assert [item for part in parts for item in items(part)] == items(request_)
    for part in parts:
        message: Any = KINDS[part.kind].request.FromString(part.body)
        groups = message.resource_metrics if part.kind == "metrics" else message.resource_spans
        assert [len(group.resource.attributes) for group in groups] == [2]


def test_a_line_of_the_collector_is_read_whatever_its_kind() -> None:
    line = (
        b' {"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1",'
        b'"severityNumber":9,"body":{"stringValue":"x"},"traceId":"5b8efff798038103d269b633813fc60c","spanId":"","newField":{"a":[1]}}]}]}]}'
    )
    request = parse(line)
    assert (request.kind, request.items) == ("logs", 1)
    record = ExportLogsServiceRequest.FromString(request.body).resource_logs[0].scope_logs[0].log_records[0]
    assert record.trace_id.hex() == "5b8efff798038103d269b633813fc60c"


def test_metrics_other_than_gauges_are_counted_and_split() -> None:
    line = orjson.dumps(
        {
            "resourceMetrics": [
                {
                    "scopeMetrics": [
                        {
                            "metrics": [
                                {"name": "empty"},
                                {"name": "s", "sum": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
                                {"name": "h", "histogram": {"dataPoints": [{"count": "3"}]}},
                            ]
                        }
                    ]
                }
            ]
        }
    )
    request = parse(line)
    assert request.items == 3
    last = list(split(request))[1]
    metrics = ExportMetricsServiceRequest.FromString(last.body).resource_metrics[0].scope_metrics[0].metrics
    assert [metric.name for metric in metrics] == ["s", "h"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"eid":"START"}', "begins with one of resourceSpans"),
        (b"[]", "begins with one of"),
        (b'{"resourceSpans":[', "broken JSON"),
        (b'{"resourceSpans":7}', "of traces"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"not hex!"}]}]}]}', "of traces"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(line: bytes, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        parse(line)


def test_undelivered_requests_are_read_again_in_their_order(tmp_path: Path) -> None:
    early = UndeliveredFolder(tmp_path / "u", clock=lambda: 0)
    late = UndeliveredFolder(tmp_path / "u", clock=lambda: 1e9)
    paths = [late.keep(metrics()), early.keep(traces()), early.keep(metrics(3))]
    assert [path.name.rpartition("-")[2] for path in paths] == ["metrics.jsonl", "traces.jsonl", "metrics.jsonl"]
    assert list(read(tmp_path / "u")) == [traces(), metrics(3), metrics()]
    assert list(read(paths[0])) == [metrics()]
    assert all(recognise(path) for path in paths)
    assert paths[0].stat().st_mode & 0o777 == 0o600


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b'{"eid":"START","resourceSpans":[]}\n')
    assert not recognise(events)
    events.write_bytes(b"")
    assert not recognise(events)


def test_reading_names_file_and_line_of_what_it_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + to_json(traces()) + b"\n\n" + b'{"resourceSpans":[\n')
    requests = read(file)
    assert next(requests) == traces()
    with pytest.raises(SourceError, match=r"mixed\.jsonl, line 3: .*broken JSON"):
        next(requests)
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        list(read(tmp_path / "missing"))
