"""Events on standard output, one a line: for containers whose output is collected, and for looking at them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sunbird_otel.emit.transports._lines import LineTransport

if TYPE_CHECKING:
    from typing import TextIO


class StdoutTransport(LineTransport):
    """Prints events as lines of JSON, to ``stream`` or to what ``sys.stdout`` is at that moment."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream

    def __str__(self) -> str:
        return "the standard output" if self._stream is None else str(getattr(self._stream, "name", self._stream))

    def _write(self, line: bytes) -> None:
        stream = self._stream or sys.stdout
        stream.write(line.decode())
        # Each at once: a program that ends suddenly has shown what it did.
        stream.flush()

    def _make_safe(self) -> None:
        """Nothing waits: each line was flushed."""

    def _let_go(self) -> None:
        """The stream belongs to whoever opened it."""
