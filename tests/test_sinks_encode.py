"""Both encoders write what the records say, and the same as each other."""

from __future__ import annotations

from typing import Any

import orjson
import otlp_messages
import pytest
from encoding import encode
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from span_factory import APP, BASE_NS, PORTAL, five_workflows

from sunbird_otel._signals import (
    Attributes,
    Link,
    MetricPoint,
    Resource,
    Signal,
    Span,
    SpanEvent,
    SpanKind,
    StatusCode,
)
from sunbird_otel._version import __version__
from sunbird_otel.sinks.otlp.batch import MAX_RECORDS, Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufForm
from sunbird_otel.sinks.otlp.json import JsonForm
from sunbird_otel.sinks.otlp.request import parse

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    INT64,
    FLOATS,
    st.lists(TEXT, max_size=3),
    st.lists(st.booleans(), max_size=3),
    st.lists(INT64, max_size=3),
    st.lists(FLOATS, max_size=3),
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=4)
RESOURCES = st.builds(Resource, st.sampled_from(["", "app", "portal"]), st.sampled_from(["", "1.0"]))
TRACE_IDS, SPAN_IDS = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)
SPANS = st.builds(
    Span,
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent_span_id=st.one_of(st.just(b""), SPAN_IDS),
    name=TEXT,
    kind=st.sampled_from(SpanKind),
    start_ns=TIMES,
    end_ns=TIMES,
    resource=RESOURCES,
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(SpanEvent, TEXT, TIMES, ATTRIBUTES), max_size=2),
    links=st.lists(st.builds(Link, TRACE_IDS, SPAN_IDS, ATTRIBUTES), max_size=2),
    status=st.sampled_from(StatusCode),
    status_message=TEXT,
)
POINTS = st.builds(
    MetricPoint,
    name=st.sampled_from(["a", "b"]),
    description=TEXT,
    unit=TEXT,
    value=st.one_of(INT64, FLOATS),
    time_ns=TIMES,
    resource=RESOURCES,
    attributes=ATTRIBUTES,
)


def span(**changes: Any) -> Span:
    given: dict[str, Any] = {
        "trace_id": bytes(range(16)),
        "span_id": bytes(range(8)),
        "parent_span_id": b"",
        "name": "session",
        "kind": SpanKind.INTERNAL,
        "start_ns": BASE_NS,
        "end_ns": BASE_NS + 1,
        "resource": APP,
        "attributes": {},
    }
    return Span(**{**given, **changes})


def point(
    value: float = 1, name: str = "m", resource: Resource = APP, attributes: Attributes | None = None
) -> MetricPoint:
    return MetricPoint(
        name=name,
        description="what",
        unit="1",
        value=value,
        time_ns=BASE_NS,
        resource=resource,
        attributes=attributes or {},
    )


def decode(spans: list[Span]) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(encode(ProtobufForm(), spans))


@given(st.lists(SPANS, max_size=5))
def test_the_bytes_decode_to_the_messages_that_say_the_same_of_spans(spans: list[Span]) -> None:
    assert decode(spans) == otlp_messages.traces(spans)


@given(st.lists(POINTS, max_size=5))
def test_the_bytes_decode_to_the_messages_that_say_the_same_of_metric_points(points: list[MetricPoint]) -> None:
    assert ExportMetricsServiceRequest.FromString(encode(ProtobufForm(), points)) == otlp_messages.metrics(points)


def test_a_form_that_has_written_much_writes_the_same() -> None:
    form = ProtobufForm()
    values = [*(f"v{n}" for n in range(5_000)), *("again" for _ in range(5_000)), *range(5_000), 0.5, True, "x" * 200]
    for value in [*values, *values[:10], True, 1, "again"]:
        record = span(attributes={"key": value, "other": [str(value)]})
        assert ExportTraceServiceRequest.FromString(encode(form, [record])) == otlp_messages.traces([record])


@given(st.lists(SPANS, max_size=5))
def test_json_and_protobuf_say_the_same_of_spans(spans: list[Span]) -> None:
    request = parse(encode(JsonForm(), spans))
    assert ExportTraceServiceRequest.FromString(request.body) == decode(spans)
    assert request.items == len(spans)


@given(st.lists(POINTS, max_size=5))
def test_json_and_protobuf_say_the_same_of_metric_points(points: list[MetricPoint]) -> None:
    request = parse(encode(JsonForm(), points))
    direct = ExportMetricsServiceRequest.FromString(encode(ProtobufForm(), points))
    assert ExportMetricsServiceRequest.FromString(request.body) == direct
    assert request.items == len(points)


def test_resources_stand_in_the_order_of_their_first_span_and_appear_once() -> None:
    spans = [span(resource=PORTAL), span(resource=APP), span(resource=PORTAL)]
    groups = decode(spans).resource_spans
    assert [len(group.scope_spans[0].spans) for group in groups] == [2, 1]
    assert {a.key: a.value.string_value for a in groups[0].resource.attributes} == {
        "service.name": PORTAL.service_name,
        "service.version": PORTAL.service_version,
    }
    scope = groups[0].scope_spans[0].scope
    assert (scope.name, scope.version) == ("sunbird_otel", __version__)


