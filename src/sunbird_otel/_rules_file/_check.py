"""What must be true of all rules together, once the words of each file are known to be well formed."""

from __future__ import annotations

import graphlib
import re
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from sunbird_otel._rules import ANY, ROOT, FlowRule, Match, WorkflowRule
from sunbird_otel._rules_file._faults import Fault, listed, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sunbird_otel._rules_file._draft import Draft

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_NAME_ADVICE: Final = "use small letters, digits and _, a letter first"


def check(draft: Draft) -> list[Fault]:
    """Return all faults of the rules in ``draft``."""
    faults = list(_unknown_names(draft))
    spoiled = {kind for kind in draft.flows if draft.is_spoiled("flows", kind)}
    if not faults and not spoiled:
        faults += chain.from_iterable(_out_of_reach(draft, rule) for rule in draft.flows.values())
    faults += chain(_claimed_twice(draft), _cycles(draft), _workflows(draft))
    for kind, rule in draft.flows.items():
        faults += _odd_name(draft, "flows", kind)
        if kind not in spoiled:
            faults += _flow(draft, rule)
    return faults


def _odd_name(draft: Draft, table: str, name: str) -> Iterator[Fault]:
    word = "name" if table == "workflow" else ""
    place = draft.place(table, name, word)
    what = "workflow" if table == "workflow" else "flow"
    if not _NAME.fullmatch(name):
        yield Fault(place, f"the name of the {what} is {shown(name)}", "a name such as quiz_round", _NAME_ADVICE)
    elif table == "flows" and name == ROOT:
        yield Fault(place, f'a flow is called "{ROOT}"', "another name", f'"{ROOT}" stands for no parent')


# --- Names that nothing bears ------------------------------------------------------------------------------------


def _unknown_names(draft: Draft) -> Iterator[Fault]:
    missing: dict[str, list[str]] = {}
    for table, owner, word, name, known in _names_used(draft):
        if name in known:
            continue
        of_workflow = word == "may_stay_open"
        if name in draft.replaced and not of_workflow:
            missing.setdefault(name, []).append(owner)
            continue
        where = f"{word} in [{table}]" if table == "workflow" else f"{word} of flow {shown(owner)}"
        found = f"{where} names {shown(name)}, which is no {'workflow' if of_workflow else 'flow'}"
        otherwise = "take it out" if of_workflow else f"define [flows.{name}] or take it out"
        expected = "a workflow in force" if of_workflow else "a flow in force"
        if len(known) > len(draft.workflows if of_workflow else draft.flows):
            expected += f' or "{ANY if of_workflow else ROOT}"'
        yield Fault(draft.place(table, owner, word, name), found, expected, nearest(name, known, otherwise))
    for name, users in missing.items():
        workflow, file = draft.replaced[name]
        found = f'workflow "{workflow}" is replaced here without its flow "{name}", which {_needed_by(users)}'
        advice = "define it, or give the workflow another name"
        yield Fault(file.place("workflow", "name"), found, f"[flows.{name}]", advice)


def _needed_by(users: Collection[str]) -> str:
    distinct = sorted(set(users))
    return f"{', '.join(distinct)} {'needs' if len(distinct) == 1 else 'need'}"


_Use: TypeAlias = "tuple[str, str, str, str, Collection[str]]"


def _names_used(draft: Draft) -> Iterator[_Use]:
    """Yield table, owner, word, the name that is used, and the names that may be."""
    flows = list(draft.flows)
    for workflow in draft.workflows.values():
        for name in (*workflow.flows,):
            yield "workflow", workflow.name, "flows", name, flows
        for name in sorted(workflow.marked_by_flows):
            yield "workflow", workflow.name, "marked_by_flows", name, flows
    for kind, rule in draft.flows.items():
        for word, names in (("parents", rule.parents), ("tolerates", rule.tolerates)):
            for name in sorted(names):
                yield "flows", kind, word, name, [ROOT, *flows]
        for word, name in (("within", rule.within), ("member_of", rule.member_of)):
            if name:
                yield "flows", kind, word, name, flows
        for name in sorted(rule.may_stay_open):
            yield "flows", kind, "may_stay_open", name, [ANY, *draft.workflows]


