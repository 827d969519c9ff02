"""What a run did, in a few lines for people, and the whole of it as JSON."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.table import Table
from rich.text import Text

from sunbird_otel.cli._screen import Output, ReaderGone, printable, show
from sunbird_otel.cli._settings import STDIO
from sunbird_otel.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from sunbird_otel._tally import Tally

_REPORT = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class Summary:
    """The accounts of a run, where its output went, and what else a user should know."""

    tally: Tally
    places: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    def show(self) -> None:
        """Write the summary to the standard error."""
        tally = self.tally
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for word, said in (
            ("events", _events(tally) if tally.received or not self.notes else ""),
            ("rejected", _by_code(tally.rejected_by_reason)),
            ("flows", _flows(tally) if tally.received else ""),
            ("ends", _ends(tally)),
            ("violations", _by_code(tally.violations)),
            ("signals", _signals(tally) if tally.received else ""),
            *(("output" if number == 0 else "", place) for number, place in enumerate(self.places)),
            *(("notes" if number == 0 else "", note) for number, note in enumerate(self.notes)),
        ):
            if said:
                table.add_row(word, Text(printable(said)))
        show(table)


def write_report(tally: Tally, path: str) -> None:
    """Write the accounts as JSON to the file ``path``, or to the standard output.

    Raises:
        SinkError: It could not be written.
    """
    data = orjson.dumps(tally.report(), option=_REPORT)
    if path == STDIO:
        try:
            output = Output()
            output.write(data.decode())
            output.flush()
        except ReaderGone:
            # Who closes the output does not want the report; all else has been done.
            return
        return
    write_file(path, data, "report")


def write_file(path: str, data: bytes, what: str) -> None:
    """Write one of the results that come in a file of their own, in a folder that is made when it is missing.

    Raises:
        SinkError: It could not be written; ``what`` names it.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    except OSError as error:
        raise SinkError(f"the {what} could not be written to {path}: {error.strerror}.") from error


def check_is_no_folder(path: str | None, option: str) -> None:
    """Refuse, before a long run, a result file that could not be written after it.

    Raises:
        ConfigError: ``path`` is a folder.
    """
    # Path.is_dir raises for what this user may not look at; writing will say it better.
    if path is not None and os.path.isdir(path):  # noqa: PTH112
        raise ConfigError(f"{option}: expected a file, found the folder {path}.")


def check_inputs_survive(paths: Sequence[str], results: Iterable[str | None]) -> None:
    """Refuse to write a result over an input.

    Raises:
        ConfigError: An input is also a result.
    """
    taken = {_identity(result): result for result in results if result is not None}
    for path in paths:
        identity = _identity(path)
        if identity is not None and identity in taken:
            raise ConfigError(f"{path} is read, and would be written over; name another file or folder for the result.")


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a regular file from others under whatever name; None for what is none, or cannot be seen."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def check_stdout_is_free(report: str | None, holder: str) -> None:
    """Refuse a report on the standard output when something else is written there.

    Raises:
        ConfigError: Both were asked for.
    """
    if report == STDIO:
        raise ConfigError(f"--report {STDIO}: the standard output holds {holder}; name a file for the report.")


def _events(tally: Tally) -> str:
    parts = [f"{tally.received:,} received", f"{tally.translated:,} translated", f"{tally.duplicate:,} duplicate"]
    parts.append(f"{tally.rejected:,} rejected")
    if tally.held:
        parts.append(f"{tally.held:,} held")
    if tally.late:
        parts.append(f"{tally.late:,} late")
    return ", ".join(parts)


def _flows(tally: Tally) -> str:
    parts = [f"{number:,} {reason.replace('_', ' ')}" for reason, number in tally.closed.most_common() if number]
    closed = f"; closed by {', '.join(parts)}" if parts else ""
    return f"{tally.opened:,} opened{f', {tally.open:,} open' if tally.open else ''}{closed}"


def _ends(tally: Tally) -> str:
    parts = (("paired", tally.paired), ("orphan", tally.orphan), ("repeated", tally.repeated))
    return ", ".join(f"{number:,} {word}" for word, number in parts if number)


def _signals(tally: Tally) -> str:
    spans = f"{tally.spans:,} spans"
    if tally.synthetic_spans:
        spans += f" ({tally.synthetic_spans:,} of them made by repair)"
    return f"{spans}, {tally.span_events:,} span events, {tally.metric_points:,} metric points"


def _by_code(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {code}" for code, number in counts.most_common() if number)
