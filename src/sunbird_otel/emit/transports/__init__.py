"""How emitted events get to where they belong: the telemetry API, Kafka, a file, standard output, or memory.

A transport of one's own is anything that has the four members of :class:`Transport`.
"""

from __future__ import annotations

from sunbird_otel.emit.transports._base import Transport, TransportStats
from sunbird_otel.emit.transports._settings import SpoolMode
from sunbird_otel.emit.transports.file import FileTransport
from sunbird_otel.emit.transports.http import HttpTransport
from sunbird_otel.emit.transports.kafka import KafkaTransport
from sunbird_otel.emit.transports.memory import MemoryTransport
from sunbird_otel.emit.transports.stdout import StdoutTransport

__all__ = [
    "FileTransport",
    "HttpTransport",
    "KafkaTransport",
    "MemoryTransport",
    "SpoolMode",
    "StdoutTransport",
    "Transport",
    "TransportStats",
]
