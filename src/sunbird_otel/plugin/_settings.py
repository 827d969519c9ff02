"""The plugin's settings: those of the commands that mean something inside a service, under the same names."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sunbird_otel._rules import Rules
from sunbird_otel.cli._settings import PREFIX, TRACE_SCOPES, Settings, read_settings
from sunbird_otel.errors import SunbirdOtelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRACE_SCOPES", "PluginSettings", "read", "settings_or_defaults"]

logger = logging.getLogger(__name__)

_NAMES: Final = ("config", "rules", "policy", "trace_scope", "max_open_flows")
_VARIABLES: Final = frozenset(PREFIX + name.upper() for name in _NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """What the plugin heeds of the settings, with the names of the rules not looked up yet."""

    rules: tuple[str, ...]
    policy: str
    trace_scope: str
    max_open_flows: int

    def load_rules(self) -> Rules:
        """Return the rules in force.

        Raises:
            RuleError: A file of rules is wrong.
            ConfigError: There is no such file.
        """
        return Rules.load(*self.rules)


def read(environ: Mapping[str, str] = os.environ) -> PluginSettings:
    """Return the settings from ``SUNBIRD_OTEL_*`` and the file that ``SUNBIRD_OTEL_CONFIG`` names.

    Raises:
        ConfigError: A value cannot be used.
    """
    # What else is set is for the commands, and no reason to refuse anything here.
    return _of(read_settings({}, {name: text for name, text in environ.items() if name in _VARIABLES}))


def settings_or_defaults(environ: Mapping[str, str] = os.environ) -> PluginSettings:
    """Return the settings, or the defaults with an error in the log: for code that must not stop a service."""
    try:
        return read(environ)
    except SunbirdOtelError as error:
        logger.error("sunbird-otel: %s The defaults are used instead.", error)  # noqa: TRY400 - the text says it all
        return _of(Settings())


def _of(settings: Settings) -> PluginSettings:
    return PluginSettings(
        rules=settings.rules,
        policy=settings.policy,
        trace_scope=settings.trace_scope,
        max_open_flows=settings.max_open_flows,
    )
