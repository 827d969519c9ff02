"""What the rules answer to the questions that every flow span asks, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sunbird_otel import names

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel.plugin._live_flow import LiveFlow

_LIMIT: Final = 10_000
"""Answers of one sort: services have a few dozen, and none may make them without end."""


class Answers:
    """Asks the rules once for each combination that occurs."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing asked."""
        self._rules = rules
        self._codes: dict[tuple[str, tuple[str, ...]], str] = {}
        self._workflows: dict[tuple[tuple[str, ...], frozenset[str], frozenset[str]], str] = {}
        self._producer: tuple[Resource | None, object, frozenset[str]] = (None, "", frozenset())

    def misplaced(self, rule: FlowRule, around: LiveFlow | None) -> str:
        """Return the code that a flow of ``rule`` breaks inside ``around``, or an empty text."""
        key = rule.kind, around.kinds if around is not None else ()
        code = self._codes.get(key)
        if code is None:
            code = _remember(self._codes, key, rule.misplaced(key[1]))
        return code

    def workflow(self, flow: LiveFlow) -> str:
        """Return the workflow that ``flow`` belongs to, by all that is known now."""
        marks = flow.marks
        outer = flow.parent
        while outer is not None:
            if outer.marks is not marks:
                marks |= outer.marks
            outer = outer.parent
        key = flow.kinds, flow.kinds_inside, marks
        workflow = self._workflows.get(key)
        if workflow is None:
            kinds = flow.kinds_inside.union(flow.kinds)
            workflow = _remember(self._workflows, key, self._rules.workflow_of(kinds, marks))
        return workflow

    def marks(self, span: ReadableSpan, pid: object) -> frozenset[str]:
        """Return the workflows that the producer of ``span`` marks; nearly all spans of a process have one producer."""
        resource, process, marks = self._producer
        if span.resource is not resource or pid != process:
            service = str(span.resource.attributes.get(names.SERVICE_NAME, ""))
            marks = self._rules.marks_of_producer(service, str(pid))
            self._producer = span.resource, pid, marks
        return marks


def _remember(memo: dict[Any, str], key: object, answer: str) -> str:
    if len(memo) >= _LIMIT:
        memo.clear()
    memo[key] = answer
    return answer
