"""How much the bridge takes from an input before it refuses: every bound in one place, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from sunbird_otel.errors import ConfigError

SPAN_EVENTS: Final = 2_000
"""Events that one span holds; with the usual kilobyte an event, half of the 4 MiB that a gRPC message may have."""

SPAN_BYTES: Final = 1_500_000
"""Bytes of events that one span holds: under a third of what Tempo accepts as a trace."""

REQUEST_BYTES: Final = 3_670_016
"""3.5 MiB: gRPC receivers take 4 MiB unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one input may ask for, so that no input can exhaust the memory. All are positive integers.

    Raises:
        ConfigError: a bound is not a whole number of at least 1.
    """

    event_bytes: int = 1_048_576
    """Size of one event in bytes of JSON; Sunbird's own pipeline sends larger ones to its failed topic."""

    document_bytes: int = 64 * 1024 * 1024
    """Size of one document (an event, a batch object, an element of an array) in bytes; it stands in memory whole.

    Sunbird's telemetry service takes bodies up to 5 MB, so this leaves room for exports that were wrapped into one
    object. An array at the top of an input has no such bound: its elements are read one by one.
    """

    nesting_depth: int = 64
    """Levels of objects and arrays in one event; events of the specification need fewer than ten."""

    string_bytes: int = 262_144
    """Length of one text value in bytes of UTF-8.

    A quarter of an event of the largest size: room for a stack trace, too little to fill a span.
    """

    request_bytes: int = REQUEST_BYTES
    """Size of one request to a receiver in bytes, and so of one event: what no request can hold cannot be sent."""

    attribute_bytes: int = 65_536
    """Length of one attribute's text in bytes of UTF-8; what is longer is cut, and ``sunbird.truncated`` names it.

    Room for a stack trace. Tempo cuts at 2,048 bytes unless it is told otherwise, and does not say so.
    """

    span_events: int = SPAN_EVENTS
    """Events after which a flow goes on in a further span."""

    span_bytes: int = SPAN_BYTES
    """Bytes of events after which a flow goes on in a further span."""

    trace_bytes: int = 4_000_000
    """Bytes of events after which what comes goes on in a further trace, linked to the first.

    Tempo drops what comes to a trace beyond 5 MB.
    """

    batch_events: int = 100_000
    """Number of events in one batch object or in one nested array; the largest batch seen in the field holds 200."""

    inflated_bytes: int = 64 * 1024 * 1024 * 1024
    """Size of one gzip input in bytes after inflating; Sunbird's archives are rotated at 100 MB."""

    inflated_ratio: int = 1000
    """Inflated bytes for each compressed byte, looked at after the first 64 MiB have come out.

    Telemetry shrinks by a factor of 10 to 40, and the gzip format ends at 1032: only a bomb comes near.
    """

    def __post_init__(self) -> None:
        """Refuse what cannot be a bound."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = f"limit {field.name} is {value!r}; give a whole number of at least 1"
                raise ConfigError(message)
