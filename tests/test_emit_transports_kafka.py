"""Events to a real Kafka broker, through an outage of it, a fork, and the end of the process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from kafka_broker import KafkaBroker, kafka_broker
from telemetry_api import event, eventually, mids

from sunbird_otel.emit.transports import KafkaTransport, TransportStats
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    with kafka_broker() as broker:
        yield broker


def mids_in(broker: KafkaBroker, topic: str, count: int) -> list[str]:
    return [json.loads(value)["mid"] for _, value in broker.messages(topic, count)]


@pytest.mark.slow
def test_events_arrive_once_in_the_order_of_their_device(broker: KafkaBroker) -> None:
    broker.create_topic("plain")
    transport = KafkaTransport(broker.servers, "plain")
    for number in range(2000):
        transport.send(event(number, did=f"d{number % 7}"))
    transport.send({"mid": "no device"})
    assert transport.flush()
    transport.close()
    assert transport.stats == TransportStats(sent=2001)

    messages = broker.messages("plain", 2001)
    events = [(key, json.loads(value)) for key, value in messages]
    assert Counter(e["mid"] for _, e in events) == Counter([*mids(*range(2000)), "no device"])
    assert all(key == e.get("context", {}).get("did", e["mid"]).encode() for key, e in events)
    for device in range(7):
        numbers = [e["ets"] for key, e in events if key == f"d{device}".encode()]
        assert numbers == sorted(numbers)


@pytest.mark.slow
def test_an_outage_is_bridged_by_the_spool(broker: KafkaBroker, tmp_path: Path) -> None:
    broker.create_topic("outage")
    transport = KafkaTransport(broker.servers, "outage", spool=tmp_path, timeout=2, retry_first=0.1, retry_most=1)
    for number in range(100):
        transport.send(event(number))
    assert transport.flush()
    broker.stop()
    for number in range(100, 200):
        transport.send(event(number))
    assert not transport.flush()
    assert transport.stats == TransportStats(sent=100, spooled=100)
    broker.start()
    assert eventually(lambda: transport.flush(1), 60)
    transport.close()
    assert transport.stats == TransportStats(sent=200)
    assert Counter(mids_in(broker, "outage", 200)) == Counter(mids(*range(200)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_too_large_is_set_aside_alone(broker: KafkaBroker, tmp_path: Path) -> None:
    """By the producer's limit, and by a topic's that is below it."""
    broker.create_topic("small", config={"max.message.bytes": "20000"})
    transport = KafkaTransport(
        broker.servers, "small", spool=tmp_path, retry_first=0.01, config={"compression.type": "none"}
    )
    for number, size in enumerate([10, 30_000, 10, 2_000_000, 10]):
        transport.send({**event(number), "edata": {"text": "x" * size}})
    assert eventually(lambda: transport.flush(1))
    transport.close()
    assert transport.stats == TransportStats(sent=3, failed=2)
    assert Counter(mids_in(broker, "small", 3)) == Counter(mids(0, 2, 4))
    refused = [json.loads(path.read_bytes())["mid"] for path in (tmp_path / "refused").glob("*.jsonl")]
    assert sorted(refused) == mids(1, 3)


@pytest.mark.slow
def test_a_fork_and_the_end_of_the_interpreter(broker: KafkaBroker) -> None:
    broker.create_topic("forked")
    code = textwrap.dedent(f"""
        import os, sys
        from sunbird_otel.emit.transports import KafkaTransport
        transport = KafkaTransport({broker.servers!r}, "forked", flush_interval=60)
        transport.send({{"mid": "HEARTBEAT:0"}})
        assert transport.flush()
        transport.send({{"mid": "HEARTBEAT:1"}})
        pid = os.fork()
        transport.send({{"mid": "HEARTBEAT:2" if pid else "HEARTBEAT:3"}})
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    assert Counter(mids_in(broker, "forked", 4)) == Counter(mids(0, 1, 2, 3))


def test_settings_that_librdkafka_refuses_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"the Kafka producer cannot be made: .*no\.such\.setting"):
        KafkaTransport("localhost:9092", "t", config={"no.such.setting": 1})
    with pytest.raises(ConfigError, match="the Kafka topic is empty"):
        KafkaTransport("localhost:9092", "")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigError, match=r"pip install 'sunbird-otel\[kafka\]'"):
        KafkaTransport("localhost:9092", "t")


def test_a_missing_broker_holds_up_nobody(tmp_path: Path) -> None:
    transport = KafkaTransport("127.0.0.1:1", "t", spool=tmp_path, timeout=60)
    transport.send(event(1))
    transport.close(0.1)
    assert transport.stats == TransportStats(spooled=1)
    assert [json.loads(p.read_bytes())["mid"] for p in tmp_path.glob("*.jsonl")] == mids(1)
