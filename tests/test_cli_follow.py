"""``sunbird-otel replay --follow``: processes that read a file while it is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest
from command_line import PROGRAM, TIMEOUT, environment, lines, run, session, write
from otlp_receivers import HttpReceiver, Reply, span_names

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

STORY = session(touches=20)
SOON = ("--follow", "--lateness", "1s")
PENDING = (*SOON, "--pending", "--pending-after", "0s")


@contextmanager
def following(
    *arguments: str, cwd: Path, stdin: int | IO[bytes] | None = subprocess.DEVNULL
) -> Generator[subprocess.Popen[bytes]]:
    """Run ``sunbird-otel replay`` with these arguments beside the test; it is ended with the test."""
    with subprocess.Popen(
        [*PROGRAM, "replay", *arguments], cwd=cwd, env=environment(), stdin=stdin, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(done: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until ``done`` says so."""
    give_up = time.monotonic() + TIMEOUT
    while not done():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < give_up
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], by: signal.Signals = signal.SIGINT) -> str:
    """Stop a run, which must end well, and return what it wrote."""
    process.send_signal(by)
    told = process.communicate(timeout=TIMEOUT)[1].decode()
    assert process.returncode == 0, told
    return told


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


def names(path: Path) -> list[str]:
    """Return the names of the spans of a file, pending ones in brackets."""
    return [f"({span['name']})" if pending(span) else span["name"] for span in spans(path)]


def pending(span: dict[str, Any]) -> bool:
    return any(attribute["key"] == "sunbird.flow.pending" for attribute in span["attributes"])


def spans(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [
        span
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def made(path: Path) -> set[str]:
    """Return every span of a file that tells a flow, word for word."""
    return {json.dumps(span, sort_keys=True) for span in spans(path) if not pending(span)}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_well(by: signal.Signals, tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:-2])
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, *PENDING, "--output", "o", "--report", "report.json", cwd=tmp_path) as process:
        until(lambda: names(out) == ["(app)", "(session)"], process)
        told = stop(process, by)
    assert told.startswith("sunbird-otel: stopped; flows that are open are written as unfinished.")
    assert "2 drain" in told
    assert names(tmp_path / "o" / "traces.jsonl") == ["(app)", "(session)", "session", "app"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["events"]["translated"] == len(STORY) - 2
    assert report["events"]["held"] == report["flows"]["open"] == 0
    assert report["signals"]["spans"] == 4


def test_a_file_that_grows_gives_what_the_whole_file_gives(tmp_path: Path) -> None:
    text = lines(STORY)
    path = tmp_path / "telemetry.log"
    path.write_bytes(text[:1000])
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, *PENDING, "--output", "o", cwd=tmp_path) as process:
        until(lambda: names(out) == ["(app)"], process)
        for at in range(1000, len(text), 700):  # never a whole number of lines
            append(path, text[at : at + 700])
            time.sleep(0.02)
        # The last events have no later one to push them out: the clock does.
        until(lambda: names(out)[-2:] == ["session", "app"], process)
        stop(process)
    run("replay", path.name, "--output", "whole", cwd=tmp_path)
    assert made(tmp_path / "o" / "traces.jsonl") == made(tmp_path / "whole" / "traces.jsonl")


def test_a_rotated_and_a_cut_file(tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:3])
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, *PENDING, "--output", "o", "--report", "report.json", cwd=tmp_path) as process:
        until(lambda: names(out) == ["(app)", "(session)"], process)
        path.rename(tmp_path / "telemetry.log.1")
        append(tmp_path / "telemetry.log.1", lines(STORY[3:5]))
        large = {**STORY[-3], "mid": "INTERACT:large", "edata": {"type": "TOUCH", "id": "x" * 10_000, "pageid": "p"}}
        write(path, [*STORY[5:-2], large])
        time.sleep(2)  # what is written over before somebody looks is lost
        write(path, STORY[-2:])
        until(lambda: names(out)[2:] == ["session", "app"], process)
        stop(process)
    assert json.loads((tmp_path / "report.json").read_text())["events"]["translated"] == len(STORY) + 1


