"""Each stage of ours alone: it is given all that the stage before made, so that nothing else runs meanwhile.

This module looks inside the package, and changes with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ours import RULES

from sunbird_otel._document import Document, Lines
from sunbird_otel._findings import Finding
from sunbird_otel._flow import Refused
from sunbird_otel._flows import FlowEngine
from sunbird_otel._frame import Framer
from sunbird_otel._limits import Limits
from sunbird_otel._line import LineReader, time_of
from sunbird_otel._order import Sequencer, distinct
from sunbird_otel._tally import Tally
from sunbird_otel._translate import Translator
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._event import Event
    from sunbird_otel._flow import Outcome
    from sunbird_otel._form import Said
    from sunbird_otel._order import Entry
    from sunbird_otel.sinks.otlp.batch import Full
    from sunbird_otel.sinks.otlp.written import Written, WrittenForm

_CHUNK: Final = 1 << 16
_LIMITS: Final = Limits()


class Told(NamedTuple):
    """What the flow engine tells, and what is to write it: it has written the events inside flows already."""

    outcomes: list[Outcome]
    translator: Translator[Written]
    form: WrittenForm


class Spoken(NamedTuple):
    """What the translator says, and what is to write it."""

    said: list[Said]
    translator: Translator[Written]
    form: WrittenForm


class Translated(NamedTuple):
    """Encoded signals, and the form that makes requests of them."""

    signals: list[Written]
    form: WrittenForm


def frame(text: bytes) -> list[Lines]:
    """Cut an input into lines, nearly all of which nobody has parsed yet."""
    framer = Framer(_LIMITS)
    blocks = [item for at in range(0, len(text), _CHUNK) for item in framer.feed(text[at : at + _CHUNK])]
    blocks += framer.close()
    return [_lines(block) for block in blocks]


def _lines(item: Lines | Document | Finding) -> Lines:
    if isinstance(item, Finding):
        raise TypeError(f"expected no broken line in the workload, found {item}")
    # A line that two reads have parts of may come alone.
    return item if isinstance(item, Lines) else Lines(item.position.source, item.position.line, [item.data])


def order(blocks: list[Lines]) -> list[list[Entry]]:
    """Read the times from the texts, and put the lines in order."""
    sequencer = Sequencer(None, 1 << 40)
    for block in blocks:
        for number, line in enumerate(block.texts, block.first):
            sequencer.push(time_of(line), line, block.source, number)
    groups: list[list[Entry]] = []
    while group := sequencer.rest():
        groups.append(group)
    return groups


def decode(groups: list[list[Entry]]) -> list[list[Event]]:
    """Parse the lines, look whether each is in normal form, and drop copies."""
    reader = LineReader(_LIMITS)
    decoded: list[list[Event]] = []
    for group in groups:
        events: list[Event] = []
        for ets_ns, _, text, place, number in group:
            event = reader.event(text, ets_ns)
            if event is None:
                raise ValueError(f"expected the workload to hold usual lines only, found {text!r}")
            event.stands_on(str(place), number)
            events.append(event)
        decoded.append(distinct(events).events if len(events) > 1 else events)
    return decoded


def flows(groups: list[list[Event]]) -> Told:
    """Pair, nest and place; an event is encoded when it comes to stand in a flow."""
    form, tally = ProtobufForm(), Tally()
    translator = Translator(form, tally, attribute_bytes=_LIMITS.attribute_bytes, keep_events=False)
    engine = FlowEngine(
        RULES,
        policy="annotate",
        idle_gap_ns=None,
        trace_scope="session",
        max_open_flows=1_000_000,
        tally=tally,
        on_violation=_ignore,
        write=translator.inside,
        limits=_LIMITS,
        pending=False,
    )
    outcomes: list[Outcome] = []
    for group in groups:
        outcomes += engine.feed(group)
    return Told(outcomes + engine.drain(), translator, form)


def _ignore(code: str, event: Event, expected: str, found: str) -> None:
    del code, event, expected, found


def translate(told: Told) -> Spoken:
    """Say what flows and single events become."""
    said: list[Said] = []
    for outcome in told.outcomes:
        if not isinstance(outcome, Refused):
            told.translator.say(outcome, said)
    return Spoken(said, told.translator, told.form)


def encode(spoken: Spoken) -> Translated:
    """Write what was said as OTLP."""
    signals: list[Written] = []
    spoken.translator.write(spoken.said, signals)
    return Translated(signals, spoken.form)


def batch(translated: Translated) -> list[Full]:
    """Put encoded signals together to requests."""
    batcher = Batcher(translated.form)
    return [*batcher.add(translated.signals), *batcher.rest()]


STAGES: Final[dict[str, Callable[[Any], Any]]] = {
    "frame": frame,
    "order": order,
    "decode": decode,
    "flows": flows,
    "translate": translate,
    "encode": encode,
    "batch": batch,
}
"""Each takes what the one before it returns; the first, the bytes of a file."""
