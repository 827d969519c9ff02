"""What an attribute can carry: Sunbird's JSON values as OpenTelemetry's attribute values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sunbird_otel import names
from sunbird_otel._json import INT64, dumps, integers, is_array

if TYPE_CHECKING:
    from sunbird_otel._signals import Attributes, AttributeValue


def attribute_value(value: Any) -> AttributeValue | None:  # noqa: PLR0911 - one answer a type
    """Return ``value`` as an attribute can carry it; ``None`` for what says nothing (null, empty text, list, object).

    Scalars keep their type, lists of scalars of one type are arrays, anything deeper is one JSON text.
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < INT64 else value
    if isinstance(value, int):
        return value if -INT64 <= value < INT64 else float(value)
    if not value:
        return None
    if is_array(value):
        parts: list[Any] = integers(value)
        kinds: set[object] = {type(part) for part in parts}
        if kinds in ({str}, {bool}, {float}):
            return parts
        if kinds == {int} and all(-INT64 <= part < INT64 for part in parts):
            return parts
        if kinds == {int, float}:
            return [float(part) for part in parts]
    return dumps(value)


def put(attributes: Attributes, key: str, value: Any) -> None:
    """Add ``value`` under ``key``, unless it says nothing."""
    if type(value) is str:  # most are
        if value:
            attributes[key] = value
        return
    if value is None:
        return
    converted = attribute_value(value)
    if converted is not None:
        attributes[key] = converted


def cut(attributes: Attributes, most: int) -> None:
    """Cut texts and lists of more than ``most`` bytes, and say of which attributes."""
    truncated: list[str] = []
    for key, value in attributes.items():
        if isinstance(value, str):
            shorter: AttributeValue = _beginning(value, most)
        elif isinstance(value, list):
            shorter = _first(value, most)
        else:
            continue
        if shorter is not value:
            attributes[key] = shorter
            truncated.append(key)
    if truncated:
        known = attributes.get(names.TRUNCATED)
        attributes[names.TRUNCATED] = sorted({*truncated, *(map(str, known) if isinstance(known, list) else ())})


def _beginning(text: str, most: int) -> str:
    if len(text) <= most // 4:
        return text
    data = text.encode("utf-8", "replace")
    return data[:most].decode("utf-8", "ignore") if len(data) > most else text


def _first(parts: list[Any], most: int) -> list[Any]:
    """Return those of ``parts`` that ``most`` bytes hold, from the first; a text alone that is longer is cut."""
    left = most
    for number, part in enumerate(parts):
        left -= len(part.encode("utf-8", "replace")) if isinstance(part, str) else _NUMBER_BYTES
        if left < 0:
            return parts[:number] or [_beginning(part, most) if isinstance(part, str) else part]
    return parts


_NUMBER_BYTES: Final = 8