@pytest.mark.parametrize("source", ["fifo", "stdin"])
def test_a_pipe_is_read_until_its_writer_has_gone(source: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    out = tmp_path / "o" / "traces.jsonl.partial"
    name, stdin = ("fifo", subprocess.DEVNULL) if source == "fifo" else ("-", subprocess.PIPE)
    with following(name, *PENDING, "--output", "o", cwd=tmp_path, stdin=stdin) as process:
        writer = process.stdin or fifo.open("wb")
        with writer:
            writer.write(lines(STORY[:-1]))
            writer.flush()
            until(lambda: names(out) == ["(app)", "(session)"], process)
            writer.write(lines(STORY[-1:]))
        assert process.stderr is not None
        told = process.stderr.read().decode()
        assert process.wait(TIMEOUT) == 0, told
    assert "stopped" not in told
    assert names(tmp_path / "o" / "traces.jsonl") == ["(app)", "(session)", "session", "app"]


def test_a_fifo_to_which_nobody_writes_can_be_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with following("fifo", "--follow", "--output", "o", cwd=tmp_path) as process:
        until((tmp_path / "o").exists, process)
        time.sleep(1)
        stop(process)


def test_a_run_that_was_killed_and_its_repetition_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:-2])
    with HttpReceiver() as receiver:
        to = ("--endpoint", receiver.url)
        with following(path.name, *PENDING, *to, cwd=tmp_path) as process:
            until(lambda: span_names(receiver.got) == ["app", "session"], process)
            process.kill()
        append(path, lines(STORY[-2:]))
        with following(path.name, *PENDING, *to, cwd=tmp_path) as process:
            until(lambda: len(span_names(receiver.got)) >= 4, process)
            stop(process)
        sent = [
            span.SerializeToString(deterministic=True)
            for got in receiver.got
            for resource in got.message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    # Written at once, the second run sees the flows closed before they are old enough to be shown, or it shows them
    # again: word for word as before.
    assert len(set(sent)) == 4
    assert span_names(receiver.got)[-2:] == ["session", "app"]


def test_what_comes_late_is_counted_and_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:-2])
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, *PENDING, "--output", "o", "--report", "report.json", cwd=tmp_path) as process:
        until(lambda: names(out) == ["(app)", "(session)"], process)
        append(path, lines([{**STORY[3], "mid": "INTERACT:late", "ets": STORY[1]["ets"] + 1}]))
        time.sleep(2)
        stop(process)
    events = json.loads((tmp_path / "report.json").read_text())["events"]
    assert (events["late"], events["translated"]) == (1, len(STORY) - 1)


def test_the_receiver_sees_an_event_soon(tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY)
    with (
        HttpReceiver() as receiver,
        following(path.name, *SOON, "--endpoint", receiver.url, cwd=tmp_path) as process,
    ):
        until(lambda: sorted(span_names(receiver.got)) == ["app", "session"], process)
        stop(process)


def test_requests_are_passed_on_as_they_come(tmp_path: Path) -> None:
    write(tmp_path / "a.log", STORY)
    run("replay", "a.log", "--output", "first", cwd=tmp_path)
    first = tmp_path / "first" / "traces.jsonl"
    requests, told_in_one = first.read_bytes(), names(first)
    growing = tmp_path / "requests.jsonl"
    growing.touch()
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(growing.name, "--follow", "--output", "o", cwd=tmp_path) as process:
        until(out.exists, process)
        append(growing, requests)
        until(lambda: names(out) == told_in_one, process)
        append(growing, requests[:100])
        time.sleep(0.5)
        append(growing, requests[100:])
        until(lambda: names(out) == 2 * told_in_one, process)
        told = stop(process)
    assert told.startswith("sunbird-otel: stopped.\n")
    assert "requests.jsonl holds OTLP requests in place of events; passed on as they are: 2" in told
    assert not (tmp_path / "o" / "dead-letter.jsonl").read_bytes()


def test_followed_requests_are_kept_when_nobody_takes_them(tmp_path: Path) -> None:
    """The file that they were read from may be rotated away, or cut."""
    write(tmp_path / "a.log", STORY)
    run("replay", "a.log", "--output", "first", cwd=tmp_path)
    with HttpReceiver() as receiver:
        receiver.always["traces"] = Reply(400)
        to = ("--endpoint", receiver.url)
        with following("first/traces.jsonl", "--follow", *to, cwd=tmp_path) as process:
            until(lambda: list((tmp_path / "sunbird-otel.undelivered").glob("*.jsonl")), process)
            process.send_signal(signal.SIGTERM)
            told = process.communicate(timeout=TIMEOUT)[1].decode()
    assert process.returncode == 4, told
    (kept,) = (tmp_path / "sunbird-otel.undelivered").glob("*.jsonl")
    assert made(kept) == made(tmp_path / "first" / "traces.jsonl")


