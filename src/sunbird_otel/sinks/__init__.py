"""Where signals go: OTLP receivers, OTLP files, memory; and where refused events are kept.

Importing this package loads no exporter. A sink that needs one lives in a module of its own:
:mod:`sunbird_otel.sinks.otlp.network`, :mod:`sunbird_otel.sinks.otlp.files`.
"""

from __future__ import annotations

from sunbird_otel.sinks._base import Sink, SinkReport
from sunbird_otel.sinks.dead_letter import DeadLetters
from sunbird_otel.sinks.memory import MemorySink

__all__ = ["DeadLetters", "MemorySink", "Sink", "SinkReport"]
