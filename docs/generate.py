"""Write the generated pages, docs/workflows.md and docs/attributes.md: ``make docs``.

With ``--check`` nothing is written; the exit code is 1 when a page is not what it would be.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from sunbird_otel import names
from sunbird_otel._rules import ANY, ROOT, Rules
from sunbird_otel.view import rules as words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sunbird_otel._rules import FlowRule, WorkflowRule

HEADER: Final = "<!-- generated; do not edit; make docs -->"
_IN_TABLE: Final = (
    "opens",
    "closes",
    "pairs by",
    "same flow",
    "parents",
    "within",
    "holds",
    "idle gap",
    "may stay open",
)


def main(arguments: Sequence[str]) -> int:
    """Write or check the pages; return the exit code."""
    check = "--check" in arguments
    folder = Path(__file__).parent
    stale: list[str] = []
    for name, page in pages().items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == page:
            continue
        stale.append(name)
        if not check:
            path.write_text(page, encoding="utf-8")
    for name in stale:
        print(f"docs/{name} is stale; run make docs" if check else f"docs/{name} written")
    return 1 if check and stale else 0


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    writers: dict[str, Callable[[], Iterator[str]]] = {"workflows.md": _workflows, "attributes.md": _attributes}
    return {name: "\n".join([HEADER, "", *write()]).rstrip() + "\n" for name, write in writers.items()}


# --- workflows.md ------------------------------------------------------------------------------------------------


def _workflows() -> Iterator[str]:
    rules = Rules.standard()
    yield from (
        "# The workflows",
        "",
        "What the shipped rules (profile `standard`) say. [rules.md](rules.md) explains the words and how to write",
        "rules of your own; `sunbird-otel rules` shows those in force.",
        "",
        "In the pictures each flow is drawn once, inside the flow where it usually stands. Dotted arrows and the words",
        "*also in* name the other flows of the workflow that may hold it.",
        "",
    )
    for workflow in rules.workflows:
        yield from _workflow(rules, workflow)
    yield from _profiles(rules, Rules.field())


def _workflow(rules: Rules, workflow: WorkflowRule) -> Iterator[str]:
    yield from (f"## {workflow.title}", "", f"`{workflow.name}`", "")
    for word, said in words.describe_workflow(rules, workflow):
        yield f"- {word}: {_plain(said)}"
    homes = {kind: _home(rules, workflow, kind) for kind in workflow.flows}
    yield from ("", "```text", *_tree(rules, workflow, homes), "```", "")
    yield from ("```mermaid", "flowchart TD", *_arrows(rules, workflow, homes), "```", "")
    own = words.own_flows(rules, workflow)
    yield from _table(
        ("flow", *_IN_TABLE),
        ((f"**{flow.kind}**<br>{flow.summary}", *(_said(flow, word) for word in _IN_TABLE)) for flow in own),
    )
    for flow in own:
        more = [f"{word}: {_plain(said)}" for word, said in words.describe_flow(flow) if word not in {*_IN_TABLE, "is"}]
        if more:
            yield f"- `{flow.kind}`: {'; '.join(more)}"
    yield ""


def _parents(rules: Rules, workflow: WorkflowRule, kind: str) -> list[str]:
    """Return the allowed parents inside the workflow, in its order, the root first."""
    parents = rules.by_kind[kind].parents
    return [parent for parent in (ROOT, *workflow.flows) if parent in parents]


def _home(rules: Rules, workflow: WorkflowRule, kind: str) -> str:
    """Return where the flow is drawn: in a flow that others must stand within, else in the last one before it."""
    parents = [parent for parent in _parents(rules, workflow, kind) if parent != kind]
    spine = [parent for parent in parents if any(rules.by_kind[other].within == parent for other in workflow.flows)]
    before = [parent for parent in parents if parent in (ROOT, *workflow.flows[: workflow.flows.index(kind)])]
    return (spine or before or [ROOT])[-1]


def _tree(rules: Rules, workflow: WorkflowRule, homes: dict[str, str]) -> Iterator[str]:
    yield ROOT

    def below(parent: str, indent: str) -> Iterator[str]:
        children = [kind for kind in workflow.flows if homes[kind] == parent]
        for kind in children:
            last = kind == children[-1]
            yield f"{indent}{'└── ' if last else '├── '}{kind}{_remarks(rules, workflow, kind, parent)}"
            yield from below(kind, indent + ("    " if last else "│   "))

    yield from below(ROOT, "")


def _remarks(rules: Rules, workflow: WorkflowRule, kind: str, home: str) -> str:
    others = ["itself" if p == kind else p for p in _parents(rules, workflow, kind) if p != home]
    named = sorted(rules.by_kind[kind].holds & rules.inside_only)
    remarks = [f"also in {', '.join(others)}"] if others else []
    if named:
        remarks.append(f"holds {', '.join(named)}")
    return f"  ({'; '.join(remarks)})" if remarks else ""


def _arrows(rules: Rules, workflow: WorkflowRule, homes: dict[str, str]) -> Iterator[str]:
    yield f"    {ROOT}(({ROOT}))"
    for kind in workflow.flows:
        for parent in _parents(rules, workflow, kind):
            yield f"    {parent} {'-->' if homes[kind] == parent else '-.->'} {kind}"


def _said(flow: FlowRule, word: str) -> str:
    return _plain(dict(words.describe_flow(flow)).get(word, ""))


def _profiles(standard: Rules, field: Rules) -> Iterator[str]:
    yield from (
        "## The profile `field`",
        "",
        "The same rules, but it accepts without a mark what known clients do on purpose (`--rules field`):",
        "",
    )
    rows: list[tuple[str, ...]] = []
    for flow in standard.flows:
        other = field.by_kind[flow.kind]
        for item in dataclasses.fields(flow):
            before, after = getattr(flow, item.name), getattr(other, item.name)
            if before != after:
                rows.append((flow.kind, f"`{item.name}`", _value(before), _value(after)))
    yield from _table(("flow", "word", "standard", "field"), rows)


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        entries = sorted(str(entry) for entry in cast("frozenset[object]", value))
        return _plain(", ".join("always" if entry == ANY else entry for entry in entries) or "-")
    return _plain(str(value))


# --- attributes.md -----------------------------------------------------------------------------------------------


def _attributes() -> Iterator[str]:
    yield from (
        "# Names",
        "",
        "Every attribute, span event and metric that the bridge writes, by the place where it stands. Names are",
        "OpenTelemetry's where it has a convention, and `sunbird.*` for the rest; ids and free text are values, never",
        "parts of a name. A span event, and the span of a lone event, is called",
        f"`{names.EVENT_PREFIX}<eid in lower case>`.",
        "",
    )
    by_place: dict[str, list[names.Name]] = {}
    for name in names.TABLE:
        by_place.setdefault(name.place, []).append(name)
    for eid in names.EDATA:
        by_place.setdefault(f"event {eid}", [])
    for place, rows in by_place.items():
        eid = place.removeprefix("event ")
        own = {name.key for name in rows}
        shared = {
            path: key for path, key in names.EDATA.get(eid, {}).items() if place.startswith("event ") and key not in own
        }
        if not rows and not shared:
            continue
        yield from (f"## {place[0].upper()}{place[1:]}", "")
        if rows:
            yield from _table(
                ("name", "type", "meaning", "from"),
                ((f"`{name.key}`", name.type, _plain(name.meaning), _plain(name.source)) for name in rows),
            )
        if shared:
            told = ", ".join(f"`edata.{path}` as `{key}`" for path, key in shared.items())
            yield from (f"Under a shared name: {told}.", "")


# --- Markdown ----------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell or '-' for cell in row)} |"
    yield ""


def _plain(text: str) -> str:
    """Return text that Markdown takes as it is."""
    for sign in "\\|*<":
        text = text.replace(sign, f"\\{sign}")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
