"""Programs that run: started on free ports, waited for, always ended, their logs kept for who needs to look."""

from __future__ import annotations

import atexit
import json
import secrets
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from command_line import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_Seen = TypeVar("_Seen")

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 20
_ATTEMPTS: Final = 5
_READY: Final = "Everything is ready."
"""What every program that is built on the Collector logs when all its parts have started."""

_PORTS: Final = range(10_000, 32_000)
"""Below the range from which systems take the ports of outgoing connections, which would get in the way."""

HOST: Final = "127.0.0.1"

running: list[OtelProcess] = []
"""What runs now, in the order of its start: a failing test shows their logs."""


@atexit.register
def end_all() -> None:
    """End what still runs when the tests end, however they end; who starts a program ends it before."""
    while running:
        running[-1].kill()


class StartError(Exception):
    """A program did not start; the text ends with its log."""


class OtelProcess:
    """A Collector, or a program built on it such as Jaeger, with configuration files as they are shipped.

    Only what a test must change is laid over the files: where to listen, where to store. Started again after it was
    stopped or killed, it listens on the same ports.
    """

    listens: ClassVar[tuple[str, ...]]
    """The names of the ports that it takes."""

    def __init__(
        self, name: str, program: Path, *configs: Path, folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.ports: dict[str, int] = {}
        self._command = [str(program), *(f"--config={config}" for config in configs)]
        self._log = folder / f"{name}.log"
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has logged, over all its starts."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def settings(self) -> dict[str, Any]:
        """What is laid over its configuration file, as nested keys."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and return when it is ready.

        Raises:
            StartError: It runs already, it ended, or it was not ready in time.
        """
        if self._process is not None:
            raise StartError(f"{self.name} runs already")
        chosen = bool(self.ports)
        for _ in range(1 if chosen else _ATTEMPTS):
            if not chosen:
                self.ports = {name: free_port() for name in self.listens}
            before = len(self.log)
            if self._came_up(before):
                return
            # Another program may have taken a port since it was looked at.
            if "address already in use" not in self.log[before:]:
                break
        raise StartError(f"{self.name} did not start:\n{tail(self.log)}")

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End it at once, without a chance to finish anything: kill -9."""
        self._end(lambda process: process.kill())

    def _came_up(self, log_begins: int) -> bool:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, f"--config=yaml:{json.dumps(self.settings)}"],
                stdout=log,
                stderr=log,
                env=environment(**self._variables),
            )
        running.append(self)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while self._process.poll() is None and time.monotonic() < deadline:
                if _READY in self.log[log_begins:]:
                    return True
                time.sleep(0.02)
        except BaseException:
            self.kill()
            raise
        self.kill()
        return False

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        running.remove(self)
        how(process)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port on which nobody listens at the moment."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return port


def tail(log: str, lines: int = 60) -> str:
    """Return the end of a log."""
    return "\n".join(log.splitlines()[-lines:])


def wait_until(look: Callable[[], _Seen], seconds: float = 30.0) -> _Seen:
    """Look until there is something to see (true, not empty), and return it, or what there is when the time is up."""
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen
