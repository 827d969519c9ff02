"""This project's way from documents to request bodies: the one place in the benchmarks that knows its interface."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sunbird_otel import Rules
from sunbird_otel._document import Lines
from sunbird_otel._findings import Finding
from sunbird_otel._limits import Limits
from sunbird_otel._pipeline import Pipeline as Core
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufForm
from sunbird_otel.sources import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sunbird_otel.sinks.otlp.batch import Full

RULES: Final = Rules.standard()
LATENESS_NS: Final = 300_000_000_000
"""A stream's window: longer than the longest lag of the workload."""

BLOCK: Final = 100
"""Lines that are fed together: about as many as a source finds in one read of 64 KiB."""


class Pipeline:
    """Documents in, encoded export requests (kind, bytes, spans or points) out.

    Args:
        lateness: Nanoseconds; ``None`` puts the whole input in order first, as ``replay`` does with files.
    """

    def __init__(self, lateness: int | None = None) -> None:
        """Start with nothing held."""
        form = ProtobufForm()
        self._core = Core(form, rules=RULES, lateness=lateness)
        self._batcher = Batcher(form)
        self._line = 1

    @property
    def open_flows(self) -> int:
        """How many flows are open."""
        return self._core.tally.open

    def feed(self, lines: Iterable[bytes]) -> Iterator[Full]:
        """Take lines of one event each, and yield the requests that become full."""
        rest = iter(lines)
        while block := list(islice(rest, BLOCK)):
            yield from self._batcher.add(self._core.feed_lines(Lines("benchmark", self._line, block)))
            self._line += len(block)

    def file(self, path: Path) -> Iterator[Full]:
        """Take a file, and yield the requests that become full."""
        for item in files.read(str(path), limits=Limits()):
            if isinstance(item, Finding):
                raise TypeError(f"expected no broken line in the workload, found {item}")
            if isinstance(item, Lines):
                signals = self._core.feed_lines(item)
            else:  # a line that two reads have parts of may come alone
                signals = self._core.feed(item.data, item.position, parsed=item.value)
            yield from self._batcher.add(signals)

    def drain(self) -> Iterator[Full]:
        """End the stream, and yield what is left."""
        for signals in self._core.drain_steps():
            yield from self._batcher.add(signals)
        yield from self._batcher.rest()


def requests(lines: Iterable[bytes]) -> Iterator[Full]:
    """Yield the requests that ``lines`` become."""
    pipeline = Pipeline()
    yield from pipeline.feed(lines)
    yield from pipeline.drain()


def requests_of_file(path: Path) -> Iterator[Full]:
    """Yield the requests that a file becomes."""
    pipeline = Pipeline()
    yield from pipeline.file(path)
    yield from pipeline.drain()
