"""What nesting tells, in order; under ``reject`` spans wait until the flows around them are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sunbird_otel.plugin._live_flow import LiveFlow, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sunbird_otel.plugin._live_flow import Item, NestingTally, Node, Outcome


class Told:
    """Collects outcomes.

    Args:
        tally: Counts what is refused and what has to be let go.
        flows: The open flows, those in which nothing has started for longest first.
        max_held: How many spans may wait; None: tell each at once, since nothing is refused.
    """

    def __init__(self, tally: NestingTally, flows: Mapping[int, LiveFlow], max_held: int | None) -> None:
        """Start with nothing to tell."""
        self._tally = tally
        self._flows = flows
        self._max_held = max_held
        self._held = 0
        self._out: list[Outcome] = []

    def tell(self, flow: LiveFlow) -> None:
        """Take a closed flow, with what has waited in it."""
        if self._max_held is None:
            self._out.append(flow)
            return
        items: list[Item] = [*flow.held, flow]
        self._held -= len(flow.held)
        flow.held = []
        if flow.violations:
            self._refuse(items)
        else:
            self.pass_on(items, flow.parent)

    def pass_on(self, items: Sequence[Item], around: Node | None) -> None:
        """Let ``items`` wait in the nearest open flow around them, which may yet be refused."""
        while around is not None and not around.foreign and self._max_held is not None:
            if isinstance(around, LiveFlow) and not around.end_reason:
                around.hold(items)
                self._held += len(items)
                while self._held > self._max_held:
                    self._let_go()
                return
            if around.violations:
                self._refuse(items)
                return
            around = around.parent
        self._out.extend(items)

    def take(self) -> list[Outcome]:
        """Return what there is to tell, once."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out

    def _refuse(self, items: Sequence[Item]) -> None:
        self._tally.refused += len(items)
        self._out.append(Refused(list(items)))

    def _let_go(self) -> None:
        """Make room: decide about what the longest idle flow holds by what is known now."""
        flow = next(flow for flow in self._flows.values() if flow.held)
        items, flow.held = flow.held, []
        self._held -= len(items)
        if any(outer.violations for outer in flow.lineage()):
            self._refuse(items)
        else:
            self._tally.let_go += len(items)
            self._out.extend(items)
