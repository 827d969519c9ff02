"""What was wrong with the input, as values that people can read and act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ADVICE: dict[str, str] = {
    # Refusals: the event does not reach the output.
    "not_json": "Check how the line was written or cut; the rest of the file is not affected.",
    "not_an_event": "Send one event object, an array of events, or a batch object with an 'events' array.",
    "too_large": "Send smaller events, or raise the limit that is named.",
    "too_deep": "Flatten the event, or raise the limit that is named.",
    "too_many_events": "Send smaller batches, or raise the limit that is named.",
    "inflated_too_large": "Look whether the gzip file is what it claims to be, or raise the limit that is named.",
    "truncated": "Fetch the file again; what stands before the cut has been processed.",
    "missing_field": "Have the producer fill the field; the pipeline's schema requires it.",
    "wrong_type": "Have the producer send the expected type.",
    "invalid_value": "Have the producer send a value of the expected form.",
    "invalid_number": "NaN and Infinity are not JSON; have the producer send a number or leave the field out.",
    "ets_out_of_range": "ets is milliseconds since 1970; look for seconds, microseconds or a wrong device clock.",
    # Schema: the event is translated, but Sunbird's own pipeline would refuse it.
    "schema": "Correct the producer: Sunbird's pipeline moves such an event to its failed topic.",
    "duplicate": "Look for a client that sends twice or retries without need; the copy has been left out.",
    "late": "Give a longer --lateness or more --memory, so that the event can be put in its place.",
    # Violations of the nesting rules.
    "wrong_parent": "The flow began inside one that may not hold it; see 'sunbird-otel rules' for its parents.",
    "missing_parent": "The flow that should be around it never started, or had already ended.",
    "unclosed_child": "Its parent ended first; have the client send END before it leaves.",
    "orphan_end": "No open flow matches this END; its START is missing, late, or differs in type or object.id.",
    "repeated_end": "The flow had ended before; have the client send END once.",
    "missing_end": "No END came; the flow was closed at its last event.",
    "event_outside_flow": "The event makes sense only inside a flow that was not open.",
}
"""What to do next, by code: the one list of the codes there are."""

VIOLATIONS = (
    "wrong_parent",
    "missing_parent",
    "unclosed_child",
    "orphan_end",
    "repeated_end",
    "missing_end",
    "event_outside_flow",
)
"""The codes that ``sunbird.flow.violations`` may hold."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where an event came from: the source's name, the line (from 1), and its index in a batch (from 0).

    A source that is no file fills ``source`` with a name of its own (topic and partition, for example) and ``line``
    with its own count.
    """

    source: str
    line: int
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect of the input.

    ``code`` is a key of :data:`ADVICE`; ``path`` a JSON path such as ``$.context.sid``. ``refused`` tells whether the
    event was kept from the output; then ``event`` is the event as it was read (a JSON value), or ``raw`` the text that
    could not be read as one.
    """

    code: str
    path: str
    expected: str
    found: str
    position: Position | None = None
    eid: str = ""
    mid: str = ""
    refused: bool = False
    event: Any = None
    raw: str = ""

    @property
    def advice(self) -> str:
        """Return what to do next."""
        return ADVICE[self.code]
