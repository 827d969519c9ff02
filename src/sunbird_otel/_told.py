"""What the flow engine tells: outcomes in order, and the violations it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sunbird_otel._flow import FlowClosed, Outcome, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Flow
    from sunbird_otel._tally import Tally

POLICIES: Final = ("annotate", "repair", "reject")
"""What can be done about a violation: mark it, put it right, or keep the flow from the output."""


class Told:
    """Collects outcomes under a policy.

    Args:
        policy: One of :data:`POLICIES`.
        tally: Counts the violations.
        on_violation: Is called with code, event, expected and found for each violation.
    """

    def __init__(self, policy: str, tally: Tally, on_violation: Callable[[str, Event, str, str], None]) -> None:
        """Start with nothing to tell."""
        self.repairs = policy == "repair"
        self.rejects = policy == "reject"
        self._tally = tally
        self._on_violation = on_violation
        self._out: list[Outcome] = []

    def tell(self, outcomes: Sequence[Outcome], inside: Flow | None = None) -> None:
        """Pass outcomes on; under ``reject`` those in an open flow wait there, since it may yet be refused."""
        if self.rejects and inside is not None and not inside.end_reason:
            inside.held.extend(outcomes)
        else:
            self._out.extend(outcomes)

    def tell_one(self, outcome: Outcome, inside: Flow | None = None) -> None:
        """Pass one outcome on, as :meth:`tell`."""
        if self.rejects and inside is not None and not inside.end_reason:
            inside.held.append(outcome)
        else:
            self._out.append(outcome)

    def tell_closed(self, flow: Flow) -> None:
        """Pass a closed flow on, after what has waited in it."""
        if flow.held:
            held, flow.held = flow.held, []
            self.tell(held, flow.parent)
        self.tell_one(FlowClosed(flow), flow.parent)

    def refuse(self, event: Event, code: str) -> None:
        """Keep ``event`` from the output."""
        self._out.append(Refused(event, code))

    def violation(self, code: str, event: Event, expected: str, found: str) -> None:
        """Count a violation and report it, unless that is another process's business."""
        if event.echo:
            return
        self._tally.violations[code] += 1
        self._on_violation(code, event, expected, found)

    def take(self) -> list[Outcome]:
        """Return what there is to tell, once."""
        out, self._out = self._out, []
        return out
