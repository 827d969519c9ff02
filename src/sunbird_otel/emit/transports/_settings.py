"""How a queue, its worker and its spool behave: every bound in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SpoolMode: TypeAlias = Literal["on_failure", "always"]
"""When events are written to the spool: after a failed try, or before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Bounds of a queue; times in seconds.

    Raises:
        ConfigError: A value cannot be used.
    """

    batch_size: int
    """Events in one batch."""

    flush_interval: float
    """How long an event waits for others to fill its batch."""

    queue_size: int
    """Events in memory; one that comes when it is full is dropped."""

    spool: Path | None
    spool_mode: SpoolMode
    spool_bytes: int

    retry_first: float
    """The pause after the first failure; it doubles with each further one."""

    retry_most: float
    """The longest pause between two tries."""

    patience: float
    """How long flush and close wait when they are given no time."""

    batch_bytes: int = 4_000_000
    """Bytes of events in one batch: Sunbird's telemetry service takes bodies up to 5 MB, inflated."""

    queue_bytes: int = 64 << 20
    """Bytes of events in memory."""

    retry_after_most: float = 3600.0
    """The longest pause that the destination may ask for."""

    scan_seconds: float = 30.0
    """How often the spool is searched for what other processes have left."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, in words that name the option."""
        for name in ("batch_size", "queue_size", "spool_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is {value!r}; give a whole number of at least 1")
        for name in ("flush_interval", "retry_first", "retry_most", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ConfigError(f"{name} is {value!r}; give a number of seconds")
        if self.spool_mode not in get_args(SpoolMode):
            raise ConfigError(f"spool_mode is {self.spool_mode!r}; give one of: {', '.join(get_args(SpoolMode))}")
        if self.spool_mode == "always" and self.spool is None:
            raise ConfigError('spool_mode "always" needs a folder to write to: give spool=')
