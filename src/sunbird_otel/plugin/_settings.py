"""The plugin's settings: those of the commands that mean something inside a service, under the same names."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

from sunbird_otel._rules import Rules
from sunbird_otel.cli import _quantities as quantities
from sunbird_otel.cli._settings import PREFIX, TRACE_SCOPES, Settings, read_settings
from sunbird_otel.errors import ConfigError, RuleError, SunbirdOtelError
from sunbird_otel.plugin._bounds import PENDING_AFTER, USUAL, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    T = TypeVar("T")

__all__ = ["TRACE_SCOPES", "PluginSettings", "Writing", "read", "settings_or_defaults"]

logger = logging.getLogger(__name__)

_NAMES: Final = ("config", "rules", "policy", "trace_scope", "max_open_flows")
_VARIABLES: Final = frozenset(PREFIX + name.upper() for name in _NAMES)

_CONFIG: Final = PREFIX + "CONFIG"
_RULES: Final = PREFIX + "RULES"

_SECOND_NS: Final = 1_000_000_000
_FLAGS: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


class Writing(TypedDict):
    """How flows are kept and written, by the arguments of :class:`FlowNestingProcessor`."""

    max_open_flows: int
    span_events: int
    span_bytes: int
    attribute_bytes: int
    pending: bool
    pending_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """What the plugin heeds of the settings, with the names of the rules not looked up yet, and where these stood."""

    rules: tuple[str, ...]
    rules_from: str = ""
    policy: str
    trace_scope: str
    max_open_flows: int
    bounds: Bounds = USUAL
    pending: bool = False
    pending_after: float = PENDING_AFTER

    @property
    def writing(self) -> Writing:
        """Return what says how flows are kept and written, as arguments of the processor."""
        return {
            "max_open_flows": self.max_open_flows,
            "span_events": self.bounds.span_events,
            "span_bytes": self.bounds.span_bytes,
            "attribute_bytes": self.bounds.attribute_bytes,
            "pending": self.pending,
            "pending_after": self.pending_after,
        }

    def load_rules(self) -> Rules:
        """Return the rules in force.

        Raises:
            RuleError: There is no such file, or it is wrong; the text says where it is named.
        """
        try:
            return Rules.load(*self.rules)
        except RuleError as error:
            raise RuleError(f"{self.rules_from}: {error}.") from None


def read(environ: Mapping[str, str] = os.environ) -> PluginSettings:
    """Return the settings from ``SUNBIRD_OTEL_*`` and the file that ``SUNBIRD_OTEL_CONFIG`` names.

    Raises:
        ConfigError: A value cannot be used.
    """
    # What else is set is for the commands, and no reason to refuse anything here.
    shared = read_settings({}, {name: text for name, text in environ.items() if name in _VARIABLES})
    own = _Own(environ)
    bounds = Bounds(
        span_events=own.read("SPAN_EVENTS", quantities.count, quantities.COUNT, USUAL.span_events),
        span_bytes=own.read("SPAN_BYTES", quantities.size_bytes, quantities.SIZE, USUAL.span_bytes),
        attribute_bytes=own.read("ATTRIBUTE_BYTES", quantities.size_bytes, quantities.SIZE, USUAL.attribute_bytes),
    )
    return replace(
        _of(shared),
        rules_from=_place_of_rules(environ) if shared.rules else "",
        bounds=bounds,
        pending=own.read("PENDING", lambda text: _FLAGS[text.strip().lower()], "true or false", other=False),
        pending_after=own.read("PENDING_AFTER", _seconds, quantities.DURATION, PENDING_AFTER),
    )


def settings_or_defaults(environ: Mapping[str, str] = os.environ) -> PluginSettings:
    """Return the settings, or the defaults with an error in the log: for code that must not stop a service."""
    try:
        return read(environ)
    except SunbirdOtelError as error:
        logger.error("sunbird-otel: %s The defaults are used instead.", error)  # noqa: TRY400 - the text says it all
        return _of(Settings())


class _Own:
    """Reads the variables that only the plugin heeds."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def read(self, name: str, parse: Callable[[str], T], expected: str, other: T) -> T:
        """Return the value of ``SUNBIRD_OTEL_<name>``; ``other`` where it is not set.

        Raises:
            ConfigError: It cannot be used.
        """
        variable = PREFIX + name
        text = self._environ.get(variable)
        if not text:
            return other
        try:
            return parse(text)
        except (KeyError, ValueError):
            found = repr(text[:_SHOWN_CHARS])
            raise ConfigError(f"the environment variable {variable}: expected {expected}; found {found}.") from None


_SHOWN_CHARS: Final = 80


def _place_of_rules(environ: Mapping[str, str]) -> str:
    return f"the environment variable {_RULES}" if environ.get(_RULES) else f"{environ[_CONFIG]}: rules"


def _seconds(text: str) -> float:
    return quantities.duration_ns(text) / _SECOND_NS


def _of(settings: Settings) -> PluginSettings:
    return PluginSettings(
        rules=settings.rules,
        policy=settings.policy,
        trace_scope=settings.trace_scope,
        max_open_flows=settings.max_open_flows,
    )
