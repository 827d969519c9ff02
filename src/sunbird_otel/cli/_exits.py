"""How a command ends: its exit code, and a sentence for whatever went wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

from sunbird_otel.cli._screen import ReaderGone, tell
from sunbird_otel.errors import ConfigError, RuleError, SinkError, SourceError, SunbirdOtelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

DEBUG_VARIABLE: Final = "SUNBIRD_OTEL_DEBUG"
"""The environment variable that asks for the traceback of an unexpected error."""


class Exit(IntEnum):
    """The exit codes. Where several apply, the later line of :data:`WORSE` wins."""

    DONE = 0
    FOUND = 1
    USAGE = 2
    UNREADABLE = 3
    UNDELIVERED = 4
    UNEXPECTED = 70
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143


WORSE: Final = (Exit.DONE, Exit.FOUND, Exit.UNREADABLE, Exit.UNDELIVERED)
"""The codes of a command that ran to its end, from good to bad."""


_CODES: Final[dict[type[SunbirdOtelError], Exit]] = {
    ConfigError: Exit.USAGE,
    RuleError: Exit.USAGE,
    SourceError: Exit.UNREADABLE,
    SinkError: Exit.UNDELIVERED,
}


class Terminated(KeyboardInterrupt):
    """SIGTERM came; it stops a command as Ctrl-C does."""


def worst(*codes: Exit) -> Exit:
    """Return the worst of ``codes``, which must stand in :data:`WORSE`."""
    return max(codes, key=WORSE.index)


def stopped_by(interrupt: KeyboardInterrupt) -> tuple[str, Exit]:
    """Return what stopped the command, for people, and the exit code."""
    if isinstance(interrupt, Terminated):
        return "SIGTERM", Exit.TERMINATED
    return "Ctrl-C", Exit.INTERRUPTED


def run(command: Callable[[], Exit]) -> Exit:
    """Run ``command`` and return its exit code; every error becomes a sentence on the standard error."""
    try:
        with _sigterm_stops():
            return command()
    except ReaderGone:
        return Exit.READER_GONE
    except KeyboardInterrupt as interrupt:
        what, code = stopped_by(interrupt)
        tell(f"stopped by {what}.")
        return code
    except SunbirdOtelError as error:
        tell(str(error))
        return _CODES[type(error)]
    except Exception as error:  # noqa: BLE001 - the rim: nobody above could say it better
        tell(_apology(error))
        return Exit.UNEXPECTED


@contextmanager
def _sigterm_stops() -> Generator[None]:
    # Handlers can be set in the main thread only; elsewhere (in somebody's test) the default is as good.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_on_signals() -> Generator[threading.Event]:
    """Let the first SIGINT or SIGTERM set the event, by which a run without an end ends well; the second interrupts."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
        elif number == signal.SIGTERM:
            _terminate(number, frame)
        else:
            signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _apology(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    if os.environ.get(DEBUG_VARIABLE):
        return "".join(traceback.format_exception(error)).rstrip()
    again = " ".join(["sunbird-otel", *sys.argv[1:2]])
    return (
        f"this is a defect of sunbird-otel, not of your telemetry: {what}. "
        f"Please report it, with what {DEBUG_VARIABLE}=1 {again} ... writes."
    )
