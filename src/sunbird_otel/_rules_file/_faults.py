"""What is wrong with a rule file, where, and what to do: one line of text a fault."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_LONGEST = 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a rule file; ``order`` is the file's place among those that were loaded."""

    order: int
    line: int
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What was found, what was expected, and what to do about it."""

    place: Place
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; expected {self.expected}; {self.advice}"


def report(faults: Iterable[Fault]) -> str:
    """Return all faults in the order of files and lines, one a line."""
    ordered = sorted(faults, key=lambda fault: (fault.place.order, fault.place.line))
    return "\n".join(dict.fromkeys(map(str, ordered)))


def shown(value: Any) -> str:
    """Return a value of the file as it may stand in a message: in one line, not too long."""
    if isinstance(value, dict):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + " ..."


def listed(words: Iterable[str]) -> str:
    """Return ``"a", "b" or "c"``."""
    quoted = [f'"{word}"' for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def nearest(word: str, known: Collection[str], otherwise: str) -> str:
    """Return a suggestion for a misspelt word, or ``otherwise`` when nothing is like it."""
    by_folded = {name.casefold(): name for name in known}
    likely = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f'did you mean "{by_folded[likely[0]]}"?' if likely else otherwise
