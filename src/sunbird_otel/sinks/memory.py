"""A sink that keeps everything: for tests, and for what looks at the signals itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._signals import MetricPoint, Signal, Span
from sunbird_otel.sinks._base import SinkReport

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemorySink:
    """Collects signals in :attr:`signals`, in the order in which they were written."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.closed = False

    @property
    def spans(self) -> list[Span]:
        """The spans among the signals."""
        return [signal for signal in self.signals if isinstance(signal, Span)]

    @property
    def points(self) -> list[MetricPoint]:
        """The metric points among the signals."""
        return [signal for signal in self.signals if isinstance(signal, MetricPoint)]

    @property
    def report(self) -> SinkReport:
        """What was written so far; all of it counts as delivered."""
        report = SinkReport()
        report.delivered.update(traces=len(self.spans), metrics=len(self.points))
        return report

    def write(self, signals: Sequence[Signal]) -> None:
        """Keep ``signals``."""
        self.signals.extend(signals)

    def close(self) -> SinkReport:
        """Return the report."""
        self.closed = True
        return self.report

    def abort(self) -> None:
        """Do what :meth:`close` does."""
        self.closed = True
