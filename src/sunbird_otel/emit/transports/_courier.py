"""What carries a batch to its destination, and the answers there are: the common tongue of HTTP and Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from sunbird_otel.emit.transports._batch import Batch


@dataclass(frozen=True, slots=True)
class Accepted:
    """The destination took the batch."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now: another try may succeed, ``after`` so many seconds when the destination named a time.

    ``left`` holds the lines that are still to be sent, when some were taken.
    """

    reason: str
    after: float | None = None
    left: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The destination takes nothing from us as we are set up; somebody has to correct that, and nothing is thrown away.

    ``advice`` says what to look at.
    """

    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The batch is larger than the destination takes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The destination does not want this batch, and another try would not change that; ``answer`` is what it said."""

    reason: str
    answer: str = ""


Answer: TypeAlias = Accepted | Busy | Denied | TooLarge | Refused
"""How sending a batch can end."""


class Courier(Protocol):
    """Carries batches, from one thread at a time."""

    def post(self, batch: Batch) -> Answer:
        """Send once and wait for the answer; failures are answers, not exceptions."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...

    def forget(self) -> None:
        """Let go of what a fork has copied from the parent process, without disturbing the parent's connections."""
        ...
