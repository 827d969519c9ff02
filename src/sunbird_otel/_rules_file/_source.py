"""Reads one rule file and checks its form: what its words are and what each is given."""

from __future__ import annotations

import copy
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from sunbird_otel._rules_file._faults import Fault, Place, nearest, shown
from sunbird_otel._rules_file._lines import Lines, Path, value_at
from sunbird_otel._rules_file._words import HEADS, ExtendTable, FileTable, FlowTable, WorkflowTable
from sunbird_otel.errors import RuleError

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from pydantic_core import ErrorDetails

_TABLES: Final = ("workflow", "flows", "adjust", "extend")
_WORDS_OF: Final[dict[str, type[BaseModel]]] = {
    "workflow": WorkflowTable,
    "flows": FlowTable,
    "adjust": FlowTable,
    "extend": ExtendTable,
}
_SYNTAX: Final = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_EXPECTED: Final = {
    "string_type": ("a text in quotes", "put it in quotes"),
    "list_type": ("a list", "put it in brackets"),
    "bool_type": ("true or false", "write one of them, without quotes"),
    "int_type": ("a whole number", "write it without quotes"),
    "model_type": ("a table", "write its words below a header in brackets, or in braces"),
    "model_attributes_type": ("a table", "write its words below a header in brackets, or in braces"),
    "dict_type": ("a table", "write its words below a header in brackets, or in braces"),
    "too_short": ("at least one entry", "fill it or leave the word out"),
}


@dataclass(slots=True)
class RuleFile:
    """A rule file: ``words`` are those that can be used, ``faults`` say what is wrong with the others.

    ``spoiled`` holds the tables (``flows.quiz``) of which a word could not be used: what they lack may be that word.
    """

    name: str
    order: int
    words: FileTable
    document: dict[str, Any]
    lines: Lines
    faults: list[Fault] = field(default_factory=list[Fault])
    spoiled: set[str] = field(default_factory=set[str])

    def place(self, *path: str | int) -> Place:
        """Return the place of a table, a word or an entry."""
        return Place(self.order, self.lines.find(path), self.name)

    def place_of_entry(self, path: Path, value: str) -> Place:
        """Return the place of ``value`` in the list at ``path``, or of the word itself when it is not in it."""
        index = 0
        while value_at(self.document, (*path, index)) not in (None, value):
            index += 1
        return self.place(*path, index)


def read_file(path: FilePath, order: int) -> RuleFile:
    """Read the file at ``path``.

    Raises:
        RuleError: There is no such file, or it is no TOML, so that nothing else can be said about it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        advice = nearest(str(path), ("standard", "field"), "check the path")
        raise RuleError(f'{path}: no such file; expected "standard", "field" or a rule file; {advice}') from None
    except IsADirectoryError:
        raise RuleError(f"{path}: found a directory; expected a rule file; name a file in it") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RuleError(f"{path}: {reason}; expected a rule file; check the path and its permissions") from error
    return parse(data, str(path), order)


def parse(data: bytes, name: str, order: int) -> RuleFile:
    """Parse the content of a rule file that people know as ``name``.

    Raises:
        RuleError: It is no TOML.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(order, data.count(b"\n", 0, error.start) + 1, name)
        found = f"found the byte 0x{data[error.start]:02x}"
        raise RuleError(str(Fault(place, found, "UTF-8", "save the file as UTF-8"))) from None
    # As tomllib itself does; else line ends of Windows would shift what is found in the text.
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(str(_syntax_fault(str(error), text, name, order))) from None
    except RecursionError:
        fault = Fault(Place(order, 1, name), "lists or tables nest too deeply", "a rule file", "flatten it")
        raise RuleError(str(fault)) from None
    file = RuleFile(name, order, FileTable(), document, Lines(text))
    _check_words(file)
    return file


def _syntax_fault(message: str, text: str, name: str, order: int) -> Fault:
    parts = _SYNTAX.fullmatch(message)
    line, what = text.count("\n") + 1, message
    if parts:
        what = parts["what"]
        if parts["line"]:
            line = int(parts["line"])
            what += f" in column {parts['column']}"
        else:
            line = len(text.rstrip().splitlines()) or 1
            what += " at the end of the file"
    return Fault(Place(order, line, name), what, "valid TOML", "correct the line or the one before it")


