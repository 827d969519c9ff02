"""What becomes of an event that the pipeline would refuse, and of a fault that user code must not see."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from sunbird_otel.errors import ConfigError, SunbirdOtelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel.schema import Refusal

Validation: TypeAlias = Literal["raise", "warn", "off"]
"""What to do with an event that the schemas refuse: raise and send nothing, warn and send it, send it unseen."""

_MODES: Final[tuple[Validation, ...]] = get_args(Validation)
_LOG: Final = logging.getLogger("sunbird_otel.emit")
_REMEMBERED_TEXTS: Final = 1_000
"""Warnings that are remembered so that each is logged once; beyond them it begins again."""


class TelemetryError(SunbirdOtelError):
    """An event was not emitted, because Sunbird's pipeline would refuse it, or because it cannot be written at all.

    Attributes:
        eid: The event.
        refusals: Every reason, with its path.
    """

    def __init__(self, eid: str, refusals: Iterable[Refusal]) -> None:
        """Say it for people."""
        self.eid = eid
        self.refusals = tuple(refusals)
        super().__init__(_text(eid, self.refusals) + "\nNothing was sent. Correct the call.")


# Where it is imported from, so that a traceback names that.
TelemetryError.__module__ = "sunbird_otel.emit"


class Unwritable(Exception):  # noqa: N818 - told as a TelemetryError or counted, never seen outside
    """A value is none that JSON can hold."""


class Faults:
    """Deals with what is wrong under one validation mode, and counts it.

    ``counts`` has ``refused`` (events that the schemas refuse, sent or not), ``unwritable`` (not sent, whatever the
    mode), and ``transport``, ``tracing``, ``flow`` (the thing named has raised; user code has not seen it).
    """

    def __init__(self, validation: Validation) -> None:
        """Start with no fault.

        Raises:
            ConfigError: There is no such mode.
        """
        if validation not in _MODES:
            raise ConfigError(f"validation: expected one of {', '.join(_MODES)}, found {validation!r}")
        self.validation: Final[Validation] = validation
        self.counts: Counter[str] = Counter()
        self._logged: set[str] = set()

    def refused(self, eid: str, refusals: Iterable[Refusal]) -> None:
        """Raise or warn because of ``refusals``.

        Raises:
            TelemetryError: In the mode ``raise``.
        """
        if self.validation == "off":
            return
        self.counts["refused"] += 1
        if self.validation == "raise":
            raise TelemetryError(eid, refusals)
        self._warn(_text(eid, refusals) + "\nIt was sent all the same.")

    def unwritable(self, eid: str, refusal: Refusal) -> None:
        """Raise or warn because an event cannot be sent.

        Raises:
            TelemetryError: In the mode ``raise``.
        """
        self.counts["unwritable"] += 1
        if self.validation == "raise":
            raise TelemetryError(eid, [refusal])
        self._warn(_text(eid, [refusal]) + "\nIt was not sent.")

    def swallowed(self, where: str, error: Exception) -> None:
        """Count an exception that must not reach user code, and log it once."""
        self.counts[where] += 1
        text = f"{where}: {type(error).__name__}: {error}"
        if self._is_new(text):
            _LOG.warning("emitting Sunbird telemetry: %s", text, exc_info=error)

    def _warn(self, text: str) -> None:
        if self._is_new(text):
            _LOG.warning("%s", text)

    def _is_new(self, text: str) -> bool:
        if text in self._logged:
            return False
        if len(self._logged) >= _REMEMBERED_TEXTS:
            self._logged.clear()
        self._logged.add(text)
        return True


def _text(eid: str, refusals: Iterable[Refusal]) -> str:
    return "\n".join([f"Sunbird's pipeline would refuse this {eid}:", *(f"  {refusal}" for refusal in refusals)])
