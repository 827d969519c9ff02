"""The file sink: complete files or none, the same bytes for the same signals, and clear words when the disk is full."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from span_factory import APP, BASE_NS, many

from sunbird_otel._signals import MetricPoint
from sunbird_otel.errors import SinkError
from sunbird_otel.sinks.otlp.files import LOCK_NAME, FileSink
from sunbird_otel.sinks.otlp.undelivered import read

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

NAMES = ["logs.jsonl", "metrics.jsonl", "traces.jsonl"]
POINT = MetricPoint(name="m", description="", unit="1", value=1, time_ns=BASE_NS, resource=APP, attributes={})


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_in_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    head = f"import sys; sys.path[:0] = {sys.path!r}\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False
    )


@contextmanager
def file_size_limit(size: int) -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_all_three_files_are_there_and_hold_what_was_written(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "new" / "out")
    spans = many(700)
    sink.write([*spans, POINT])
    report = sink.close()
    assert listing(sink.folder) == NAMES
    assert report.delivered == {"traces": 700, "metrics": 1}
    requests = list(read(sink.folder))
    assert [request.kind for request in requests] == ["metrics", *["traces"] * (report.requests - 1)]
    assert sum(request.items for request in requests) == 701
    assert max(request.items for request in requests) <= 512
    assert (sink.folder / "logs.jsonl").read_bytes() == b""
    assert sink.close() is report


def test_the_same_signals_make_the_same_bytes_however_they_come(tmp_path: Path) -> None:
    spans = many(600)
    one, two = FileSink(tmp_path / "one"), FileSink(tmp_path / "two")
    one.write(spans)
    for span in spans:
        two.write([span])
    one.close()
    two.close()
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_second_run_replaces_the_first_only_when_it_is_complete(tmp_path: Path) -> None:
    first = FileSink(tmp_path)
    first.write([*many(3), POINT])
    first.close()
    before = (tmp_path / "traces.jsonl").read_bytes()
    second = FileSink(tmp_path)
    second.write(many(600))
    assert (tmp_path / "traces.jsonl").read_bytes() == before
    second.close()
    assert (tmp_path / "traces.jsonl").read_bytes() != before
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_a_killed_run_leaves_no_complete_looking_file_and_locks_nobody_out(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    sink.write(many(3))
    sink.close()
    before = (tmp_path / "traces.jsonl").read_bytes()
    child = run_in_child(
        """
        import os, pathlib, signal
        from span_factory import many
        from sunbird_otel.sinks.otlp.files import FileSink
        sink = FileSink(pathlib.Path(sys.argv[1]))
        sink.write(many(600))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        str(tmp_path),
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert (tmp_path / "traces.jsonl").read_bytes() == before
    assert (tmp_path / "traces.jsonl.partial").stat().st_size > 0
    again = FileSink(tmp_path)
    again.write(many(3))
    again.close()
    assert listing(tmp_path) == NAMES
    assert (tmp_path / "traces.jsonl").read_bytes() == before


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    first = FileSink(tmp_path)
    with pytest.raises(SinkError, match="another run is writing to"):
        FileSink(tmp_path)
    first.write(many(3))
    first.close()
    FileSink(tmp_path).close()
    assert listing(tmp_path) == NAMES


def test_a_run_that_is_broken_off_changes_nothing_and_frees_the_folder(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    sink.write(many(600))
    sink.abort()
    assert not set(NAMES) & set(listing(tmp_path))
    assert LOCK_NAME not in listing(tmp_path)


def test_a_full_disk_is_told_with_what_was_written(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    spans = many(2_000)
    with file_size_limit(1_200_000), pytest.raises(SinkError) as failure:
        sink.write(spans)
    partial = tmp_path / "traces.jsonl.partial"
    text = str(failure.value)
    assert "the file size limit of this process is reached" in text
    assert f"traces.jsonl.partial ({partial.stat().st_size:,} bytes)" in text
    assert "Make room" in text
    # Whole lines only: they can be sent.
    assert sum(request.items for request in read(partial)) == sink.report.delivered["traces"] > 0
    with pytest.raises(SinkError, match="file size limit"):
        sink.write(spans)
    with pytest.raises(SinkError, match="file size limit"):
        sink.close()
    assert not (tmp_path / "traces.jsonl").exists()
    FileSink(tmp_path).close()


def test_no_space_left_is_told_in_those_words(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl.partial").symlink_to("/dev/full")
    sink = FileSink(tmp_path)
    with pytest.raises(SinkError, match="No space left on device"):
        sink.write(many(600))
    with pytest.raises(SinkError, match="No space left on device"):
        sink.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be used"):
        FileSink(tmp_path / "file")
    (tmp_path / "out" / "traces.jsonl.partial").mkdir(parents=True)
    with pytest.raises(SinkError, match="Is a directory"):
        FileSink(tmp_path / "out")
    assert LOCK_NAME not in listing(tmp_path / "out")


def test_requests_from_files_are_written_unchanged(tmp_path: Path) -> None:
    first = FileSink(tmp_path / "first")
    first.write([*many(20), POINT])
    first.close()
    second = FileSink(tmp_path / "second")
    second.send_requests(read(tmp_path / "first"))
    second.close()
    assert list(read(tmp_path / "second")) == list(read(tmp_path / "first"))