def test_a_producer_without_name_is_an_unknown_service_without_version() -> None:
    attributes = decode([span(resource=Resource("", ""))]).resource_spans[0].resource.attributes
    assert [(a.key, a.value.string_value) for a in attributes] == [("service.name", "unknown_service")]


def test_json_has_hex_ids_strings_for_long_integers_and_numbers_for_enums() -> None:
    child = span(
        parent_span_id=b"\x01" * 8,
        kind=SpanKind.SERVER,
        attributes={"n": 2**53 + 1, "flag": True, "list": [1.5]},
        links=[Link(b"\xab" * 16, b"\xcd" * 8, {})],
        status=StatusCode.ERROR,
    )
    row = orjson.loads(encode(JsonForm(), [child]))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert row["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert row["parentSpanId"] == "01" * 8
    assert row["kind"] == 2
    assert row["flags"] == 1
    assert row["startTimeUnixNano"] == str(BASE_NS)
    assert row["status"]["code"] == 2
    assert row["links"][0]["spanId"] == "cd" * 8
    assert row["attributes"] == [
        {"key": "n", "value": {"intValue": "9007199254740993"}},
        {"key": "flag", "value": {"boolValue": True}},
        {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": 1.5}]}}},
    ]


def test_points_of_one_name_share_a_gauge_and_keep_their_type() -> None:
    body = encode(ProtobufForm(), [point(1), point(2.5), point(0, name="other"), point(3, resource=PORTAL)])
    first, second = ExportMetricsServiceRequest.FromString(body).resource_metrics
    assert [metric.name for metric in first.scope_metrics[0].metrics] == ["m", "other"]
    values = first.scope_metrics[0].metrics[0].gauge.data_points
    assert [value.WhichOneof("value") for value in values] == ["as_int", "as_double"]
    assert values[0].time_unix_nano == BASE_NS
    assert second.scope_metrics[0].metrics[0].gauge.data_points[0].as_int == 3


@pytest.mark.parametrize("form", [ProtobufForm(), JsonForm()])
def test_a_lone_surrogate_costs_one_character_not_the_request(form: ProtobufForm | JsonForm) -> None:
    bad = span(
        name="a\ud800b",
        attributes={"k\udfff": "v\ud800", "list": ["\udc00", "ok"], "pair": "\ud83d\ude00", "n": [1]},
        events=[SpanEvent("e\ud800", BASE_NS, {"x": "\ud800"})],
        links=[Link(b"\x01" * 16, b"\x02" * 8, {"y": "\ud800"})],
        resource=Resource("s\ud800", ""),
        status_message="\ud800",
    )
    body = encode(form, [bad, span(name="good")])
    message = ExportTraceServiceRequest.FromString(parse(body).body if body[:1] == b"{" else body)
    written = message.resource_spans[0].scope_spans[0].spans[0]
    assert written.name == "a\ufffdb"
    assert {a.key: a.value.string_value for a in written.attributes}["pair"] == "\U0001f600"
    assert written.events[0].name == "e\ufffd"
    assert message.resource_spans[1].scope_spans[0].spans[0].name == "good"
    metrics = encode(form, [point(attributes={"k": "\ud800"})])
    assert "\ufffd".encode() in metrics


def test_requests_are_cut_by_the_signals_alone() -> None:
    signals: list[Signal] = []
    for _ in range(40):
        signals += [*five_workflows(), point()]
    whole, single = Batcher(JsonForm(), max_items=100), Batcher(JsonForm(), max_items=100)
    at_once = [*whole.add(signals), *whole.rest()]
    one_by_one = [request for signal in signals for request in single.add([signal])] + [*single.rest()]
    assert at_once == one_by_one
    assert max(items for _, _, items in at_once) == 100
    assert sum(items for _, _, items in at_once) == len(signals)


def test_requests_are_bounded_in_bytes_but_a_large_span_is_not_divided() -> None:
    large = span(name="large", attributes={"text": "x" * 50_000})
    batcher = Batcher(ProtobufForm(), max_bytes=20_000)
    spans = [span(name=f"s{n}", attributes={"text": "y" * 1_000}) for n in range(60)]
    requests = [*batcher.add([*spans[:30], large, *spans[30:]]), *batcher.rest()]
    assert sum(items for _, _, items in requests) == 61
    assert [items for _, body, items in requests if len(body) > 20_000] == [1]


def test_many_span_events_make_a_request_full() -> None:
    events = [SpanEvent("e", BASE_NS, {})] * (MAX_RECORDS // 2)
    batcher = Batcher(ProtobufForm())
    requests = list(batcher.add([span(events=list(events)) for _ in range(4)]))
    assert [items for _, _, items in requests] == [1, 1, 1]
