"""``replay --workers N``: the same output from several processes, and how such a run ends, well or not."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from command_line import PROGRAM, TIMEOUT, environment, lines, run, session, write
from events import MOBILE, Event
from otlp_receivers import HttpReceiver, Reply

from sunbird_otel.cli import _worker
from sunbird_otel.cli._crew import Crew, WorkerFailed
from sunbird_otel.cli._settings import Settings
from sunbird_otel.sinks.otlp.files import FileSink

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")


def population(users: int = 60, touches: int = 20) -> list[Event]:
    """Return sessions of many users, one after the other, with something in it that is refused."""
    told = [event for number in range(users) for event in session(number, touches)]
    return [*told, {**told[5], "ets": "soon"}, told[7]]


def spans(folder: Path) -> Counter[bytes]:
    """Return the spans in a folder of output, each with its resource."""
    return Counter(
        orjson.dumps((resource["resource"], span))
        for line in (folder / "traces.jsonl").read_bytes().splitlines()
        for resource in orjson.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def replayed(
    cwd: Path, source: str, workers: int, *more: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    name = f"with-{workers}"
    given = ("--workers", str(workers), "--output", name, "--report", f"{name}.json", *more)
    return run("replay", source, *given, cwd=cwd, stdin=stdin)


@pytest.mark.parametrize("more", [(), ("--policy", "reject"), ("--lateness", "1h"), ("--memory", "20KB")])
def test_output_and_report_are_those_of_one(tmp_path: Path, more: tuple[str, ...]) -> None:
    write(tmp_path / "events.jsonl", population())
    for workers in (1, 2, 3):
        done = replayed(tmp_path, "events.jsonl", workers, *more)
        assert done.returncode == 0, done.stderr
    for workers in (2, 3):
        assert spans(tmp_path / f"with-{workers}") == spans(tmp_path / "with-1")
        assert (tmp_path / f"with-{workers}.json").read_bytes() == (tmp_path / "with-1.json").read_bytes()
        assert (
            files(tmp_path / f"with-{workers}")["dead-letter.jsonl"] == files(tmp_path / "with-1")["dead-letter.jsonl"]
        )


def test_the_same_input_and_number_make_the_same_files(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", population(200))
    found: list[dict[str, bytes]] = []
    for _ in range(2):
        assert replayed(tmp_path, "events.jsonl", 2).returncode == 0
        found.append(files(tmp_path / "with-2"))
    assert found[0] == found[1]
    assert set(found[0]) == {"traces.jsonl", "metrics.jsonl", "logs.jsonl", "dead-letter.jsonl"}


def test_what_a_worker_refuses_is_kept(tmp_path: Path) -> None:
    """A line that looks like an event is parsed by a worker first."""
    broken = lines(session(1)[:1]).replace(b" ", b"").replace(b'"edata":{', b'"edata":{"duration":NaN,')
    (tmp_path / "events.jsonl").write_bytes(lines(session()).replace(b" ", b"") + broken)
    for workers in (1, 2):
        assert replayed(tmp_path, "events.jsonl", workers).returncode == 0
    letters = files(tmp_path / "with-2")["dead-letter.jsonl"]
    assert letters == files(tmp_path / "with-1")["dead-letter.jsonl"]
    assert b"invalid_number" in letters


@pytest.mark.parametrize("events", [[], session()[:1]], ids=["empty", "one line"])
def test_hardly_anything(tmp_path: Path, events: list[Event]) -> None:
    write(tmp_path / "events.jsonl", events)
    assert replayed(tmp_path, "events.jsonl", 3).returncode == 0
    assert sum(spans(tmp_path / "with-3").values()) == len(events)


def test_gzip_and_standard_input(tmp_path: Path) -> None:
    told = lines(population())
    (tmp_path / "events.gz").write_bytes(gzip.compress(told))
    assert replayed(tmp_path, "events.gz", 1).returncode == 0
    assert replayed(tmp_path, "events.gz", 2).returncode == 0
    assert replayed(tmp_path, "-", 3, stdin=told).returncode == 0
    assert spans(tmp_path / "with-1") == spans(tmp_path / "with-2") == spans(tmp_path / "with-3")


def test_each_worker_sends_to_the_receiver(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", population())
    with HttpReceiver() as receiver:
        done = run("replay", "events.jsonl", "--workers", "2", "--endpoint", receiver.url, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "120 spans delivered" in done.stderr.decode()
        sent = sum(len(s.spans) for got in receiver.got for r in got.message.resource_spans for s in r.scope_spans)
        assert sent == 120
        assert len(receiver.got) == 2


def test_what_no_receiver_takes_is_kept_by_each_and_said(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", population())
    given = ("--endpoint", "http://127.0.0.1:9", "--retry-for", "0s")
    done = run("replay", "events.jsonl", "--workers", "2", *given, cwd=tmp_path)
    assert done.returncode == 4
    assert "120 spans undelivered" in done.stderr.decode()
    assert len(list((tmp_path / "sunbird-otel.undelivered").iterdir())) == 2


def test_requests_are_passed_on_by_the_parent(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", session())
    assert replayed(tmp_path, "events.jsonl", 1).returncode == 0
    done = run("replay", "with-1/traces.jsonl", "events.jsonl", "--workers", "2", "--output", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sum(spans(tmp_path / "again").values()) == 2 * sum(spans(tmp_path / "with-1").values())


# --- Ends that nobody wants --------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """Return the workers of a run, without the helper of Python's own that cleans up after them."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (status.parent / "cmdline").read_bytes():
                found.append(int(status.parent.name))
    return sorted(found)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, which Linux has")


