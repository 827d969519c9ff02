"""Requests, which one event tells whole when they are answered, and the events that wait for that."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sunbird_otel import names
from sunbird_otel._fields import (
    context_attributes,
    error_text,
    event_attributes,
    event_name,
    object_attributes,
    request_attributes,
)
from sunbird_otel._measure import duration_ns
from sunbird_otel._parked import Parked
from sunbird_otel.emit._tracer import HERE, ROOT, Around, fail, know
from sunbird_otel.emit._track import innermost, parent_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.trace import Span

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow
    from sunbird_otel._parked import Waiting
    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel._signals import Attributes
    from sunbird_otel.emit._placing import Placing
    from sunbird_otel.emit._runs import Runs
    from sunbird_otel.emit._tracer import Tracer
    from sunbird_otel.emit._track import Track


class Requests:
    """Writes requests.

    Args:
        rules: The rules.
        tracer: Starts their spans.
        runs: The runs that they are members of.
        placing: Takes the events that have waited in vain.
        record: Makes the record of a flow: opening event, rule, parent.
        decide_workflow: Puts the workflow on it.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        tracer: Tracer,
        runs: Runs,
        placing: Placing,
        record: Callable[[Event, FlowRule, Track | None], Flow],
        decide_workflow: Callable[[Flow], None],
    ) -> None:
        self._rules = rules
        self._tracer = tracer
        self._runs = runs
        self._placing = placing
        self._record = record
        self._decide_workflow = decide_workflow
        self.eids = frozenset[str]().union(*(rule.holds for rule in rules.gatherers))
        self.renew()

    def renew(self) -> None:
        """Forget what waits."""
        self._lock = Lock()
        self._parked = Parked(self._rules, None)
        # A flow that its holder has dropped without ending it must not stay for what waits in it.
        self._hosts: WeakValueDictionary[int, Track] = WeakValueDictionary()

    def take(self, event: Event, around: Track | None) -> bool:
        """Let ``event`` wait for the request that it names, if it names one; tell whether it does."""
        if event.eid not in self.eids:
            return False
        host = innermost(event, around)
        with self._lock:
            expired = list(iter(partial(self._parked.overdue, event.ets_ns), None))
            waits = self._parked.wants(event)
            if waits:
                self._parked.take(event, host.flow if host is not None else None)
                if host is not None:
                    self._hosts[id(host.flow)] = host
        for entry in expired:
            self._unpark(entry)
        return waits

    def close_host(self, track: Track) -> None:
        """Write what waits in a flow that is about to close, onto that."""
        with self._lock:
            known = self._hosts.pop(id(track.flow), None) is not None
            events = self._parked.of_host(track.flow) if known else []
        for event in events:
            self._placing.place(event, track)

    def drain(self) -> None:
        """Write all that waits."""
        with self._lock:
            waiting = list(self._parked.all())
        for entry in waiting:
            self._unpark(entry)

    def write(self, event: Event, rule: FlowRule, around: Track | None, standing: Span | None) -> None:
        """Write the request that ``event`` tells; ``standing`` is the span that stands for it already, if one does."""
        parent = parent_of_request(event, rule, self._placing.session_ids(event), around)
        run = self._runs.member_of(event, rule)
        if run is not None and run.flow.rule.members == "child":
            parent = run
        record = self._record(event, rule, parent)
        record.end_ns = event.ets_ns
        record.start_ns = event.ets_ns - duration_ns(event, rule.duration_param)
        if run is None and self._runs.outside(event, rule):
            record.violations.append("missing_parent")
        if standing is not None:
            know(record, standing)
        with self._lock:
            gathered = sorted(self._parked.gather(record), key=lambda one: one.ets_ns)
        if record.start_ns == event.ets_ns and gathered:
            record.start_ns = gathered[0].ets_ns
        self._decide_workflow(record)
        name, attributes, failed = _described(event, record)
        error = next((one for one in gathered if one.eid == "ERROR"), None)
        text = "" if failed or error is None else error_text(error)
        if standing is not None:
            self._add_to(standing, record, attributes, gathered)
            if error is not None and standing.is_recording():
                fail(standing, text)
            return
        outside: Around = HERE if around is None else ROOT
        span = self._tracer.start(
            name,
            event,
            part=rule.kind,
            around=parent or outside,
            trace_id=record.trace_id,
            attributes=attributes,
            links=[run.flow.reference().typed("service_run")] if run is not None and run is not parent else (),
            start_ns=record.start_ns,
            is_request=True,
        )
        know(record, span)
        with self._lock:
            self._parked.gather(record)  # once more: only now its real ids are known, for who comes later
        _hold(span, event, gathered)
        if failed or error is not None:
            fail(span, text)
        span.end(max(event.ets_ns, record.start_ns + 1))

    def _add_to(self, span: Span, record: Flow, attributes: Attributes, gathered: list[Event]) -> None:
        """Put a request onto a span that stands for it; on one that has ended its events are spans of their own."""
        if span.is_recording():
            # What an instrumentation says of HTTP stands as it is.
            span.set_attributes({key: value for key, value in attributes.items() if key.startswith(names.EVENT_PREFIX)})
            _hold(span, record.opener, gathered)
        else:
            for event in gathered:
                self._placing.lone(event, record.reference(), record.trace_id)

    def _unpark(self, entry: Waiting) -> None:
        """Write an event that has waited in vain: in the request that it names, if that has been written."""
        event = entry.event
        with self._lock:
            request = self._parked.request_of(event)
            host = self._hosts.get(id(entry.host))
        if request is None:
            self._placing.place(event, host, outside=ROOT)
        else:
            self._placing.lone(event, request.link, request.link.trace_id)


def _described(event: Event, record: Flow) -> tuple[str, Attributes, bool]:
    """Return name and attributes of a request's span, and whether the server failed."""
    attributes: Attributes = {names.FLOW_TYPE: record.kind}
    if record.workflow:
        attributes[names.WORKFLOW] = record.workflow
    attributes[names.FLOW_END_REASON] = "end"
    if record.violations:
        attributes[names.FLOW_VIOLATIONS] = list(record.violations)
    context_attributes(attributes, event)
    attributes[names.MID] = event.mid
    object_attributes(attributes, event)
    name, failed = request_attributes(attributes, event, record.request_id)
    return name, attributes, failed


def _hold(span: Span, opener: Event, events: Iterable[Event]) -> None:
    for event in events:
        attributes: Attributes = {}
        event_attributes(attributes, event, ())
        context_attributes(attributes, event, beside=opener)
        span.add_event(event_name(event), attributes, event.ets_ns)
