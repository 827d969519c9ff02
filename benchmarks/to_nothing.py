"""``sunbird-otel`` with a receiver that takes everything in no time: the same command, without a network.

    python benchmarks/to_nothing.py replay events.jsonl --quiet

It takes the place of what carries requests, and so changes with ``sinks/otlp/network.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel.cli import main
from sunbird_otel.sinks.otlp import network
from sunbird_otel.sinks.otlp.transport import Accepted, Answer

if TYPE_CHECKING:
    from sunbird_otel.sinks.otlp.request import Request
    from sunbird_otel.sinks.otlp.settings import Destination


class Nothing:
    """Takes every request."""

    def send(self, request: Request) -> Answer:
        """Take it."""
        del request
        return Accepted()

    def close(self) -> None:
        """Do nothing."""


def _nothing(destination: Destination) -> Nothing:
    del destination
    return Nothing()


if __name__ == "__main__":
    network._transport = _nothing  # noqa: SLF001  there is no public place for it, nor a use beyond this one
    main()