# --- Events that two rules claim ---------------------------------------------------------------------------------


def _claimed_twice(draft: Draft) -> Iterator[Fault]:
    claims = [
        (rule, word, match)
        for rule in draft.flows.values()
        for word, matches in (("opens", rule.opens), ("closes", rule.closes))
        for match in matches
    ]
    for (rule, word, match), (other, other_word, other_match) in combinations(claims, 2):
        if (rule.kind, word) == (other.kind, other_word) or not match.overlaps(other_match):
            continue
        place = draft.place("flows", rule.kind, word, match)
        other_place = draft.place("flows", other.kind, other_word, other_match)
        mine, theirs = (rule.kind, word), (other.kind, other_word)
        if place > other_place:
            place, other_place, mine, theirs = other_place, place, theirs, mine
        found = (
            f'{theirs[1]} of flow "{theirs[0]}" takes {_event(match, other_match)}, '
            f'as does {mine[1]} of flow "{mine[0]}" ({place})'
        )
        yield Fault(
            other_place,
            found,
            "each event to be claimed once",
            "take values out, or add a condition: the pattern with more of them goes first",
        )


def _event(match: Match, other: Match) -> str:
    """Return the events that both patterns fit."""
    mine, theirs = dict(match.where), dict(other.where)
    conditions: list[str] = []
    for path in sorted(mine.keys() | theirs.keys()):
        values, others = mine.get(path, frozenset({ANY})), theirs.get(path, frozenset({ANY}))
        both = others if ANY in values else values if ANY in others else values & others
        conditions.append(f"{path} {listed(sorted(both))}")
    return " with ".join([match.eid, " and ".join(conditions)]) if conditions else match.eid


# --- The shape of the parents ------------------------------------------------------------------------------------


def _cycles(draft: Draft) -> Iterator[Fault]:
    graph = {
        kind: sorted(parent for parent in rule.parents - {kind, ROOT} if parent in draft.flows)
        for kind, rule in draft.flows.items()
    }
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            # From parent to child, the first again at the end.
            ring: list[str] = error.args[1]
        else:
            return
        edges = [(child, parent) for parent, child in pairwise(ring)]
        child, parent = max(edges, key=lambda edge: draft.place("flows", edge[0], "parents", edge[1]))
        graph[child].remove(parent)
        start = ring[:-1].index(parent)
        way = [*ring[start:-1], *ring[:start], parent]
        yield Fault(
            draft.place("flows", child, "parents", parent),
            f"the parents go in a circle: {' > '.join(way)}",
            "parents that lead up to the root",
            f'take "{parent}" out of parents of "{child}", or move it to tolerates',
        )


def _out_of_reach(draft: Draft, rule: FlowRule) -> Iterator[Fault]:
    if rule.within and not _reaches(draft, rule, rule.within):
        yield Fault(
            draft.place("flows", rule.kind, "within"),
            f'flow "{rule.kind}" must stand within "{rule.within}", but none of its parents can',
            f'parents that lead up to "{rule.within}"',
            f'add "{rule.within}" or a flow in it to parents, or take within out',
        )


def _reaches(draft: Draft, rule: FlowRule, wanted: str) -> bool:
    """Tell whether some chain of parents leads up from a flow to one of the kind ``wanted``."""
    seen: set[str] = {rule.kind}
    above = [rule]
    while above:
        below = above.pop()
        parents = (below.parents | below.tolerates) - seen
        if wanted in parents:
            return True
        seen |= parents
        above += [draft.flows[parent] for parent in parents if parent in draft.flows]
    return False


# --- One flow, one workflow --------------------------------------------------------------------------------------


def _flow(draft: Draft, rule: FlowRule) -> Iterator[Fault]:
    for word, found, expected, advice in chain(_life(rule), _standing(draft, rule)):
        yield Fault(draft.place("flows", rule.kind, word), f'flow "{rule.kind}" {found}', expected, advice)


_Remark: TypeAlias = tuple[str, str, str, str]
"""The word, what was found of the flow, what was expected, what to do."""


