"""How the parts of the plugin are put into an OpenTelemetry that is already set up, each at most once."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakSet

from opentelemetry import propagate
from opentelemetry.environment_variables import OTEL_PROPAGATORS, OTEL_PYTHON_ID_GENERATOR
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from sunbird_otel.plugin._entry_spans import JoinedAttributes
from sunbird_otel.plugin._id_generator import SunbirdIdGenerator
from sunbird_otel.plugin._joined import HEADERS
from sunbird_otel.plugin._propagator import SunbirdPropagator

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_served: Final[WeakSet[TracerProvider]] = WeakSet()

# Where a tracer provider holds its processors.
_HOLDER: Final = "_active_span_processor"
_HELD: Final = "_span_processors"

_ENFORCERS: Final = ("sunbird_otel.plugin._processor", "sunbird_otel.plugin._exporter")


def install_propagator(trace_scope: str) -> None:
    """Add the propagator after those that are installed, unless ``OTEL_PROPAGATORS`` says which ones are wanted."""
    present = propagate.get_global_textmap()
    if os.environ.get(OTEL_PROPAGATORS) or present.fields.issuperset(HEADERS):
        return
    propagate.set_global_textmap(CompositePropagator([present, SunbirdPropagator(trace_scope=trace_scope)]))


def derive_ids(provider: TracerProvider) -> None:
    """Give ``provider`` our id generator, unless somebody chose another; tracers that it made before keep theirs."""
    if not os.environ.get(OTEL_PYTHON_ID_GENERATOR) and type(provider.id_generator) is RandomIdGenerator:
        provider.id_generator = SunbirdIdGenerator()  # type: ignore[assignment]


def describe_entry_spans(provider: TracerProvider) -> None:
    """Let ``provider`` write on entry spans what the propagator found."""
    if provider not in _served:
        _served.add(provider)
        provider.add_span_processor(JoinedAttributes())


def leave_alone(provider: TracerProvider) -> None:
    """Remember that ``provider`` is to stay as it is."""
    _served.add(provider)


def forget(provider: TracerProvider) -> None:
    """Forget that ``provider`` was settled, once what was added to it is gone."""
    _served.discard(provider)


def is_settled(provider: TracerProvider) -> bool:
    """Tell whether :func:`describe_entry_spans` or :func:`leave_alone` has had ``provider``."""
    return provider in _served


def nesting_is_watched() -> bool:
    """Tell whether anything in this process keeps the nesting rules.

    Processor and exporter are loaded when they are first asked for, by code or by the entry point that a
    configuration file names, so that a process that has not loaded them has none.
    """
    return any(module in sys.modules for module in _ENFORCERS)


# --- The processors of a provider, which it holds in private; the oldest SDK and the newest do it alike --------------


def processors_of(provider: TracerProvider) -> tuple[SpanProcessor, ...] | None:
    """Return the processors that ``provider`` feeds, in their order; None where they cannot be seen."""
    return processors_held(getattr(provider, _HOLDER, None))


def processors_held(holder: object) -> tuple[SpanProcessor, ...] | None:
    """Return what a processor that feeds several others feeds; None for any other object."""
    found = getattr(holder, _HELD, None)
    return cast("tuple[SpanProcessor, ...]", found) if isinstance(found, tuple) else None


def change_processors(
    provider: TracerProvider, change: Callable[[tuple[SpanProcessor, ...]], tuple[SpanProcessor, ...]]
) -> None:
    """Let ``change`` say which processors ``provider`` feeds from now on; nothing where they cannot be seen."""
    holder = getattr(provider, _HOLDER, None)
    if processors_held(holder) is None:
        return
    # The lock under which processors are added, so that none gets lost here.
    with getattr(holder, "_lock", nullcontext()):
        setattr(holder, _HELD, change(processors_held(holder) or ()))
