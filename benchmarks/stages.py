"""Each stage of ours alone: it is given all that the stage before made, so that nothing else runs meanwhile.

This module looks inside the package, and changes with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ours import RULES

from sunbird_otel._decode import decode
from sunbird_otel._event import Event
from sunbird_otel._flow import Refused
from sunbird_otel._flows import FlowEngine
from sunbird_otel._frame import Document, Framer
from sunbird_otel._limits import Limits
from sunbird_otel._order import Sequencer
from sunbird_otel._tally import Tally
from sunbird_otel._translate import translate
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._flow import Outcome
    from sunbird_otel._signals import Signal
    from sunbird_otel.sinks.otlp.request import Kind

_CHUNK: Final = 1 << 16
_LIMITS: Final = Limits()


def frame(text: bytes) -> list[Document]:
    """Cut an input into documents, which parses them."""
    framer = Framer(_LIMITS)
    documents: list[Document] = []
    for start in range(0, len(text), _CHUNK):
        documents += (item for item in framer.feed(text[start : start + _CHUNK]) if isinstance(item, Document))
    documents += (item for item in framer.close() if isinstance(item, Document))
    return documents


def decode_all(documents: list[Document]) -> list[Event]:
    """Check parsed documents and bring them into normal form."""
    return [
        item
        for document in documents
        for item in decode(document.data, document.position, _LIMITS, None, document.value)
        if isinstance(item, Event)
    ]


def order(events: list[Event]) -> list[list[Event]]:
    """Put events in order."""
    sequencer = Sequencer(None, 1 << 40)
    for event in events:
        sequencer.push(event)
    groups: list[list[Event]] = []
    while (released := sequencer.rest()) is not None:
        groups.append(released.events)
    return groups


def flows(groups: list[list[Event]]) -> list[Outcome]:
    """Pair, nest and place."""
    engine = FlowEngine(
        RULES,
        policy="annotate",
        idle_gap_ns=None,
        trace_scope="session",
        max_open_flows=1_000_000,
        tally=Tally(),
        on_violation=_ignore,
    )
    outcomes: list[Outcome] = []
    for group in groups:
        outcomes += engine.feed(group)
    return outcomes + engine.drain()


def _ignore(code: str, event: Event, expected: str, found: str) -> None:
    del code, event, expected, found


def translate_all(outcomes: list[Outcome]) -> list[Signal]:
    """Make signals."""
    return [signal for outcome in outcomes if not isinstance(outcome, Refused) for signal in translate(outcome)]


def encode(signals: list[Signal]) -> list[tuple[Kind, bytes, int]]:
    """Make requests."""
    batcher = Batcher(ProtobufEncoder())
    return [*batcher.add(signals), *batcher.rest()]


STAGES: Final[dict[str, Callable[[Any], Any]]] = {
    "frame and parse": frame,
    "decode": decode_all,
    "order": order,
    "flows": flows,
    "translate": translate_all,
    "encode": encode,
}
"""Each takes what the one before it returns; the first, the bytes of a file."""
