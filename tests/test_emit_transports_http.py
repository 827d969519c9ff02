"""Events to a telemetry API that answers, fails, hangs and comes back."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from opentelemetry import context as otel_context
from telemetry_api import Reply, TelemetryApi, event, eventually, mids

from sunbird_otel.emit.transports import HttpTransport, TransportStats
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK: dict[str, Any] = {"flush_interval": 0.05, "retry_first": 0.02, "retry_most": 0.05, "patience": 10.0}


@pytest.fixture
def api() -> Iterator[TelemetryApi]:
    with TelemetryApi() as api:
        yield api


def transport_for(api: TelemetryApi | str, **options: Any) -> HttpTransport:
    return HttpTransport(api if isinstance(api, str) else api.url, **{**QUICK, **options})


def send(transport: HttpTransport, *numbers: int, **context: Any) -> None:
    for number in numbers:
        transport.send(event(number, **context))


def unused_url() -> str:
    """Return an address where nobody listens."""
    with TelemetryApi() as gone:
        return gone.url


def test_a_batch_is_what_the_api_expects(api: TelemetryApi) -> None:
    before = int(time.time() * 1000)
    transport = transport_for(api, token="secret", headers={"X-Extra": "1"})
    send(transport, 1, 2, 3)
    assert transport.flush()
    transport.close()

    (call,) = api.calls
    assert call.body.keys() == {"id", "ver", "params", "ets", "events"}
    assert (call.body["id"], call.body["ver"]) == ("api.sunbird.telemetry", "3.0")
    assert len(call.msgid) == 36
    assert before <= call.body["ets"] <= time.time() * 1000
    assert call.body["events"] == [event(1), event(2), event(3)]
    wanted = {
        "authorization": "Bearer secret",
        "content-type": "application/json",
        "content-encoding": "gzip",
        "x-app-id": "app1",
        "x-device-id": "d1",
        "x-channel-id": "ch1",
        "x-extra": "1",
    }
    assert wanted.items() <= call.headers.items()
    assert transport.stats == TransportStats(sent=3)


def test_headers_can_be_given_and_are_left_out_when_they_cannot_be_sent(api: TelemetryApi) -> None:
    transport = transport_for(api, app_id="mine", compress=False)
    send(transport, 1, did="d\r\nx-evil: 1", channel="ಕ")
    assert transport.flush()
    transport.close()
    (call,) = api.calls
    assert call.headers["x-app-id"] == "mine"
    assert {"x-device-id", "x-channel-id", "x-evil", "content-encoding"} & call.headers.keys() == set()


def test_a_token_can_be_asked_for_each_time(api: TelemetryApi) -> None:
    tokens = iter(["old", "new\n"])
    transport = transport_for(api, token=lambda: next(tokens))
    api.replies.append(Reply(401, b'{"message":"token expired"}'))
    send(transport, 1)
    assert transport.flush()
    transport.close()
    assert [call.headers["authorization"] for call in api.calls] == ["Bearer old", "Bearer new"]


def test_a_token_that_cannot_be_had_loses_nothing(api: TelemetryApi) -> None:
    answers: list[Exception | str] = [RuntimeError("vault is sealed"), "bad\nheader", "good"]

    def token() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = transport_for(api, token=token)
    send(transport, 1)
    assert transport.flush()
    transport.close()
    assert [call.headers["authorization"] for call in api.calls] == ["Bearer good"]


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(500, b'{"responseCode":"SERVER_ERROR","params":{"err":"x"}}'),
        Reply(503),
        Reply(429, headers={"retry-after": "0"}),
        Reply(200, b'{"responseCode":"SERVER_ERROR"}', taken=False),
        Reply(200, b"<html>Please log in</html>", {"content-type": "text/html"}, taken=False),
        Reply(403),
        Reply(404),
        Reply(302, headers={"location": "http://elsewhere.invalid/"}),
        Reply(silent=True, taken=False),
    ],
    ids=lambda reply: f"{reply.status}{'-silent' if reply.silent else ''}-{reply.body[:9].decode()}",
)
@pytest.mark.parametrize("spooled", [False, True])
def test_after_trouble_the_same_batch_is_sent_again(
    api: TelemetryApi, trouble: Reply, spooled: bool, tmp_path: Path
) -> None:
    api.replies += [trouble, trouble]
    transport = transport_for(api, spool=tmp_path / "spool" if spooled else None)
    send(transport, 1, 2)
    assert eventually(transport.flush)
    transport.close()
    assert [call.mids for call in api.calls] == [mids(1, 2)] * 3
    assert len({call.msgid for call in api.calls}) == 1
    assert transport.stats == TransportStats(sent=2)
    if spooled:
        assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"OK", b"{}", b"[]", b'{"responseCode":"OK"}'])
def test_every_success_is_one(api: TelemetryApi, body: bytes) -> None:
    api.replies.append(Reply(200, body))
    transport = transport_for(api)
    send(transport, 1)
    assert transport.flush()
    transport.close()
    assert transport.stats == TransportStats(sent=1)


@pytest.mark.parametrize(
    "reply", [Reply(400, b"bad channel"), Reply(200, b'{"responseCode":"CLIENT_ERROR"}', taken=False)]
)
def test_a_refused_batch_is_kept_with_the_answer(api: TelemetryApi, reply: Reply, tmp_path: Path) -> None:
    api.replies.append(reply)
    transport = transport_for(api, spool=tmp_path)
    send(transport, 1)
    assert transport.flush()
    send(transport, 2)
    transport.close()
    assert transport.stats == TransportStats(sent=1, failed=1)
    (answer,) = (tmp_path / "refused").glob("*.answer.txt")
    assert reply.body.decode() in answer.read_text("utf-8")
    assert len(api.calls) == 2


def test_retry_after_is_waited_for(api: TelemetryApi) -> None:
    api.replies.append(Reply(429, headers={"retry-after": "1"}))
    transport = transport_for(api)
    begin = time.monotonic()
    send(transport, 1)
    assert transport.flush()
    transport.close()
    assert time.monotonic() - begin >= 0.9


@pytest.mark.parametrize("spool_mode", ["on_failure", "always"])
def test_a_batch_that_is_too_large_arrives_in_parts(api: TelemetryApi, spool_mode: Any, tmp_path: Path) -> None:
    api.max_body = 1000
    transport = transport_for(api, spool=tmp_path, spool_mode=spool_mode)
    send(transport, *range(20))
    assert transport.flush()
    transport.close()
    assert api.has_each_once(mids(*range(20)))
    assert transport.stats == TransportStats(sent=20)


def test_after_an_outage_everything_arrives_once(tmp_path: Path) -> None:
    with TelemetryApi() as first:
        port, url = first.port, first.url
        transport = transport_for(url, spool=tmp_path, batch_size=5)
        send(transport, *range(10))
        assert transport.flush()
    send(transport, *range(10, 40))
    assert not transport.flush()
    assert transport.stats == TransportStats(sent=10, spooled=30)
    with TelemetryApi(port) as second:
        send(transport, *range(40, 50))
        assert eventually(transport.flush)
        transport.close()
        assert second.has_each_once(mids(*range(10, 50)))
    assert transport.stats == TransportStats(sent=50)
    assert list(tmp_path.iterdir()) == []


def test_what_one_run_could_not_send_the_next_one_does(api: TelemetryApi, tmp_path: Path) -> None:
    first = transport_for(unused_url(), spool=tmp_path)
    send(first, *range(7))
    first.close()
    assert first.stats == TransportStats(spooled=7)

    second = transport_for(api, spool=tmp_path)
    assert eventually(lambda: second.stats.sent == 7)
    second.close()
    assert second.stats == TransportStats(sent=7, recovered=7)
    assert api.has_each_once(mids(*range(7)))


def test_a_hanging_api_holds_up_nobody(api: TelemetryApi, tmp_path: Path) -> None:
    api.always = Reply(hang=60, taken=False)
    transport = transport_for(api, spool=tmp_path, batch_size=5, timeout=60)
    begin = time.monotonic()
    send(transport, *range(30))
    assert time.monotonic() - begin < 0.5
    assert not transport.flush(0.2)
    transport.close(0.2)
    assert time.monotonic() - begin < 3
    assert transport.stats == TransportStats(spooled=30)


def test_a_hanging_api_without_a_spool_costs_what_is_counted(
    api: TelemetryApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.always = Reply(hang=60, taken=False)
    transport = transport_for(api, batch_size=5, timeout=60)
    send(transport, *range(30))
    transport.close(0.2)
    assert transport.stats == TransportStats(failed=30)
    assert "30 telemetry events could not be sent" in caplog.text


def test_a_request_ends_when_its_time_is_up(api: TelemetryApi) -> None:
    api.replies.append(Reply(hang=60, taken=False))
    transport = transport_for(api, timeout=0.2)
    send(transport, 1)
    assert transport.flush(10)
    transport.close()
    assert transport.stats == TransportStats(sent=1)
    assert len({call.msgid for call in api.calls}) == 1


def test_a_full_queue_drops_the_newest_and_counts_it(api: TelemetryApi) -> None:
    api.always = Reply(hang=60)
    transport = transport_for(api, queue_size=10, batch_size=5, timeout=60)
    send(transport, *range(25))
    assert transport.stats == TransportStats(queued=10, dropped=15)
    api.always = Reply()
    api.released.set()
    assert transport.flush()
    transport.close()
    assert api.has_each_once(mids(*range(10)))


def test_many_threads_lose_nothing(api: TelemetryApi) -> None:
    transport = transport_for(api, batch_size=50)
    threads = [threading.Thread(target=send, args=(transport, *range(n * 200, n * 200 + 200))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert transport.flush()
    transport.close()
    assert api.has_each_once(mids(*range(1600)))


@pytest.mark.parametrize("spool_mode", ["on_failure", "always"])
def test_a_signal_handler_may_send_while_its_thread_is_sending(
    api: TelemetryApi, tmp_path: Path, spool_mode: Any
) -> None:
    transport = transport_for(api, spool=tmp_path, spool_mode=spool_mode)
    signals = iter(range(10_000, 10**9))
    sent: list[int] = []

    def handler(*_: object) -> None:
        number = next(signals)
        send(transport, number)
        sent.append(number)

    former = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        send(transport, *range(3000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert transport.flush()
    transport.close()
    assert sent
    assert api.has_each_once(mids(*range(3000), *sent))


def test_closed_is_closed(api: TelemetryApi) -> None:
    transport = transport_for(api)
    send(transport, 1)
    transport.close()
    transport.close()
    send(transport, 2)
    assert transport.flush()
    assert transport.stats == TransportStats(sent=1, dropped=1)
    assert len(api.calls) == 1


def test_what_cannot_be_encoded_is_counted(api: TelemetryApi) -> None:
    transport = transport_for(api)
    transport.send({"edata": object()})
    send(transport, 1)
    transport.close()
    assert transport.stats == TransportStats(sent=1, failed=1)


def test_the_interpreter_may_be_ending(api: TelemetryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on no thread can be started then: who closes does the work."""
    started = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "sunbird-otel-emitter":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    api.replies.append(Reply(503))
    transport = transport_for(api)
    send(transport, 1, 2)
    transport.close()
    assert transport.stats == TransportStats(sent=2)


