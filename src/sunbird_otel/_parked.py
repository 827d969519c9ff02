"""Events of a request wait here for the ACCESS, which is written last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow
    from sunbird_otel._rules import Rules

_MOST_EVENTS: Final = 50_000
"""Events that may wait at a time; beyond them the oldest stops waiting."""

_REMEMBERED_REQUESTS: Final = 100_000
"""Written requests that are remembered for events that come after them."""


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
    """A request that has been written."""

    __slots__ = ("end_ns", "link", "pdata_id", "start_ns")

    def __init__(self, request: Flow) -> None:
        self.link = request.reference()
        self.start_ns = request.start_ns
        self.end_ns = request.end_ns
        self.pdata_id = request.opener.context.pdata_id


class Parked:
    """The waiting events, by request id. ``idle_gap_ns`` replaces the rules' own idle gap."""

    def __init__(self, rules: Rules, idle_gap_ns: int | None) -> None:
        """Start empty."""
        self._request_id = rules.request_id
        self._eids = frozenset[str]().union(*(rule.holds for rule in rules.gatherers))
        gaps = [idle_gap_ns or rule.idle_gap_ns for rule in rules.gatherers]
        self._wait_ns = max((gap for gap in gaps if gap is not None), default=0)
        self._queue: OrderedDict[int, Waiting] = OrderedDict()
        self._by_request: dict[str, list[Waiting]] = {}
        self._by_host: dict[int, list[Waiting]] = {}
        self._written: OrderedDict[str, list[Written]] = OrderedDict()

    def __bool__(self) -> bool:
        """Tell whether any event waits."""
        return bool(self._queue)

    def request_id(self, event: Event) -> str:
        """Return the id of the request that ``event`` belongs to, or an empty text."""
        return self._request_id.first(event)

    def take(self, event: Event, host: Flow | None) -> bool:
        """Let ``event`` wait if it names a request that may hold it; tell whether it does."""
        if event.eid not in self._eids:
            return False
        request_id = self.request_id(event)
        if not request_id:
            return False
        entry = Waiting(event, request_id, host, event.ets_ns + self._wait_ns)
        self._queue[id(entry)] = entry
        self._by_request.setdefault(request_id, []).append(entry)
        if host is not None:
            self._by_host.setdefault(id(host), []).append(entry)
        return True

    def gather(self, request: Flow) -> list[Event]:
        """Return the events that waited for ``request``, those that its own producer wrote until then; remember it."""
        if not request.request_id:
            return []
        written = Written(request)
        same = self._written.get(request.request_id)
        if same is None:
            self._written[request.request_id] = [written]
        else:
            same.append(written)
            del same[:-_SAME_REQUEST]
            self._written.move_to_end(request.request_id)
        if len(self._written) > _REMEMBERED_REQUESTS:
            self._written.popitem(last=False)
        waiting = self._by_request.get(request.request_id)
        if waiting is None:
            return []
        own: list[Waiting] = []
        others: list[Waiting] = []
        for entry in waiting:
            mine = (
                entry.event.context.pdata_id == request.opener.context.pdata_id
                and entry.event.ets_ns <= request.opener.ets_ns
            )
            (own if mine else others).append(entry)
        if not own:
            return []
        self._by_request[request.request_id] = others
        if not others:
            del self._by_request[request.request_id]
        for entry in own:
            del self._queue[id(entry)]
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
        written = self._written.get(self.request_id(event), [])
        own = [one for one in written if one.pdata_id == event.context.pdata_id]
        return (own or written)[-1] if written else None

    def expired(self, now_ns: int) -> Iterator[Waiting]:
        """Yield the events that have waited long enough, and those there is no room for."""
        while self._queue:
            entry = next(iter(self._queue.values()))
            if entry.until_ns >= now_ns and len(self._queue) <= _MOST_EVENTS:
                return
            self._leave(entry)
            yield entry

    def overdue(self, now_ns: int) -> Waiting | None:
        """Return the next event that :meth:`expired` would yield, and let it go."""
        return next(self.expired(now_ns), None)

    def all(self) -> Iterator[Waiting]:
        """Yield every event that waits: nothing more will come."""
        while self._queue:
            entry = next(iter(self._queue.values()))
            self._leave(entry)
            yield entry

    def _leave(self, entry: Waiting) -> None:
        del self._queue[id(entry)]
        self._leave_host(entry)
        entries = self._by_request[entry.request_id]
        entries.remove(entry)
        if not entries:
            del self._by_request[entry.request_id]

    def _leave_host(self, entry: Waiting) -> None:
        if entry.host is not None:
            entries = self._by_host[id(entry.host)]
            entries.remove(entry)
            if not entries:
                del self._by_host[id(entry.host)]
