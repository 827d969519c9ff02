"""The network sink: signals to an OTLP receiver.

Signals are encoded where they are written and sent by one thread of the sink's own, with a bounded queue between, so
that translating and sending overlap and a slow receiver slows the run down instead of filling the memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import Queue
from typing import TYPE_CHECKING

from sunbird_otel.errors import ConfigError, SinkError
from sunbird_otel.sinks._base import SinkReport
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.delivery import Delivery
from sunbird_otel.sinks.otlp.encode import ProtobufForm
from sunbird_otel.sinks.otlp.request import KINDS, Request, amount, limited
from sunbird_otel.sinks.otlp.undelivered import UndeliveredFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sunbird_otel._signals import Signal
    from sunbird_otel.sinks.otlp.request import Kind
    from sunbird_otel.sinks.otlp.settings import Destination, OtlpSettings
    from sunbird_otel.sinks.otlp.transport import Transport
    from sunbird_otel.sinks.otlp.written import Written


class OtlpSink:
    """Sends signals as ``settings`` say.

    What cannot be delivered is kept in the folder ``undelivered``; without one it is only counted, as fits requests
    that were read from files which still stand.

    Raises:
        ConfigError: When a certificate cannot be used, or gRPC is asked for and not installed.
    """

    def __init__(self, settings: OtlpSettings, *, undelivered: Path | None) -> None:
        self._settings = settings
        self.form = ProtobufForm()
        """How this sink wants signals written."""
        self._batcher = Batcher(self.form, max_items=settings.max_items, max_bytes=settings.max_bytes)
        self._folder = undelivered
        self._report = SinkReport()
        self._transports: dict[Kind, Transport] = {
            kind: _transport(destination) for kind, destination in settings.destinations.items()
        }
        self._stop = threading.Event()
        self._delivery = Delivery(
            settings,
            self._transports,
            self._report,
            UndeliveredFolder(undelivered) if undelivered is not None else None,
            monotonic=time.monotonic,
            wait=self._stop.wait,
        )
        self._queue: Queue[Request | None] = Queue(settings.queue)
        self._in_hand: deque[Request] = deque()  # an interrupt while the queue is full must not lose them
        self._crash: Exception | None = None
        self._closed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sunbird-otel-sender", daemon=True)
        self._thread.start()

    @property
    def report(self) -> SinkReport:
        """What has become of the signals so far; what still waits in the queue is not in it."""
        return self._report

    def write(self, signals: Sequence[Signal | Written]) -> None:
        """Take ``signals``; wait while the queue is full.

        Raises:
            SinkError: When nothing can be delivered and nothing kept.
        """
        self._put([Request(*full) for full in self._batcher.add(signals)])

    def send_requests(self, requests: Iterable[Request]) -> None:
        """Send requests that were read from files; those above the size limit go in parts.

        Raises:
            SinkError: When nothing can be delivered and nothing kept.
        """
        for request in requests:
            self._put(limited(request, self._settings.max_bytes))

    def flush(self) -> None:
        """Hand what is buffered to the sender.

        Raises:
            SinkError: When nothing can be delivered and nothing kept.
        """
        self._put([Request(*full) for full in self._batcher.rest()])

    def close(self) -> SinkReport:
        """Send the rest and wait for it, as long as an outage may last and the queue may take; then keep what is left.

        Raises:
            SinkError: When something stayed undelivered; the text names where it is kept.
        """
        if not self._closed:
            timeout = max(destination.timeout for destination in self._settings.destinations.values())
            try:
                self.flush()
            finally:
                self._end(self._settings.retry_seconds + timeout * (self._settings.queue + 1))
        if failure := self._failure():
            raise failure
        return self._report

    def abort(self) -> None:
        """Stop sending; what was written and not sent is kept as undelivered."""
        self._stop.set()
        if not self._closed:
            for request in [*self._in_hand, *(Request(*full) for full in self._batcher.rest())]:
                self._queue.put(request)
        self._end(0)

    def _put(self, requests: Iterable[Request]) -> None:
        self._in_hand.extend(requests)
        while self._in_hand:
            if failure := self._loss():
                raise failure
            self._queue.put(self._in_hand[0])
            self._in_hand.popleft()

    def _end(self, wait: float) -> None:
        if not self._closed:
            self._queue.put(None)
            self._closed = True
        # Not by joining: CPython 3.11 takes a thread for ended when its join was interrupted.
        self._ended.wait(wait)
        self._stop.set()
        self._ended.wait()
        for transport in self._transports.values():
            transport.close()

    def _work(self) -> None:
        # Never ends before the None: a writer waits for room in the queue.
        while (request := self._queue.get()) is not None:
            try:
                self._delivery.deliver(request)
            except Exception as error:  # noqa: BLE001  it belongs to the thread that writes
                self._crash = self._crash or error
        self._ended.set()

    def _loss(self) -> SinkError | None:
        """Return the error that ends a run at once: data that is neither delivered nor kept."""
        if self._crash is not None:
            error = SinkError(f"sending failed in a way that was not foreseen: {self._crash!r}")
            error.__cause__ = self._crash
            return error
        if self._delivery.lost:
            return SinkError(
                f"{self._address()} takes nothing ({self._delivery.last_failure}), and what it did not take cannot be "
                f"kept: {self._delivery.lost}. Make room and run again; the ids stay the same."
            )
        return None

    def _failure(self) -> SinkError | None:
        if loss := self._loss():
            return loss
        undelivered = self._report.undelivered
        what = " and ".join(
            amount(undelivered[kind], protocol.noun) for kind, protocol in KINDS.items() if undelivered[kind]
        )
        if not what:
            return None
        if self._folder is None:
            kept = "They are still where they were read from; send them again when it answers."
        else:
            kept = (
                f"They are kept in {self._folder} ({amount(len(self._report.undelivered_files), 'files')}). "
                f"Send them again with: sunbird-otel replay {self._folder}/*.jsonl"
            )
        return SinkError(
            f"{what} could not be delivered to {self._address()}: {self._delivery.last_failure.rstrip('.')}. {kept}"
        )

    def _address(self) -> str:
        return self._settings.destinations[self._delivery.last_kind].endpoint


def _transport(destination: Destination) -> Transport:
    if destination.protocol != "grpc":
        from sunbird_otel.sinks.otlp.over_http import HttpTransport  # noqa: PLC0415  not for gRPC

        return HttpTransport(destination)
    try:
        from sunbird_otel.sinks.otlp.over_grpc import GrpcTransport  # noqa: PLC0415  grpc may be missing
    except ImportError as error:
        raise ConfigError(
            f"the protocol grpc needs the package grpcio, which cannot be loaded ({error}). "
            "Install it, or use --protocol http/protobuf."
        ) from error
    return GrpcTransport(destination)
