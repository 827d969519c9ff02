"""How flows come to be: in which trace, under which ids, by which events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel._flow import Flow
from sunbird_otel._ids import span_of, trace_of

if TYPE_CHECKING:
    from sunbird_otel._event import Event
    from sunbird_otel._flow import Lane
    from sunbird_otel._open import OpenFlows
    from sunbird_otel._parked import Parked
    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel._tally import Tally
    from sunbird_otel._volume import Volumes


class Making:
    """Makes flows and counts them.

    Args:
        rules: The rules.
        trace_scope: ``session`` or ``run``, see :func:`sunbird_otel._ids.trace_of`.
        flows: The open flows.
        parked: Knows which request an event belongs to.
        volumes: When a trace goes on in a further one.
        tally: Counts flows that are opened.
    """

    def __init__(  # noqa: PLR0917 - the parts of the engine, once
        self, rules: Rules, trace_scope: str, flows: OpenFlows, parked: Parked, volumes: Volumes, tally: Tally
    ) -> None:
        """Keep the parts."""
        self._rules = rules
        self._trace_scope = trace_scope
        self._open = flows
        self._parked = parked
        self._volumes = volumes
        self._tally = tally

    def make(self, event: Event, rule: FlowRule, lane: Lane | None, parent: Flow | None) -> Flow:
        """Return the flow that ``event`` opens in ``parent``, not yet among the open ones."""
        request_id = self._parked.request_id(event)
        volume = None
        if parent is not None:
            trace_id, volume = parent.trace_id, parent.volume
        else:
            trace_id = trace_of(event, request_id, self._trace_scope)
            if not rule.whole or event.context.sid or event.context.did:
                volume = self._volumes.of(trace_id)
        if volume is not None:
            trace_id = volume.add(event.size)
        return Flow(
            rule=rule,
            opener=event,
            lane=lane,
            trace_id=trace_id,
            span_id=span_of(trace_id, rule.kind, event),
            parent=parent,
            request_id=request_id,
            marks=self._rules.marks_of(event.context),
            volume=volume,
        )

    def trace_of_request(self, event: Event, request_id: str) -> bytes:
        """Return the trace of a request that stands in no flow, with room made for it."""
        trace_id = trace_of(event, request_id, self._trace_scope)
        if event.context.sid or event.context.did:
            return self._volumes.of(trace_id).add(event.size)
        return trace_id

    def settle(self, flow: Flow, near: Flow | None) -> None:
        """Give a flow the trace of ``near``, or one of its own."""
        if near is not None:
            flow.volume = near.volume
            flow.trace_id = near.volume.trace_id if near.volume is not None else near.trace_id
        else:
            flow.volume = self._volumes.of(trace_of(flow.opener, flow.request_id, self._trace_scope))
            flow.trace_id = flow.volume.trace_id
        flow.events_trace_id = flow.trace_id
        flow.span_id = span_of(flow.trace_id, f"synthetic {flow.kind}" if flow.synthetic else flow.kind, flow.opener)

    def admit(self, flow: Flow, around: Flow | None = None) -> None:
        """Put a flow among the open ones; ``around`` is the one that now stands in it, when it was put between."""
        self._tally.open_flow(counted=not flow.opener.echo)
        self._open.add(flow, around)

    def synthesise(self, rule: FlowRule, child: Event, parent: Flow | None, start_ns: int) -> Flow:
        """Return the flow that should have been there for ``child``."""
        flow = self.make(child, rule, self._open.lane_for(child, rule), parent)
        flow.span_id = span_of(flow.trace_id, f"synthetic {rule.kind}", child)
        flow.start_ns = start_ns
        flow.synthetic = True
        flow.repairs.append("synthetic")
        return flow
