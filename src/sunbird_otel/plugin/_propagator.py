"""The headers by which Sunbird clients say who they are, read from requests that come in and written on those out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator, default_getter, default_setter

from sunbird_otel.errors import ConfigError
from sunbird_otel.plugin._id_generator import SunbirdIdGenerator
from sunbird_otel.plugin._joined import HEADERS, join, joined_in, with_joined
from sunbird_otel.plugin._settings import TRACE_SCOPES, settings_or_defaults

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

MAX_CHARS: Final = 256
"""The longest header value that is used, in characters; ids of Sunbird have at most 64."""

_BY_KEY: Final = {header.lower(): header for header in HEADERS}
_NAMES: Final = frozenset(HEADERS)


@dataclass(frozen=True, slots=True)
class PropagatorStats:
    """What a propagator has done so far.

    ``joined`` counts the requests whose headers gave a trace, ``linked`` those among them that came with another trace
    of their own (a traceparent), ``dropped`` the header values that were not fit for use, by reason: ``too_long``,
    ``not_printable_ascii``, ``several_values``, ``unreadable``.
    """

    joined: int
    linked: int
    dropped: Mapping[str, int]


class SunbirdPropagator(TextMapPropagator):
    """Joins a service's requests to the trace of the client's telemetry, by the headers ``X-Session-ID`` and its kin.

    A request that brings no valid trace of its own gets the trace that the bridge derives for the client's events:
    by session, else by device, else by request id. Where the tracer provider has :class:`SunbirdIdGenerator`, the
    server span begins there without a parent; elsewhere a remote parent carries the trace id. A request that does
    bring one keeps it; :class:`JoinedAttributes` then links the two.

    Args:
        trace_scope: As for the bridge; ``run`` joins by request id alone. None: as the settings say.
        derived_ids: Whether the tracer provider has :class:`SunbirdIdGenerator`; None: look at the global one.
        clock: Gives nanoseconds since 1970; for tests.

    Raises:
        ConfigError: There is no such trace scope.
    """

    def __init__(
        self,
        *,
        trace_scope: str | None = None,
        derived_ids: bool | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if trace_scope is None:
            trace_scope = settings_or_defaults().trace_scope
        elif trace_scope not in TRACE_SCOPES:
            raise ConfigError(f"trace_scope: expected {' or '.join(TRACE_SCOPES)}; found {trace_scope!r}.")
        self._trace_scope = trace_scope
        self._derived_ids = derived_ids
        self._clock = clock
        self._lock = Lock()
        self._joined = 0
        self._linked = 0
        self._dropped: Counter[str] = Counter()
        self._told: set[tuple[str, str]] = set()

    @property
    def stats(self) -> PropagatorStats:
        """What was done so far."""
        with self._lock:
            return PropagatorStats(self._joined, self._linked, dict(self._dropped))

    @property
    def fields(self) -> set[str]:
        """The headers that are written."""
        return set(_NAMES)

    def extract(self, carrier: Any, context: Context | None = None, getter: Getter[Any] = default_getter) -> Context:
        """Return ``context`` (None: an empty one) with what the headers say; it never raises."""
        context = Context() if context is None else context
        headers = self._read(carrier, getter)
        if not headers:
            return context
        joined = join(headers, self._clock(), self._trace_scope)
        context = with_joined(joined, context)
        if joined.trace is None:
            return context
        own = trace.get_current_span(context).get_span_context()
        with self._lock:
            self._joined += 1
            self._linked += own.is_valid and own.trace_id != joined.trace_id
        if own.is_valid or self._ids_are_derived():
            return context
        return trace.set_span_in_context(trace.NonRecordingSpan(joined.trace.span_context), context)

    def inject(self, carrier: Any, context: Context | None = None, setter: Setter[Any] = default_setter) -> None:
        """Write the headers that ``context`` (None: the current one) came with; one that is there already stays."""
        joined = joined_in(context)
        if joined is None:
            return
        there = cast("Mapping[object, object]", carrier) if isinstance(carrier, Mapping) else ()
        written = {str(key).lower() for key in there}
        for header, value in joined.headers.items():
            if header.lower() not in written:
                setter.set(carrier, header, value)

    def _ids_are_derived(self) -> bool:
        if self._derived_ids is not None:
            return self._derived_ids
        return isinstance(getattr(trace.get_tracer_provider(), "id_generator", None), SunbirdIdGenerator)

    def _read(self, carrier: Any, getter: Getter[Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        # Frameworks hand over what strangers sent, and some decode it on the way: no header may fail a request.
        try:
            keys: dict[str, dict[str, None]] = {}
            for key in getter.keys(carrier):
                header = _BY_KEY.get(key.lower().replace("_", "-"))
                if header is not None:
                    keys.setdefault(header, {})[key] = None
        except Exception:  # noqa: BLE001 - see above
            self._drop("all headers", "unreadable")
            return found
        for header, spellings in keys.items():
            try:
                values = [value for key in spellings for value in getter.get(carrier, key) or ()]
            except Exception:  # noqa: BLE001 - see above
                self._drop(header, "unreadable")
                continue
            value, reason = _usable(values)
            if reason:
                self._drop(header, reason)
            elif value:
                found[header] = value
        return found

    def _drop(self, header: str, reason: str) -> None:
        with self._lock:
            self._dropped[reason] += 1
            if (header, reason) in self._told:
                return
            self._told.add((header, reason))
        # The value stays out: it is what an attacker would like to see in a log.
        logger.warning("sunbird-otel: a value of %s was dropped: %s. Further ones are only counted.", header, reason)


def _usable(values: list[Any]) -> tuple[str, str]:
    """Return the one value, without blanks around it, or why it is not fit for use."""
    if not values:
        return "", ""
    value = str(values[0]).strip(" \t")
    # A WSGI server joins repeated headers with a comma, which no id of Sunbird holds.
    if len(values) > 1 or "," in value:
        return "", "several_values"
    if len(value) > MAX_CHARS:
        return "", "too_long"
    if not (value.isascii() and value.isprintable()):
        return "", "not_printable_ascii"
    return value, ""
