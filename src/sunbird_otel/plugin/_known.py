"""Which flow each span stands in: what is known of spans, for as long as a flow may start in them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sunbird_otel.plugin._live_flow import EndedFlow, LiveFlow

if TYPE_CHECKING:
    from sunbird_otel.plugin._live_flow import Node

_WITH_OPEN_FLOWS: Final = 200_000
"""Spans that are known for the open flows around them. Beyond this, a tree that grows forgets its oldest ones."""

_WITHOUT: Final = 20_000
"""Spans that are known though all flows around them are over, or are not of this process."""


class KnownSpans:
    """Knows spans by id: flows as themselves, other spans by the flow around them; None is what begins elsewhere.

    Once all flows of a tree are over, a span in it is as good as unknown: nothing is around what starts in it. What is
    worth knowing even then (the end of a flow may come again; repair and reject look at what is over) is kept for a
    while.
    """

    def __init__(self, *, keeps_all: bool) -> None:
        """Start empty; ``keeps_all`` is for policies that look at what is over."""
        self.nodes: dict[int, Node | None] = {}
        self._keeps_all = keeps_all
        self._old: deque[int] = deque()

    def remember(self, span_id: int, node: Node | None) -> None:
        """Note what stands for a span. Needs no lock: each step is one of the interpreter's."""
        self.nodes[span_id] = node
        if not isinstance(node, LiveFlow):
            self._keep_for_a_while(span_id)
            return
        ids = node.tree.ids
        ids.append(span_id)
        if not node.tree.open:  # the last flow of the tree ends, or has ended, meanwhile
            self._keep_for_a_while(span_id)
        elif len(self.nodes) > _WITH_OPEN_FLOWS:
            self.nodes.pop(ids.popleft(), None)

    def remember_ended(self, flow: LiveFlow, *, whole: bool) -> None:
        """Note that ``flow`` is over; ``whole`` when more than what is around it is worth knowing."""
        tree = flow.tree
        if whole or flow.parent is not None or flow.unseen:
            self.nodes[flow.span_id] = EndedFlow(flow) if whole else flow.parent
            tree.ids.append(flow.span_id)
        else:
            del self.nodes[flow.span_id]
        tree.open -= 1
        if not tree.open:
            while tree.ids:
                self._outlive(tree.ids.popleft(), unseen=flow.unseen)
        elif len(self.nodes) > _WITH_OPEN_FLOWS and tree.ids:
            self.nodes.pop(tree.ids.popleft(), None)

    def _outlive(self, span_id: int, *, unseen: bool) -> None:
        """Decide what is still worth knowing of a span when no flow around it is open."""
        node = self.nodes.get(span_id)
        if isinstance(node, EndedFlow) or self._keeps_all:
            self._keep_for_a_while(span_id)
        elif unseen:
            self.nodes[span_id] = None
            self._keep_for_a_while(span_id)
        else:
            self.nodes.pop(span_id, None)

    def _keep_for_a_while(self, span_id: int) -> None:
        self._old.append(span_id)
        if len(self._old) > _WITHOUT:
            self.nodes.pop(self._old.popleft(), None)
