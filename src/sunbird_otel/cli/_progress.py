"""How far a run has come: a bar on the terminal, and nothing anywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sunbird_otel.cli._screen import is_seen, printable
from sunbird_otel.cli._settings import STDIO
from sunbird_otel.sources import files

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rich.progress import Progress as Bar

_NAME_CHARS: Final = 40


class Progress:
    """Progress over all inputs together; without a ``bar`` it shows nothing."""

    def __init__(self, bar: Bar | None = None, total: int | None = None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total, events=0) if bar is not None else None

    def begin(self, path: str) -> None:
        """Begin with the next input."""
        if self._bar is not None and self._task is not None:
            name = "standard input" if path == STDIO else printable(path)
            self._bar.update(self._task, description=name if len(name) <= _NAME_CHARS else f"...{name[-_NAME_CHARS:]}")

    def advance(self, read_bytes: int, events: int) -> None:
        """Say that ``read_bytes`` more have been read, and how many events have come in all."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=read_bytes, events=events)

    def finish(self) -> None:
        """Say that all inputs have been read, and the rest is on its way out."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description="closing flows, writing", total=None)


@contextmanager
def progress_over(paths: Sequence[str], *, quiet: bool, results_follow: bool = True) -> Generator[Progress]:
    """Show progress on the standard error while the context lasts, if that is a terminal.

    Args:
        paths: The inputs.
        quiet: Show nothing.
        results_follow: Results come after all has been read. If they come meanwhile, and to a terminal, they are
            progress enough and a bar would cut them up.
    """
    if quiet or not is_seen(sys.stderr) or (not results_follow and is_seen(sys.stdout)):
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    sizes = [None if path == STDIO else files.size(path) for path in paths]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[events]:,} events"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(bar, total)
