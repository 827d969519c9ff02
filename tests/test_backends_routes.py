"""Each route to a backend brings everything, and `make backends` says so, or says that it does not."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import __main__ as table
from backends.programs import CannotBuildError, Program
from backends.replaying import DEMO
from backends.routes import ROUTES, Arrived, Route
from backends.spans import difference, seen_in

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_demo_arrives(backends: None, route: Route, project: Path, tmp_path: Path) -> None:
    files = [project / "examples" / "telemetry" / f"{name}.jsonl" for name in DEMO]
    result = route.run(files, tmp_path)
    assert result.fault == ""
    assert result.spans_found == result.spans_sent > 10
    assert result.events_found == result.events_sent > 0


def route_that(arrived: Arrived | Exception) -> Route:
    def run(files: Sequence[Path], folder: Path) -> Arrived:
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    return Route("a way", run)


def there(_: object) -> Path:
    return Path(sys.executable)


def run_table(monkeypatch: pytest.MonkeyPatch, *arrived: Arrived | Exception) -> int:
    found = Program("program", "1", "", "no time", lambda folder: folder)
    monkeypatch.setattr(Program, "find", there)
    monkeypatch.setattr(table, "collector", lambda: found)
    monkeypatch.setattr(table, "jaeger", lambda: found)
    monkeypatch.setattr(table, "ROUTES", [route_that(one) for one in arrived])
    monkeypatch.setattr(sys, "argv", ["backends"])
    monkeypatch.delenv("SUNBIRD_OTEL_CORPUS", raising=False)
    return table.main()


def test_the_table_shows_the_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_table(monkeypatch, Arrived(4000, 4000, 123, 123, "")) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if "a way" in line]
    assert row.split() == ["a", "way", "4,000", "4,000", "123", "123", "all", "there"]


def test_one_bad_row_is_a_failure_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Arrived(4, 3, 2, 2, "1 missing")
    assert run_table(monkeypatch, lost, OSError("no [disk] left"), Arrived(4, 4, 2, 2, "")) == 1
    shown = capsys.readouterr().out
    assert "1 missing" in shown
    assert "OSError: no [disk] left" in shown
    assert "all there" in shown


def test_without_go_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["backends", "--build"])
    assert table.main() == 2
    told = "otelcol 0.159.0 is built with Go 1.25 or newer; there is no go on the PATH"
    assert told in capsys.readouterr().err


def test_with_an_old_go_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CannotBuildError, match=r"Go 1\.25 or newer; the go on the PATH is go1\.19\.8"):
        Program("thing", "1.0", "recipe", "no time", lambda folder: folder).find()


def test_a_program_is_built_once_and_found_from_then_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("backends.programs._no_go", str)
    built: list[Path] = []

    def build(folder: Path) -> Path:
        built.append(folder)
        (folder / "made").write_text("a program")
        return folder / "made"

    program = Program("thing", "1.0", "recipe", "no time", build)
    assert program.find() == program.find() == program.path
    assert program.path.read_text() == "a program"
    assert len(built) == 1
    assert Program("thing", "1.0", "another recipe", "no time", build).path != program.path
    assert [path.name for path in (tmp_path / "sunbird-otel").iterdir() if not path.name.startswith("thing-1.0-")] == []


def test_who_wants_it_while_it_is_built_waits_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("backends.programs._no_go", str)
    built: list[Path] = []

    def build(folder: Path) -> Path:
        built.append(folder)
        time.sleep(0.2)
        (folder / "made").write_text("a program")
        return folder / "made"

    program = Program("thing", "1.0", "recipe", "no time", build)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(program.find) for _ in range(4)]
    assert {one.result().read_text() for one in found} == {"a program"}
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing_to_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("backends.programs._no_go", str)

    def build(folder: Path) -> Path:
        (folder / "half").write_text("half a program")
        raise CannotBuildError("no network")

    program = Program("thing", "1.0", "recipe", "no time", build)
    with pytest.raises(CannotBuildError, match="no network"):
        program.find()
    assert not program.path.exists()
    assert [path.suffix for path in (tmp_path / "sunbird-otel").iterdir()] == [".lock"]


def spans(**changes: object) -> list[dict[str, object]]:
    span = {"traceId": "1", "spanId": "2", "name": "player", "startTimeUnixNano": "5", "endTimeUnixNano": "9"}
    return [{"resourceSpans": [{"scopeSpans": [{"spans": [span | changes]}]}]}]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (spans(), ""),
        ([], "1 missing"),
        (spans() + spans(), "1 there twice"),
        (spans() + spans(spanId="3"), "1 not sent"),
        (spans(endTimeUnixNano="8"), "player 2: end_ns 9 came as 8"),
        (spans(events=[{"name": "e", "timeUnixNano": "6"}]), "player 2: events [] came as [SeenEvent(name='e'"),
    ],
)
def test_what_is_not_as_it_was_sent_is_told(found: list[dict[str, object]], told: str) -> None:
    assert difference(seen_in(spans()), seen_in(found)).startswith(told)
    assert bool(difference(seen_in(spans()), seen_in(found))) == bool(told)
