"""The emitter: Sunbird telemetry from a Python service, which OpenTelemetry gets at the same time.

One client an application::

    telemetry = Telemetry(
        pdata={"id": "quiz.service", "ver": "1.0", "pid": "quiz"}, channel="ch1", env="quiz", transport=transport
    )
    with telemetry.start(type="session"), telemetry.start(type="player", mode="play", object={"id": "do_1"}) as play:
        play.interact(type="TOUCH", id="next")
"""

from sunbird_otel.emit._flow import Flow
from sunbird_otel.emit._provider import provider
from sunbird_otel.emit._refused import TelemetryError
from sunbird_otel.emit._telemetry import Telemetry
from sunbird_otel.emit._writer import Clock
from sunbird_otel.emit.transports import (
    FileTransport,
    HttpTransport,
    KafkaTransport,
    MemoryTransport,
    StdoutTransport,
    Transport,
    TransportStats,
)

__all__ = [
    "Clock",
    "FileTransport",
    "Flow",
    "HttpTransport",
    "KafkaTransport",
    "MemoryTransport",
    "StdoutTransport",
    "Telemetry",
    "TelemetryError",
    "Transport",
    "TransportStats",
    "provider",
]
