"""The inputs of a command, one after the other, into the bridge."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sunbird_otel import Bridge, Rules
from sunbird_otel._findings import Finding
from sunbird_otel.cli._exits import Exit
from sunbird_otel.cli._progress import Progress
from sunbird_otel.cli._screen import tell
from sunbird_otel.cli._settings import STDIO
from sunbird_otel.errors import ConfigError, SourceError
from sunbird_otel.sources import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from sunbird_otel import Tally
    from sunbird_otel._findings import Position
    from sunbird_otel._signals import Signal
    from sunbird_otel.cli._settings import Settings
    from sunbird_otel.sources.files import Document


def make_bridge(
    settings: Settings,
    on_finding: Callable[[Finding], None],
    on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
) -> Bridge:
    """Return a bridge as the settings ask for.

    Raises:
        RuleError: A rule file cannot be used.
    """
    return Bridge(
        rules=Rules.load(*settings.rules),
        policy=settings.policy,
        lateness=settings.lateness,
        idle_gap=settings.idle_gap,
        trace_scope=settings.trace_scope,
        memory=settings.memory,
        max_open_flows=settings.max_open_flows,
        limits=settings.max,
        on_finding=on_finding,
        on_event=on_event,
    )


@dataclass(slots=True)
class Intake:
    """Reads inputs into a bridge, and remembers what became of them.

    What is wrong with an input is said at once, on the standard error, and the next one is read.

    Attributes:
        on_other: Is offered the first document of each input, and says whether it belongs to a kind that is not
            telemetry; the input's documents then go to it and not to the bridge. It may raise SourceError.
        unreadable: Inputs that could not be read, or not to their end, or in which nothing is telemetry.
        empty: Inputs without any event.
    """

    bridge: Bridge
    settings: Settings
    progress: Progress
    on_other: Callable[[Document], bool] | None = None
    unreadable: list[str] = field(default_factory=list[str])
    empty: list[str] = field(default_factory=list[str])
    _refusal: Finding | None = None

    def read(self, paths: Iterable[str]) -> Iterator[list[Signal]]:
        """Read all inputs and yield the signals that are complete, never an empty list."""
        for path in paths:
            try:
                yield from self._read(path)
            except SourceError as error:
                self.unreadable.append(path)
                tell(str(error))

    def drain(self) -> Iterator[list[Signal]]:
        """Close what is open, since all inputs have ended, and yield the rest of the signals."""
        self.progress.finish()
        yield from (signals for signals in self.bridge.drain_steps() if signals)

    def exit(self) -> Exit:
        """Return the exit code that the inputs call for."""
        return Exit.UNREADABLE if self.unreadable else Exit.DONE

    def _read(self, path: str) -> Iterator[list[Signal]]:
        bridge, self._refusal = self.bridge, None
        events_before = bridge.tally.by_eid.total()
        documents = 0
        other = False
        self.progress.begin(path)
        for item in files.read(path, limits=self.settings.max, on_progress=self.progress.advance):
            if isinstance(item, Finding):
                self._refusal = self._refusal or item
                bridge.refuse(item)
                continue
            documents += 1
            if documents == 1 and self.on_other is not None:
                other = self.on_other(item)
            elif other and self.on_other is not None:
                self.on_other(item)
            if not other and (signals := bridge.feed(item.data, item.position)):
                yield signals
        ...
