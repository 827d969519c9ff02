"""What the rules answer to the questions that every flow span asks, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sunbird_otel import names

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel.plugin._live_flow import LiveFlow

_LIMIT: Final = 10_000
"""Answers of one sort: services have a few dozen, and none may make them without end."""


class Place:
    """Where flows stand: the kinds of a flow and of those around it, itself first, with what the rules say of that.

    ``code`` is what a flow breaks by beginning there, or an empty text; ``inside`` are the places in this one by kind.
    """

    __slots__ = ("code", "inside", "kinds", "workflows")

    def __init__(self, kinds: tuple[str, ...], code: str) -> None:
        """Start with nothing asked."""
        self.kinds = kinds
        self.code = code
        self.inside: dict[str, Place] = {}
        self.workflows: dict[tuple[frozenset[str], frozenset[str]], str] = {}


class Answers:
    """Asks the rules once for each combination that occurs."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing asked."""
        self.outermost = Place((), "")
        self._rules = rules
        self._places = 0
        self._producer: tuple[Resource | None, object, frozenset[str]] = (None, "", frozenset())

    def place(self, rule: FlowRule, around: Place) -> Place:
        """Return the place of a flow of ``rule`` directly inside ``around``."""
        place = around.inside.get(rule.kind)
        if place is None:
            if self._places >= _LIMIT:
                self._places = 0
                self.outermost.inside.clear()  # open flows keep theirs
            self._places += 1
            place = around.inside[rule.kind] = Place((rule.kind, *around.kinds), rule.misplaced(around.kinds))
        return place

    def workflow(self, flow: LiveFlow) -> str:
        """Return the workflow that ``flow`` belongs to, by all that is known now."""
        marks = flow.marks
        outer = flow.parent
        while outer is not None:
            if outer.marks is not marks:
                marks |= outer.marks
            outer = outer.parent
        place = flow.place
        key = flow.kinds_inside, marks
        workflow = place.workflows.get(key)
        if workflow is None:
            if len(place.workflows) >= _LIMIT:
                place.workflows.clear()
            workflow = self._rules.workflow_of(flow.kinds_inside.union(place.kinds), marks)
            place.workflows[key] = workflow
        return workflow

    def marks(self, span: ReadableSpan, pid: object) -> frozenset[str]:
        """Return the workflows that the producer of ``span`` marks; nearly all spans of a process have one producer."""
        resource, process, marks = self._producer
        if span.resource is not resource or pid != process:
            service = str(span.resource.attributes.get(names.SERVICE_NAME, ""))
            marks = self._rules.marks_of_producer(service, str(pid))
            self._producer = span.resource, pid, marks
        return marks
