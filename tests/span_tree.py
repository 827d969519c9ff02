"""Spans of OTLP/JSON as a line of text that a person can write down beforehand.

A span is written as its ``sunbird.flow.type``, or as ``~`` and its name when it stands for a lone event; what it holds
follows after ``>``, in parentheses when it is more than one; roots stand apart by ``|``; all in the order of their
start::

    ~sunbird.audit | app > session > (player, editor > player)

Violations follow as ``!code``, span events in brackets: ``session[impression] > player!unclosed_child[assess, error]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sunbird_otel import names


@dataclass(slots=True)
class Node:
    """One span with its attributes as plain values, its service, and the spans inside it."""

    span: dict[str, Any]
    service: str
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def start_ns(self) -> int:
        return int(self.span["startTimeUnixNano"])

    @property
    def end_ns(self) -> int:
        return int(self.span["endTimeUnixNano"])

    @property
    def kind(self) -> str:
        """Return the kind of the flow; for a lone event ``~`` and the name of its span."""
        return self.attributes.get(names.FLOW_TYPE) or f"~{self.span['name']}"

    def text(self, *, marks: bool, events: bool) -> str:
        """Return the span and what is inside it in the form that the module describes."""
        text = self.kind
        if marks:
            text += _marks(self.attributes)
        if events and self.events:
            held = [name.removeprefix(names.EVENT_PREFIX) + (_marks(a) if marks else "") for name, _, a in self.events]
            text += f"[{', '.join(held)}]"
        inner = [child.text(marks=marks, events=events) for child in self.children]
        if len(inner) > 1:
            return f"{text} > ({', '.join(inner)})"
        return f"{text} > {inner[0]}" if inner else text


def nodes(requests: list[dict[str, Any]]) -> list[Node]:
    """Return all spans of these export requests in the order of their start, linked to the spans inside them."""
    found = [
        Node(
            span,
            plain(group["resource"].get("attributes", [])).get(names.SERVICE_NAME, ""),
            plain(span.get("attributes", [])),
            [(e["name"], int(e["timeUnixNano"]), plain(e.get("attributes", []))) for e in span.get("events", [])],
        )
        for request in requests
        for group in request["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]
    # Of two that start together the longer one comes first: it may hold the other.
    found.sort(key=lambda node: (node.start_ns, -node.end_ns, node.kind, node.span["spanId"]))
    by_id = {(node.span["traceId"], node.span["spanId"]): node for node in found}
    assert len(by_id) == len(found), "two spans have one id"
    for node in found:
        parent = node.span.get("parentSpanId", "")
        if parent:
            assert (node.span["traceId"], parent) in by_id, f"the parent of {node.kind} was not written"
            by_id[node.span["traceId"], parent].children.append(node)
    return found


def tree(found: list[Node], like: str = "![") -> str:
    """Return the tree; with violations and events only where ``like``, another tree, has ``!`` and ``[``."""
    roots = [node for node in found if not node.span.get("parentSpanId")]
    return " | ".join(root.text(marks="!" in like, events="[" in like) for root in roots)


def select(found: list[Node], which: str) -> Node:
    """Return the span that ``which`` names: a kind, and its number from 1 when there are several."""
    kind, _, number = which.partition(" ")
    same = [node for node in found if node.kind == kind]
    assert number or len(same) == 1, f"{len(same)} spans of the kind {kind}; add a number to {which!r}"
    return same[int(number or 1) - 1]


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return OTLP/JSON attributes as a dict of plain values."""
    return {attribute["key"]: _value(attribute["value"]) for attribute in attributes}


def _value(value: dict[str, Any]) -> Any:
    ((type_, content),) = value.items()
    if type_ == "arrayValue":
        return [_value(part) for part in content.get("values", [])]
    return int(content) if type_ == "intValue" else content


def _marks(attributes: dict[str, Any]) -> str:
    return "".join(f"!{code}" for code in sorted(attributes.get(names.FLOW_VIOLATIONS, [])))
