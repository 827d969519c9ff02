"""What ``opentelemetry-instrument`` calls between configurators and instrumentors, whichever configurator it took."""

from __future__ import annotations

import logging
import os
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from sunbird_otel.plugin._sdk import config_file
from sunbird_otel.plugin._settings import settings_or_defaults
from sunbird_otel.plugin._wiring import (
    derive_ids,
    describe_entry_spans,
    install_propagator,
    is_settled,
    nesting_is_watched,
)

logger = logging.getLogger(__name__)

_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


def before_instrumentation() -> None:
    """Put in place what can be where another configurator came first, and say what cannot.

    The name ``sunbird`` (or ``*``) in ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` switches it off. It never raises: an
    exception here would leave the service without any instrumentation.
    """
    disabled = {name.strip() for name in os.environ.get(_DISABLED, "").split(",")}
    if disabled & {"sunbird", "*"}:
        return
    try:
        _join_in()
    except Exception:
        logger.exception("sunbird-otel could not join in; OpenTelemetry runs without it.")


def _join_in() -> None:
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or is_settled(provider):
        return
    describe_entry_spans(provider)
    if not config_file():
        derive_ids(provider)
        install_propagator(settings_or_defaults().trace_scope)
    if nesting_is_watched():
        return
    logger.warning(
        "sunbird-otel: OpenTelemetry was set up without it, so flow spans are exported as they are: nothing marks, "
        "repairs or rejects those that break the nesting rules. Requests still join the trace of their client's "
        "telemetry. To have the rules kept, set OTEL_PYTHON_CONFIGURATOR=sunbird, or name sunbird as the traces "
        "exporter; to switch this off, add sunbird to %s.",
        _DISABLED,
    )
