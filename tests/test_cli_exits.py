"""Every exit code with its sentence, from processes of their own: streams and signals count here."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command_line import PROGRAM, TIMEOUT, environment, lines, run, session, write

FULL_DEVICE = Path("/dev/full")

needs_full_device = pytest.mark.skipif(not FULL_DEVICE.exists(), reason="needs /dev/full, which Linux has")


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write(tmp_path / "events.jsonl", session())


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the standard error, which never holds a traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    return text


def test_0_done_and_nothing_on_the_standard_output(tmp_path: Path, events: Path) -> None:
    done = run("replay", str(events), "--output", "otlp", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "6 received, 6 translated, 0 duplicate, 0 rejected" in said(done)
    assert "\x1b" not in said(done)


def test_0_an_empty_file_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for command in (("replay", "empty", "--output", "otlp"), ("check", "empty"), ("view", "empty")):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 0
        assert "sunbird-otel: empty is empty." in said(done)


def test_0_an_empty_standard_input_with_a_note(tmp_path: Path) -> None:
    done = run("replay", "-", "--output", "otlp", cwd=tmp_path)
    assert done.returncode == 0
    assert "the standard input is empty" in said(done)


def test_0_an_empty_batch_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text('{"id": "api.telemetry", "events": []}')
    done = run("replay", "batch.json", "--output", "otlp", cwd=tmp_path)
    assert done.returncode == 0
    assert "batch.json holds no events." in said(done)


def test_1_check_found_something(tmp_path: Path) -> None:
    write(tmp_path / "events.jsonl", session()[:-1])
    assert run("check", "events.jsonl", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("replay",), "Missing argument"),
        (("replay", "x", "--foo"), "No such option"),
        (("frobnicate",), "No such command"),
        (("view", "x", "--limit", "0"), "--limit"),
        (("check", "x", "--format", "xml"), "--format"),
        (("replay", "x", "--policy", "foo"), "--policy: expected annotate, repair or reject; found 'foo'."),
        (("replay", "-", "-"), "can be read once only"),
        (("replay", "x", "--rules", "missing.toml"), "missing.toml"),
        (("replay", "x", "--output", "o", "--endpoint", "http://e"), "give one of them"),
        (("replay", "x", "--endpoint", "localhost:4318"), "Did you mean http://localhost:4318?"),
        (("replay", "x", "--report", "."), "--report: expected a file, found the folder ."),
        (("replay", "x", "--dead-letter", "."), "--dead-letter: expected a file, found the folder ."),
        (("view", "x", "--html", "."), "--html: expected a file, found the folder ."),
        (("view", "x", "--html", "p", "--report", "p"), "both name p"),
        (("view", "x", "--report", "-"), "--report -: the standard output holds the picture"),
        (("check", "x", "--report", "-"), "--report -: the standard output holds the findings"),
        (("rules", "check", "missing.toml"), "missing.toml"),
        (("rules", "check"), "Missing argument"),
    ],
)
def test_2_usage(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert sentence in said(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("replay", "--output", "otlp"), ("view",), ("check",)])
def test_3_missing_files_and_folders_while_the_others_are_read(
    tmp_path: Path, events: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "folder").mkdir()
    done = run(*command, "missing", "folder", str(events), cwd=tmp_path)
    assert done.returncode == 3
    assert "missing: there is no such file" in said(done)
    assert "folder is a directory" in said(done)
    if command[0] == "replay":
        assert "6 received, 6 translated" in said(done)


def test_3_a_truncated_gzip_after_what_stands_before_the_cut(tmp_path: Path) -> None:
    whole = gzip.compress(lines([event for number in range(50) for event in session(number, touches=20)]))
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    done = run("replay", "cut.gz", "--output", "otlp", "--report", "-", "-q", cwd=tmp_path)
    assert done.returncode == 3
    assert "cut.gz: the gzip data end too early" in said(done)
    counts = json.loads(done.stdout)["events"]
    assert counts["translated"] > 100
    assert run("check", "cut.gz", cwd=tmp_path).returncode == 3
    assert run("view", "cut.gz", cwd=tmp_path).returncode == 3


def test_3_garbage_is_no_telemetry(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 20)
    for command in (("replay", "garbage", "--output", "otlp"), ("view", "garbage")):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 3
        assert "nothing in garbage could be read as telemetry: expected" in said(done)
    assert run("check", "garbage", cwd=tmp_path).returncode == 1


def test_0_a_file_of_refused_events_is_telemetry(tmp_path: Path) -> None:
    broken = {**session()[0], "ets": "yesterday"}
    write(tmp_path / "events.jsonl", [broken])
    done = run("replay", "events.jsonl", "--output", "otlp", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 refused, kept in" in said(done)
    assert len((tmp_path / "otlp" / "dead-letter.jsonl").read_bytes().splitlines()) == 1


def test_3_a_closed_standard_input(tmp_path: Path) -> None:
    done = in_shell("replay - --output otlp <&-", tmp_path)
    assert done.returncode == 3
    assert "standard input is closed" in said(done)


def test_a_fifo_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=fifo.write_bytes, args=(lines(session()),), daemon=True).start()
    done = run("replay", "fifo", "--output", "otlp", cwd=tmp_path)
    assert done.returncode == 0
    assert "6 received, 6 translated" in said(done)


def test_4_nobody_answers(tmp_path: Path, events: Path) -> None:
    done = run("replay", str(events), "--endpoint", "http://127.0.0.1:9", "--retry-for", "0s", cwd=tmp_path)
    assert done.returncode == 4
    assert "2 spans could not be delivered to http://127.0.0.1:9/v1/traces" in said(done)
    assert "sunbird-otel replay sunbird-otel.undelivered/*.jsonl" in said(done)
    assert len(list((tmp_path / "sunbird-otel.undelivered").glob("*.jsonl"))) == 1


def test_4_the_output_folder_cannot_be_made(tmp_path: Path, events: Path) -> None:
    done = run("replay", str(events), "--output", f"{events}/otlp", cwd=tmp_path)
    assert done.returncode == 4
    assert "the output folder" in said(done)


def test_4_wins_over_3(tmp_path: Path, events: Path) -> None:
    done = run("replay", "missing", str(events), "--endpoint", "http://127.0.0.1:9", "--retry-for", "0s", cwd=tmp_path)
    assert done.returncode == 4


@needs_full_device
@pytest.mark.parametrize(
    "command", ["view events.jsonl", "view events.jsonl --html -", "rules", "replay events.jsonl -o o --report -"]
)
def test_4_the_standard_output_is_full(tmp_path: Path, events: Path, command: str) -> None:
    with FULL_DEVICE.open("wb") as full:
        done = run(*command.split(), cwd=tmp_path, stdout=full)
    assert done.returncode == 4
    assert "the standard output could not be written: No space left on device." in said(done)


@needs_full_device
def test_4_the_disk_is_full_for_what_is_kept(tmp_path: Path, events: Path) -> None:
    broken = write(tmp_path / "broken.jsonl", [{**session()[0], "ets": "yesterday"}])
    full = str(FULL_DEVICE)
    done = run("replay", str(broken), "--output", "o", "--dead-letter", full, cwd=tmp_path)
    assert done.returncode == 4
    assert f"the dead-letter file {full} cannot be written" in said(done)
    done = run("replay", str(events), "--output", "o", "--report", full, cwd=tmp_path)
    assert done.returncode == 4
    assert f"the report could not be written to {full}: No space left on device." in said(done)
    done = run("view", str(events), "--html", full, cwd=tmp_path)
    assert done.returncode == 4
    assert f"the page could not be written to {full}" in said(done)


@pytest.mark.parametrize(
    "command", ["view events.jsonl", "check events.jsonl", "rules", "replay events.jsonl -o o --report -"]
)
def test_4_the_standard_output_is_closed_and_needed(tmp_path: Path, events: Path, command: str) -> None:
    done = in_shell(f"{command} >&-", tmp_path)
    assert done.returncode == 4
    assert "the standard output is closed" in said(done)


def test_0_closed_streams_that_are_not_needed(tmp_path: Path, events: Path) -> None:
    assert in_shell("replay events.jsonl -o o >&- 2>&- <&-", tmp_path).returncode == 0
    written = {"traces.jsonl", "metrics.jsonl", "logs.jsonl", "dead-letter.jsonl"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == written


@needs_full_device
def test_a_full_standard_error_changes_nothing(tmp_path: Path, events: Path) -> None:
    done = in_shell("replay events.jsonl -o o 2>/dev/full", tmp_path)
    assert done.returncode == 0


def test_a_broken_pipe_is_quiet(tmp_path: Path) -> None:
    broken = [{**event, "ver": 7} for number in range(200) for event in session(number, touches=20)]
    write(tmp_path / "events.jsonl", broken)
    script = "set -o pipefail; {} | head -1 >/dev/null"
    for command in ("check events.jsonl", "check events.jsonl --format json", "view events.jsonl --show-events"):
        done = in_shell(command, tmp_path, script)
        assert (done.returncode, said(done)) == (141, "")


def test_whoever_closes_the_pipe_does_not_want_the_report(tmp_path: Path, events: Path) -> None:
    done = in_shell("replay events.jsonl -o o -q --report -", tmp_path, "set -o pipefail; {} | true")
    assert (done.returncode, said(done)) == (0, "")


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_signals_stop_a_run_that_says_what_it_did(tmp_path: Path, number: int, code: int, name: str) -> None:
    """What was open is not drained: half a session must not look like a whole one."""
    process = subprocess.Popen(
        [*PROGRAM, "replay", "-", "--output", "otlp", "--report", "report.json"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(lines(session()))
    process.stdin.flush()
    wait_for(tmp_path / "otlp" / "traces.jsonl.partial")
    time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=TIMEOUT)
    text = err.decode()
    assert process.returncode == code
    assert f"stopped by {name}; flows that were open are not in the output." in text
    assert "Traceback" not in text
    events = json.loads((tmp_path / "report.json").read_text())["events"]
    assert events["received"] == 6
    assert events["translated"] + events["held"] == 6
    assert not (tmp_path / "otlp" / "traces.jsonl").exists()


def test_a_signal_stops_a_check_quietly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "check", "-"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"no telemetry\n" * 10_000)
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err.decode()) == (143, "sunbird-otel: stopped by SIGTERM.\n")


def test_70_an_unexpected_error_asks_to_be_reported(tmp_path: Path) -> None:
    broken = (
        "import sunbird_otel.sources.files as files\n"
        "def read(*_, **__): raise ZeroDivisionError('by chance')\n"
        "files.read = read\n"
        "from sunbird_otel.cli import main\n"
        "main()\n"
    )

    def call(**variables: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", broken, "view", "x"],
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )

    done = call()
    assert done.returncode == 70
    assert "this is a defect of sunbird-otel, not of your telemetry: ZeroDivisionError: by chance." in said(done)
    assert "SUNBIRD_OTEL_DEBUG=1 sunbird-otel view" in said(done)
    done = call(SUNBIRD_OTEL_DEBUG="1")
    assert done.returncode == 70
    assert b"Traceback (most recent call last)" in done.stderr


def in_shell(command: str, cwd: Path, script: str = "{}") -> subprocess.CompletedProcess[bytes]:
    """Run the program under bash, which can close streams and join pipes; ``{}`` in the script is the command."""
    program = "sunbird_otel_here() { " + f"{sys.executable} -c '{PROGRAM[2]}'" + ' "$@"; }\n'
    return subprocess.run(
        ["bash", "-c", program + script.format(f"sunbird_otel_here {command}")],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )


def wait_for(path: Path) -> None:
    """Wait until the program has made a file, and so has begun."""
    give_up = time.monotonic() + TIMEOUT
    while not path.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
