"""The errors that this package raises on purpose.

::

    SunbirdOtelError
    ├── ConfigError    an option, environment variable or configuration file is wrong
    ├── RuleError      a workflow file is wrong
    ├── SourceError    an input could not be read, or not to its end
    ├── SinkError      an output could not be delivered
    └── TelemetryError an event was not emitted (sunbird_otel.emit)

Bad telemetry is not an error: it is refused as a value (:class:`sunbird_otel.Finding`), counted, and kept.
"""


class SunbirdOtelError(Exception):
    """Base of every error that this package raises on purpose; its text is written for people."""


class ConfigError(SunbirdOtelError):
    """An option, an environment variable or a configuration file cannot be used."""


class RuleError(SunbirdOtelError):
    """A workflow file breaks the vocabulary of the rules; the text names file, line and reason."""


class SourceError(SunbirdOtelError):
    """An input could not be read, or not to its end; what could be read has been processed."""


class SinkError(SunbirdOtelError):
    """An output could not be delivered; the text names where the undelivered data is kept."""
