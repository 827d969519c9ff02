"""Finished spans of one test, with ids that are the same each time."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from sunbird_otel.emit import provider
from sunbird_otel.plugin import FlowNestingProcessor, SunbirdIdGenerator
from sunbird_otel.testing._assert import flow_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    from sunbird_otel import Rules

_OTEL: Final = "OTEL_"


class FlowSpans:
    """The spans that have ended, and the tracer provider that they come from.

    The provider enforces the nesting rules as :class:`sunbird_otel.plugin.FlowNestingProcessor` does, marks what breaks
    them, derives ids from the events as a replay does, counts the others, and heeds no ``OTEL_*`` variable.
    """

    def __init__(self, pdata: Mapping[str, Any], rules: Rules | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_OTEL)}
        with patch.dict(os.environ, kept, clear=True):
            made: Any = provider(pdata, FlowNestingProcessor(SimpleSpanProcessor(self._exporter), rules))
        # The SDK takes any generator, though it names the type of its own.
        made.id_generator = _CountedIds()
        self.provider: Final[TracerProvider] = made

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        """The spans in the order of their end."""
        return self._exporter.get_finished_spans()

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self.finished)

    def __len__(self) -> int:
        return len(self.finished)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans with this name; a flow is named after its kind."""
        return [span for span in self.finished if span.name == name]

    def tree(self, *, events: bool = True) -> str:
        """Return the spans in the notation of :func:`sunbird_otel.testing.assert_flow`."""
        return flow_tree(self, events=events)

    def clear(self) -> None:
        """Forget the spans that have ended."""
        self._exporter.clear()


class _Counted(RandomIdGenerator):
    """Counts where others draw lots."""

    def __init__(self) -> None:
        self._traces = count(1)
        self._spans = count(1)

    def generate_trace_id(self) -> int:
        return next(self._traces)

    def generate_span_id(self) -> int:
        return next(self._spans)


class _CountedIds(SunbirdIdGenerator):
    """Derives ids where the emitter or a request names them, counts otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self._random = _Counted()
