"""Ids that are derived, so that the same input gives the same trace on any machine, in any order, after any restart.

The recipe: BLAKE2b over texts with NUL bytes between them, 16 bytes for a trace. An event is known by eid, mid and
time, and by its ``twin`` where several share these; its span is the exclusive or of 8 bytes each of the event, the
trace and the part that it has there. Digests are personalised with the recipe's version; changing anything here changes
every id, so it takes a new version.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._event import Event

RECIPE: Final = b"sunbird-otel/2"
"""The version of the recipe."""

_DAY_NS: Final = 86_400 * 1_000_000_000


def _trace(text: str) -> bytes:
    state = _TRACE_STATE()
    state.update(_encoded(text))
    return state.digest()


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return text.encode("utf-8", "surrogatepass")


# Copying a state is quicker than making one.
_TRACE_STATE: Final = blake2b(digest_size=16, person=RECIPE).copy
_EVENT_STATE: Final = blake2b(digest_size=24, person=RECIPE).copy


def session_trace(channel: str, did: str, sid: str, time_ns: int) -> bytes:
    """Return the trace of a session on the UTC day of ``time_ns``."""
    return _trace(f"session\0{channel}\0{did}\0{sid}\0{time_ns // _DAY_NS}")


def device_trace(did: str, time_ns: int) -> bytes:
    """Return the trace of a device on the UTC day of ``time_ns``, for what has no session."""
    return _trace(f"device\0{did}\0{time_ns // _DAY_NS}")


def request_trace(request_id: str) -> bytes:
    """Return the trace of a request that has neither session nor device."""
    return _trace("request\0" + request_id)


def further_trace(trace_id: bytes, part: int) -> bytes:
    """Return the trace in which ``trace_id`` goes on when it is full, for the ``part``-th time."""
    data = trace_id + part.to_bytes(4, "big")
    return blake2b(data, digest_size=16, person=RECIPE).digest()


def event_trace(event: Event) -> bytes:
    """Return the trace that starts with ``event`` alone."""
    return _digest(event)[:16]


def trace_of(event: Event, request_id: str, scope: str) -> bytes:
    """Return the trace whose root ``event`` opens.

    Args:
        event: The root's opening event, or an event that stands alone.
        request_id: Its request id, or empty.
        scope: ``session`` for one trace a session and day, ``run`` for one trace a root.
    """
    if scope == "session":
        if event.context.sid:
            return session_trace(event.context.channel, event.context.did, event.context.sid, event.ets_ns)
        if event.context.did:
            return device_trace(event.context.did, event.ets_ns)
    if request_id:
        return request_trace(request_id)
    return event_trace(event)


def span_of(trace_id: bytes, role: str, event: Event) -> bytes:
    """Return the span that ``event`` opens in the part ``role`` (a flow's kind, for example)."""
    part = _ROLES.get(role)
    if part is None:
        (part,) = _FROM_BYTES(blake2b(role.encode(), digest_size=8, person=RECIPE).digest())
        if len(_ROLES) < _MOST_ROLES:
            _ROLES[role] = part
    of_trace, own = _PARTS(trace_id + _digest(event))
    number = of_trace ^ own ^ part
    return _BYTES(number) if number else _NOT_ZERO


# The order of bytes is the machine's own, which is the quickest; to an exclusive or it makes no difference.
_FROM_BYTES: Final[Callable[[bytes], tuple[Any]]] = Struct("Q").unpack
_BYTES: Final[Callable[[Any], bytes]] = Struct("Q").pack
_PARTS: Final[Callable[[bytes], tuple[Any, Any]]] = Struct("Q8x16xQ").unpack
"""Takes from a trace and an event's digest what goes into a span."""
_NOT_ZERO: Final = bytes(7) + b"\1"

_ROLES: Final[dict[str, Any]] = {}
_MOST_ROLES: Final = 1_000


def _digest(event: Event) -> bytes:
    """Return what an event's ids are made of: 16 bytes for a trace that it starts alone, 8 for its spans."""
    digest = event.digest
    if not digest:
        text = f"{event.eid}\0{event.mid}\0"
        if event.twin:
            text += str(event.twin)
        state = _EVENT_STATE()
        state.update(_encoded(text) + event.ets_ns.to_bytes(8, "big"))
        digest = event.digest = state.digest()
    return digest
