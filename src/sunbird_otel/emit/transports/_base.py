"""What every transport offers, and how it accounts for what it was given."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

LOG: Final = logging.getLogger("sunbird_otel.emit")


@dataclass(frozen=True, slots=True)
class TransportStats:
    """What has become of the events so far, in this process.

    Every event that :meth:`Transport.send` was given is in exactly one of the first five: ``sent``, which the
    destination took; ``queued``, which waits in memory or is on its way; ``spooled``, which waits on the disk for a
    later try; ``dropped``, which was not taken because the queue was full or the transport closed; ``failed``, which
    the destination refused for good or which could not be written anywhere. ``recovered`` counts the events that an
    earlier or another process had left in the spool and that this one has dealt with: they are in ``sent``, ``failed``
    or ``spooled`` as well.
    """

    sent: int = 0
    queued: int = 0
    dropped: int = 0
    spooled: int = 0
    failed: int = 0
    recovered: int = 0


class Transport(Protocol):
    """Carries events to where they belong.

    All methods may be called from any thread and from signal handlers, and after a fork in the child too, which
    starts with nothing of what its parent had still to send.
    """

    def send(self, event: Mapping[str, Any]) -> None:
        """Take an event; never blocks long and never raises: what goes wrong is counted in :attr:`stats`."""
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Deliver what was given so far, waiting for ``timeout`` seconds at most, and tell whether that was done."""
        ...

    def close(self, timeout: float | None = None) -> None:
        """Flush and release everything; events given later are dropped. Calling it again does nothing."""
        ...

    @property
    def stats(self) -> TransportStats:
        """What has become of the events so far."""
        ...


def encode(event: Mapping[str, Any]) -> bytes:
    """Return an event as one line of JSON, without its end.

    Raises:
        TypeError: It holds something that JSON cannot hold.
        ValueError: It holds itself, or a number that is none.
        RecursionError: It is nested too deeply.
    """
    try:
        return orjson.dumps(event, default=_as_dict)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits and halves of surrogate pairs are JSON all the same.
        return json.dumps(event, default=_as_dict, allow_nan=False, separators=(",", ":")).encode()


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(f"{type(value).__name__} is nothing that JSON can hold")


class Notices:
    """Logs each kind of trouble once until it is over, so that an outage does not fill the log."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self.pending: list[tuple[str, tuple[object, ...]]] = []

    def once(self, kind: str, text: str, *args: object, level: int = logging.WARNING) -> None:
        """Log ``text``, unless that kind of trouble was told before."""
        if kind not in self._told:
            # Noted first: a log handler may itself send an event, and come back here.
            self._told.add(kind)
            LOG.log(level, text, *args)

    def later(self, kind: str, text: str, *args: object) -> None:
        """Do the same at the next :meth:`catch_up`: for who holds a lock, which a log handler may want as well."""
        if kind not in self._told:
            self._told.add(kind)
            self.pending.append((text, args))

    def catch_up(self) -> None:
        """Log what was left for later."""
        while self.pending:
            text, args = self.pending.pop(0)
            LOG.warning(text, *args)

    def over(self, kind: str) -> bool:
        """Forget a kind of trouble, and tell whether it had been told."""
        told = kind in self._told
        self._told.discard(kind)
        return told