class Running:
    """A run over a pipe that does not end by itself, with its workers."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        given = ("replay", "-", "--workers", "2", "--lateness", "1s", *arguments)
        self.process = subprocess.Popen(
            [*PROGRAM, *given], cwd=cwd, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + TIMEOUT
        while len(workers := children(self.process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.workers = workers

    def write(self, events: list[Event]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(lines(events))
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Wait for the end, of the workers too, and return the exit code and what was said."""
        _, errors = self.process.communicate(timeout=TIMEOUT)
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in self.workers):
            assert time.monotonic() < deadline, "no worker outlives the run"
            time.sleep(0.05)
        return self.process.returncode, errors.decode()


def wait_until_written(path: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@needs_proc
def test_a_worker_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    running = Running(tmp_path, "--output", "otlp")
    running.write(population(700))
    wait_until_written(tmp_path / "otlp" / "traces.jsonl.partial")
    os.kill(running.workers[1], signal.SIGKILL)
    code, said = running.end()
    assert code == 4
    assert "worker 2 of 2 was ended by SIGKILL" in said
    assert "Traceback" not in said
    assert not (tmp_path / "otlp" / "traces.jsonl").exists()


@needs_proc
@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.parametrize("whole_group", [False, True])
def test_signals_stop_a_run_and_its_workers(
    tmp_path: Path, number: signal.Signals, code: int, name: str, whole_group: bool
) -> None:
    running = Running(tmp_path, "--output", "otlp")
    running.write(population(700))
    wait_until_written(tmp_path / "otlp" / "traces.jsonl.partial")
    for worker in running.workers if whole_group else []:
        os.kill(worker, number)
    running.process.send_signal(number)
    found, said = running.end()
    assert found == code, said
    assert f"stopped by {name}" in said
    assert "Traceback" not in said
    assert not (tmp_path / "otlp" / "traces.jsonl").exists()


@needs_proc
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    running = Running(tmp_path, "--output", "otlp")
    running.process.kill()
    assert running.end() == (-signal.SIGKILL, "")


@needs_proc
def test_a_signal_keeps_what_was_on_its_way_to_a_receiver(tmp_path: Path) -> None:
    with HttpReceiver() as receiver:
        receiver.always["traces"] = Reply(503)
        running = Running(tmp_path, "--endpoint", receiver.url, "--undelivered", "kept")
        running.write(population(700))
        deadline = time.monotonic() + TIMEOUT
        while not receiver.calls:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        code, said = running.end()
    assert code == 143
    kept = list((tmp_path / "kept").glob("*-traces.jsonl"))
    assert kept
    assert re.search(r"[0-9,]+ spans undelivered", said)


def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", population(300))
    limited = (
        PROGRAM[0],
        "-c",
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); {PROGRAM[2]}",
    )
    done = subprocess.run(
        [*limited, "replay", "events.jsonl", "--workers", "2", "--output", "otlp"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == 4, said
    assert said.count("the file size limit of this process is reached") == 1
    assert not (tmp_path / "otlp" / "traces.jsonl").exists()


def test_an_error_of_a_worker_is_told_as_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own traceback goes with it, for those who ask."""
    sound = _worker.orders

    def unsound(*arguments: Any) -> Any:
        told = sound(*arguments)
        return told._replace(settings={**told.settings, "policy": "mend"})

    monkeypatch.setattr("sunbird_otel.cli._crew.orders", unsound)
    with pytest.raises(Exception, match="mend"):
        _deal_one(tmp_path / "known")

    def incomplete(*arguments: Any) -> Any:
        return sound(*arguments)._replace(settings={"output": ""})

    monkeypatch.setattr("sunbird_otel.cli._crew.orders", incomplete)
    with pytest.raises(WorkerFailed, match=r"KeyError: 'max' \(in worker [12]\)") as failed:
        _deal_one(tmp_path / "unknown")
    assert "Traceback" in failed.value.__notes__[0]


def _deal_one(folder: Path) -> None:
    crew = Crew(2, Settings(output=str(folder)), {}, FileSink(folder), undelivered=None, on_refused=lambda _: None)
    try:
        while True:  # it is known when a pipe breaks, or sooner
            crew.write([(False, [[], []])])
    finally:
        crew.abort()


@pytest.mark.slow
@needs_proc
def test_a_slow_receiver_holds_up_the_reading(tmp_path: Path) -> None:
    """No queue on the way grows without a bound: what is not taken stays in the pipe that is read."""
    users = [replace(MOBILE, did=f"device-{number}", sid=f"session-{number}") for number in range(50)]
    with HttpReceiver() as receiver:
        receiver.always["traces"] = Reply(503)
        running = Running(tmp_path, "--endpoint", receiver.url, "--retry-for", "1h")
        os.set_blocking(running.process.stdin.fileno(), False)  # type: ignore[union-attr]
        written, stuck, at = 0, 0.0, 0
        deadline = time.monotonic() + TIMEOUT
        while stuck < 5 and time.monotonic() < deadline:
            at += 3600
            chunk = lines([user.interact(at + number) for number, user in enumerate(users)])
            try:
                written += os.write(running.process.stdin.fileno(), chunk[: 1 << 15])  # type: ignore[union-attr]
                stuck = 0.0
            except BlockingIOError:
                time.sleep(0.25)
                stuck += 0.25
        assert stuck >= 5, "the reading stopped"
        running.process.send_signal(signal.SIGTERM)
        running.end()


def test_settings_that_exclude_each_other(tmp_path: Path) -> None:
    done = run("replay", "x", "--workers", "2", "--follow", cwd=tmp_path)
    assert done.returncode == 2
    assert "--workers: expected 1 together with --follow" in done.stderr.decode()
    assert run("replay", "x", "--workers", "0", cwd=tmp_path).returncode == 2


def test_a_crew_that_was_ended_can_be_ended_again(tmp_path: Path) -> None:
    folder = tmp_path / "otlp"
    crew = Crew(1, Settings(output=str(folder)), {}, FileSink(folder), undelivered=None, on_refused=lambda _: None)
    crew.abort()
    crew.abort()
