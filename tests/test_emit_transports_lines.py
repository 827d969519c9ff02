"""The transports that write each event as a line at once: memory, standard output, file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from telemetry_api import event, mids

from sunbird_otel.emit.transports import FileTransport, MemoryTransport, StdoutTransport, TransportStats
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel.emit.transports import Transport


def lines(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def mids_in(*paths: Path) -> list[str]:
    return [line["mid"] for line in lines(*paths)]


def send_all(transport: Transport, first: int, last: int) -> None:
    for number in range(first, last):
        transport.send(event(number))


def test_memory_keeps_events_in_order_and_drops_them_once_closed() -> None:
    transport = MemoryTransport()
    send_all(transport, 0, 3)
    assert transport.flush()
    transport.close()
    send_all(transport, 3, 5)

    assert [e["mid"] for e in transport.events] == mids(0, 1, 2)
    assert transport.stats == TransportStats(sent=3, dropped=2)


def test_memory_loses_nothing_between_threads() -> None:
    transport = MemoryTransport()
    threads = [threading.Thread(target=send_all, args=(transport, 0, 500)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert transport.stats.sent == len(transport.events) == 4000


def test_stdout_prints_a_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    transport = StdoutTransport()
    transport.send(event(1, name="ಕನ್ನಡ"))
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out.count("\n") == 1
    assert json.loads(out) == event(1, name="ಕನ್ನಡ")


def test_a_broken_output_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    transport = StdoutTransport(Broken())
    send_all(transport, 0, 3)
    transport.close()
    assert transport.stats == TransportStats(failed=3)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float, {"deep": {"deeper": {3}}}], ids=["set", "object", "type", "deep"]
)
def test_what_is_no_json_is_counted_and_never_raised(value: object, tmp_path: Path) -> None:
    transport = FileTransport(tmp_path / "events.jsonl")
    transport.send({"edata": value})
    transport.send(event(1))
    transport.close()
    assert mids_in(transport.path) == mids(1)
    assert transport.stats == TransportStats(sent=1, failed=1)


def test_what_only_other_encoders_refuse_is_written(tmp_path: Path) -> None:
    """Integers of any size, and halves of surrogate pairs as broken clients send them."""
    transport = FileTransport(tmp_path / "events.jsonl")
    transport.send({"mid": "m", "big": 2**80, "half": "\ud800"})
    transport.close()
    assert lines(transport.path) == [{"mid": "m", "big": 2**80, "half": "\ud800"}]


def test_file_is_appended_to_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    for number in range(2):
        transport = FileTransport(path)
        transport.send(event(number))
        assert transport.flush()
        transport.close()
        transport.close()
    assert mids_in(path) == mids(0, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"mid":"cut')
    transport = FileTransport(path)
    transport.send(event(1))
    transport.close()
    assert json.loads(path.read_bytes().splitlines()[1])["mid"] == "HEARTBEAT:1"


def test_file_rotates_by_size(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    transport = FileTransport(path, rotate_bytes=1000)
    send_all(transport, 0, 20)
    transport.close()
    rotated = sorted(tmp_path.glob("events.jsonl.*"), key=lambda p: int(p.suffix[1:]))
    assert len(rotated) >= 3
    assert all(file.stat().st_size <= 1000 for file in [*rotated, path])
    assert mids_in(*rotated, path) == mids(*range(20))


def test_a_rotation_size_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rotate_bytes is 0"):
        FileTransport(tmp_path / "x", rotate_bytes=0)


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    """As logrotate does it."""
    now = 0.0
    path = tmp_path / "events.jsonl"
    transport = FileTransport(path, monotonic=lambda: now)
    transport.send(event(0))
    path.rename(tmp_path / "old")
    transport.send(event(1))
    now = 2.0
    transport.send(event(2))
    transport.close()
    assert mids_in(tmp_path / "old") == mids(0, 1)
    assert mids_in(path) == mids(2)


def test_a_full_disk_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    transport = FileTransport("/dev/full")
    send_all(transport, 0, 3)
    transport.close()
    assert transport.stats == TransportStats(failed=3)
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry events cannot be written to /dev/full: [Errno 28] No space left on device"
    ]


def test_an_output_that_is_no_file_can_be_flushed() -> None:
    transport = FileTransport("/dev/null")
    transport.send(event(0))
    assert transport.flush()
    transport.close()
    assert transport.stats == TransportStats(sent=1)


@pytest.mark.parametrize("rotate", ["None", "20_000"])
def test_two_processes_share_a_file(tmp_path: Path, rotate: str) -> None:
    """Each line stays whole, also while the file is being rotated by either."""
    path = tmp_path / "events.jsonl"
    code = textwrap.dedent(f"""
        import sys
        from sunbird_otel.emit.transports import FileTransport
        transport = FileTransport({str(path)!r}, rotate_bytes={rotate})
        for number in range(400):
            transport.send({{"mid": f"{{sys.argv[1]}}:{{number}}", "edata": {{"text": "x" * (number % 300)}}}})
        transport.close()
    """)
    runs = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [run.wait(60) for run in runs] == [0, 0]
    found = mids_in(*[p for p in tmp_path.iterdir() if p.suffix != ".lock"])
    assert sorted(found) == sorted(f"{name}:{number}" for name in "ab" for number in range(400))
