"""Several processes as one sink: what stands between the divider and where the output goes.

The main thread deals the rounds out, and waits where a worker's pipe is full. One thread of the crew's own takes the
answers, and waits where it is the turn of a worker that is behind: so memory stays bounded from the sink to the source.
Answers are taken turn by turn, always in the order of the workers, so that the same input makes the same files.

Workers are started afresh (``spawn``), on every system, not forked: there may be threads by then (the progress bar's, a
sink's), and a fork would hold the other workers' pipes open, so that none would see the end of another.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import signal
import threading
from collections import deque
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Final

from sunbird_otel._tally import Tally
from sunbird_otel.cli._exits import Terminated
from sunbird_otel.cli._worker import Message, dealt, orders, work
from sunbird_otel.errors import ConfigError, RuleError, SinkError
from sunbird_otel.sinks import SinkReport
from sunbird_otel.sinks.otlp.files import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from sunbird_otel._divide import Round
    from sunbird_otel.cli._settings import Settings
    from sunbird_otel.sinks.otlp.network import OtlpSink
    from sunbird_otel.sinks.otlp.request import Request

_PIPE_BYTES: Final = 1 << 20
"""What a pipe may hold; where this cannot be asked for it holds less, and a worker waits more often."""

_AHEAD: Final = 8
"""Turns by which the answers of a worker may be ahead of those of another."""

_PATIENCE: Final = 10.0
"""Seconds that a worker has to end when a run was broken off."""

_ERRORS: Final[dict[str, type[Exception]]] = {each.__name__: each for each in (ConfigError, RuleError, SinkError)}


class WorkerFailed(Exception):  # noqa: N818 - it reads as a sentence in the message for people
    """A worker met an error that nobody foresaw."""


class _Worker:
    """A worker as its parent sees it."""

    def __init__(self, number: int, process: SpawnProcess, inbox: Connection, answers: Connection) -> None:
        self.number = number
        self.process = process
        self.inbox = inbox
        self.answers = answers
        self.turns: deque[Message] = deque()
        self.newest_ns: int | None = None
        self.done = False


class Crew:
    """Workers, as a sink of rounds.

    Args:
        workers: How many.
        settings: Those of the run.
        environ: The environment of the run.
        sink: Writes what the workers hand over, and what passes them by.
        undelivered: The folder for what a receiver does not take.
        on_refused: Is called with the line to be kept of each refusal, in a thread of the crew's.
    """

    def __init__(
        self,
        workers: int,
        settings: Settings,
        environ: Mapping[str, str],
        sink: FileSink | OtlpSink,
        *,
        undelivered: Path | None,
        on_refused: Callable[[bytes], None],
    ) -> None:
        self._sink = sink
        self._on_refused = on_refused
        self._lock = threading.Lock()  # the sink has two users
        self._failure: BaseException | None = None
        self._undelivered: list[str] = []
        self._reports: list[SinkReport] = []
        self._ended = False
        self._broken_off = False
        self._answered = threading.Condition()
        self.tally = Tally()
        """What the workers have counted, complete once they have ended."""
        told = orders(settings, workers, dict(environ), undelivered)
        self._workers: list[_Worker] = []
        try:
            for number in range(workers):
                self._workers.append(_start(number, told))
        except BaseException:
            self._kill()
            raise
        self._thread = threading.Thread(target=self._collect, name="sunbird-otel-crew", daemon=True)
        self._thread.start()

    @property
    def report(self) -> SinkReport:
        """What has become of the signals, as the sink says and, once they have ended, the workers."""
        merged = SinkReport()
        for report in (self._sink.report, *self._reports):
            merged.requests += report.requests
            for kind in ("delivered", "rejected", "skipped", "undelivered"):
                getattr(merged, kind).update(getattr(report, kind))
            merged.undelivered_files += report.undelivered_files
            for note in report.notes:
                merged.note(note)
        return merged

    def write(self, rounds: Sequence[Round]) -> None:
        """Deal rounds out; wait while a worker has no room.

        Raises:
            SinkError: The output cannot be written, or a worker is gone.
            WorkerFailed: A worker met an error that nobody foresaw.
        """
        for late_may_come, shares in rounds:
            for worker, entries in zip(self._workers, shares, strict=True):
                self._send(worker, "round", late_may_come, dealt(entries))

    def send_requests(self, requests: Iterable[Request]) -> None:
        """Pass requests on to the sink as they are.

        Raises:
            SinkError: As the sink's.
        """
        with self._lock:
            self._sink.send_requests(requests)

    def close(self) -> SinkReport:
        """Let the workers finish, then the sink.

        Raises:
            SinkError: As of :meth:`write`, or something stayed undelivered.
        """
        try:
            self._finish()
        except BaseException:
            self.abort()
            raise
        errors = list(dict.fromkeys(self._undelivered))
        try:
            self._sink.close()
        except SinkError as error:
            errors.append(str(error))
        if errors:
            raise SinkError("\n".join(errors))
        return self.report

    def _finish(self) -> None:
        for worker in self._workers:
            self._send(worker, "end")
        with self._answered:
            self._answered.wait_for(lambda: self._failure or all(w.newest_ns is not None for w in self._workers))
        newest_ns = max(worker.newest_ns or 0 for worker in self._workers)
        for worker in self._workers:
            self._send(worker, "close", newest_ns)
        self._thread.join()
        self._check()
        self._end()

    def abort(self) -> None:
        """End the workers, and leave the output as the sink leaves it when a run is broken off."""
        if self._ended:
            return
        self._broken_off = True
        for worker in self._workers:
            worker.process.terminate()
        self._thread.join(_PATIENCE)
        self._kill()
        self._thread.join()
        self._end()
        self._sink.abort()

    def _send(self, worker: _Worker, *message: Any) -> None:
        self._check()
        try:
            worker.inbox.send(message)
        except OSError:
            # It is gone. The thread that takes the answers learns why.
            self._thread.join()
            self._check()
            raise

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- In the crew's own thread --------------------------------------------------------------------------------

    def _collect(self) -> None:
        try:
            turns = self._turns()
            next(turns)
            while not all(worker.done for worker in self._workers):
                # Who is far ahead waits for the others, and feels it when its pipe is full.
                readable = [w for w in self._workers if not w.done and (len(w.turns) < _AHEAD or self._broken_off)]
                for ready in wait([worker.answers for worker in readable]):
                    self._take(next(worker for worker in readable if worker.answers is ready))
                next(turns)
        except BaseException as error:  # noqa: BLE001 - it belongs to the main thread
            self._failure = self._failure or error
            # So that nobody waits for them.
            self._kill()
        finally:
            with self._answered:
                self._answered.notify_all()

    def _take(self, worker: _Worker) -> None:
        try:
            word, *rest = worker.answers.recv()
            bodies = [worker.answers.recv_bytes() for _ in rest[0]] if word == "turn" else []
        except (EOFError, OSError):
            if not self._broken_off:
                raise self._loss(worker) from None
            worker.done = True
            return
        if word == "turn":
            if not self._broken_off:
                heads, refused = rest
                requests = [(kind, body, items) for (kind, items), body in zip(heads, bodies, strict=True)]
                worker.turns.append((requests, refused))
        elif word == "newest":
            with self._answered:
                (worker.newest_ns,) = rest
                self._answered.notify_all()
        else:
            counts, report, *rest = rest
            self.tally.add(counts)
            self._reports.append(SinkReport(**report))
            worker.done = True
            if word == "done":
                self._undelivered += [text for text in rest if text]
            elif not self._broken_off:
                raise _error(worker.number + 1, *rest)

    def _turns(self) -> Generator[None]:
        """Write the answers as far as they have come: one of the first worker, one of the second, and so on."""
        while True:
            for worker in self._workers:
                while not worker.turns and not worker.done:
                    yield
                if worker.turns:
                    self._write(*worker.turns.popleft())
            if all(worker.done and not worker.turns for worker in self._workers):
                yield

    def _write(self, requests: Any, refused: Any) -> None:
        for line in refused:
            self._on_refused(line)
        if requests and isinstance(self._sink, FileSink):
            with self._lock:
                self._sink.write_encoded(requests)

    def _loss(self, worker: _Worker) -> Exception:
        worker.process.join(_PATIENCE)
        code = worker.process.exitcode
        if code == -signal.SIGTERM:
            return Terminated()  # type: ignore[return-value]
        how = (
            f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
        )
        hint = " (the system may have run out of memory)" if code == -signal.SIGKILL else ""
        return SinkError(
            f"worker {worker.number + 1} of {len(self._workers)} {how}{hint}, and its part of the output is lost. "
            "Nothing was completed; run again, with fewer --workers if memory is short."
        )

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.kill()

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.join()
            with suppress(OSError):
                worker.inbox.close()
            worker.answers.close()
            worker.process.close()
        self._ended = True


def _start(number: int, told: Any) -> _Worker:
    context = multiprocessing.get_context("spawn")
    their_inbox, inbox = context.Pipe(duplex=False)
    answers, their_answers = context.Pipe(duplex=False)
    for pipe in (inbox, answers):
        # Linux can widen a pipe, and other systems lack the name.
        with suppress(AttributeError, OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    process = context.Process(
        target=work, args=(their_inbox, their_answers, told), name=f"sunbird-otel-worker-{number + 1}", daemon=True
    )
    # Ctrl-C reaches all processes of a terminal; what it means is decided here. A mask is inherited, and loses nothing.
    # Python's own helper comes first, since starting that takes the mask off.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # Only the worker's own ends may be open, so that each side sees the end of the other.
        their_inbox.close()
        their_answers.close()
    return _Worker(number, process, inbox, answers)


def _error(number: int, name: str, text: str, trace: str) -> BaseException:
    known = _ERRORS.get(name)
    if known is not None:
        return known(text)
    if name == Terminated.__name__:
        return Terminated()
    error = WorkerFailed(f"{name}: {text} (in worker {number})")
    error.add_note(trace)
    return error
