"""The command line: ``sunbird-otel replay``, ``check``, ``view`` and ``rules``.

In reading order: :mod:`._app` (the commands) with :mod:`._options`; :mod:`._settings` (from options, environment and
file to one record); :mod:`._intake` (inputs into the bridge); then a module for each command. :mod:`._exits` holds the
exit codes and what catches errors, :mod:`._screen` what writes to the two output streams.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the process ends with an exit code."""
    # The plugin takes its settings from this package, and a service must not load the commands for them.
    from sunbird_otel.cli._app import main as run

    run()
