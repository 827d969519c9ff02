"""The OpenTelemetry side: what each emitted event becomes on the given providers.

Names, attributes, kinds, times and status are those that :mod:`sunbird_otel._translate` gives the same events, so that
a service's own spans and a replay of what it emitted tell one story. Nothing here raises into user code: each entry is
guarded, and what it swallows is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel import names
from sunbird_otel._fields import (
    close_attributes,
    context_attributes,
    error_text,
    object_attributes,
    open_attributes,
)
from sunbird_otel._flow import Flow, lane_key
from sunbird_otel._ids import span_of, trace_of
from sunbird_otel._measure import measurements
from sunbird_otel._pairing import read, same_flow
from sunbird_otel._rules import Closes, Opens
from sunbird_otel.emit._adding import adder
from sunbird_otel.emit._fork import renew_after_fork
from sunbird_otel.emit._meters import Meters
from sunbird_otel.emit._placing import Placing
from sunbird_otel.emit._requests import Requests
from sunbird_otel.emit._runs import Runs
from sunbird_otel.emit._tracer import HERE, ROOT, Around, Tracer, capacity, fail, know, no_span
from sunbird_otel.emit._track import Track, parent_of_flow
from sunbird_otel.schema import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel._signals import Attributes
    from sunbird_otel.emit._refused import Faults


class Spans:
    """Turns emitted events into spans, span events and metrics.

    Args:
        rules: Which flow an event opens, closes or belongs to.
        faults: Counts what is swallowed.
        current: Tells the innermost flow around the code that runs.
        tracer_provider: Where the spans go; ``None`` is the global one.
        meter_provider: Where the metrics go; ``None`` is the global one.
    """

    def __init__(
        self,
        rules: Rules,
        faults: Faults,
        current: Callable[[], Track | None],
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self._rules = rules
        self._faults = faults
        self._tracer = Tracer(tracer_provider, current)
        self._meters = Meters(meter_provider)
        self._runs = Runs(rules)
        self._placing = Placing(rules, self._tracer, self._runs)
        self._requests = Requests(
            rules=rules,
            tracer=self._tracer,
            runs=self._runs,
            placing=self._placing,
            record=self._record,
            decide_workflow=self._decide_workflow,
        )
        # What only ever happens inside flows: most events, for which no question need be asked.
        self._plain = (
            MODELS.keys()
            - {match.eid for flow in rules.flows for match in (*flow.opens, *flow.closes)}
            - self._requests.eids
            - {"METRICS"}
        )
        renew_after_fork(self)

    def renew(self) -> None:
        """Forget what waits and what runs: it belongs to the process that this one was forked from."""
        self._runs.renew()
        self._requests.renew()

    # --- Entries, each guarded --------------------------------------------------------------------------------------

    def open(self, event: Event, rule: FlowRule, around: Track | None, *, inside: Track | None, root: bool) -> Track:
        """Open the span of the flow that ``event`` opens.

        Args:
            event: The START.
            rule: What it opens.
            around: The innermost flow around the call.
            inside: The flow that it shall stand in, whatever the rules say of lanes.
            root: Whether it shall stand in nothing at all.
        """
        parent = inside if rule.scope == "lane" else None
        if parent is None:
            parent = parent_of_flow(event, rule, self._placing.session_ids(event), around)
        try:
            self._meters.count(event)
            return self._open(event, rule, around, parent, ROOT if root or around is not None else HERE)
        except Exception as error:  # noqa: BLE001 - the caller's flow goes on without a span
            self._faults.swallowed("tracing", error)
            record = self._record(event, rule, parent)
            return Track(record, no_span(), no_span().add_event, {}, around, lane_key(event, rule.scope), 0)

    def close(self, track: Track, event: Event) -> None:
        """End the span of a flow by its END."""
        try:
            self._meters.count(event)
            self._requests.close_host(track)
            self._finish(track, "end", event)
        except Exception as error:  # noqa: BLE001 - telemetry must not break its host
            self._faults.swallowed("tracing", error)

    def tell(
        self, event: Event, around: Track | None, violations: tuple[str, ...] = (), request: Span | None = None
    ) -> None:
        """Take an event that is no START or END of a flow that the caller holds.

        Args:
            event: The event.
            around: The innermost flow around the call.
            violations: What it breaks.
            request: The span that stands for the request that it tells.
        """
        try:
            self._meters.count(event)
            if event.eid in self._plain and not violations:
                self._placing.place(event, around)
            else:
                self._tell(event, around, violations, request)
        except Exception as error:  # noqa: BLE001 - telemetry must not break its host
            self._faults.swallowed("tracing", error)

    def drain(self) -> None:
        """Write what still waits for its request, and end the runs of services: nothing more will come."""
        try:
            self._requests.drain()
            for run in self._runs.all():
                if run.holder is None:
                    self._finish(run, "drain", None)
        except Exception as error:  # noqa: BLE001 - telemetry must not break its host
            self._faults.swallowed("tracing", error)

    # --- Flows ------------------------------------------------------------------------------------------------------

    def _record(self, event: Event, rule: FlowRule, parent: Track | None) -> Flow:
        request_id = self._placing.request_id(event)
        trace_id = parent.flow.trace_id if parent else trace_of(event, request_id, "session")
        flow = Flow(
            rule=rule,
            opener=event,
            lane=None,
            trace_id=trace_id,
            span_id=span_of(trace_id, rule.kind, event),
            parent=parent.flow if parent else None,
            request_id=request_id,
            marks=self._rules.marks_of(event.context),
        )
        flow.session_ids = self._placing.session_ids(event) if rule.joins else ()
        return flow

    def _open(self, event: Event, rule: FlowRule, around: Track | None, parent: Track | None, outside: Around) -> Track:
        record = self._record(event, rule, parent)
        attributes: Attributes = {names.FLOW_TYPE: rule.kind}
        code = rule.misplaced([flow.kind for flow in record.ancestors()])
        if code:
            record.violations.append(code)
            attributes[names.FLOW_VIOLATIONS] = [code]
        context_attributes(attributes, event)
        attributes[names.START_MID] = event.mid
        object_attributes(attributes, event)
        open_attributes(attributes, event, is_job=rule.kind == "job")
        span = self._tracer.start(
            rule.kind,
            event,
            part=rule.kind,
            around=parent or outside,
            trace_id=record.trace_id,
            attributes=attributes,
        )
        know(record, span)
        lane = lane_key(event, rule.scope)
        track = Track(record, span, adder(span), attributes, around, lane, capacity(span))
        if rule.scope == "producer":
            self._runs.add(track)
        return track

    def _finish(self, track: Track, reason: str, closer: Event | None) -> None:
        record, rule = track.flow, track.flow.rule
        with track.lock:
            track.closed = True
            segment, track.segment = track.segment, None
        if rule.scope == "producer":
            self._runs.remove(track)
        if segment is not None:
            segment.span.end(segment.last_ns + 1)
        self._decide_workflow(record)
        attributes = dict(track.attributes)
        end_ns = record.last_ns
        if closer is not None:
            end_ns = closer.ets_ns
            close_attributes(attributes, closer, record.opener)
            if any(read(closer, path).casefold() in values for path, values in rule.fails):
                fail(track.span, error_text(closer))
        if record.workflow:
            attributes[names.WORKFLOW] = record.workflow
        attributes[names.FLOW_END_REASON] = reason
        if record.segments:
            attributes[names.FLOW_SEGMENTS] = record.segments
        if reason != "end" and rule.must_end(record.workflow):
            attributes[names.FLOW_VIOLATIONS] = [*record.violations, "missing_end"]
        track.span.set_attributes({k: v for k, v in attributes.items() if track.attributes.get(k) != v})
        end_ns = max(end_ns, record.start_ns + 1)
        track.span.end(end_ns)
        self._meters.flow(record, reason, end_ns, track.span)

    def _decide_workflow(self, record: Flow) -> None:
        around = list(record.ancestors())
        kinds = record.rule.alone.union(record.kinds_inside, (outer.kind for outer in around))
        record.workflow = self._rules.workflow_of(kinds, record.marks.union(*(outer.marks for outer in around)))
        if record.parent is not None:
            record.parent.kinds_inside |= record.kinds_inside | {record.kind}
            record.parent.marks |= record.marks

    # --- Events -----------------------------------------------------------------------------------------------------

    def _tell(self, event: Event, around: Track | None, violations: tuple[str, ...], request: Span | None) -> None:
        points = measurements(event)
        if points:
            self._meters.measured(event, points)
            return
        role = None if violations else self._rules.role(event)
        if isinstance(role, Opens) and role.rule.whole:
            self._requests.write(event, role.rule, around, request)
        elif isinstance(role, Opens) and role.rule.scope == "producer" and event.eid != "START":
            self._run_begins(event, role.rule)
        elif isinstance(role, Closes) and role.rule.scope == "producer" and event.eid != "END":
            self._runs.note(event, role.rule)
            run = self._runs.matching(event, role.rule)
            if run is not None:
                self._finish(run, "end", event)
            else:
                self._placing.place(event, around, ("orphan_end",))
        elif violations or not self._requests.take(event, around):
            self._placing.place(event, around, violations)

    def _run_begins(self, event: Event, rule: FlowRule) -> None:
        for run in self._runs.of(event, rule):
            if same_flow(event, run.flow):
                self._finish(run, "restart", None)
        self._open(event, rule, None, None, ROOT)