def test_what_we_post_makes_no_spans(api: TelemetryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    from sunbird_otel.emit.transports.http import HttpCourier

    seen: list[object] = []
    post = HttpCourier.post

    def look(self: HttpCourier, batch: Any) -> Any:
        seen.append(otel_context.get_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY))
        return post(self, batch)

    monkeypatch.setattr(HttpCourier, "post", look)
    transport = transport_for(api)
    send(transport, 1)
    transport.close()
    assert seen == [True]


def test_certificates_of_ones_own(tmp_path: Path, api: TelemetryApi) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    HttpTransport("https://localhost/data/v3/telemetry", certificate=tmp_path / "ca.pem").close()
    with pytest.raises(ConfigError, match="the certificate cannot be used"):
        HttpTransport("https://localhost/data/v3/telemetry", certificate=tmp_path / "missing.pem")


@pytest.mark.parametrize("url", ["", "host/data", "ftp://host/data/v3/telemetry", "https://host", "https://host/"])
def test_an_address_that_cannot_be_right_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"expected one with http or https, a host and a path"):
        HttpTransport(url)


def test_a_log_handler_may_send_events_itself(api: TelemetryApi) -> None:
    """One that takes its lock before ours must not meet us coming the other way."""
    api.always = Reply(hang=60)
    transport = transport_for(api, queue_size=5, batch_size=5, timeout=60)

    class Telling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.001)
            transport.send(event(1, log=record.getMessage()))

    log = logging.getLogger("sunbird_otel.emit")
    handler = Telling()

    def tell() -> None:
        for _ in range(50):
            log.warning("something else")

    log.addHandler(handler)
    try:
        threads = [threading.Thread(target=call, daemon=True) for call in (lambda: send(transport, *range(100)), tell)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        log.removeHandler(handler)
    stats = transport.stats
    assert stats.queued == 5
    assert stats.dropped >= 145
    api.always = Reply()
    api.released.set()
    transport.close()
