"""Trace and span ids: derived where somebody knows them, random otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from sunbird_otel.plugin._joined import joined_in

if TYPE_CHECKING:
    from collections.abc import Generator


class _Next:
    """Ids for one span; each is taken once, so that a span started by a processor meanwhile gets its own."""

    __slots__ = ("span_id", "trace_id")

    def __init__(self, trace_id: int | None, span_id: int | None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id


_next: Final[ContextVar[_Next | None]] = ContextVar("sunbird-next-ids", default=None)


@contextmanager
def next_ids(*, trace_id: int | None = None, span_id: int | None = None) -> Generator[None]:
    """Name the ids of the one span that is started inside; a provider with another id generator does not heed them.

    Args:
        trace_id: 128 bits, not 0; used when the span has no parent.
        span_id: 64 bits, not 0.
    """
    token = _next.set(_Next(trace_id, span_id))
    try:
        yield
    finally:
        _next.reset(token)


class SunbirdIdGenerator(IdGenerator):
    """Gives a span that begins a trace the id of the trace that its request belongs to, by the client's headers.

    The emitter names the ids of its spans by :func:`next_ids`. All other ids are random.
    """

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        """Return the id for a span without a parent."""
        named = _next.get()
        if named is not None and named.trace_id is not None:
            trace_id, named.trace_id = named.trace_id, None
            return trace_id
        joined = joined_in()
        if joined is not None and joined.trace_id is not None:
            return joined.trace_id
        return self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """Return the id for any span."""
        named = _next.get()
        if named is not None and named.span_id is not None:
            span_id, named.span_id = named.span_id, None
            return span_id
        return self._random.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Return False: samplers further on must not take a derived id for a random one."""
        return False
