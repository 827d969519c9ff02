"""The change of tongue: from the flow engine's outcomes in Sunbird's words to signals in OpenTelemetry's."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic

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
    place_attributes,
    request_attributes,
    who_attributes,
)
from sunbird_otel._flow import Answered, Flow, FlowClosed, FlowLink, FlowSegment, Inside, Lone, Measured, Outcome
from sunbird_otel._form import Draft, Form, S, Said
from sunbird_otel._ids import span_of
from sunbird_otel._measure import measurements
from sunbird_otel._pairing import read
from sunbird_otel._signals import Attributes, Link, MetricPoint, Resource, SpanKind, StatusCode
from sunbird_otel._values import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._event import Event
    from sunbird_otel._tally import Tally

METRIC_DESCRIPTION: Final = "A measurement that a Sunbird METRICS event carried"

_MOST_PRODUCERS: Final = 1_000  # and versions of each: clients of any kind may write any text

_time_ns = attrgetter("time_ns")


def events_in(outcome: Outcome) -> int:
    """Return how many received events ``outcome`` stands for."""
    if isinstance(outcome, FlowClosed):
        flow = outcome.flow
        return len(flow.events) + (0 if flow.synthetic else 1) + (0 if flow.closer is None else 1)
    return len(outcome.events) if isinstance(outcome, FlowSegment) else 1


class Translator(Generic[S]):
    """Writes what the flow engine tells.

    Args:
        form: How signals are written.
        tally: Counts what is written.
        attribute_bytes: Longer attribute values are cut, with a mark.
        keep_events: Whether events that are written stay at hand, since they may yet be refused.
    """

    def __init__(self, form: Form[S], tally: Tally, *, attribute_bytes: int, keep_events: bool) -> None:
        """Start with nothing written."""
        self._form = form
        self._tally = tally
        self._attribute_bytes = attribute_bytes
        self._keep_events = keep_events
        self._resources: dict[str, dict[str, Resource]] = {}
        self._heads: dict[str, dict[str, Any]] = {}

    def inside(self, flow: Flow, event: Event, violations: tuple[str, ...] = ()) -> Inside:
        """Return ``event`` as ``flow`` is to hold it."""
        attributes: Attributes = {}
        event_attributes(attributes, event, violations)
        context_attributes(attributes, event, flow.opener)
        self._fit(attributes, event)
        return Inside(
            event.ets_ns,
            self._form.event(event_name(event), event.ets_ns, attributes),
            error_text(event) if event.eid == "ERROR" else None,
            event if self._keep_events else None,
        )

    def say(self, outcome: FlowClosed | Answered | FlowSegment | Lone | Measured, said: list[Said]) -> None:
        """Add what ``outcome`` becomes, for :meth:`write`."""
        if isinstance(outcome, Answered):
            said.append(self._answered_span(outcome))
        elif isinstance(outcome, FlowClosed):
            said.append(self._flow_span(outcome.flow))
        elif isinstance(outcome, Lone):
            said.append(self._lone_span(outcome))
        elif isinstance(outcome, FlowSegment):
            said.append(self._segment_span(outcome))
        else:
            points = self._points(outcome.event)
            self._tally.metric_points += len(points)
            said.extend(points)

    def write(self, said: list[Said], signals: list[S]) -> None:
        """Add the signals that were said."""
        form = self._form
        signals += [form.span(one) if isinstance(one, Draft) else form.point(one) for one in said]

    def _resource(self, event: Event) -> Resource:
        context = event.context
        resource: Resource | None = context.resource
        if resource is None:
            resource = context.resource = self._known_resource(context.pdata_id, context.pdata_ver)
        return resource

    def _known_resource(self, name: str, version: str) -> Resource:
        versions = self._resources.get(name)
        known = versions.get(version) if versions is not None else None
        if known is None:
            known = Resource(name, version)
            if len(self._resources) > _MOST_PRODUCERS or (versions is not None and len(versions) > _MOST_PRODUCERS):
                self._resources.clear()
            self._resources.setdefault(name, {})[version] = known
        return known

    def _fit(self, attributes: Attributes, event: Event) -> None:
        # No value is longer than the event that it stands in.
        if event.size > self._attribute_bytes:
            cut(attributes, self._attribute_bytes)

    def _beginning(self, event: Event, kind: str, workflow: str, attributes: Attributes) -> list[Any]:
        """Return how a span of ``event`` begins, as blocks, and add to ``attributes`` what is not in them.

        Args:
            event: Tells who and where.
            kind: That of a flow which has ended; empty for an event that stands alone.
            workflow: What it belongs to, or empty.
            attributes: Those that follow.
        """
        heads = self._heads.get(kind)
        head = heads.get(workflow) if heads is not None else None
        if head is None:
            said: Attributes = {names.FLOW_TYPE: kind} if kind else {}
            if workflow:
                said[names.WORKFLOW] = workflow
            said[names.FLOW_END_REASON] = "end" if kind else "instant"
            head = self._heads.setdefault(kind, {})[workflow] = self._form.block(said)
        if event.size > self._attribute_bytes:
            context_attributes(attributes, event)
            return [head]
        context = event.context
        if context.written is None:
            place: Attributes = {}
            place_attributes(place, context)
            context.written = self._form.block(place)
        who_attributes(attributes, event)
        return [head, context.written] if context.written else [head]

    def _answered_span(self, request: Answered) -> Draft:
        event = request.event
        attributes: Attributes = {}
        blocks = self._beginning(event, request.rule.kind, request.workflow, attributes)
        attributes[names.MID] = event.mid
        object_attributes(attributes, event)
        name, failed = request_attributes(attributes, event, request.request_id)
        if event.late:
            attributes[names.LATE] = True
        self._fit(attributes, event)
        self._tally.spans += 1
        return Draft(
            request.trace_id,
            request.span_id,
            b"",
            name,
            SpanKind.SERVER,
            request.start_ns,
            request.end_ns,
            self._resource(event),
            blocks,
            attributes,
            (),
            _links(request.links) if request.links else (),
            StatusCode.ERROR if failed else StatusCode.UNSET,
            "",
        )

    def _flow_span(self, flow: Flow) -> Draft:
        opener, rule, closer = flow.opener, flow.rule, flow.closer
        attributes = _flow_attributes(flow)
        context_attributes(attributes, opener)
        name, status, message = rule.kind, StatusCode.UNSET, ""
        inside = flow.events
        if flow.synthetic:
            # What is made has only the identity of the event that needed it; an END that came for it is an event in it.
            inside = [*inside, self.inside(flow, closer)] if closer is not None else inside
        elif rule.whole:
            attributes[names.MID] = opener.mid
            object_attributes(attributes, opener)
            name, server_error = request_attributes(attributes, opener, flow.request_id)
            status = StatusCode.ERROR if server_error else StatusCode.UNSET
        else:
            attributes[names.START_MID] = opener.mid
            object_attributes(attributes, opener)
            open_attributes(attributes, opener, is_job=rule.kind == "job")
            if closer is not None:
                close_attributes(attributes, closer, opener)
                self._fit(attributes, closer)
                if any(read(closer, path).casefold() in values for path, values in rule.fails):
                    status, message = StatusCode.ERROR, error_text(closer)
        if not flow.synthetic and (opener.late or (closer is not None and closer.late)):
            attributes[names.LATE] = True
        self._fit(attributes, opener)
        error = _first_error(inside)
        if error is not None and status is not StatusCode.ERROR:
            status, message = StatusCode.ERROR, error
        self._tally.spans += 1
        self._tally.synthetic_spans += flow.synthetic
        self._tally.span_events += len(inside)
        return Draft(
            flow.trace_id,
            flow.span_id,
            flow.parent.span_id if flow.parent is not None and flow.parent.trace_id == flow.trace_id else b"",
            name,
            SpanKind.SERVER if rule.whole else SpanKind.INTERNAL,
            flow.start_ns,
            flow.end_ns,
            self._resource(opener),
            (),
            attributes,
            _written(inside),
            _links(_around(flow) if flow.parent is not None else flow.links),
            status,
            message,
            synthetic=flow.synthetic,
        )

    def pending(self, flow: Flow) -> S:
        """Return a flow that is open as a span inside the one that is still to come.

        It has an id of its own: Jaeger shows two spans of one id, and Tempo keeps the first.
        """
        opener = flow.opener
        attributes: Attributes = {names.FLOW_TYPE: flow.rule.kind, names.FLOW_PENDING: True}
        if flow.violations:
            attributes[names.FLOW_VIOLATIONS] = list(flow.violations)
        context_attributes(attributes, opener)
        if not flow.synthetic:
            attributes[names.START_MID] = opener.mid
            object_attributes(attributes, opener)
            open_attributes(attributes, opener, is_job=flow.rule.kind == "job")
        self._fit(attributes, opener)
        self._tally.spans += 1
        draft = Draft(
            flow.trace_id,
            span_of(flow.trace_id, f"{flow.rule.kind} pending", opener),
            flow.span_id,
            flow.rule.kind,
            SpanKind.INTERNAL,
            flow.start_ns,
            flow.start_ns + 1,
            self._resource(opener),
            (),
            attributes,
        )
        return self._form.span(draft)

    def _segment_span(self, segment: FlowSegment) -> Draft:
        flow, inside, number, trace_id = segment.flow, segment.events, segment.number, segment.trace_id
        in_place = trace_id == flow.trace_id
        events = sorted(inside, key=_time_ns)
        error = _first_error(inside)
        attributes: Attributes = {names.FLOW_TYPE: flow.rule.kind, names.FLOW_SEGMENT: number}
        context_attributes(attributes, flow.opener)
        self._tally.spans += 1
        self._tally.span_events += len(events)
        return Draft(
            trace_id,
            span_of(trace_id, f"{flow.rule.kind} segment {number}", flow.opener),
            flow.span_id if in_place else b"",
            f"{flow.rule.kind} segment",
            SpanKind.INTERNAL,
            events[0].time_ns,
            max(events[-1].time_ns, events[0].time_ns + 1),
            self._resource(flow.opener),
            (),
            attributes,
            [one.written for one in events],
            () if in_place else _links([flow.reference().typed("flow")]),
            StatusCode.UNSET if error is None else StatusCode.ERROR,
            error or "",
        )

    def _lone_span(self, lone: Lone) -> Draft:
        event = lone.event
        attributes: Attributes = {}
        blocks = self._beginning(event, "", lone.workflow, attributes)
        event_attributes(attributes, event, lone.violations)
        self._fit(attributes, event)
        failed = event.eid == "ERROR"
        self._tally.spans += 1
        return Draft(
            lone.trace_id,
            span_of(lone.trace_id, "instant", event),
            lone.parent.span_id if lone.parent is not None else b"",
            event_name(event),
            SpanKind.INTERNAL,
            event.ets_ns,
            event.ets_ns + 1,
            self._resource(event),
            blocks,
            attributes,
            (),
            _links(lone.links) if lone.links else (),
            StatusCode.ERROR if failed else StatusCode.UNSET,
            error_text(event) if failed else "",
        )

    def _points(self, event: Event) -> list[MetricPoint]:
        common = metric_attributes(event)
        self._fit(common, event)
        return [
            MetricPoint(
                name=names.METRIC,
                description=METRIC_DESCRIPTION,
                unit="1",
                value=value,
                time_ns=event.ets_ns,
                resource=self._resource(event),
                attributes={names.METRIC_NAME: name, **common},
            )
            for name, value in measurements(event)
        ]


def _around(flow: Flow) -> list[FlowLink]:
    """Return the links of a flow, with one to the flow around it if that stands in another trace."""
    parent = flow.parent
    if parent is None or parent.trace_id == flow.trace_id:
        return flow.links
    return [*flow.links, parent.reference().typed("parent")]


def _links(links: Sequence[FlowLink]) -> list[Link]:
    return [Link(link.trace_id, link.span_id, {names.LINK_TYPE: link.type}) for link in links]


def _flow_attributes(flow: Flow) -> Attributes:
    attributes: Attributes = {names.FLOW_TYPE: flow.rule.kind}
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


def _written(inside: list[Inside]) -> list[object]:
    # Late events come after their time; the sort is stable, so that the order of equal times stays.
    return [one.written for one in (sorted(inside, key=_time_ns) if len(inside) > 1 else inside)]


def _first_error(inside: list[Inside]) -> str | None:
    for one in inside:
        if one.error is not None:
            return one.error
    return None
