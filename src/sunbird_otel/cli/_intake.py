"""The inputs of a command, one after the other, into the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from sunbird_otel._apart import documents
from sunbird_otel._document import Lines
from sunbird_otel._findings import Finding
from sunbird_otel._form import Form, S
from sunbird_otel._pipeline import Pipeline
from sunbird_otel._rules import Rules
from sunbird_otel.cli._exits import Exit, stop_on_signals
from sunbird_otel.cli._live import Live
from sunbird_otel.cli._screen import tell
from sunbird_otel.cli._settings import STDIO
from sunbird_otel.errors import ConfigError, SourceError
from sunbird_otel.sources import files, growing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from sunbird_otel._findings import Position
    from sunbird_otel.cli._progress import Progress
    from sunbird_otel.cli._settings import Settings
    from sunbird_otel.sources.files import Document

    Divert: TypeAlias = Callable[[bytes], Callable[[Document], None] | None]


class Intake(Generic[S]):
    """Reads inputs into a bridge of its own, and remembers what became of them.

    What is wrong with an input is said at once, on the standard error; then the next one is read.

    Args:
        paths: The inputs; ``-`` is the standard input.
        settings: How to read and bridge them.
        form: How signals are written.
        progress: Is told how far reading has come.
        on_finding: Is called for each defect of the input.
        on_event: Is called for each event that could be read, with its JSON value as it came.
        divert: Is shown the first document of each input. It may return what takes the documents of this input
            in the bridge's place.
        judges: The command's business is what is wrong with the input, so an input without any telemetry is a result
            and no failure.
        bridge: Makes the bridge from the rules and what is called for each defect; the usual one if not given.

    Raises:
        ConfigError: The standard input is named twice.
        RuleError: A rule file cannot be used.
    """

    def __init__(
        self,
        paths: Sequence[str],
        settings: Settings,
        form: Form[S],
        progress: Progress,
        *,
        on_finding: Callable[[Finding], None],
        on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
        divert: Divert | None = None,
        judges: bool = False,
        bridge: Callable[[Rules, Callable[[Finding], None]], Pipeline[S]] | None = None,
    ) -> None:
        if list(paths).count(STDIO) > 1:
            raise ConfigError(f"the standard input ({STDIO}) can be read once only; it is named twice.")
        if settings.follow and len(paths) > 1:
            raise ConfigError(
                f"--follow reads one input without an end; {len(paths)} are named. Start one run for each."
            )
        self.unreadable = False
        self._paths = paths
        self._limits = settings.max
        self._progress = progress
        self._on_finding = on_finding
        self._divert = divert
        self._judges = judges
        self._live = Live(settings.lateness or 0) if settings.follow else None
        self._pending_after = settings.pending_after if settings.pending else None
        rules = Rules.load(*settings.rules)
        self.bridge: Pipeline[S] = (
            bridge(rules, self._note)
            if bridge is not None
            else Pipeline(
                form,
                rules=rules,
                policy=settings.policy,
                lateness=settings.lateness,
                idle_gap=settings.idle_gap,
                trace_scope=settings.trace_scope,
                memory=settings.memory,
                max_open_flows=settings.max_open_flows,
                limits=settings.max,
                on_finding=self._note,
                on_event=on_event,
                pending=settings.pending,
            )
        )
        self._begin()

    @property
    def exit(self) -> Exit:
        """The exit code that the inputs call for."""
        return Exit.UNREADABLE if self.unreadable else Exit.DONE

    def signals(self) -> Iterator[list[S]]:
        """Read all inputs, then close what is open; yield the signals as they become complete.

        A list is empty only when an input is followed and there is nothing new for now.
        """
        for path in self._paths:
            self._begin()
            self._progress.begin(path)
            try:
                yield from self._read(path) if self._live is None else self._follow(path, self._live)
                self._say_why_nothing(path)
            except SourceError as error:
                self.unreadable = True
                tell(str(error))
        self._progress.advance(0, self.bridge.tally.received)
        self._progress.finish()
        yield from (signals for signals in self.bridge.drain_steps() if signals)

    def _begin(self) -> None:
        """Forget the input that was read before."""
        self._take: Callable[[Document], None] | None = None
        self._documents = 0
        self._accepted_before = self._accepted
        self._first_refusal: Finding | None = None
        self._refusals = 0
        self._holds_telemetry = False

    @property
    def _accepted(self) -> int:
        return self.bridge.tally.received - self.bridge.tally.rejected

    def _read(self, path: str) -> Iterator[list[S]]:
        for item in files.read(path, limits=self._limits, on_progress=self._advance):
            if signals := self._feed(path, item):
                yield signals

    def _follow(self, path: str, live: Live) -> Iterator[list[S]]:
        """Read an input that grows until somebody stops it; an empty list tells that there is nothing new for now."""
        warned = False
        with stop_on_signals() as stop:
            for item in growing.follow(path, limits=self._limits, on_progress=self._advance, stopped=stop.is_set):
                if item is not None:
                    signals = self._feed(path, item)
                else:
                    signals = self.bridge.advance(live.now(self.bridge.newest_ns))
                    if not warned and (why := self._why_nothing(path, " so far")):
                        warned = True
                        tell(f"{why} It is followed all the same.")
                if self._pending_after is not None:
                    signals += self.bridge.pending(self._pending_after)
                if signals or item is None:
                    yield signals
        if stop.is_set():
            tell("stopped; flows that are open are written as unfinished." if self._take is None else "stopped.")

    def _feed(self, path: str, item: Lines | Document | Finding) -> list[S]:
        if isinstance(item, Finding):
            if self._take is not None:
                self._pass_on(path, self._take, [item])
            else:
                self.bridge.refuse(item)
            return []
        if not self._documents and self._divert is not None:
            self._take = self._divert(item.texts[0] if isinstance(item, Lines) else item.data)
        self._documents += len(item.texts) if isinstance(item, Lines) else 1
        if self._take is not None:
            self._pass_on(path, self._take, documents(item, self._limits) if isinstance(item, Lines) else [item])
            return []
        if isinstance(item, Lines):
            return self.bridge.feed_lines(item)
        return self.bridge.feed(item.data, item.position, parsed=item.value)

    def _pass_on(self, path: str, take: Callable[[Document], None], items: Iterable[Document | Finding]) -> None:
        for item in items:
            if isinstance(item, Finding):
                line = f", line {item.position.line}" if item.position else ""
                raise SourceError(f"{path}{line}: expected {item.expected}, found {item.found}.")
            take(item)

    def _say_why_nothing(self, path: str) -> None:
        if why := self._why_nothing(path):
            raise SourceError(why)
        if self._first_refusal is None and self._read_nothing:
            tell(f"{_name(path)} holds no events." if self._documents else f"{_name(path)} is empty.")

    def _why_nothing(self, path: str, so_far: str = "") -> str:
        """Return why nothing could be read of an input that is not empty; an empty text if something could."""
        first = self._first_refusal
        if first is None or self._judges or not self._read_nothing:
            return ""
        line = f" (line {first.position.line})" if first.position else ""
        others = f" There is more of the kind: {self._refusals:,} refusals in all." if self._refusals > 1 else ""
        return (
            f"nothing in {_name(path)} could be read as telemetry{so_far}: "
            f"expected {first.expected}, found {first.found}{line}.{others}"
        )

    @property
    def _read_nothing(self) -> bool:
        return self._take is None and self._accepted == self._accepted_before and not self._holds_telemetry

    def _advance(self, read_bytes: int) -> None:
        self._progress.advance(read_bytes, self.bridge.tally.received)

    def _note(self, finding: Finding) -> None:
        if finding.refused:
            self._refusals += 1
            self._first_refusal = self._first_refusal or finding
            # Whoever writes an eid means to write telemetry.
            self._holds_telemetry = self._holds_telemetry or bool(finding.eid)
        self._on_finding(finding)


def _name(path: str) -> str:
    return "the standard input" if path == STDIO else path
