"""The rules in force as tables for the terminal, and the words for them that the documentation uses, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sunbird_otel._duration import UNITS_NS
from sunbird_otel._rules import ANY
from sunbird_otel.view import _format as form

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from sunbird_otel._rules import FlowRule, Match, Rules, WorkflowRule


def render_rules(rules: Rules) -> RenderableType:
    """Return a table a workflow, readable from 80 columns on."""
    parts: list[RenderableType] = [Text(f"Rules in force: {form.clean(rules.profile, 1000)}"), Text()]
    for workflow in rules.workflows:
        parts += [rules_table(rules, workflow), Text()]
    return Group(*parts)


def rules_table(rules: Rules, workflow: WorkflowRule) -> Table:
    """Return the table of the flows that ``workflow`` defines: a row for each word that says something."""
    table = Table(
        title=f"{form.clean(workflow.title)} ({workflow.name})",
        caption=form.clean("; ".join(f"{word}: {said}" for word, said in describe_workflow(rules, workflow)), 1000),
        title_justify="left",
        caption_justify="left",
        min_width=60,
    )
    table.add_column("flow", no_wrap=True)
    table.add_column("word", no_wrap=True, style="dim")
    table.add_column("rule")
    for flow in own_flows(rules, workflow):
        name = flow.kind
        for word, said in describe_flow(flow):
            table.add_row(Text(name, style="bold"), word, Text(form.clean(said, 1000)))
            name = ""
        table.add_section()
    return table


def own_flows(rules: Rules, workflow: WorkflowRule) -> tuple[FlowRule, ...]:
    """Return the flows that the workflow's own file defines, in its order."""
    return tuple(rules.by_kind[kind] for kind in workflow.flows if rules.by_kind[kind].workflow == workflow.name)


def describe_workflow(rules: Rules, workflow: WorkflowRule) -> Iterator[tuple[str, str]]:
    """Yield what the workflow says of itself: word and text."""
    others = [kind for kind in workflow.flows if rules.by_kind[kind].workflow != workflow.name]
    if others:
        yield "flows of other workflows", ", ".join(f"{kind} ({rules.by_kind[kind].workflow})" for kind in others)
    marks = [*sorted(workflow.marked_by_flows), *workflow.marked_by_producers]
    if marks:
        yield "marked by", ", ".join(marks)
    if workflow.default:
        yield "default", "what nothing marks belongs here"
    yield "precedence", str(workflow.precedence)
    if workflow.inside_only:
        yield "only inside a flow that names them", ", ".join(sorted(workflow.inside_only))


def describe_flow(flow: FlowRule) -> Iterator[tuple[str, str]]:
    """Yield what the rule says: word and text. Words that say nothing are left out."""
    words = (
        ("is", flow.summary),
        ("opens", _events(flow.opens)),
        ("closes", "itself: one event is the whole flow" if flow.whole else _events(flow.closes)),
        ("lasts", f"{flow.duration} (ms), up to the event" if flow.duration else ""),
        ("pairs by", pairs_by(flow)),
        ("same flow", same_flow(flow)),
        ("parents", ", ".join(root_first(flow.parents))),
        ("tolerates", ", ".join(root_first(flow.tolerates))),
        ("within", flow.within),
        ("holds", holds(flow)),
        ("idle gap", idle_gap(flow)),
        ("may stay open", may_stay_open(flow)),
        ("joins", " or ".join(flow.joins)),
        ("gathers by", " or ".join(flow.gathers_by)),
        ("member of", flow.member_of),
        ("members", {"link": "traces of their own that link here", "child": "flows in this one"}.get(flow.members, "")),
        ("scope", "all events of its producer" if flow.scope == "producer" else ""),
        ("fails", _conditions(flow.fails)),
    )
    return ((word, said) for word, said in words if said)


def pairs_by(flow: FlowRule) -> str:
    """Return the keys by which a closing event finds its flow, in the order in which they are tried."""
    return ", else ".join(" + ".join(key) for key in flow.pair)


def same_flow(flow: FlowRule) -> str:
    """Return when an opening event is the same flow starting again."""
    if flow.whole:
        return ""
    if flow.overlaps:
        return "only when one of these keys, but not the last, is equal"
    return "equal " + " + ".join(flow.same) if flow.same else "any of the kind"


def holds(flow: FlowRule) -> str:
    """Return the events that may stand in the flow."""
    named = ", ".join(sorted(flow.holds - {ANY}))
    if ANY not in flow.holds:
        return named or "nothing but flows"
    text = "any event" + (f", also {named}" if named else "")
    return text + (f"; not {', '.join(sorted(flow.excludes))}" if flow.excludes else "")


def idle_gap(flow: FlowRule) -> str:
    """Return the idle gap as the rule files write it."""
    if flow.idle_gap_ns is None:
        return "never"
    return next(
        f"{flow.idle_gap_ns // size}{unit}" for unit, size in reversed(UNITS_NS.items()) if flow.idle_gap_ns % size == 0
    )


def may_stay_open(flow: FlowRule) -> str:
    """Return the workflows in which the flow needs no closing event."""
    return "always" if ANY in flow.may_stay_open else ", ".join(f"in {name}" for name in sorted(flow.may_stay_open))


def root_first(kinds: Iterable[str]) -> list[str]:
    """Return kinds in a fixed order, the root first."""
    return sorted(kinds, key=lambda kind: (kind != "root", kind))


def _events(matches: Iterable[Match]) -> str:
    return "; or ".join(f"{match.eid} {_conditions(match.where)}".rstrip() for match in matches)


def _conditions(where: Iterable[tuple[str, frozenset[str]]]) -> str:
    return ", ".join(f"{path} = {_values(values)}" for path, values in where)


def _values(values: frozenset[str]) -> str:
    return "any other" if ANY in values else " | ".join(value or '""' for value in sorted(values))
