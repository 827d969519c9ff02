"""What one of several processes does: the flows of its share, and what becomes of them.

It obeys its parent alone. Ctrl-C does not reach it, since it was started with SIGINT blocked; SIGTERM is how the parent
breaks a run off. When the parent is gone, its pipe ends, and so does the worker.
"""

from __future__ import annotations

import signal
import traceback
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sunbird_otel._findings import Position
from sunbird_otel._limits import Limits
from sunbird_otel._rules import Rules
from sunbird_otel._share import Share
from sunbird_otel.cli._exits import Terminated
from sunbird_otel.cli._garbage import little_garbage
from sunbird_otel.cli._settings import Settings
from sunbird_otel.errors import SinkError, SunbirdOtelError
from sunbird_otel.sinks import SinkReport
from sunbird_otel.sinks.dead_letter import letter
from sunbird_otel.sinks.otlp.batch import Batcher, Full
from sunbird_otel.sinks.otlp.json import JsonForm
from sunbird_otel.sinks.otlp.network import OtlpSink
from sunbird_otel.sinks.otlp.settings import OtlpSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from multiprocessing.connection import Connection
    from types import FrameType

    from sunbird_otel._findings import Finding
    from sunbird_otel.sinks.otlp.written import Written

Message: TypeAlias = tuple[Any, ...]
"""A word and what belongs to it, as plain values: what crosses the pipes must not depend on how the core is built.

The parent writes ``round`` (whether late events may come, the entries), ``end`` (no more rounds) and ``close`` (the
newest time that any worker has seen). A worker answers each round, and each step of closing, with ``turn`` (kind and
number of signals of each request, lines to keep of what it refused), and the bytes of the requests follow, each alone:
inside a message they would be copied more often. It answers ``end`` with ``newest`` (a time); and last
it says ``done`` (counts, report, what stayed undelivered) or ``failed`` (counts, report, the class of the error, its
text, the traceback).
"""


class Orders(NamedTuple):
    """What a worker is told when it starts."""

    settings: dict[str, Any]
    """The fields of :class:`Settings`; ``max`` as a dictionary."""
    max_open_flows: int
    environ: dict[str, str]
    undelivered: str | None
    """The folder for what the receiver does not take; None when the parent writes the output."""


