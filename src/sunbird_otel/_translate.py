"""The change of tongue: from the flow engine's outcomes in Sunbird's words to signals in OpenTelemetry's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from sunbird_otel import names
from sunbird_otel._fields import (
    close_attributes,
    context_attributes,
    error_text,
    event_attributes,
    event_name,
    metric_attributes,
    object_attributes,
    open_attributes,
    request_attributes,
)
from sunbird_otel._flow import Flow, FlowClosed, FlowSegment, Inside, Lone, Measured, Outcome
from sunbird_otel._ids import span_of
from sunbird_otel._measure import measurements
from sunbird_otel._pairing import read
from sunbird_otel._signals import Attributes, Link, MetricPoint, Resource, Signal, Span, SpanEvent, SpanKind, StatusCode

if TYPE_CHECKING:
    from sunbird_otel._event import Event

METRIC_DESCRIPTION: Final = "A measurement that a Sunbird METRICS event carried"


def translate(outcome: FlowClosed | FlowSegment | Lone | Measured) -> list[Signal]:
    """Return the signals that ``outcome`` becomes."""
    match outcome:
        case FlowClosed(flow):
            return [_flow_span(flow)]
        case FlowSegment(flow, events, number):
            return [_segment_span(flow, events, number)]
        case Lone():
            return [_lone_span(outcome)]
        case Measured(event):
            return [*_metric_points(event)]
        case _ as never:
            assert_never(never)


def events_in(outcome: Outcome) -> int:
    """Return how many received events ``outcome`` stands for."""
    match outcome:
        case FlowClosed(flow):
            return len(flow.events) + (not flow.synthetic) + (flow.closer is not None)
        case FlowSegment(_, events, _):
            return len(events)
        case _:
            return 1


# --- Spans -----------------------------------------------------------------------------------------------------------


def _flow_span(flow: Flow) -> Span:
    opener, rule = flow.opener, flow.rule
    attributes = _flow_attributes(flow)
    context_attributes(attributes, opener)
    name, status, message = flow.kind, StatusCode.UNSET, ""
    inside = flow.events
    if flow.synthetic:
        # What is made has only the identity of the event that needed it; an END that came for it is an event in it.
        inside = [*inside, Inside(flow.closer)] if flow.closer is not None else inside
    elif rule.whole:
        attributes[names.MID] = opener.mid
        object_attributes(attributes, opener)
        name, server_error = request_attributes(attributes, opener, flow.request_id)
        status = StatusCode.ERROR if server_error else StatusCode.UNSET
    else:
        attributes[names.START_MID] = opener.mid
        object_attributes(attributes, opener)
        open_attributes(attributes, opener, is_job=flow.kind == "job")
        if flow.closer is not None:
            close_attributes(attributes, flow.closer, opener)
            if any(read(flow.closer, path).casefold() in values for path, values in rule.fails):
                status, message = StatusCode.ERROR, error_text(flow.closer)
    if not flow.synthetic and (opener.late or (flow.closer is not None and flow.closer.late)):
        attributes[names.LATE] = True
    events = _span_events(inside, opener)
    error = _first_error(inside)
    if error is not None and status is not StatusCode.ERROR:
        status, message = StatusCode.ERROR, error_text(error)
    return Span(
        trace_id=flow.trace_id,
        span_id=flow.span_id,
        parent_span_id=flow.parent.span_id if flow.parent is not None else b"",
        name=name,
        kind=SpanKind.SERVER if rule.whole else SpanKind.INTERNAL,
        start_ns=flow.start_ns,
        end_ns=flow.end_ns,
        resource=_resource(opener),
        attributes=attributes,
        events=events,
        links=[Link(link.trace_id, link.span_id, {names.LINK_TYPE: link.type}) for link in flow.links],
        status=status,
        status_message=message,
        synthetic=flow.synthetic,
    )


def _flow_attributes(flow: Flow) -> Attributes:
    attributes: Attributes = {names.FLOW_TYPE: flow.kind}
    if flow.workflow:
        attributes[names.WORKFLOW] = flow.workflow
    attributes[names.FLOW_END_REASON] = flow.end_reason
    if flow.violations:
        attributes[names.FLOW_VIOLATIONS] = list(flow.violations)
    if flow.repairs:
        attributes[names.FLOW_REPAIR] = list(dict.fromkeys(flow.repairs))
    if flow.observed_start_ns:
        attributes[names.FLOW_OBSERVED_START] = flow.observed_start_ns
    if flow.observed_end_ns:
        attributes[names.FLOW_OBSERVED_END] = flow.observed_end_ns
    if flow.segments:
        attributes[names.FLOW_SEGMENTS] = flow.segments
    return attributes


def _segment_span(flow: Flow, inside: list[Inside], number: int) -> Span:
    events = _span_events(inside, flow.opener)
    error = _first_error(inside)
    attributes: Attributes = {names.FLOW_TYPE: flow.kind, names.FLOW_SEGMENT: number}
    context_attributes(attributes, flow.opener)
    return Span(
        trace_id=flow.trace_id,
        span_id=span_of(flow.trace_id, f"{flow.kind} segment {number}", flow.opener),
        parent_span_id=flow.span_id,
        name=f"{flow.kind} segment",
        kind=SpanKind.INTERNAL,
        start_ns=events[0].time_ns,
        end_ns=max(events[-1].time_ns, events[0].time_ns + 1),
        resource=_resource(flow.opener),
        attributes=attributes,
        events=events,
        status=StatusCode.UNSET if error is None else StatusCode.ERROR,
        status_message="" if error is None else error_text(error),
    )


def _lone_span(lone: Lone) -> Span:
    event = lone.event
    attributes: Attributes = {names.WORKFLOW: lone.workflow} if lone.workflow else {}
    attributes[names.FLOW_END_REASON] = "instant"
    context_attributes(attributes, event)
    event_attributes(attributes, event, lone.violations)
    failed = event.eid == "ERROR"
    return Span(
        trace_id=lone.trace_id,
        span_id=span_of(lone.trace_id, "instant", event),
        parent_span_id=lone.parent.span_id if lone.parent is not None else b"",
        name=event_name(event),
        kind=SpanKind.INTERNAL,
        start_ns=event.ets_ns,
        end_ns=event.ets_ns + 1,
        resource=_resource(event),
        attributes=attributes,
        links=[Link(link.trace_id, link.span_id, {names.LINK_TYPE: link.type}) for link in lone.links],
        status=StatusCode.ERROR if failed else StatusCode.UNSET,
        status_message=error_text(event) if failed else "",
    )


def _span_events(inside: list[Inside], opener: Event) -> list[SpanEvent]:
    events: list[SpanEvent] = []
    for one in inside:
        attributes: Attributes = {}
        event_attributes(attributes, one.event, one.violations)
        context_attributes(attributes, one.event, beside=opener)
        events.append(SpanEvent(event_name(one.event), one.event.ets_ns, attributes))
    # Late events come after their time; the sort is stable, so that the order of equal times stays.
    events.sort(key=lambda event: event.time_ns)
    return events


def _first_error(inside: list[Inside]) -> Event | None:
    return next((one.event for one in inside if one.event.eid == "ERROR"), None)


def _resource(event: Event) -> Resource:
    return Resource(event.pdata_id, event.pdata_ver)


def _metric_points(event: Event) -> list[MetricPoint]:
    common = metric_attributes(event)
    return [
        MetricPoint(
            name=names.METRIC,
            description=METRIC_DESCRIPTION,
            unit="1",
            value=value,
            time_ns=event.ets_ns,
            resource=_resource(event),
            attributes={names.METRIC_NAME: name, **common},
        )
        for name, value in measurements(event)
    ]
