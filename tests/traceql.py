"""The answer to a TraceQL query, for tests: Grafana Tempo itself cannot run there.

It knows what the recipes of ``docs/queries.toml`` and the dashboards use, as Tempo's documentation describes it, and
refuses the rest: a filter finds the spans of a trace, ``>>`` keeps those of the right side with one of the left above
them, ``by`` parts them, ``count`` drops parts; ``select`` and metrics change nothing in what was found. A condition on
an event or a link holds when one of them fulfils it, one on a list when one element does. A whole number is never equal
to, less or more than one with a fraction: https://github.com/grafana/tempo/issues/4332.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final

from span_tree import plain

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from grammar import Node as Query
    from span_tree import Node as Span

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=~": lambda value, pattern: re.fullmatch(pattern, value) is not None,
}
_STATUS: Final = {0: "unset", 1: "ok", 2: "error"}
_KIND: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


class Traces:
    """Spans that can be asked by TraceQL."""

    def __init__(self, spans: list[Span]) -> None:
        self._parents = {_id(child): span for span in spans for child in span.children}
        self._traces: dict[str, list[Span]] = {}
        for span in spans:
            self._traces.setdefault(span.span["traceId"], []).append(span)

    def find(self, query: Query) -> list[Span]:
        """Return the spans that a parsed query selects.

        Raises:
            NotImplementedError: The query uses what is not known here.
        """
        return [span for spanset in self._spansets(query) for span in spanset]

    def _spansets(self, query: Query) -> list[list[Span]]:
        match query.name, query.children:
            case "TraceQL" | "SpansetPipelineExpression" | "SpansetPipeline", (only,):
                return self._spansets(only)
            case "SpansetFilter", (condition,):
                found = [[span for span in trace if _holds(condition, span)] for trace in self._traces.values()]
                return [spanset for spanset in found if spanset]
            case "SpansetPipelineExpression", (left, sign, right) if sign.name == "Pipe":
                return _piped(self._spansets(left), right)
            case "SpansetPipelineExpression", (left, sign, right) if sign.text == ">>":
                above = {_id(span) for spanset in self._spansets(left) for span in spanset}
                found = [
                    [span for span in spanset if self._stands_in(span, above)] for spanset in self._spansets(right)
                ]
                return [spanset for spanset in found if spanset]
            case _:
                raise NotImplementedError(f"{query.name} {query.text!r}")

    def _stands_in(self, span: Span, above: set[tuple[str, str]]) -> bool:
        parent = self._parents.get(_id(span))
        while parent is not None and _id(parent) not in above:
            parent = self._parents.get(_id(parent))
        return parent is not None


def _piped(spansets: list[list[Span]], stage: Query) -> list[list[Span]]:
    while stage.name in {"SpansetPipelineExpression", "SpansetPipeline"} and len(stage.children) == 1:
        (stage,) = stage.children
    match stage.name, stage.children:
        case "GroupOperation", (by,):
            parts: dict[tuple[int, str], list[Span]] = {}
            for number, spanset in enumerate(spansets):
                for span in spanset:
                    parts.setdefault((number, repr(_values(by, span))), []).append(span)
            return list(parts.values())
        case (("SelectOperation" | "MetricsOperation" | "MetricsAggregatorFunctions"), _):
            return spansets
        case "ScalarFilter", (what, sign, limit) if what.text == "count()":
            return [spanset for spanset in spansets if _COMPARE[sign.text](len(spanset), int(limit.text))]
        case _:
            raise NotImplementedError(f"{stage.name} {stage.text!r}")


def _holds(condition: Query, span: Span) -> bool:
    match condition.children:
        case (inner,):
            return _holds(inner, span)
        case (left, sign, right) if sign.name == "And":
            return _holds(left, span) and _holds(right, span)
        case (left, sign, right) if sign.name == "Or":
            return _holds(left, span) or _holds(right, span)
        case (left, sign, right) if sign.name == "FieldOp":
            values = _values(left, span)
            if right.text == "nil":
                return bool(values) == (sign.text == "!=")
            if sign.text == "!=" and len(values) > 1:
                raise NotImplementedError(f"{condition.text!r} of several values")
            wanted = _constant(right)
            return any(_COMPARE[sign.text](value, wanted) for value in values if type(value) is type(wanted))
        case _:
            raise NotImplementedError(f"{condition.name} {condition.text!r}")


def _values(field: Query, span: Span) -> list[Any]:
    """Return the values of a field, of which a span with several events may have several."""
    while field.name == "FieldExpression" and len(field.children) == 1:
        (field,) = field.children
    if field.name == "IntrinsicField":
        return [_INTRINSICS[field.text](span)]
    scope, key = (child.text for child in field.children)
    found: list[Any] = []
    for holder in _SCOPES[scope](span):
        value = holder.get(key, [])
        found += value if isinstance(value, list) else [value]
    return found


_SCOPES: Final[dict[str, Callable[[Span], list[dict[str, Any]]]]] = {
    "span": lambda span: [span.attributes],
    "event": lambda span: [attributes for _, _, attributes in span.events],
    "link": lambda span: [plain(link.get("attributes", [])) for link in span.span.get("links", [])],
}


_INTRINSICS: Final[dict[str, Callable[[Span], Any]]] = {
    "name": lambda span: span.span["name"],
    "status": lambda span: _STATUS[span.span.get("status", {}).get("code", 0)],
    "kind": lambda span: _KIND[span.span["kind"]],
    "duration": lambda span: span.end_ns - span.start_ns,
    "instrumentation:name": lambda _: names.SCOPE,
}


def _constant(literal: Query) -> Any:
    while len(literal.children) == 1:
        (literal,) = literal.children
    match literal.name:
        case "String":
            return literal.text[1:-1]
        case "Integer":
            return int(literal.text)
        case "Float":
            return float(literal.text)
        case "Duration":
            number, unit = re.fullmatch(r"(\d+)(\w+)", literal.text).groups()  # type: ignore[union-attr]  # the grammar took it
            return int(number) * _UNIT_NS[unit]
        case "Static":
            return {"true": True, "false": False}.get(literal.text, literal.text)
        case _:
            raise NotImplementedError(f"{literal.name} {literal.text!r}")


def _id(span: Span) -> tuple[str, str]:
    return span.span["traceId"], span.span["spanId"]
