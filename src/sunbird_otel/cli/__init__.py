"""The command line: ``sunbird-otel replay``, ``check``, ``view`` and ``rules``.

In reading order: :mod:`._app` (the commands) with :mod:`._options`; :mod:`._settings` (from options, environment and
file to one record); :mod:`._intake` (inputs into the bridge); then a module for each command. :mod:`._exits` holds the
exit codes and what catches errors, :mod:`._screen` what writes to the two output streams.
"""

from __future__ import annotations

from sunbird_otel.cli._app import main

__all__ = ["main"]
