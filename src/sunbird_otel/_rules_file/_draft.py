"""The rules in the making: the records of all files loaded so far, and which line each word came from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sunbird_otel._rules import FlowRule, Match, WorkflowRule
from sunbird_otel._rules_file._faults import Fault, Place, nearest
from sunbird_otel._rules_file._words import (
    DEFAULT_IDLE_GAP,
    ExtendTable,
    FlowTable,
    Pattern,
    WorkflowTable,
    duration_ns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sunbird_otel._rules_file._lines import Path
    from sunbird_otel._rules_file._source import RuleFile

_SETS: Final = ("parents", "tolerates", "holds", "excludes", "may_stay_open", "marked_by_flows", "inside_only")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a word was said, and what the list there holds; nothing for a word that is no list."""

    file: RuleFile
    path: Path
    entries: frozenset[object] = frozenset()


class Draft:
    """Files are applied in order; each adds workflows, replaces those of the same name, and changes single flows."""

    def __init__(self) -> None:
        self.workflows: dict[str, WorkflowRule] = {}
        self.flows: dict[str, FlowRule] = {}
        self.faults: list[Fault] = []
        self.replaced: dict[str, tuple[str, RuleFile]] = {}
        """The flows that fell away with a replaced workflow: the workflow, and the file that replaced it."""
        self._origins: dict[tuple[str, str, str], list[_Origin]] = {}

    def apply(self, file: RuleFile) -> None:
        """Take over what ``file`` says."""
        self.faults += file.faults
        if file.words.workflow is not None:
            self._add_workflow(file, file.words.workflow)
        elif file.words.flows:
            kind = next(iter(file.words.flows))
            self.faults.append(
                Fault(
                    file.place("flows", kind),
                    f"[flows.{kind}] without a [workflow]",
                    "a [workflow] that the flows belong to",
                    f"add one, or write [adjust.{kind}] to change a flow that another file defines",
                )
            )
        elif not file.words.adjust and not file.words.extend and not file.faults:
            expected = "[workflow] and [flows.<name>], [adjust.<flow>] or [extend.<flow>]"
            self.faults.append(Fault(file.place(), "no rules", expected, "see docs/rules.md for an example"))
        for kind, table in file.words.adjust.items():
            self._change(file, "adjust", kind, table)
        for kind, more in file.words.extend.items():
            self._change(file, "extend", kind, more)

    def place(self, table: str, name: str, word: str, entry: str | Match | None = None) -> Place:
        """Return where ``word`` of the flow or workflow came from, or its table when no file says it.

        Of several places that made a list together it is the one that first gave ``entry``, else the last.
        """
        origins = self._origins.get((table, name, word)) or self._origins[table, name, ""]
        origin = next((each for each in origins if entry in each.entries), origins[-1])
        if isinstance(entry, str):
            return origin.file.place_of_entry(origin.path, entry)
        return origin.file.place(*origin.path)

    def is_spoiled(self, table: str, name: str) -> bool:
        """Tell whether a word of it could not be used, so that it may say more than is known."""
        return any(
            ".".join(map(str, origin.path[:2])) in origin.file.spoiled or origin.path[0] in origin.file.spoiled
            for (kind, owner, _), origins in self._origins.items()
            if (kind, owner) == (table, name)
            for origin in origins
        )

    def _add_workflow(self, file: RuleFile, table: WorkflowTable) -> None:
        name = table.name or file.name
        given = _given(table)
        if name in self.workflows:
            for kind in [kind for kind, rule in self.flows.items() if rule.workflow == name]:
                del self.flows[kind]
                self._forget("flows", kind)
                self.replaced[kind] = (name, file)
            self._forget("workflow", name)
        blank = WorkflowRule(name=name, title="", flows=tuple(file.words.flows), precedence=table.precedence)
        self.workflows[name] = dataclasses.replace(blank, **{**given, "name": name, "source": file.name})
        self._remember(file, "workflow", name, ("workflow",), given)
        for kind, flow in file.words.flows.items():
            if kind in self.flows:
                other = self.flows[kind].workflow
                self.faults.append(
                    Fault(
                        file.place("flows", kind),
                        f'flow "{kind}" is defined here and in workflow "{other}" ({self.place("flows", kind, "")})',
                        "one flow of a name",
                        f"choose another name, or write [adjust.{kind}] to change that flow",
                    )
                )
                continue
            words = _given(flow)
            gap_ns = duration_ns(DEFAULT_IDLE_GAP)
            unspoken = FlowRule(kind=kind, workflow=name, summary="", opens=(), idle_gap_ns=gap_ns)
            self.flows[kind] = dataclasses.replace(unspoken, **words)
            self._remember(file, "flows", kind, ("flows", kind), words)

    def _change(self, file: RuleFile, how: str, kind: str, table: FlowTable | ExtendTable) -> None:
        if kind not in self.flows:
            advice = nearest(kind, self.flows, "take it out, or load the file that defines the flow before this one")
            found = f'[{how}.{kind}] is for "{kind}", which is no flow'
            self.faults.append(Fault(file.place(how, kind), found, "a flow in force", advice))
            return
        words, before = _given(table), self.flows[kind]
        origins = {word: [_origin(file, (how, kind), word, said)] for word, said in words.items()}
        if isinstance(table, ExtendTable):
            words = {word: _extended(word, getattr(before, word), more) for word, more in words.items()}
            origins = {word: [*self._origins.get(("flows", kind, word), ()), *new] for word, new in origins.items()}
        self.flows[kind] = dataclasses.replace(before, **words)
        self._origins.update({("flows", kind, word): said_at for word, said_at in origins.items()})
        if f"{how}.{kind}" in file.spoiled:
            self._origins.setdefault(("flows", kind, how), []).append(_Origin(file, (how, kind)))

    def _remember(self, file: RuleFile, table: str, name: str, path: Path, words: Mapping[str, Any]) -> None:
        self._origins[table, name, ""] = [_Origin(file, path)]
        for word, said in words.items():
            self._origins[table, name, word] = [_origin(file, path, word, said)]

    def _forget(self, table: str, name: str) -> None:
        for key in [key for key in self._origins if key[:2] == (table, name)]:
            del self._origins[key]


