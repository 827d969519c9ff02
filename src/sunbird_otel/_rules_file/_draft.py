"""The rules in the making: the records of all files loaded so far, and which line each word came from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, cast

from sunbird_otel._rules import FlowRule, Match, WorkflowRule
from sunbird_otel._rules_file._faults import Fault, Place, nearest
from sunbird_otel._rules_file._words import DEFAULT_IDLE_GAP, FlowTable, Pattern, WorkflowTable, duration_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sunbird_otel._rules_file._lines import Path
    from sunbird_otel._rules_file._source import RuleFile

_SETS: Final = ("parents", "tolerates", "holds", "excludes", "may_stay_open", "marked_by_flows", "inside_only")


class Draft:
    """Files are applied in order; each adds workflows, replaces those of the same name, and adjusts single flows."""

    def __init__(self) -> None:
        self.workflows: dict[str, WorkflowRule] = {}
        self.flows: dict[str, FlowRule] = {}
        self.faults: list[Fault] = []
        self.replaced: dict[str, tuple[str, RuleFile]] = {}
        """The flows that fell away with a replaced workflow: the workflow, and the file that replaced it."""
        self._origins: dict[tuple[str, str, str], tuple[RuleFile, Path]] = {}

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
        elif not file.words.adjust and not file.faults:
            expected = "[workflow] and [flows.<name>], or [adjust.<flow>]"
            self.faults.append(Fault(file.place(), "no rules", expected, "see docs/rules.md for an example"))
        for kind, table in file.words.adjust.items():
            self._adjust(file, kind, table)

    def place(self, table: str, name: str, word: str, entry: str | None = None) -> Place:
        """Return where ``word`` of the flow or workflow came from, or its table when no file says it."""
        file, path = self._origins.get((table, name, word)) or self._origins[table, name, ""]
        return file.place(*path) if entry is None else file.place_of_entry(path, entry)

    def is_spoiled(self, table: str, name: str) -> bool:
        """Tell whether a word of it could not be used, so that it may say more than is known."""
        return any(
            ".".join(map(str, path[:2])) in file.spoiled or path[0] in file.spoiled
            for (kind, owner, _), (file, path) in self._origins.items()
            if (kind, owner) == (table, name)
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

    def _adjust(self, file: RuleFile, kind: str, table: FlowTable) -> None:
        if kind not in self.flows:
            advice = nearest(kind, self.flows, "take it out, or load the file that defines the flow before this one")
            found = f'[adjust.{kind}] is for "{kind}", which is no flow'
            self.faults.append(Fault(file.place("adjust", kind), found, "a flow in force", advice))
            return
        words = _given(table)
        self.flows[kind] = dataclasses.replace(self.flows[kind], **words)
        for word in words:
            self._origins["flows", kind, word] = (file, ("adjust", kind, word.removesuffix("_ns")))
        if f"adjust.{kind}" in file.spoiled:
            self._origins["flows", kind, "adjust"] = (file, ("adjust", kind))

    def _remember(self, file: RuleFile, table: str, name: str, path: Path, words: Mapping[str, Any]) -> None:
        self._origins[table, name, ""] = (file, path)
        for word in words:
            self._origins[table, name, word] = (file, (*path, word.removesuffix("_ns")))

    def _forget(self, table: str, name: str) -> None:
        for key in [key for key in self._origins if key[:2] == (table, name)]:
            del self._origins[key]


def _given(table: FlowTable | WorkflowTable) -> dict[str, Any]:
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