def _check_words(file: RuleFile) -> None:
    """Keep the words that can be used, and a fault for each of the others."""
    try:
        file.words = FileTable.model_validate(file.document)
    except ValidationError as error:
        usable = copy.deepcopy(file.document)
        for details in error.errors():
            path = _path_of(details["loc"])
            file.faults.append(_fault(file, path, details))
            _leave_out(file, usable, path)
        file.words = FileTable.model_validate(usable)


def _path_of(loc: Path) -> Path:
    """Return the way in the file: pydantic's own has steps for keys and, below a word, for the parts of a pattern."""
    table, below = loc[:3], loc[3:]
    return table + tuple(step for step in below if step not in {"where", "[key]"})


def _leave_out(file: RuleFile, usable: dict[str, Any], path: Path) -> None:
    table, *rest = path
    if table == "workflow" and rest:
        file.spoiled.add("workflow")
        usable["workflow"].pop(rest[0], None)
    elif table in _TABLES and rest:
        file.spoiled.add(f"{table}.{rest[0]}")
        if len(rest) > 1:
            usable[str(table)][rest[0]].pop(rest[1], None)
        else:
            # The flow stays known by its name.
            usable[str(table)][rest[0]] = {}
    else:
        file.spoiled.add(str(table))
        usable.pop(str(table), None)


def _fault(file: RuleFile, path: Path, details: ErrorDetails) -> Fault:
    place = file.place(*path)
    kind = details["type"]
    if kind == "extra_forbidden":
        return _unknown_word(place, path)
    where = _name_of(path)
    if kind == "missing":
        found = f"a pattern of {_name_of(path[:3])} has no eid"
        return Fault(place, found, "the eid of an event", 'write { eid = "START", ... }')
    found = f"{where} is {shown(details['input'])}"
    if kind == "path":
        if path[-1] == details["input"]:
            found = f"{_name_of(path[:3])} has the path {shown(path[-1])}"
        text = str(details["input"])
        heads = ", ".join(HEADS)
        return Fault(place, found, f"a path that begins with one of {heads}", _path_advice(text))
    if kind == "refusal":
        expected, _, advice = details["msg"].partition("; ")
        return Fault(place, found, expected, advice)
    if kind == "literal_error":
        expected = str(details.get("ctx", {})["expected"]).replace("'", '"')
        return Fault(place, found, expected, "write one of them")
    expected, advice = _EXPECTED[kind]
    if kind == "list_type" and isinstance(details["input"], str):
        advice = f"write [{shown(details['input'])}]"
    return Fault(place, found, expected, advice)


def _path_advice(text: str) -> str:
    head = text.partition(".")[0].partition("(")[0]
    if head in HEADS:
        return 'write it as "edata.type", "cdata.<type>", "params.<name>" or "uuid(<path>)"'
    return nearest(head, HEADS, 'name the field from the top of the event, as "edata.type"')


def _unknown_word(place: Place, path: Path) -> Fault:
    *above, word = path
    if not above:
        expected = "[workflow], [flows.<name>], [adjust.<flow>] or [extend.<flow>]"
        return Fault(place, f'unknown table "{word}"', expected, nearest(str(word), _TABLES, "take it out"))
    known = sorted(_WORDS_OF[str(above[0])].model_fields)
    table, expected = ".".join(map(str, above)), f"one of {', '.join(known)}"
    if above[0] == "extend" and word in FlowTable.model_fields:
        return Fault(place, f"{word} in [{table}] is one value, not a list", expected, f"use [adjust.{above[1]}]")
    return Fault(place, f'unknown word "{word}" in [{table}]', expected, nearest(str(word), known, "take it out"))


def _name_of(path: Path) -> str:
    """Return how people call what stands at ``path``: ``"edata.type" of opens in [flows.quiz]``."""
    steps = list(path)
    depth = 1 if steps[0] == "workflow" else 2
    table, words = ".".join(map(str, steps[:depth])), steps[depth:]
    if not words:
        return f"[{table}]"
    inner = "".join(f'"{step}" of ' for step in reversed(words[1:]) if isinstance(step, str))
    entry = "an entry of " if len(words) > 1 and not inner else ""
    return f"{inner}{entry}{words[0]} in [{table}]"
