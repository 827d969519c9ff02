"""What becomes of events when processes end, are killed, fork, and share a spool."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from telemetry_api import Reply, TelemetryApi, eventually, mids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = """
import os, resource, signal, sys, time
from sunbird_otel.emit.transports import HttpTransport

def transport(**options):
    options = {{"flush_interval": 0.05, "retry_first": 0.02, "retry_most": 0.05, **options}}
    return HttpTransport({url!r}, **options)

def event(number):
    return {{"eid": "HEARTBEAT", "mid": f"HEARTBEAT:{{number}}", "context": {{}}, "edata": {{}}}}

"""


@pytest.fixture
def api() -> Iterator[TelemetryApi]:
    with TelemetryApi() as api:
        yield api


def start(api: TelemetryApi, code: str) -> subprocess.Popen[str]:
    """Run code that has ``transport`` and ``event`` in a process of its own."""
    text = _HEAD.format(url=api.url) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", text], stdout=subprocess.PIPE, text=True)


def run(api: TelemetryApi, code: str) -> str:
    process = start(api, code)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


def test_the_end_of_the_interpreter_sends_what_is_left(api: TelemetryApi) -> None:
    run(api, "t = transport(flush_interval=60)\nfor n in range(5): t.send(event(n))")
    assert api.has_each_once(mids(*range(5)))


def test_an_exception_ends_it_as_well(api: TelemetryApi) -> None:
    process = start(api, "t = transport(flush_interval=60)\nt.send(event(1))\nraise SystemExit(3)")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert api.has_each_once(mids(1))


def test_a_hanging_api_delays_the_end_by_a_bounded_time(api: TelemetryApi, tmp_path: Path) -> None:
    api.always = Reply(hang=60, taken=False)
    begin = time.monotonic()
    run(api, f"t = transport(patience=0.5, timeout=60, spool={str(tmp_path)!r})\nfor n in range(5): t.send(event(n))")
    assert time.monotonic() - begin < 20
    api.always = Reply()
    run(api, f"t = transport(spool={str(tmp_path)!r})\nwhile t.stats.sent < 5: time.sleep(0.01)")
    assert api.has_each_once(mids(*range(5)))


@pytest.mark.parametrize("when", ["outage", "answering", "hanging"])
def test_kill_loses_nothing_that_was_given(api: TelemetryApi, tmp_path: Path, when: str) -> None:
    """With the spool before each try: the second run delivers the rest, each event once by message id."""
    trouble = {"outage": Reply(503), "answering": Reply(), "hanging": Reply(hang=60, taken=True)}
    api.always = trouble[when]
    process = start(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r}, spool_mode="always", batch_size=7)
        for number in range(100_000):
            t.send(event(number))
            os.write(1, b"%d\\n" % number)
            time.sleep(0.001)
        """,
    )
    assert process.stdout is not None
    for _ in range(150):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    given = 150 + len(process.stdout.readlines())
    process.communicate(timeout=60)

    api.always = Reply()
    api.released.set()
    run(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r})
        while [name for name in os.listdir({str(tmp_path)!r})]: time.sleep(0.01)
        """,
    )
    # The kill can come between an event and the line that tells it.
    assert len(api.mids) in (given, given + 1)
    assert api.has_each_once(mids(*range(len(api.mids))))


def test_two_processes_with_one_spool_send_nothing_twice(api: TelemetryApi, tmp_path: Path) -> None:
    api.always = Reply(503)
    run(api, f"t = transport(spool={str(tmp_path)!r}, batch_size=1)\nfor n in range(300): t.send(event(n))")
    assert not api.mids
    api.calls.clear()
    api.always = Reply()
    code = """
        t = transport(spool={spool!r})
        for number in range({first}, {first} + 100):
            t.send(event(number))
        while any(name.endswith(".jsonl") for name in os.listdir({spool!r})): time.sleep(0.01)
        t.flush()
        print(t.stats.sent)
    """
    both = [start(api, code.format(spool=str(tmp_path), first=first)) for first in (1000, 2000)]
    outs = [process.communicate(timeout=60)[0] for process in both]
    assert sum(int(out) for out in outs) == 500
    every = [mid for call in api.calls for mid in call.mids]
    assert sorted(every) == sorted(mids(*range(300), *range(1000, 1100), *range(2000, 2100)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["on_failure", "always"])
def test_a_fork_gives_each_process_its_own(api: TelemetryApi, tmp_path: Path, mode: str) -> None:
    """The child sends nothing of its parent's, in the middle of whatever the parent's threads were doing."""
    out = run(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r}, spool_mode={mode!r}, batch_size=10)
        children = []
        for number in range(500):
            t.send(event(number))
            if number % 100 == 50:
                pid = os.fork()
                if pid == 0:
                    assert t.stats == type(t.stats)(), t.stats
                    for own in range(5):
                        t.send(event(10_000 + number * 10 + own))
                    sys.exit(0)
                children.append(pid)
        print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
        assert t.flush(10)
        print(t.stats.sent)
        """,
    )
    assert out.splitlines() == ["[0, 0, 0, 0, 0]", "500"]
    own = [10_000 + parent * 10 + n for parent in (50, 150, 250, 350, 450) for n in range(5)]
    assert api.has_each_once(mids(*range(500), *own))
    assert len({call.msgid for call in api.calls}) == len(api.calls)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ends_leaves_the_spool_to_its_parent(api: TelemetryApi, tmp_path: Path) -> None:
    """The parent's lock must outlive the child's copy of it."""
    api.always = Reply(503)
    out = run(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r}, patience=1)
        t.send(event(1)); t.flush()
        pid = os.fork()
        if pid == 0:
            t.send(event(2)); sys.exit(0)
        os.waitpid(pid, 0)
        other = transport(spool={str(tmp_path)!r}, patience=1)
        other.flush(); time.sleep(0.3)
        print(sum(name.endswith(".lock") for name in os.listdir({str(tmp_path)!r})), t.stats.spooled)
        """,
    )
    assert out.split()[1] == "1"
    api.always = Reply()
    run(api, f"t = transport(spool={str(tmp_path)!r})\nwhile os.listdir({str(tmp_path)!r}): time.sleep(0.01)")
    assert api.has_each_once(mids(1, 2))


def test_workers_of_multiprocessing_send_what_is_left(api: TelemetryApi) -> None:
    run(
        api,
        """
        import multiprocessing
        t = transport(flush_interval=60)
        def work(number):
            t.send(event(number))
        workers = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(3)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        """,
    )
    assert api.has_each_once(mids(*range(3)))


@pytest.mark.parametrize("mode", ["on_failure", "always"])
def test_a_full_disk_loses_nothing_while_the_process_lives(api: TelemetryApi, tmp_path: Path, mode: str) -> None:
    """No file may grow beyond 300 bytes: what does not fit stays in memory until the API answers."""
    api.always = Reply(503)
    process = start(
        api,
        f"""
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
        t = transport(spool={str(tmp_path)!r}, spool_mode={mode!r}, batch_size=20, flush_interval=0.05)
        for number in range(60):
            t.send(event(number))
        time.sleep(0.3)
        print(t.stats, flush=True)
        while t.stats.sent < 60: time.sleep(0.01)
        print(t.stats)
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("TransportStats(sent=0, queued=60, dropped=0, spooled=0, failed=0")
    api.always = Reply()
    assert process.communicate(timeout=60)[0].startswith("TransportStats(sent=60, queued=0, dropped=0, spooled=0")
    assert process.returncode == 0
    assert api.has_each_once(mids(*range(60)))


