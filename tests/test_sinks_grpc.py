"""The network sink over gRPC: which codes are tried again, and what is split, skipped or kept."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_receivers import POINT, Failure, GrpcReceiver, names, sink_for, span_names
from span_factory import many

from sunbird_otel.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def rpc() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as receiver:
        yield receiver


def retry_info(seconds: int) -> tuple[tuple[str, bytes], ...]:
    info = RetryInfo()
    info.retry_delay.seconds = seconds
    detail = AnyMessage()
    detail.Pack(info)
    return (("grpc-status-details-bin", Status(code=8, details=[detail]).SerializeToString()),)


def test_grpc_codes_that_ask_for_another_try(rpc: GrpcReceiver) -> None:
    rpc.failures["traces"].extend(
        [
            Failure(grpc.StatusCode.UNAVAILABLE, "restarting"),
            Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit", retry_info(0)),
            Failure(grpc.StatusCode.ABORTED, "", (("grpc-status-details-bin", b"\xff"),)),
        ]
    )
    sink = sink_for(rpc.url, PROTOCOL="grpc")
    sink.write(many(3))
    assert sink.close().delivered["traces"] == 3
    assert rpc.calls == 4


@pytest.mark.parametrize(
    "failure",
    [
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "bad span"),
        Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota used up"),
        Failure(grpc.StatusCode.UNAVAILABLE, "come back later", retry_info(3_600)),
    ],
)
def test_grpc_failures_that_end_the_tries(rpc: GrpcReceiver, tmp_path: Path, failure: Failure) -> None:
    rpc.failures["traces"].append(failure)
    sink = sink_for(rpc.url, tmp_path / "u", PROTOCOL="grpc")
    sink.write(many(3))
    with pytest.raises(SinkError, match=f"gRPC {failure.code.name}: {failure.details}"):
        sink.close()
    assert rpc.calls == 1


def test_grpc_without_a_metrics_service_is_noted_and_partial_success_told() -> None:
    with GrpcReceiver(serves=("traces",)) as receiver:
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = 1
        receiver.responses["traces"] = response
        sink = sink_for(receiver.url, PROTOCOL="grpc")
        sink.write([*many(3), POINT])
        report = sink.close()
    assert (report.delivered["traces"], report.rejected["traces"], report.skipped["metrics"]) == (2, 1, 1)
    assert any("no place for metric points (gRPC UNIMPLEMENTED" in note for note in report.notes)


def test_grpc_messages_above_the_receivers_limit_are_split() -> None:
    with GrpcReceiver(max_bytes=10_000) as receiver:
        spans = many(12)
        sink = sink_for(receiver.url, PROTOCOL="grpc")
        sink.write(spans)
        assert sink.close().delivered["traces"] == 12
        assert sorted(span_names(receiver.got)) == sorted(names(spans))
        assert max(got.size for got in receiver.got) <= 10_000


def test_grpc_that_is_not_installed_is_a_matter_of_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    real = builtins.__import__

    def without_grpc(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "grpc":
            raise ModuleNotFoundError("No module named 'grpc'")
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "sunbird_otel.sinks.otlp.over_grpc", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_grpc)
    with pytest.raises(ConfigError, match="needs the package grpcio"):
        sink_for("http://localhost:4317", PROTOCOL="grpc")
