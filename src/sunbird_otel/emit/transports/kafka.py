"""Events straight to a Kafka topic, as Sunbird's own services write them: one event a message.

Needs the package ``confluent-kafka`` (``pip install 'sunbird-otel[kafka]'``), which is loaded when a transport is made.
"""

from __future__ import annotations

import ctypes
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from sunbird_otel.emit.transports._courier import Accepted, Answer, Busy, Denied, TooLarge
from sunbird_otel.emit.transports._queued import QueuedTransport
from sunbird_otel.emit.transports._settings import QueueSettings
from sunbird_otel.errors import ConfigError
from sunbird_otel.sinks._text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka import KafkaError, Producer

    from sunbird_otel.emit.transports._batch import Batch
    from sunbird_otel.emit.transports._settings import SpoolMode

_LIBRDKAFKA = logging.getLogger("sunbird_otel.emit.kafka")
_MAX_MESSAGE = 1_000_000
_GRACE = 1.0
_WAIT_FOR_ROOM = 0.1
_NOT_ALLOWED = frozenset({"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"})
_TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE"})


class KafkaTransport(QueuedTransport):
    """Writes events to ``topic``, one a message, with ``context.did`` as the key, or else ``mid``.

    >>> transport = KafkaTransport("broker-1:9092,broker-2:9092", "prod.telemetry.raw", spool="/var/spool/my-service")

    The producer is idempotent, so its own retries write nothing twice; what a broker has not confirmed within
    ``timeout`` seconds waits in the spool, or in memory, and is written again, so an event can arrive twice then: its
    ``mid`` tells. Queue, spool, overflow, fork and exit are as :class:`HttpTransport` has them.

    Args:
        servers: The brokers to begin with, ``host:port`` separated by commas.
        topic: Where to write: single events belong to ``{env}.telemetry.raw``.
        config: More settings of librdkafka (``security.protocol``, ``sasl.mechanisms`` ...); they win over ours.
        timeout: How many seconds a message may take to be confirmed.
        batch_size: How many events are handed over at once.
        flush_interval: How many seconds an event waits for others.
        queue_size: How many events may be in memory.
        spool: The folder for what could not be delivered.
        spool_mode: ``"on_failure"`` or ``"always"``.
        spool_bytes: How large the spool may grow; beyond it events stay in memory.
        retry_first: The pause after the first failure, in seconds; it doubles with each further one.
        retry_most: The longest pause between two tries.
        patience: How many seconds ``flush`` and ``close`` wait when they are given no time.

    Raises:
        ConfigError: An option cannot be used, or confluent-kafka is not installed.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: float = 10.0,
        batch_size: int = 1000,
        flush_interval: float = 1.0,
        queue_size: int = 20_000,
        spool: str | Path | None = None,
        spool_mode: SpoolMode = "on_failure",
        spool_bytes: int = 1 << 30,
        retry_first: float = 1.0,
        retry_most: float = 60.0,
        patience: float = 15.0,
    ) -> None:
        settings = QueueSettings(
            batch_size=batch_size,
            flush_interval=flush_interval,
            queue_size=queue_size,
            spool=Path(spool) if spool is not None else None,
            spool_mode=spool_mode,
            spool_bytes=spool_bytes,
            retry_first=retry_first,
            retry_most=retry_most,
            patience=patience,
        )
        super().__init__(
            f"Kafka ({servers}, {topic})", KafkaCourier(servers, topic, config=config, timeout=timeout), settings
        )


class KafkaCourier:
    """Produces batches to one topic and waits until each message is confirmed or given up.

    Raises:
        ConfigError: The producer cannot be made.
    """

    def __init__(self, servers: str, topic: str, *, config: Mapping[str, Any] | None, timeout: float) -> None:
        if not topic:
            raise ConfigError("the Kafka topic is empty; give one such as prod.telemetry.raw")
        self._topic = topic
        self._timeout = timeout
        self._config: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": "sunbird-otel",
            "enable.idempotence": True,
            "compression.type": "snappy",
            "linger.ms": 5,
            "message.timeout.ms": int(timeout * 1000),
            **(config or {}),
        }
        self._max_message = int(self._config.get("message.max.bytes", _MAX_MESSAGE))
        self._make, self._refusal = _producer_of(self._config)
        self._producer: Producer | None = self._make()

    def post(self, batch: Batch) -> Answer:
        """Produce all events of ``batch``; wait for what became of them."""
        if longest := next((line for line in batch.lines if len(line) > self._max_message), None):
            return TooLarge(f"an event of {len(longest):,} bytes; the producer takes {self._max_message:,}")
        if self._producer is None:
            self._producer = self._make()
        attempt = _Attempt(batch.lines)
        deadline = time.monotonic() + self._timeout + _GRACE
        try:
            for number, line in attempt.left.copy().items():
                self._produce(self._producer, line, attempt.told(number), deadline)
        except (self._refusal, BufferError) as error:
            attempt.reason = one_line(str(error))
        self._producer.flush(max(0.0, deadline - time.monotonic()))
        if any(error.fatal() for error in attempt.errors):
            # An idempotent producer that has lost its place cannot go on; a new one can.
            self._producer = None
        return attempt.answer()

    def close(self) -> None:
        """Let the producer go."""
        self._producer = None

    def forget(self) -> None:
        """Have a producer of our own from now on."""
        # The parent's must never be destroyed here: that waits for its threads, which did not come along.
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._producer = None

    def _produce(
        self, producer: Producer, line: bytes, told: Callable[[KafkaError | None, object], None], deadline: float
    ) -> None:
        while True:
            try:
                producer.produce(self._topic, value=line, key=_key(line), on_delivery=told)
            except BufferError:
                if time.monotonic() >= deadline:
                    raise
                producer.poll(_WAIT_FOR_ROOM)
            else:
                return


class _Attempt:
    """One try to deliver some lines: which of them are still ``left``, and the ``errors`` that were told."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.left = dict(enumerate(lines))
        self.errors: list[KafkaError] = []
        self.reason = "the brokers did not answer in time"
        self._count = len(lines)

    def told(self, number: int) -> Callable[[KafkaError | None, object], None]:
        """Return what the producer is to call with the outcome of a line."""

        def call(error: KafkaError | None, message: object) -> None:
            del message
            if error is None:
                self.left.pop(number, None)
            else:
                self.errors.append(error)

        return call

    def answer(self) -> Answer:
        """Return how it has ended."""
        if not self.left:
            return Accepted()
        names = {error.name() for error in self.errors}
        reason = one_line(self.errors[0].str()) if self.errors else self.reason
        if names & _NOT_ALLOWED:
            return Denied(reason, "check what our user is allowed to do")
        if len(self.left) < self._count:
            return Busy(reason, left=tuple(self.left.values()))
        return TooLarge(reason) if names & _TOO_LARGE else Busy(reason)


def _as_detail(record: logging.LogRecord) -> bool:
    """Lower what librdkafka logs: it repeats each second of an outage what we tell once."""
    record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
    return _LIBRDKAFKA.isEnabledFor(logging.DEBUG)


_LIBRDKAFKA.addFilter(_as_detail)


def _key(line: bytes) -> bytes | None:
    """Return what keeps the events of one device in order, or, as before Sunbird's preprocessor, what spreads them."""
    try:
        event: Any = orjson.loads(line)
        key: Any = event.get("context", {}).get("did") or event.get("mid")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return key.encode() if isinstance(key, str) and key else None


def _producer_of(config: dict[str, Any]) -> tuple[Callable[[], Producer], type[Exception]]:
    """Return what makes producers, and what they raise.

    Raises:
        ConfigError: confluent-kafka cannot be loaded.
    """
    try:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(
            f"KafkaTransport needs the package confluent-kafka, which cannot be loaded ({error}). "
            "Install it with: pip install 'sunbird-otel[kafka]'"
        ) from error

    def make() -> Producer:
        try:
            return Producer(config, logger=_LIBRDKAFKA)
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigError(f"the Kafka producer cannot be made: {one_line(str(error))}") from error

    return make, KafkaException