def orders(settings: Settings, workers: int, environ: dict[str, str], undelivered: Path | None) -> Orders:
    """Return the orders for one of ``workers`` workers."""
    plain = {field.name: getattr(settings, field.name) for field in fields(settings)}
    plain["max"] = {field.name: getattr(settings.max, field.name) for field in fields(settings.max)}
    folder = str(undelivered) if undelivered is not None else None
    return Orders(plain, -(-settings.max_open_flows // workers), environ, folder)


def work(inbox: Connection, outbox: Connection, told: Orders) -> None:
    """Do one worker's part of a run; the entry point of its process."""
    answers = _Answers(outbox)
    sink: _Handing | OtlpSink | None = None
    worker: _Worker | None = None
    try:
        sink = _sink(told)
        worker = _Worker(inbox, answers, told, sink)
        with little_garbage():
            worker.work()
    except BaseException as error:  # noqa: BLE001 - the rim of this process: the parent says it to people
        with suppress(Terminated):
            answers.stop_listening()
        answers.stop_listening()
        if sink is not None:
            sink.abort()
        accounts: tuple[dict[str, Any], dict[str, Any]] = worker.accounts() if worker is not None else ({}, {})
        # The parent may be gone; then nobody is left to be told.
        with suppress(OSError):
            answers.send("failed", *accounts, type(error).__name__, str(error), _trace(error))


def _trace(error: BaseException) -> str:
    return "" if isinstance(error, SunbirdOtelError) else "".join(traceback.format_exception(error)).rstrip()


class _Answers:
    """The way to the parent. A message is sent whole, or SIGTERM came before it."""

    def __init__(self, outbox: Connection) -> None:
        self._outbox = outbox
        self._sending = False
        self._stopped = False
        self._listening = True
        signal.signal(signal.SIGTERM, self._stop)

    def send(self, *message: Any, following: Iterable[bytes] = ()) -> None:
        self._sending = True
        try:
            self._outbox.send(message)
            for part in following:
                self._outbox.send_bytes(part)
        finally:
            self._sending = False
        if self._stopped and self._listening:
            raise Terminated

    def stop_listening(self) -> None:
        """Let nothing interrupt what is still to be said."""
        self._listening = False

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        again, self._stopped = self._stopped, True
        if self._listening and not self._sending and not again:
            raise Terminated


class _Handing:
    """A sink that makes requests for the parent to write."""

    def __init__(self) -> None:
        self.form = JsonForm()
        self.report = SinkReport()
        self._batcher = Batcher(self.form)
        self._full: list[Full] = []

    def write(self, signals: Sequence[Written]) -> None:
        self._full += self._batcher.add(signals)

    def take(self) -> list[Full]:
        """Return the requests that are full, once."""
        full, self._full = self._full, []
        return full

    def close(self) -> SinkReport:
        self._full += self._batcher.rest()
        return self.report

    def abort(self) -> None:
        self._full.clear()


def _sink(told: Orders) -> _Handing | OtlpSink:
    if told.settings["output"] is not None:
        return _Handing()
    otlp = OtlpSettings.from_environment(
        told.environ,
        endpoint=told.settings["endpoint"],
        protocol=told.settings["protocol"],
        retry_seconds=told.settings["retry_for"] / 1_000_000_000,
    )
    otlp = replace(otlp, max_bytes=told.settings["max"]["request_bytes"])
    return OtlpSink(otlp, undelivered=Path(told.undelivered) if told.undelivered is not None else None)


class _Worker:
    """The run of one worker."""

    def __init__(self, inbox: Connection, answers: _Answers, told: Orders, sink: _Handing | OtlpSink) -> None:
        plain: dict[str, Any] = {**told.settings, "max": Limits(**told.settings["max"])}
        settings = Settings(**plain)
        self._inbox = inbox
        self._answers = answers
        self._sink = sink
        self._refused: list[bytes] = []
        self._share: Share[Written] = Share(
            sink.form,
            rules=Rules.load(*settings.rules),
            policy=settings.policy,
            idle_gap=settings.idle_gap,
            trace_scope=settings.trace_scope,
            max_open_flows=told.max_open_flows,
            limits=settings.max,
            on_finding=self._keep,
        )

    def work(self) -> None:
        """Answer the parent until all is done."""
        word, *rest = self._inbox.recv()
        while word == "round":
            late_may_come, entries = rest
            self._sink.write(self._share.feed_dealt([_received(e) for e in entries], late_may_come=late_may_come))
            self._turn()
            word, *rest = self._inbox.recv()
        self._answers.send("newest", self._share.moved_ns)
        _, newest_ns = self._inbox.recv()
        for signals in self._share.rest_steps(newest_ns):
            self._sink.write(signals)
            self._turn()
        undelivered = ""
        try:
            self._sink.close()
        except SinkError as error:
            undelivered = str(error)
        self._turn()
        self._answers.stop_listening()
        self._answers.send("done", *self.accounts(), undelivered)

    def accounts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what has been counted, and what has become of the signals."""
        report = self._sink.report
        return self._share.tally.counts(), {each.name: getattr(report, each.name) for each in fields(report)}

    def _turn(self) -> None:
        requests = self._sink.take() if isinstance(self._sink, _Handing) else []
        refused, self._refused = self._refused, []
        heads = [(kind, items) for kind, _, items in requests]
        self._answers.send("turn", heads, refused, following=[body for _, body, _ in requests])

    def _keep(self, finding: Finding) -> None:
        if finding.refused:
            self._refused.append(letter(finding))


# --- What crosses the pipes --------------------------------------------------------------------------------------

_PLACE: Final = 3


def dealt(entries: list[Any]) -> list[Any]:
    """Return entries as they are sent."""
    return [
        entry
        if isinstance(entry[_PLACE], str)
        else (*entry[:_PLACE], _plain_position(entry[_PLACE]), *entry[_PLACE + 1 :])
        for entry in entries
    ]


def _received(entry: Any) -> Any:
    place = entry[_PLACE]
    if isinstance(place, str) or place is None:
        return entry
    return (*entry[:_PLACE], Position(*place), *entry[_PLACE + 1 :])


def _plain_position(position: Position | None) -> Message | None:
    return None if position is None else (position.source, position.line, position.index)