def _origin(file: RuleFile, table: Path, word: str, said: Any) -> _Origin:
    entries = cast("tuple[object, ...] | frozenset[object]", said if isinstance(said, (tuple, frozenset)) else ())
    return _Origin(file, (*table, word.removesuffix("_ns")), frozenset(entries))


def _extended(word: str, before: Any, more: Any) -> Any:
    """Return what a list word of a flow says when ``more`` is added; what it has already stays where it is."""
    if isinstance(before, frozenset):
        return cast("frozenset[str]", before) | more
    if word == "fails":
        values = dict(before)
        return tuple({**values, **{path: values.get(path, frozenset()) | new for path, new in more}}.items())
    new = tuple(entry for entry in more if entry not in before)
    # The last key of a pair always applies: behind it another would not be tried, or would take its part.
    return (*new, *before) if word == "pair" else (*before, *new)


def _given(table: FlowTable | ExtendTable | WorkflowTable) -> dict[str, Any]:
    """Return the words that the table gives, as the records want them."""
    given: dict[str, Any] = {}
    for word in type(table).model_fields:
        if word not in table.model_fields_set:
            continue
        value: Any = getattr(table, word)
        if word == "idle_gap":
            given["idle_gap_ns"] = duration_ns(value)
        elif word in {"opens", "closes"}:
            given[word] = tuple(_match(pattern) for pattern in value)
        elif word == "fails":
            given[word] = _conditions(value)
        elif word == "pair":
            given[word] = tuple(tuple(key) for key in value)
        elif isinstance(value, list):
            entries = cast("list[str]", value)
            given[word] = frozenset(entries) if word in _SETS else tuple(entries)
        else:
            given[word] = value
    return given


def _match(pattern: Pattern) -> Match:
    return Match(pattern.eid, _conditions(pattern.where))


def _conditions(where: Mapping[str, list[str]]) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((path, frozenset(value.casefold() for value in values)) for path, values in where.items())
