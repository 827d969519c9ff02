"""Which open flow an END belongs to, and when a START is the same flow starting again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sunbird_otel._flow import Closed, Flow
from sunbird_otel._paths import Reader, reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule

_READERS: dict[str, Reader] = {}
_Candidate = TypeVar("_Candidate", Flow, Closed)


def read(event: Event, path: str) -> str:
    """Return the field ``path`` of ``event`` for comparing: types and modes in any case, ids as they are."""
    known = _READERS.get(path)
    if known is None:
        known = _READERS[path] = reader(path)
    text = known.read(event)
    return text.casefold() if path in {"edata.type", "edata.mode"} else text


def pairing_values(flow: Flow) -> dict[str, str]:
    """Return the fields of a flow's opening event by which an END is paired, for the time after it is closed."""
    paths = {path for key in flow.rule.pair for path in key}
    return {path: read(flow.opener, path) for path in sorted(paths)}


def _value(flow: Flow | Closed, path: str) -> str:
    return read(flow.opener, path) if isinstance(flow, Flow) else flow.values[path]


def match_end(end: Event, rule: FlowRule, newest_first: Iterable[_Candidate]) -> _Candidate | None:
    """Return the flow that ``end`` closes.

    Each key of ``rule.pair`` is tried in order of preference. A key applies to a flow when both events carry its first
    field; the last key always applies. Where it applies, a field that both carry and that differs means that the flow
    is another one; a field that one of them lacks fits any. Among the flows that fit, the one with the most equal
    fields is taken, and the newest of those.
    """
    candidates = [flow for flow in newest_first if flow.rule.kind == rule.kind]
    for number, key in enumerate(rule.pair):
        last = number == len(rule.pair) - 1
        best: _Candidate | None = None
        best_score = -1
        others: list[_Candidate] = []
        for flow in candidates:
            pairs = [(read(end, path), _value(flow, path)) for path in key]
            if not last and not all(pairs[0]):
                others.append(flow)
                continue
            if any(mine and theirs and mine != theirs for mine, theirs in pairs):
                continue
            score = sum(1 for mine, theirs in pairs if mine and mine == theirs)
            if score > best_score:
                best, best_score = flow, score
        if best is not None:
            return best
        candidates = others
    return None


def same_flow(start: Event, flow: Flow) -> bool:
    """Tell whether ``start`` is the flow ``flow`` starting again, for flows of one kind.

    Flows that overlap freely are the same only when a key that identifies the run says so.
    """
    rule = flow.rule
    if rule.overlaps:
        for key in rule.pair[:-1]:
            mine, theirs = read(start, key[0]), read(flow.opener, key[0])
            if mine and theirs:
                return mine == theirs
        return False
    return all(read(start, path) == read(flow.opener, path) for path in rule.same)