def test_that_nothing_is_telemetry_is_said_at_once_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text('{"level": "info"}\n{"level": "warning"}\n')
    with following(path.name, *SOON, "--output", "o", cwd=tmp_path) as process:
        assert process.stderr is not None
        first = process.stderr.readline().decode()
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=TIMEOUT)[1].decode()
    assert first.startswith("sunbird-otel: nothing in service.log could be read as telemetry so far: expected "), first
    assert process.returncode == 3, told
    assert "so far" not in told
    assert "nothing in service.log could be read as telemetry: expected " in told
    assert "2 refusals in all." in told


def test_telemetry_after_lines_of_another_kind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text('{"level": "info"}\n')
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, *SOON, "--output", "o", cwd=tmp_path) as process:
        assert process.stderr is not None
        assert b"so far" in process.stderr.readline()
        append(path, lines(STORY))
        until(lambda: names(out) == ["session", "app"], process)
        assert "could be read" not in stop(process)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["a.log", "b.log", "--follow"], 2, "--follow reads one input without an end; 2 are named."),
        (["a.log", "--follow", "--lateness", "all"], 2, "--lateness: expected a duration together with --follow"),
        (["a.log", "--pending"], 2, "--pending: only a run that follows its input can show flows"),
        (["a.log", "--follow", "--pending", "--policy", "reject"], 2, "--pending: under the policy reject"),
        (["a.log", "--follow", "--pending-after", "5s"], 2, "--pending-after: only a run with --pending shows"),
        (["a.log", "--follow", "--pending-after", "soon"], 2, "--pending-after: expected a whole number and a unit"),
        (["a.log.gz", "--follow"], 3, "a.log.gz is gzip, which cannot be followed. Replay it without --follow."),
        (["none", "--follow"], 3, "none: there is no such file."),
    ],
    ids=str,
)
def test_what_cannot_be_followed_is_said(arguments: list[str], code: int, told: str, tmp_path: Path) -> None:
    import gzip

    for name in ("a.log", "b.log"):
        write(tmp_path / name, STORY)
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(lines(STORY)))
    done = run("replay", *arguments, "--output", "o", cwd=tmp_path)
    assert (done.returncode, told in done.stderr.decode()) == (code, True), done.stderr.decode()


@pytest.mark.parametrize("command", ["view", "check"])
def test_other_commands_end_though_the_environment_says_follow(command: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", STORY)
    told = run(command, path.name, cwd=tmp_path, SUNBIRD_OTEL_FOLLOW="yes", SUNBIRD_OTEL_PENDING="yes")
    assert told.returncode == 0, told.stderr.decode()


def test_following_can_be_asked_for_in_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:-2])
    (tmp_path / "c.toml").write_text('follow = true\npending = true\npending-after = "0s"\nlateness = "1s"\n')
    out = tmp_path / "o" / "traces.jsonl.partial"
    with following(path.name, "--config", "c.toml", "--output", "o", cwd=tmp_path) as process:
        until(lambda: names(out) == ["(app)", "(session)"], process)
        stop(process)


def test_a_second_signal_stops_a_run_that_cannot_end(tmp_path: Path) -> None:
    """Nobody takes what the first signal wants to bring to its end."""
    path = write(tmp_path / "telemetry.log", STORY)
    with HttpReceiver() as receiver:
        receiver.always["traces"] = Reply(503)
        to = ("--endpoint", receiver.url, "--retry-for", "10m")
        with following(path.name, *SOON, *to, cwd=tmp_path) as process:
            until(lambda: receiver.calls, process)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            told = process.communicate(timeout=TIMEOUT)[1].decode()
    assert process.returncode == 143, told
    assert "stopped by SIGTERM" in told
    kept = [seen for file in (tmp_path / "sunbird-otel.undelivered").iterdir() for seen in spans(file)]
    assert sorted(span["name"] for span in kept) == ["app", "session"]
