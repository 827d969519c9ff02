"""JSON values from strangers: reading them with patience, making sure of them, showing them to people."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

INT64: Final = 1 << 63
"""Integers from here on do not fit an attribute."""

ADDED_BY_PIPELINE: Final = frozenset(
    {
        "syncts", "@timestamp", "@version", "flags", "metadata", "type", "uuid", "key", "ts", "host", "path",
        "devicedata", "userdata", "contentdata", "collectiondata", "l2data", "dialcodedata", "derivedlocationdata",
    }
)  # fmt: skip
"""What stages of Sunbird's pipeline put at the top of an event."""

_INTEGRAL_FLOAT: Final = re.compile(rb"(?:\.0|e\+?\d+)[,}\]]")
_SORTED: Final = orjson.OPT_SORT_KEYS
_DEEPEST: Final = 256
_SHOWN: Final = 80


class Refusal(Exception):  # noqa: N818 - control flow of the decoder, never seen outside
    """Something that cannot be accepted, as the parts of a finding."""

    def __init__(self, code: str, path: str, expected: str, found: str) -> None:
        super().__init__(code)
        self.code, self.path, self.expected, self.found = code, path, expected, found


class BadNumber:
    """Stands in a parsed document for a number that cannot be used, until its path is known."""

    def __init__(self, text: str) -> None:
        self.text = text[:40]

    def __str__(self) -> str:
        return self.text


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[Sequence[Any]]:
    """Tell whether a value is a JSON array, or a tuple that a caller wrote for one."""
    return isinstance(value, (list, tuple))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a JSON value is a number; ``true`` is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_empty(value: object) -> bool:
    """Tell whether a JSON value says nothing: null, an empty text, an empty array or object."""
    return value is None or value in ("", [], {})


def integers(value: Any) -> Any:
    """Return ``value`` with integers in place of floats that have no fraction."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < INT64 else value
    if is_object(value):
        return {key: integers(part) for key, part in value.items()}
    if is_array(value):
        return [integers(part) for part in value]
    return value


def dumps(value: Any) -> str:
    """Return ``value`` as JSON text: keys sorted, integers in place of floats that have no fraction."""
    try:
        text = orjson.dumps(value, option=_SORTED)
    except TypeError:
        return "(nested too deeply)"
    if _INTEGRAL_FLOAT.search(text):
        text = orjson.dumps(integers(value), option=_SORTED)
    return text.decode()


def canonical(body: dict[str, Any]) -> bytes:
    """Return an event as canonical text: keys sorted, without what the pipeline adds and its spelling of numbers.

    Raises:
        TypeError: It is nested more than 254 levels deep, or is no JSON value.
    """
    own = {key: value for key, value in body.items() if key not in ADDED_BY_PIPELINE}
    text = orjson.dumps(own, option=_SORTED)
    return orjson.dumps(integers(own), option=_SORTED) if _INTEGRAL_FLOAT.search(text) else text


def parse(document: bytes) -> object:
    """Parse what the fast parser refuses, marking numbers that cannot be used."""
    text = document.decode("utf-8", "replace").lstrip("\ufeff")

    def integer(digits: str) -> object:
        if len(digits) < len(str(INT64)):
            return int(digits)
        number = float(digits)
        return number if math.isfinite(number) else BadNumber(digits)

    def fraction(digits: str) -> object:
        number = float(digits)
        return number if math.isfinite(number) else BadNumber(digits)

    try:
        return json.JSONDecoder(parse_int=integer, parse_float=fraction, parse_constant=BadNumber, strict=False).decode(
            text
        )
    except RecursionError:
        raise Refusal("too_deep", "$", "fewer levels", "too many levels to read") from None
    except ValueError as error:
        raise Refusal("not_json", "$", "a JSON value", str(error)) from None


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Return a copy of ``value`` that is certainly JSON.

    Raises:
        Refusal: A part of it is not, or is deeper than can be walked; the refusal has its path.
    """
    if depth > _DEEPEST:
        raise Refusal("too_deep", path[:200], f"at most {_DEEPEST} levels", "more")
    if is_object(value):
        keys: list[object] = list(value)
        for key in keys:
            if not isinstance(key, str):
                raise Refusal("wrong_type", path, "texts as keys", show(key))
        return {_text(key): plain(part, f"{path}.{key}", depth + 1) for key, part in value.items()}
    if is_array(value):
        return [plain(part, f"{path}[{number}]", depth + 1) for number, part in enumerate(value)]
    return _scalar(value, path)


def _scalar(value: object, path: str) -> str | bool | int | float | None:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if -INT64 <= value < INT64:
            return int(value)
        value = _as_float(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (BadNumber, float)):
        raise Refusal("invalid_number", path, "a number that a 64-bit float can hold", show(value))
    raise Refusal("wrong_type", path, "a JSON value", f"a Python {type(value).__name__}")


def _text(text: str) -> str:
    """Return ``text`` with U+FFFD in place of lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def _as_float(value: int) -> object:
    try:
        return float(value)
    except OverflowError:
        return BadNumber(f"an integer of {value.bit_length()} bits")


def show(value: object) -> str:
    """Return a short text of ``value`` for people."""
    if value is None:
        return "null"
    if isinstance(value, BadNumber):
        return value.text
    if is_object(value):
        return f"an object with {', '.join(str(key) for key in list(value)[:5])}"[:80] if value else "an empty object"
    if is_array(value):
        return f"an array of {len(value)}"
    if isinstance(value, int) and not -INT64 <= value < INT64:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
