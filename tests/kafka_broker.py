"""A real Kafka broker for tests: Apache Kafka itself, from Maven Central, in a process of its own.

Its jars are fetched once, into the user's cache, and kept there. A test says::

    @pytest.fixture(scope="module")
    def broker() -> Iterator[KafkaBroker]:
        with kafka_broker() as broker:
            yield broker
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

VERSION = "4.1.0"
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sunbird-otel</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""
_FETCH_SECONDS, _START_SECONDS, _STOP_SECONDS = 600, 120, 30


class KafkaBroker:
    """One broker in KRaft mode with its data in ``folder``; it can be stopped and started again, on the same port."""

    def __init__(self, jars: Path, folder: Path) -> None:
        self._java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        self._folder = folder
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        port, controller = _free_ports(2)
        self.servers = f"127.0.0.1:{port}"
        self._port = port
        self._properties.write_text(
            "\n".join(
                [
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{controller}",
                    f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                    f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
                    "controller.listener.names=CONTROLLER",
                    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                    f"log.dirs={folder / 'data'}",
                    "num.partitions=2",
                    "offsets.topic.num.partitions=1",
                    "offsets.topic.replication.factor=1",
                    "transaction.state.log.replication.factor=1",
                    "transaction.state.log.min.isr=1",
                    "share.coordinator.state.topic.replication.factor=1",
                    "share.coordinator.state.topic.min.isr=1",
                    "group.initial.rebalance.delay.ms=0",
                    "",
                ]
            ),
            "utf-8",
        )
        identity = self._tool("random-uuid").strip().splitlines()[-1]
        self._tool("format", "-t", identity, "-c", str(self._properties))

    def start(self) -> None:
        """Start the broker and wait until it takes connections and knows itself."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._properties)], stdout=log, stderr=log, cwd=self._folder
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"Kafka did not start:\n{self._log.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the broker; its data stays."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def create_topic(self, name: str, *, partitions: int = 2, config: dict[str, str] | None = None) -> None:
        """Create a topic, and wait until it is there."""
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        # It must live until its answers have come.
        admin = AdminClient({"bootstrap.servers": self.servers})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        # Its futures are of nothing in particular, which a strict type checker does not take.
        for outcome in cast("Any", admin).create_topics([topic]).values():
            outcome.result(_STOP_SECONDS)

    def messages(self, topic: str, count: int, seconds: float = 30.0) -> list[tuple[bytes | None, bytes]]:
        """Return key and value of the messages of a topic: ``count`` of them, or what has come in that time.

        One look more tells whether there is a message too many.
        """
        from confluent_kafka import Consumer

        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"test-{time.monotonic_ns()}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        found: list[tuple[bytes | None, bytes]] = []
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                message = consumer.poll(0.5)
                if message is None:
                    if len(found) >= count:
                        break
                elif not message.error():
                    key, value = message.key(), message.value()
                    found.append((key if isinstance(key, bytes) else None, value if isinstance(value, bytes) else b""))
        finally:
            consumer.close()
        return found

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self._port)):
                return False
        try:
            return bool(AdminClient({"bootstrap.servers": self.servers}).list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    def _tool(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        if done.returncode:
            pytest.fail(f"Kafka's StorageTool failed:\n{done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def kafka_broker() -> Generator[KafkaBroker]:
    """Run a broker; skip the test where Kafka cannot be had, except in CI, where it must."""
    jars = kafka_jars()
    with tempfile.TemporaryDirectory(prefix="sunbird-otel-kafka-") as folder:
        broker = KafkaBroker(jars, Path(folder))
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()


def kafka_jars() -> Path:
    """Return the folder with Kafka's jars; fetch them when they are not in the cache yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sunbird-otel" / "kafka" / VERSION
    jars = cache / "lib"
    if not shutil.which("java"):
        _cannot("a Kafka broker needs Java 17 or newer (Debian: apt-get install default-jre-headless)")
    if jars.is_dir():
        return jars
    if not shutil.which("mvn"):
        _cannot("Kafka's jars are fetched with Maven (Debian: apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w", encoding="utf-8") as lock:
        # Two test processes may want it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            (cache / "pom.xml").write_text(_POM, "utf-8")
            fetched = cache / "fetched"
            shutil.rmtree(fetched, ignore_errors=True)
            command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
            done = subprocess.run(
                [*command, "-DincludeScope=runtime"],
                cwd=cache,
                capture_output=True,
                text=True,
                check=False,
                timeout=_FETCH_SECONDS,
            )
            if done.returncode:
                _cannot(f"Maven could not fetch Kafka {VERSION}:\n{done.stdout}{done.stderr}")
            fetched.rename(jars)
    return jars


def _cannot(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
