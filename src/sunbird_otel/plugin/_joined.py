"""What the headers of a Sunbird client say about a request, and where it stands in an OpenTelemetry context.

A client of Sunbird sends who it is (``X-Session-ID`` and its kin) rather than a ``traceparent``. The bridge derives
trace ids from the same words, so that a service can find the trace of the client's own events. The propagator leaves
a :class:`Joined` in the context; the id generator takes the trace from it, :class:`JoinedAttributes` the attributes
and links, and the propagator the headers for requests that go out.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry import context as contexts
from opentelemetry.trace import SpanContext, TraceFlags

from sunbird_otel import names
from sunbird_otel._ids import RECIPE, device_trace, request_trace, session_trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

SESSION: Final = "X-Session-ID"
DEVICE: Final = "X-Device-ID"
CHANNEL: Final = "X-Channel-ID"
APP: Final = "X-App-ID"
REQUEST: Final = "X-Request-ID"
HEADERS: Final = (SESSION, DEVICE, CHANNEL, APP, REQUEST)
"""The headers as they are written; they are read in any case."""

Kind = Literal["session", "device", "request"]

_ATTRIBUTES: Final = {
    SESSION: names.SESSION_ID,
    DEVICE: names.DEVICE_ID,
    CHANNEL: names.CHANNEL,
    REQUEST: names.REQUEST_ID,
}
_HOUR_NS: Final = 3600 * 10**9
_DAY_NS: Final = 24 * _HOUR_NS

# A session's trace is named after the day of its START. Most sessions last minutes; 4 hours is what other tools of
# this kind give the longest ones.
_EARLY_NS: Final = 4 * _HOUR_NS

_KEY: Final = contexts.create_key("sunbird-joined")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A trace that the bridge writes, or would write, for a client: its id, and what it is the trace of."""

    trace_id: int
    kind: Kind

    @property
    def span_context(self) -> SpanContext:
        """A place in the trace for links and remote parents.

        Which spans the trace has is known to the client alone, so the span id stands for none of them; it is derived
        from the trace id, so that all that joins the trace names the same one.
        """
        digest = blake2b(self.trace_id.to_bytes(16), digest_size=8, person=RECIPE).digest()
        return SpanContext(self.trace_id, int.from_bytes(digest), is_remote=True, trace_flags=_SAMPLED)


_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a request's headers said.

    ``headers`` holds those that were there and fit for use, by their names in :data:`HEADERS`. ``trace`` is the trace
    of the client's events today, ``yesterday`` the one that a session from before midnight would still be in; each
    is None where there is none.
    """

    headers: Mapping[str, str]
    trace: Trace | None = None
    yesterday: Trace | None = None

    @property
    def trace_id(self) -> int | None:
        """The trace of the client's events, or None."""
        return self.trace.trace_id if self.trace else None

    @property
    def attributes(self) -> dict[str, str]:
        """The same as span attributes."""
        return {_ATTRIBUTES[header]: value for header, value in self.headers.items() if header in _ATTRIBUTES}


def join(headers: Mapping[str, str], time_ns: int, trace_scope: str = "session") -> Joined:
    """Derive from ``headers`` what the bridge derives from events with the same words in their context.

    Args:
        headers: By the names of :data:`HEADERS`.
        time_ns: Now, in nanoseconds since 1970.
        trace_scope: ``session``, or ``run``, where a session has no one trace to join.
    """
    if trace_scope == "session" and (headers.get(SESSION) or headers.get(DEVICE)):
        early = time_ns % _DAY_NS < _EARLY_NS
        return Joined(
            headers=headers,
            trace=_of_client(headers, time_ns),
            yesterday=_of_client(headers, time_ns - _DAY_NS) if early else None,
        )
    if request := headers.get(REQUEST):
        return Joined(headers=headers, trace=Trace(trace_id=int.from_bytes(request_trace(request)), kind="request"))
    return Joined(headers=headers)


def _of_client(headers: Mapping[str, str], time_ns: int) -> Trace:
    did = headers.get(DEVICE, "")
    if sid := headers.get(SESSION):
        trace_id = session_trace(headers.get(CHANNEL, ""), did, sid, time_ns)
        return Trace(trace_id=int.from_bytes(trace_id), kind="session")
    return Trace(trace_id=int.from_bytes(device_trace(did, time_ns)), kind="device")


def joined_in(context: Context | None = None) -> Joined | None:
    """Return what was left in ``context`` (None: the current one), or None."""
    found = contexts.get_value(_KEY, context)
    return found if isinstance(found, Joined) else None


def with_joined(joined: Joined, context: Context | None = None) -> Context:
    """Return ``context`` (None: the current one) with ``joined`` in it."""
    return contexts.set_value(_KEY, joined, context)
