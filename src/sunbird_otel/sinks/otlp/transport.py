"""What a transport does, and the answers there are: the common tongue of HTTP and gRPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from typing import Protocol as TypingProtocol

from sunbird_otel._version import __version__
from sunbird_otel.sinks._text import one_line
from sunbird_otel.sinks.otlp.request import KINDS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from sunbird_otel.sinks.otlp.request import Kind, Request

USER_AGENT = f"sunbird-otel/{__version__}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver took the request, all but ``rejected`` of its items; ``message`` is its remark."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now: another try may succeed, ``after`` so many seconds when the receiver named a time."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The request is larger than the receiver takes."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoPlace:
    """Nothing at that address takes this kind of signal."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver does not want it, and another try would not change that."""

    reason: str


Answer: TypeAlias = Accepted | Busy | TooLarge | NoPlace | Refused
"""How a request can end."""


class Transport(TypingProtocol):
    """Carries requests to one destination."""

    def send(self, request: Request) -> Answer:
        """Send once and wait for the answer; failures are answers, not exceptions."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


def accepted(kind: Kind, response: Message) -> Accepted:
    """Return the answer that a decoded export response stands for."""
    partial: Any = getattr(response, "partial_success")  # noqa: B009  no common type has the field
    return Accepted(getattr(partial, KINDS[kind].rejected), one_line(partial.error_message))
