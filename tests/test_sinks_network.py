"""The network sink against receivers that run in the test: HTTP and gRPC, well and unwell."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_receivers import POINT, GrpcReceiver, HttpReceiver, Reply, names, sink_for, span_names
from span_factory import many

from sunbird_otel.errors import ConfigError, SinkError
from sunbird_otel.sinks.otlp.undelivered import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sunbird_otel.sinks import Sink


@pytest.fixture
def http() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def rpc() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as receiver:
        yield receiver


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_signals_arrive_whole_and_in_order(
    http: HttpReceiver, rpc: GrpcReceiver, protocol: str, compression: str
) -> None:
    receiver = rpc if protocol == "grpc" else http
    spans = many(40)
    spans[0].name = "पाठ ▶ \U0001f600"
    sink = sink_for(
        receiver.url, PROTOCOL=protocol, COMPRESSION=compression, HEADERS="X-Tenant=a%20b", limits={"max_items": 16}
    )
    as_sink: Sink = sink
    as_sink.write([*spans, POINT])
    report = as_sink.close()
    assert sorted(span_names(receiver.got)) == sorted(names(spans))
    assert [got.kind for got in receiver.got] == ["traces"] * 3 + ["metrics"]
    assert all(got.headers["x-tenant"] == "a b" for got in receiver.got)
    assert "sunbird-otel/" in receiver.got[0].headers["user-agent"]
    assert report.delivered == {"traces": 40, "metrics": 1}
    assert report.requests == 4
    assert sink.close() is report


def test_gzip_is_sent_when_it_is_asked_for(http: HttpReceiver) -> None:
    for compression in ("none", "gzip"):
        sink = sink_for(http.url, COMPRESSION=compression)
        sink.write(many(50))
        sink.close()
    plain, packed = http.got
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.size < plain.size / 3
    assert packed.message == plain.message


def test_a_busy_receiver_is_asked_again(http: HttpReceiver) -> None:
    http.replies["traces"].extend([Reply(503), Reply(429, headers={"retry-after": "0"}), Reply(502), Reply(504)])
    sink = sink_for(http.url)
    sink.write(many(3))
    assert sink.close().delivered["traces"] == 3
    assert http.calls == 5


def test_retry_after_is_obeyed(http: HttpReceiver, tmp_path: Path) -> None:
    http.replies["traces"].append(Reply(429, b"slow down", {"retry-after": "3600", "content-type": "text/plain"}))
    sink = sink_for(http.url, tmp_path / "u")
    sink.write(many(3))
    with pytest.raises(SinkError, match=r"HTTP 429 \(Too Many Requests\): slow down"):
        sink.close()
    assert http.calls == 1


def test_a_wrong_retry_after_does_no_harm(http: HttpReceiver) -> None:
    http.replies["traces"].append(Reply(503, headers={"retry-after": "tomorrow"}))
    sink = sink_for(http.url)
    sink.write(many(3))
    assert sink.close().delivered["traces"] == 3


def test_metrics_without_a_place_are_noted_and_no_failure(http: HttpReceiver, tmp_path: Path) -> None:
    http.always["metrics"] = Reply(404)
    sink = sink_for(http.url, tmp_path / "u", limits={"max_items": 2})
    sink.write([*many(2), POINT, POINT, POINT, POINT, POINT])
    report = sink.close()
    assert report.skipped == {"metrics": 5}
    assert report.notes == ["The receiver has no place for metric points (HTTP 404 (Not Found)); they are left out."]
    assert not (tmp_path / "u").exists()


def test_a_web_server_that_is_no_receiver_is_a_failure(http: HttpReceiver, tmp_path: Path) -> None:
    http.always = {kind: Reply(404) for kind in ("traces", "metrics", "logs")}
    sink = sink_for(http.url, tmp_path / "u")
    sink.write(many(3))
    with pytest.raises(SinkError, match="is this the address of an OTLP receiver"):
        sink.close()
    assert sum(request.items for request in read(tmp_path / "u")) == 3


def test_a_body_that_is_too_large_is_split(http: HttpReceiver, tmp_path: Path) -> None:
    spans = many(64)
    http.max_body = 8_000
    spans[10].attributes["text"] = "x" * 9_000
    sink = sink_for(http.url, tmp_path / "u")
    sink.write(spans)
    with pytest.raises(SinkError, match=r"1 span could not be delivered .*HTTP 413"):
        sink.close()
    assert len(span_names(http.got)) == 63
    (kept,) = read(tmp_path / "u")
    assert kept.items == 1


def test_partial_success_is_told(http: HttpReceiver) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    response.partial_success.error_message = "too\nold"
    http.replies["traces"].append(Reply(200, response.SerializeToString()))
    sink = sink_for(http.url)
    sink.write(many(5))
    report = sink.close()
    assert (report.delivered["traces"], report.rejected["traces"]) == (3, 2)
    assert report.notes == ["The receiver dropped some spans (partial success): too old"]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(400, Status(code=3, message="bad span").SerializeToString()), r"HTTP 400 \(Bad Request\): bad span\."),
        (Reply(401, b"no token", {"content-type": "text/plain"}), r"HTTP 401 \(Unauthorized\): no token"),
        (Reply(403, b"<html>", {"content-type": "text/html"}), r"HTTP 403 \(Forbidden\)\."),
        (Reply(400, b"\xff\xff"), r"HTTP 400 \(Bad Request\)\."),
        (Reply(301, headers={"location": "https://else.where/"}), "redirects to https://else.where/; give that"),
    ],
)
def test_a_refusal_is_told_in_the_receivers_words(http: HttpReceiver, tmp_path: Path, reply: Reply, told: str) -> None:
    http.always["traces"] = reply
    sink = sink_for(http.url, tmp_path / "u")
    sink.write(many(3))
    with pytest.raises(SinkError, match=told) as failure:
        sink.close()
    assert http.calls == 1
    text = str(failure.value)
    assert "3 spans could not be delivered to " + http.url + "/v1/traces" in text
    assert (
        f"kept in {tmp_path / 'u'} (1 file). Send them again with: sunbird-otel replay {tmp_path / 'u'}/*.jsonl" in text
    )


def test_a_success_that_is_no_otlp_is_doubted(http: HttpReceiver) -> None:
    http.replies["traces"].append(Reply(200, b"<html>hello</html>", {"content-type": "text/html"}))
    sink = sink_for(http.url)
    sink.write(many(1))
    assert "is this the address of an OTLP receiver?" in sink.close().notes[0]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_dead_endpoint_costs_time_once_and_no_data(tmp_path: Path, protocol: str, http: HttpReceiver) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    sink = sink_for(url, tmp_path / "u", PROTOCOL=protocol, limits={"max_items": 10})
    spans = many(100)
    begin = time.monotonic()
    sink.write([*spans, POINT])
    with pytest.raises(SinkError, match=r"(?i)100 spans and 1 metric point could not be delivered.*connection"):
        sink.close()
    # One budget for traces, one for metrics, and not one for each of the eleven requests.
    assert time.monotonic() - begin < 2.5
    assert sink.report.undelivered == {"traces": 100, "metrics": 1}
    assert len(sink.report.undelivered_files) == 11
    with pytest.raises(SinkError, match="could not be delivered"):
        sink.close()

    again = sink_for(http.url)
    again.send_requests(read(tmp_path / "u"))
    assert again.close().delivered == {"traces": 100, "metrics": 1}
    assert sorted(span_names(http.got)) == sorted(names(spans))


def test_requests_that_are_sent_again_obey_the_size_limit_and_are_not_kept_twice(
    http: HttpReceiver, tmp_path: Path
) -> None:
    http.always["traces"] = Reply(400)
    first = sink_for(http.url, tmp_path / "u")
    first.write(many(30))
    with pytest.raises(SinkError):
        first.close()
    second = sink_for(http.url)
    second.send_requests(read(tmp_path / "u"))
    with pytest.raises(SinkError, match="still where they were read from"):
        second.close()
    assert len(list((tmp_path / "u").iterdir())) == 1
    http.always.clear()
    third = sink_for(http.url, limits={"max_bytes": 5_000})
    third.send_requests(read(tmp_path / "u"))
    assert third.close().delivered["traces"] == 30
    assert max(got.size for got in http.got) <= 5_000


def test_a_slow_receiver_slows_the_writer_and_not_the_memory(http: HttpReceiver) -> None:
    gate = threading.Event()
    plain = http.answer

    def slow(kind: str, body: bytes, headers: dict[str, str]) -> Reply:
        gate.wait(5)
        return plain(kind, body, headers)

    http.answer = slow  # type: ignore[method-assign]
    sink = sink_for(http.url, limits={"max_items": 1, "queue": 2})
    spans = many(8)
    done = threading.Event()

    def write() -> None:
        sink.write(spans)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not done.wait(0.1)
    assert sink._queue.qsize() == 2
    gate.set()
    writer.join()
    assert sink.close().delivered["traces"] == 8
    assert span_names(http.got) == names(spans)


def test_breaking_off_keeps_what_was_not_sent(http: HttpReceiver, tmp_path: Path) -> None:
    http.always["traces"] = Reply(503)
    sink = sink_for(http.url, tmp_path / "u", limits={"max_items": 2, "retry_seconds": 60, "retry_first": 60})
    sink.write(many(5))
    begin = time.monotonic()
    sink.abort()
    sink.abort()
    assert time.monotonic() - begin < 1
    assert sum(request.items for request in read(tmp_path / "u")) == 5


def test_when_nothing_can_be_kept_the_run_ends_at_once(http: HttpReceiver, tmp_path: Path) -> None:
    (tmp_path / "u").write_text("a file is in the way")
    http.always["traces"] = Reply(400)
    sink = sink_for(http.url, tmp_path / "u", limits={"max_items": 1})

    def write_for_ever() -> None:
        while True:
            sink.write(many(1))

    with pytest.raises(SinkError, match=r"takes nothing \(HTTP 400.*cannot be kept: .*u: File exists"):
        write_for_ever()
    with pytest.raises(SinkError, match="cannot be kept"):
        sink.close()
    assert not sink._thread.is_alive()


def test_a_defect_in_the_sender_is_told_to_the_writer(http: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = sink_for(http.url)

    def broken(_request: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(sink._delivery, "deliver", broken)
    sink.write(many(1))
    with pytest.raises(SinkError, match="not foreseen: ZeroDivisionError") as failure:
        sink.close()
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_a_hung_receiver_runs_into_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        sink = sink_for(url, tmp_path / "u", TIMEOUT="100")
        sink.write(many(1))
        with pytest.raises(SinkError, match=r"(?i)timed out"):
            sink.close()


def test_own_certificates_are_trusted_and_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(server)  # pyright: ignore[reportUnknownMemberType]
    server.verify_mode = ssl.CERT_REQUIRED
    ca, key, chain = tmp_path / "ca.pem", tmp_path / "key.pem", tmp_path / "chain.pem"
    authority.cert_pem.write_to_path(str(ca))
    client = authority.issue_cert("client")
    client.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
    with HttpReceiver(server) as receiver:
        known = {"CERTIFICATE": str(ca), "CLIENT_KEY": str(key), "CLIENT_CERTIFICATE": str(chain)}
        sink = sink_for(receiver.url, limits={}, **known)
        sink.write(many(2))
        assert sink.close().delivered["traces"] == 2
        stranger = sink_for(receiver.url, tmp_path / "u")
        stranger.write(many(2))
        with pytest.raises(SinkError, match="its certificate is not trusted"):
            stranger.close()
        nameless = sink_for(receiver.url, tmp_path / "u", CERTIFICATE=str(ca))
        nameless.write(many(2))
        with pytest.raises(SinkError, match="could not be delivered"):
            nameless.close()
    with pytest.raises(ConfigError, match=r"certificates cannot be used \(.*key\.pem\): expected PEM files"):
        sink_for("https://localhost", CERTIFICATE=str(key))


def test_a_proxy_of_the_environment_is_used(http: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", http.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sink = sink_for("http://receiver.invalid:4318")
    sink.write(many(2))
    assert sink.close().delivered["traces"] == 2
    assert http.got[0].headers["host"] == "receiver.invalid:4318"
    direct = sink_for(http.url)
    direct.write(many(2))
    direct.close()
    assert http.got[1].headers["host"] == f"127.0.0.1:{http.port}"


def test_the_wrong_protocol_is_told_at_once(http: HttpReceiver, rpc: GrpcReceiver, tmp_path: Path) -> None:
    begin = time.monotonic()
    for url, protocol, told in (
        (rpc.url, "http/protobuf", "it speaks HTTP/2, as gRPC does: try --protocol grpc"),
        (http.url, "grpc", "it speaks HTTP/1, not gRPC: try --protocol http/protobuf"),
    ):
        sink = sink_for(url, tmp_path / "u", PROTOCOL=protocol, limits={"retry_seconds": 60})
        sink.write(many(1))
        with pytest.raises(SinkError, match=told):
            sink.close()
    assert time.monotonic() - begin < 1


def interrupt(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_what_is_in_hand_when_the_run_is_interrupted_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is where a run waits that is faster than its receiver."""
    sink = sink_for(f"http://127.0.0.1:{unused_port()}", tmp_path, limits={"max_items": 2, "retry_seconds": 60})
    with monkeypatch.context() as patched:
        patched.setattr(sink, "_queue", type("Full", (), {"put": interrupt})())
        with pytest.raises(KeyboardInterrupt):
            sink.write([*many(7), POINT])
    sink.abort()
    assert sink.report.undelivered == {"traces": 7, "metrics": 1}
    assert sum(request.items for request in read(tmp_path)) == 8


def test_an_interrupt_while_the_rest_is_sent_waits_for_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_for(f"http://127.0.0.1:{unused_port()}", tmp_path, limits={"max_items": 2, "retry_seconds": 60})
    sink.write(many(7))
    with monkeypatch.context() as patched:
        patched.setattr(sink, "_ended", type("Interrupted", (), {"wait": interrupt})())
        with pytest.raises(KeyboardInterrupt):
            sink.close()
    sink.abort()
    assert sum(request.items for request in read(tmp_path)) == 7
