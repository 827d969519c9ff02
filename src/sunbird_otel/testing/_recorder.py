"""Emitted events, and what the pipeline would say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sunbird_otel.emit import MemoryTransport
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel.schema import Refusal

_MOST: Final = 20
"""Refused events that are told in full; a test that breaks more of them has one cause."""


class Recorder(MemoryTransport):
    """A transport that keeps events and judges them by the pipeline's schemas.

    With the fixture, a test that leaves an event behind which the schemas refuse fails at its end, unless it sets
    ``strict`` to False.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strict = True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.events)

    @property
    def eids(self) -> list[str]:
        """The event ids in the order of sending."""
        return [str(event.get("eid", "")) for event in self.events]

    def of(self, eid: str) -> list[dict[str, Any]]:
        """Return the events with this event id."""
        return [event for event in self.events if event.get("eid") == eid]

    @property
    def refused(self) -> list[tuple[dict[str, Any], list[Refusal]]]:
        """The events that the schemas refuse, each with every reason."""
        judged = [(event, validate(event)) for event in self.events]
        return [(event, reasons) for event, reasons in judged if reasons]

    def complaint(self) -> str:
        """Return what is wrong with the events, for a person to read; empty when nothing is."""
        refused = self.refused
        if not refused:
            return ""
        lines = [f"Sunbird's pipeline would refuse {len(refused)} of {len(self.events)} emitted events:"]
        for event, reasons in refused[:_MOST]:
            lines.append(f"  {event.get('eid', 'without eid')} {event.get('mid', 'without mid')}")
            lines += [f"    {reason}" for reason in reasons]
        if len(refused) > _MOST:
            lines.append(f"  ... and {len(refused) - _MOST} more")
        lines.append("Correct what emits them; where a test means it, set sunbird_events.strict = False.")
        return "\n".join(lines)
