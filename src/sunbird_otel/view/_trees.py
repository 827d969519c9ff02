"""Spans put into trees: one forest a trace, flat and in reading order, without recursion."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel._signals import Span

PARENT_ABSENT = "its parent is not in this input"
PARENT_RING = "its parents form a ring"


@dataclass(frozen=True, slots=True)
class Node:
    """One span in its place.

    ``parent`` is the index of the parent in the trace's nodes, -1 for a root; ``note`` says why a span that names a
    parent stands as a root all the same.
    """

    span: Span
    parent: int
    depth: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace, each parent before its children, siblings by start."""

    trace_id: bytes
    nodes: tuple[Node, ...]

    @property
    def start_ns(self) -> int:
        """Return the earliest start."""
        return min(node.span.start_ns for node in self.nodes)

    @property
    def end_ns(self) -> int:
        """Return the latest end."""
        return max(node.span.end_ns for node in self.nodes)

    @property
    def events(self) -> int:
        """Return the number of span events."""
        return sum(len(node.span.events) for node in self.nodes)


def build_traces(spans: Sequence[Span]) -> list[Trace]:
    """Return the traces by their start, each with its spans in reading order.

    A span whose parent is absent, or whose parents form a ring, becomes a root with a note, so that every span stands
    in the result exactly once.
    """
    by_trace: defaultdict[bytes, list[Span]] = defaultdict(list)
    for span in spans:
        by_trace[span.trace_id].append(span)
    traces = [Trace(trace_id, _in_reading_order(members)) for trace_id, members in by_trace.items()]
    return sorted(traces, key=lambda trace: (trace.start_ns, trace.trace_id))


def _in_reading_order(spans: list[Span]) -> tuple[Node, ...]:
    # A longer span first among those that start together: it may hold the others.
    spans = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns, span.span_id))
    roots, children = _family(spans)
    # What no root reaches hangs in a ring; its earliest span serves as the root.
    roots += [(index, PARENT_RING) for index in range(len(spans))]
    nodes: list[Node] = []
    placed = [False] * len(spans)
    for root, note in roots:
        pending = [(root, -1, 0)]
        while pending:
            index, parent, depth = pending.pop()
            if placed[index]:
                continue
            placed[index] = True
            here = len(nodes)
            nodes.append(Node(spans[index], parent, depth, "" if depth else note))
            pending.extend((child, here, depth + 1) for child in reversed(children[index]))
    return tuple(nodes)


def _family(spans: list[Span]) -> tuple[list[tuple[int, str]], defaultdict[int, list[int]]]:
    """Return the roots with their notes, and the children of each span, by index."""
    place: dict[bytes, int] = {}
    for index, span in enumerate(spans):
        # Should an id come twice, the first holds the children.
        place.setdefault(span.span_id, index)
    children: defaultdict[int, list[int]] = defaultdict(list)
    roots: list[tuple[int, str]] = []
    for index, span in enumerate(spans):
        above = place.get(span.parent_span_id)
        if above is not None:
            children[above].append(index)
        else:
            roots.append((index, PARENT_ABSENT if span.parent_span_id else ""))
    return roots, children
