"""Events of a request wait here for the ACCESS, which is written last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from sunbird_otel._flow import FlowLink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow
    from sunbird_otel._rules import Rules

_MOST_EVENTS: Final = 50_000
"""Events that may wait at a time; beyond them the oldest stops waiting."""

_REMEMBERED_REQUESTS: Final = 50_000
"""Written requests that are remembered for events that come after them: so many in each of two generations."""

_NEVER_NS: Final = 1 << 62
_LOOK_NS: Final = -_NEVER_NS

_SAME_REQUEST: Final = 4
"""Services whose part of one request is remembered."""


class Waiting:
    """An event that waits, and the flow of its own lane that takes it when no request does."""

    __slots__ = ("event", "host", "request_id", "until_ns")

    def __init__(self, event: Event, request_id: str, host: Flow | None, until_ns: int) -> None:
        self.event = event
        self.request_id = request_id
        self.host = host
        self.until_ns = until_ns


class Written:
    """A request that has been written; ``others`` are the parts that other services have of it."""

    __slots__ = ("_span_id", "_trace_id", "end_ns", "others", "pdata_id", "start_ns")

    def __init__(self, trace_id: bytes, span_id: bytes, pdata_id: str, start_ns: int, end_ns: int) -> None:
        self._trace_id = trace_id
        self._span_id = span_id
        self.pdata_id = pdata_id
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.others: tuple[Written, ...] = ()

    @property
    def link(self) -> FlowLink:
        """Return the reference to its span."""
        return FlowLink(self._trace_id, self._span_id)


class Parked:
    """The waiting events, by request id. ``idle_gap_ns`` replaces the rules' own idle gap."""

    def __init__(self, rules: Rules, idle_gap_ns: int | None) -> None:
        """Start empty."""
        self._request_id = rules.request_id
        self._eids = frozenset[str]().union(*(rule.holds for rule in rules.gatherers))
        gaps = [idle_gap_ns or rule.idle_gap_ns for rule in rules.gatherers]
        self._wait_ns = max((gap for gap in gaps if gap is not None), default=0)
        self._queue: OrderedDict[int, Waiting] = OrderedDict()
        self._quiet_ns = _NEVER_NS  # until then nothing is overdue, as is known without a look
        self._by_request: dict[str, list[Waiting]] = {}
        self._by_host: dict[int, list[Waiting]] = {}
        self._written: dict[str, Written] = {}
        self._before: dict[str, Written] = {}

    def request_id(self, event: Event) -> str:
        """Return the id of the request that ``event`` belongs to, or an empty text."""
        request_id = event.request_id
        if request_id is None:
            request_id = event.request_id = self._request_id.first(event)
        return request_id

    def awaits(self, request_id: str) -> bool:
        """Tell whether events wait for the request ``request_id``."""
        return request_id in self._by_request

    def remember(self, request_id: str, written: Written) -> None:
        """Remember that a request has been written."""
        known = self._written.get(request_id) or self._before.get(request_id)
        if known is not None:
            written.others = (known, *known.others)[: _SAME_REQUEST - 1]
            known.others = ()
        elif len(self._written) >= _REMEMBERED_REQUESTS:
            self._before, self._written = self._written, {}
        self._written[request_id] = written

    def wants(self, event: Event) -> bool:
        """Tell whether ``event`` is to wait, since it names a request that may hold it."""
        return event.eid in self._eids and bool(self.request_id(event))

    def take(self, event: Event, host: Flow | None) -> None:
        """Let ``event``, which is to wait, do so; ``host`` is the flow of its own lane."""
        request_id = self.request_id(event)
        entry = Waiting(event, request_id, host, event.ets_ns + self._wait_ns)
        self._queue[id(entry)] = entry
        self._quiet_ns = min(self._quiet_ns, entry.until_ns) if len(self._queue) <= _MOST_EVENTS else _LOOK_NS
        self._by_request.setdefault(request_id, []).append(entry)
        if host is not None:
            self._by_host.setdefault(id(host), []).append(entry)

    def gather(self, request: Flow) -> list[Event]:
        """Return the events that waited for ``request``, those that its own producer wrote until then; remember it."""
        if not request.request_id:
            return []
        producer, answered_ns = request.opener.context.pdata_id, request.opener.ets_ns
        self.remember(
            request.request_id, Written(request.trace_id, request.span_id, producer, request.start_ns, request.end_ns)
        )
        waiting = self._by_request.get(request.request_id)
        if waiting is None:
            return []
        own: list[Waiting] = []
        others: list[Waiting] = []
        for entry in waiting:
            mine = entry.event.context.pdata_id == producer and entry.event.ets_ns <= answered_ns
            (own if mine else others).append(entry)
        if not own:
            return []
        self._by_request[request.request_id] = others
        if not others:
            del self._by_request[request.request_id]
        for entry in own:
            self._leave_queue(entry)
            self._leave_host(entry)
        return [entry.event for entry in own]

    def of_host(self, host: Flow) -> list[Event]:
        """Return the events that wait and whose own flow is about to close, which takes them then."""
        entries = list(self._by_host.get(id(host), ()))
        for entry in entries:
            self._leave(entry)
        return [entry.event for entry in entries]

    def request_of(self, event: Event) -> Written | None:
        """Return the request that ``event`` names, if that has been written: its own producer's for preference."""
        request_id = self.request_id(event)
        written = self._written.get(request_id) or self._before.get(request_id)
        if written is None or written.pdata_id == event.context.pdata_id:
            return written
        return next((one for one in written.others if one.pdata_id == event.context.pdata_id), written)

    def overdue(self, now_ns: int) -> Waiting | None:
        """Return an event that has waited long enough, or that there is no room for, and let it go."""
        if now_ns <= self._quiet_ns:
            return None
        self._quiet_ns = _NEVER_NS
        for entry in self._queue.values():
            if entry.until_ns >= now_ns and len(self._queue) <= _MOST_EVENTS:
                self._quiet_ns = entry.until_ns
                return None
            self._leave(entry)
            return entry
        return None

    def all(self) -> Iterator[Waiting]:
        """Yield every event that waits: nothing more will come."""
        while self._queue:
            entry = next(iter(self._queue.values()))
            self._leave(entry)
            yield entry

    def _leave(self, entry: Waiting) -> None:
        self._leave_queue(entry)
        self._leave_host(entry)
        entries = self._by_request[entry.request_id]
        entries.remove(entry)
        if not entries:
            del self._by_request[entry.request_id]

    def _leave_queue(self, entry: Waiting) -> None:
        del self._queue[id(entry)]
        self._quiet_ns = _LOOK_NS  # what waits first may be another now

    def _leave_host(self, entry: Waiting) -> None:
        if entry.host is not None:
            entries = self._by_host[id(entry.host)]
            entries.remove(entry)
            if not entries:
                del self._by_host[id(entry.host)]
