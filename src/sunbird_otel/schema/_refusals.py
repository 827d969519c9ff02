"""What the schemas refuse, said so that people can act on it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sunbird_otel.schema._base import EXPECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import JsonValue, ValidationError
    from pydantic_core import ErrorDetails

FOUND_CHARS = 80
"""The longest ``found`` of a refusal, in characters."""

_LONG_INT_BITS = 1024
_PLAIN_KEY = re.compile(r"[A-Za-z_@][A-Za-z0-9_@-]{0,79}")

_EXPECTED_BY_TYPE = {
    "missing": "present",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "string_unicode": "a text without half a surrogate pair",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One fault of an event: where it is, what the schema expects there, what is there.

    ``path`` is a JSON path such as ``$.edata.items[0].id``; ``found`` is the value in JSON notation, cut at 80
    characters, or ``absent``.
    """

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.path}: expected {self.expected}, found {self.found}"


def explain(error: ValidationError) -> list[Refusal]:
    """Return all faults that pydantic found in an event or a part of one, ordered by path.

    Serves the models wherever they are built, also by hand.
    """
    # "LogEdata" and "Log" are models of the same schema, LOG.
    schema = error.title.removesuffix("Edata").upper()
    details = sorted(error.errors(include_url=False), key=_place)
    return [_refusal(detail, schema) for detail in details]


def brief(value: JsonValue) -> str:
    """Return a value in JSON notation, cut at 80 characters, with what a terminal must not get escaped.

    Looks at no more of the value than it returns, so neither depth nor size of the value matters.
    """
    text = "".join(islice(_pieces(value), FOUND_CHARS + 1))
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= FOUND_CHARS else text[: FOUND_CHARS - 1] + "…"


def _refusal(detail: ErrorDetails, schema: str) -> Refusal:
    kind = detail["type"]
    if kind == "extra_forbidden":
        closed = "cdata" if "cdata" in detail["loc"][:-1] else schema
        expected = f"no such field; the schema of {closed} is closed"
    elif kind == "literal_error":
        choices = detail.get("ctx", {})["expected"].replace("'", "").replace(" or ", ", ")
        expected = f"one of {choices}" if ", " in choices else choices
    elif kind == EXPECTED:
        expected = detail["msg"]
    else:
        expected = _EXPECTED_BY_TYPE.get(kind, detail["msg"])
    return Refusal(_path(detail["loc"]), expected, "absent" if kind == "missing" else brief(detail["input"]))


def _place(detail: ErrorDetails) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (-1, step) for step in detail["loc"]]


def _path(steps: tuple[int | str, ...]) -> str:
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            path += f".{step}"
        else:
            path += f"[{brief(step)}]"
    return path


def _pieces(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield json.dumps(value[: FOUND_CHARS + 1], ensure_ascii=False)
    elif isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            if number:
                yield ", "
            yield from _pieces(key)
            yield ": "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            if number:
                yield ", "
            yield from _pieces(item)
        yield "]"
    elif value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int) and value.bit_length() > _LONG_INT_BITS:
        # Python refuses to write very long integers in decimal.
        yield hex(value)
    else:
        yield repr(value)
