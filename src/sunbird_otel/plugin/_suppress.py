"""Telemetry about telemetry, which nobody wants: the one private name of OpenTelemetry that this takes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import context as contexts

if TYPE_CHECKING:
    from collections.abc import Generator

# Private by name, and what every exporter and instrumentation goes by; there is no public one.
_SUPPRESS: Final = contexts._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


@contextmanager
def suppressed() -> Generator[None]:
    """Let instrumentations make no spans of what is called inside."""
    token = contexts.attach(contexts.set_value(_SUPPRESS, True))  # noqa: FBT003  the value is the flag
    try:
        yield
    finally:
        contexts.detach(token)
