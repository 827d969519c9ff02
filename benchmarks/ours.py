"""This project's way from documents to request bodies: the one place in the benchmarks that knows its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel import Bridge, Rules
from sunbird_otel._limits import Limits
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufEncoder
from sunbird_otel.sources import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sunbird_otel._signals import Signal
    from sunbird_otel.sinks.otlp.request import Kind

RULES = Rules.standard()
LATENESS_NS = 300_000_000_000
"""A stream's window: longer than the longest lag of the workload."""


class Pipeline:
    """Documents in, encoded export requests (kind, bytes, spans or points) out.

    Args:
        lateness: Nanoseconds; ``None`` puts the whole input in order first, as ``replay`` does with files.
    """

    def __init__(self, lateness: int | None = None) -> None:
        """Start with nothing held."""
        self._bridge = Bridge(rules=RULES, lateness=lateness)
        self._batcher = Batcher(ProtobufEncoder())

    @property
    def open_flows(self) -> int:
        """How many flows are open."""
        return self._bridge.tally.open

    def feed(self, document: bytes) -> Iterator[tuple[Kind, bytes, int]]:
        """Take one document, and yield the requests that are full now."""
        return self._add(self._bridge.feed(document))

    def file(self, path: Path) -> Iterator[tuple[Kind, bytes, int]]:
        """Take a file, and yield the requests that become full."""
        for item in files.read(str(path), limits=Limits()):
            assert isinstance(item, files.Document), f"the workload holds no broken document: {item}"
            yield from self._add(self._bridge.feed(item.data, item.position, parsed=item.value))

    def drain(self) -> Iterator[tuple[Kind, bytes, int]]:
        """End the stream, and yield what is left."""
        for signals in self._bridge.drain_steps():
            yield from self._add(signals)
        yield from self._batcher.rest()

    def _add(self, signals: list[Signal]) -> Iterator[tuple[Kind, bytes, int]]:
        return self._batcher.add(signals) if signals else iter(())


def requests(documents: Iterable[bytes]) -> Iterator[tuple[Kind, bytes, int]]:
    """Yield the requests that ``documents`` become."""
    pipeline = Pipeline()
    for document in documents:
        yield from pipeline.feed(document)
    yield from pipeline.drain()


def requests_of_file(path: Path) -> Iterator[tuple[Kind, bytes, int]]:
    """Yield the requests that a file becomes."""
    pipeline = Pipeline()
    yield from pipeline.file(path)
    yield from pipeline.drain()
