"""Programs of tests are always ended, and what went wrong with them is shown."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pytest
from backends import processes
from backends.fixtures import pytest_runtest_makereport
from backends.processes import HOST, OtelProcess, StartError

if TYPE_CHECKING:
    from pathlib import Path

READY = 'echo "Everything is ready."; exec sleep 60'


class Program(OtelProcess):
    """A shell script in the place of a Collector."""

    listens: ClassVar = ("port",)

    def __init__(self, folder: Path, script: str) -> None:
        program = folder / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        super().__init__("program", program, folder / "config.yaml", folder=folder)

    @property
    def settings(self) -> dict[str, Any]:
        return {"port": self.ports["port"]}


def test_it_is_told_its_configuration_and_its_ports(tmp_path: Path) -> None:
    with Program(tmp_path, f'echo "$@"; {READY}') as program:
        told = f'--config={tmp_path}/config.yaml --config=yaml:{{"port": {program.ports["port"]}}}'
        assert told in program.log


def test_it_ends_when_the_test_fails(tmp_path: Path) -> None:
    def failing() -> None:
        with Program(tmp_path, READY) as program:
            assert processes.running == [program]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert processes.running == []


@pytest.mark.parametrize("outcome", ["failed", "passed"])
def test_a_failing_test_shows_the_logs(outcome: Literal["passed", "failed"], tmp_path: Path) -> None:
    report = pytest.TestReport("test", ("file", 1, "test"), {}, outcome, None, "call")
    with Program(tmp_path, f"echo the disk is full; {READY}"):
        hook = pytest_runtest_makereport(cast("Any", None), cast("Any", None))
        next(hook)
        with pytest.raises(StopIteration) as done:
            hook.send(report)
    shown = [("log of program", "the disk is full\nEverything is ready.")]
    assert done.value.value.sections == (shown if outcome == "failed" else [])


def test_what_nobody_has_ended_ends_with_the_tests(tmp_path: Path) -> None:
    Program(tmp_path, READY).start()
    processes.end_all()
    assert processes.running == []


def test_what_does_not_heed_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.2)
    with Program(tmp_path, f"trap '' TERM; {READY}"):
        pass
    assert processes.running == []


def test_what_ends_at_once_is_shown_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"program did not start:\nthere is a mistake in line 3"):
        Program(tmp_path, "echo there is a mistake in line 3; exit 1").start()
    assert processes.running == []


def test_what_never_gets_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_START_SECONDS", 0.3)
    with pytest.raises(StartError, match="waiting"):
        Program(tmp_path, "echo waiting; exec sleep 60").start()
    assert processes.running == []


def test_a_port_that_was_taken_meanwhile_is_no_end(tmp_path: Path) -> None:
    first_time = f'test -e been && {{ {READY}; }}; touch been; echo "address already in use"'
    with Program(tmp_path, f"cd {tmp_path}; {first_time}") as program:
        assert program.log.count("address already in use") == 1


def test_killed_and_started_again_it_has_the_same_ports(tmp_path: Path) -> None:
    with Program(tmp_path, READY) as program:
        ports = dict(program.ports)
        program.kill()
        program.start()
        assert program.ports == ports
        with pytest.raises(StartError, match="runs already"):
            program.start()


def test_a_free_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(processes, "_PORTS", range(port, port + 2))
        assert processes.free_port() == port + 1