def test_what_a_killed_process_left_is_sent_by_one_that_goes_on(api: TelemetryApi, tmp_path: Path) -> None:
    """A living process looks at the spool again when the API has recovered."""
    api.always = Reply(503)
    living = start(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r}, batch_size=1)
        t.send(event(1))
        while t.stats.recovered < 5: time.sleep(0.01)
        t.flush()
        """,
    )
    assert eventually(lambda: any(tmp_path.glob("*.jsonl")))
    dying = start(
        api,
        f"""
        t = transport(spool={str(tmp_path)!r}, spool_mode="always")
        for n in range(10, 15): t.send(event(n))
        print("given", flush=True)
        time.sleep(60)
        """,
    )
    assert dying.stdout is not None
    assert dying.stdout.readline() == "given\n"
    dying.kill()
    dying.communicate()
    api.always = Reply()
    living.communicate(timeout=60)
    assert living.returncode == 0
    assert api.has_each_once(mids(1, *range(10, 15)))


def test_a_signal_that_ends_the_process_amid_a_send_loses_nothing(api: TelemetryApi) -> None:
    """A handler that closes and exits, as services have it for SIGTERM."""
    process = start(
        api,
        """
        t = transport(flush_interval=60, batch_size=10)
        def end(*_):
            t.close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        for number in range(10_000_000):
            print(number, flush=True)
            for _ in range(20): pass
            t.send(event(number))
        """,
    )
    assert process.stdout is not None
    for _ in range(500):
        process.stdout.readline()
    process.terminate()
    process.stdout.read()
    process.communicate(timeout=60)
    assert process.returncode == 0
    # The last number may have been told, and its event not yet sent.
    assert len(api.mids) >= 499
    assert api.has_each_once(mids(*range(len(api.mids))))