def _life(rule: FlowRule) -> Iterator[_Remark]:
    """Look at what opens and closes the flow."""
    if not rule.summary:
        yield "summary", "has no summary", "a few words that tell what it is", 'write summary = "..."'
    if not rule.opens:
        yield "opens", "is opened by no event", "opens", 'write opens = [{ eid = "START", ... }]'
    if rule.whole and rule.closes:
        yield "closes", "is whole and has closes", "one of the two", "take closes out: one event tells it all"
    if rule.duration and not rule.whole:
        yield "duration", "has duration and is not whole", "whole = true beside it", "add it, or take duration out"
    if rule.closes and not rule.pair and not rule.whole:
        yield (
            "closes",
            "has closes, but no pair",
            "the fields by which a closing event finds its flow",
            'write pair = [["edata.type", "object.id"]], say',
        )
    if not rule.closes and not rule.whole and not rule.may_stay_open:
        yield (
            "closes",
            "is never closed, so that each one would be marked missing_end",
            "closes, whole or may_stay_open",
            'write closes = [{ eid = "END", ... }], or may_stay_open = ["*"]',
        )


def _standing(draft: Draft, rule: FlowRule) -> Iterator[_Remark]:
    """Look at what the flow stands in and what it holds."""
    if not rule.parents - {rule.kind}:
        yield "parents", "can never stand anywhere", f'"{ROOT}" or another flow in parents', "add one"
    if rule.excludes and ANY not in rule.holds:
        yield "excludes", 'has excludes, but holds no "*"', '"*" in holds', "add it, or take excludes out"
    owner = draft.flows.get(rule.member_of)
    if owner is not None and not owner.members:
        yield (
            "member_of",
            f'is a member of "{owner.kind}", which says nothing of members',
            f'members = "link" or "child" in [flows.{owner.kind}]',
            "add it there, or take member_of out",
        )


def _workflows(draft: Draft) -> Iterator[Fault]:
    for workflow in draft.workflows.values():
        # A workflow without a name goes by that of its file.
        if workflow.name != workflow.source:
            yield from _odd_name(draft, "workflow", workflow.name)
        if not draft.is_spoiled("workflow", workflow.name):
            yield from _workflow(draft, workflow)
    if any(draft.is_spoiled("workflow", name) for name in draft.workflows):
        return
    in_order = sorted(draft.workflows.values(), key=lambda workflow: draft.place("workflow", workflow.name, ""))
    defaults = [workflow for workflow in in_order if workflow.default]
    for workflow in defaults[1:]:
        yield Fault(
            draft.place("workflow", workflow.name, "default"),
            f'workflow "{workflow.name}" is the default, as is "{defaults[0].name}"',
            "one default",
            "take default out here, or in the other",
        )
    if not defaults:
        place = draft.place("workflow", in_order[-1].name, "")
        yield Fault(place, "no workflow is the default", "one for what nothing marks", "write default = true in one")


def _workflow(draft: Draft, workflow: WorkflowRule) -> Iterator[Fault]:
    name = workflow.name

    def fault(word: str, found: str, expected: str, advice: str) -> Fault:
        return Fault(draft.place("workflow", name, word), f'workflow "{name}" {found}', expected, advice)

    if name == workflow.source:
        yield Fault(draft.place("workflow", name, ""), "[workflow] has no name", "a name", 'write name = "quiz"')
    if not workflow.title:
        yield fault("title", "has no title", "a few words for people", 'write title = "Quiz service"')
    if not workflow.flows:
        yield fault(
            "flows", "has no flows", "flows of this file or of others", 'write flows = ["session"], for example'
        )
    for rule in draft.flows.values():
        if rule.workflow == name and rule.kind not in workflow.flows:
            found = f'does not list its flow "{rule.kind}"'
            yield fault("flows", found, "each flow that the file defines", "add it to flows")
    if not (workflow.default or workflow.marked_by_flows or workflow.marked_by_producers):
        yield fault("", "is marked by nothing, so that no flow belongs to it", "a mark", "write marked_by_flows")
    for eid in sorted(workflow.inside_only):
        if not any(eid in rule.holds for rule in draft.flows.values()):
            yield Fault(
                draft.place("workflow", name, "inside_only", eid),
                f'inside_only in [workflow] has "{eid}", which no flow holds by name',
                f'"{eid}" in holds of a flow',
                "add it there, or take it out here",
            )
