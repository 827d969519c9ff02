"""How large what is written may be: too many events go on in further spans, too long values are cut and marked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard, cast

from opentelemetry.sdk.trace import Event

from sunbird_otel._json import is_array
from sunbird_otel._limits import SPAN_BYTES, SPAN_EVENTS, Limits
from sunbird_otel._values import cut as cut_texts
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

ATTRIBUTE_BYTES: Final = Limits().attribute_bytes

PENDING_AFTER: Final = 10.0
"""Seconds for which a flow is open before it is told while it is."""

_A_NUMBER: Final = 8
_NUMBERS: Final = (bool, int, float)

_AN_ATTRIBUTE: Final = 32
"""What an attribute takes besides a text value: its key, and how OTLP frames both."""

_AN_EVENT: Final = 48


class Bounds(NamedTuple):
    """The bounds of one processor or exporter: events of a span, bytes of its events, bytes of one attribute value."""

    span_events: int = SPAN_EVENTS
    span_bytes: int = SPAN_BYTES
    attribute_bytes: int = ATTRIBUTE_BYTES

    def checked(self) -> Bounds:
        """Return these bounds.

        Raises:
            ConfigError: One of them is less than 1.
        """
        for name, value in zip(self._fields, self, strict=True):
            if value < 1:
                raise ConfigError(f"{name}: expected 1 or more; found {value!r}.")
        return self


USUAL: Final = Bounds()


class Fitted(NamedTuple):
    """Events that fit: those of each full span, and the rest, which may stay where they are, with their weights."""

    full: list[tuple[Sequence[Event], int]]
    rest: Sequence[Event]
    rest_bytes: int


class ChangedEvent(Event):
    """A copy of a span event with other attributes; what the SDK had dropped from it stays known."""

    def __init__(self, event: Event, attributes: Mapping[str, Any]) -> None:
        super().__init__(event.name, attributes, event.timestamp)
        self._dropped = event.dropped_attributes

    @property
    def dropped_attributes(self) -> int:
        """Attributes that the SDK dropped."""
        return self._dropped


def fit(events: Sequence[Event], bounds: Bounds) -> Fitted:
    """Divide ``events`` as the bridge does: a span is full with the event that reaches one of the bounds."""
    size = _light(events, bounds)
    if size:
        return Fitted([], events, size)
    full: list[tuple[Sequence[Event], int]] = []
    written = list(events)
    begin = size = 0
    for index, event in enumerate(events):
        attributes = plain(event.attributes)
        weight, is_long = weigh(attributes, bounds.attribute_bytes)
        if is_long:
            attributes = cut(attributes, bounds.attribute_bytes)
            written[index] = ChangedEvent(event, attributes)
            weight, _ = weigh(attributes, bounds.attribute_bytes)
        size += weight + _AN_EVENT
        if index + 1 - begin >= bounds.span_events or size >= bounds.span_bytes:
            full.append((written[begin : index + 1], size))
            begin, size = index + 1, 0
    return Fitted(full, written[begin:], size)


def _light(events: Sequence[Event], bounds: Bounds) -> int:
    """Return the weight of events that need no closer look, as nearly all do; 0 if they do."""
    if len(events) >= bounds.span_events:
        return 0
    try:
        texts: list[Any] = [text for event in events for text in event._attributes._dict.values()]  # type: ignore[union-attr]  # noqa: SLF001
    except AttributeError:  # the emitter's are no copies
        texts = [text for event in events for text in plain(event.attributes).values()]
    try:
        size = _size("".join(texts))
    except TypeError:  # some are numbers
        return 0
    if size > bounds.attribute_bytes:
        return 0
    size += len(texts) * _AN_ATTRIBUTE + len(events) * _AN_EVENT
    return size if size < bounds.span_bytes else 0


def fits(attributes: Mapping[str, Any], most: int) -> bool:
    """Tell whether no value takes more than ``most`` bytes."""
    try:
        if _size("".join(attributes.values())) <= most:
            return True
    except TypeError:  # some are numbers
        pass
    return not weigh(attributes, most)[1]


def weigh(attributes: Mapping[str, Any], most: int) -> tuple[int, bool]:
    """Return about how many bytes ``attributes`` take as OTLP, and whether a value takes more than ``most``."""
    size = _AN_ATTRIBUTE * len(attributes)
    is_long = False
    for value in attributes.values():
        # Most are texts, most of these ASCII; this runs for every attribute that is written.
        length = len(value) if value.__class__ is str and value.isascii() else _length(value)
        size += length
        if length > most and not isinstance(value, _NUMBERS):
            is_long = True
    return size, is_long


def cut(attributes: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Return a copy in which no text, and no list, takes more than ``most`` bytes, with a mark as in a replay.

    What is deeper is one JSON text where it would be longer than that.
    """
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        if _is_table(value) and _length(value) > most:
            kept[key] = json.dumps(value, default=str)
        else:
            kept[key] = list(value) if _is_tuple(value) else value
    # Numbers, and what is deep and short, stay as they are: the compiled core takes only what it knows itself.
    long: dict[str, Any] = {key: value for key, value in kept.items() if isinstance(value, str) or is_array(value)}
    cut_texts(long, most)
    kept.update(long)
    return {key: tuple(value) if is_array(value) else value for key, value in kept.items()}


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _is_tuple(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple)


def plain(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return attributes as they are kept, past the SDK's way to them, which takes several times as long."""
    return getattr(attributes, "_dict", attributes) or {}


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _length(value: object) -> int:
    if isinstance(value, str):
        return _size(value)
    if isinstance(value, bytes):
        return len(value)
    if _is_table(value):
        return sum(len(key) + _AN_ATTRIBUTE for key in value) + _lengths(value.values())
    if isinstance(value, Sequence):
        return _lengths(cast("Sequence[object]", value))
    return _A_NUMBER


def _lengths(values: Iterable[object]) -> int:
    return sum(_length(value) for value in values)
