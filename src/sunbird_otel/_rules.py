"""The flow rules as data: what opens and closes a flow, where it may stand, what it may hold.

The vocabulary is that of the files under ``workflows/``; ``docs/rules.md`` explains each word. This module holds the
records and the questions that the engine asks of them; :mod:`sunbird_otel._rules_file` reads and checks the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sunbird_otel._paths import Reader, Readers, reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sunbird_otel._context import Context
    from sunbird_otel._event import Event

ROOT = "root"
"""The word for "no parent" among a flow's allowed parents."""

ANY = "*"
"""The word that matches every value."""

_MEMO_LIMIT: Final = 10_000
_MARKS_LIMIT: Final = 100
_KINDS_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Match:
    """A pattern of events: the eid, and for each path the values it may have (in lower case; ``*`` is any)."""

    eid: str
    where: tuple[tuple[str, frozenset[str]], ...] = ()

    def overlaps(self, other: Match) -> bool:
        """Tell whether one event could match both patterns equally well, so that neither decides."""
        if self.eid != other.eid or self.rank != other.rank:
            return False
        mine, theirs = dict(self.where), dict(other.where)
        return all(ANY in mine[p] or ANY in theirs[p] or mine[p] & theirs[p] for p in mine.keys() & theirs.keys())

    @property
    def rank(self) -> tuple[bool, int]:
        """Return what orders patterns that fit one event: the lowest decides.

        More conditions come first; a fallback, which takes any text in one of them, comes last.
        """
        return any(ANY in values for _, values in self.where), -len(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRule:
    """One kind of flow; the words are those of the rule files."""

    kind: str
    workflow: str
    summary: str
    opens: tuple[Match, ...]
    closes: tuple[Match, ...] = ()
    whole: bool = False
    duration: str = ""
    pair: tuple[tuple[str, ...], ...] = ()
    same: tuple[str, ...] = ()
    overlaps: bool = False
    scope: Literal["lane", "producer"] = "lane"
    parents: frozenset[str] = frozenset({ROOT})
    tolerates: frozenset[str] = frozenset()
    within: str = ""
    holds: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    idle_gap_ns: int | None = None
    may_stay_open: frozenset[str] = frozenset()
    joins: tuple[str, ...] = ()
    gathers_by: tuple[str, ...] = ()
    member_of: str = ""
    members: Literal["", "link", "child"] = ""
    fails: tuple[tuple[str, frozenset[str]], ...] = ()
    alone: frozenset[str] = field(init=False)
    """The set of this kind and no other."""
    duration_param: str = field(init=False)
    """The name under which the params say ``duration``."""

    def __post_init__(self) -> None:
        """Fill in what follows from the rest."""
        object.__setattr__(self, "alone", frozenset({self.kind}))
        object.__setattr__(self, "duration_param", self.duration.removeprefix("params."))

    def accepts_parent(self, kind: str) -> bool:
        """Tell whether a flow of this kind may stand directly in ``kind`` (or at the root) without a mark."""
        return kind in self.parents or kind in self.tolerates

    def misplaced(self, around: Sequence[str]) -> str:
        """Return the code that a flow of this kind breaks inside flows of the kinds ``around``, the nearest first."""
        if not around:
            return "" if self.accepts_parent(ROOT) else "missing_parent"
        if not self.accepts_parent(around[0]):
            return "wrong_parent"
        return "missing_parent" if self.within and self.within not in around else ""

    def must_end(self, workflow: str) -> bool:
        """Tell whether a flow of this kind is marked when it is closed without its END in ``workflow``."""
        return ANY not in self.may_stay_open and workflow not in self.may_stay_open


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRule:
    """One standard workflow: which flows it consists of and what marks a flow as belonging to it."""

    name: str
    title: str
    flows: tuple[str, ...]
    marked_by_flows: frozenset[str] = frozenset()
    marked_by_producers: tuple[str, ...] = ()
    precedence: int = 0
    default: bool = False
    inside_only: frozenset[str] = frozenset()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Opens:
    """The event opens a flow of ``rule``."""

    rule: FlowRule


@dataclass(frozen=True, slots=True)
class Closes:
    """The event closes a flow of ``rule``."""

    rule: FlowRule


Role: TypeAlias = Opens | Closes | None
"""What an event does to the flows: opens one, closes one, or happens inside."""


class _Claims:
    """Which events of one eid open or close flows, by patterns of which the first that fits decides.

    ``paths`` are the fields that the patterns look at; ``roles`` remembers what came of their values.
    """

    __slots__ = ("paths", "patterns", "roles")

    def __init__(self, patterns: list[tuple[Match, Role]]) -> None:
        self.patterns = sorted(patterns, key=lambda entry: entry[0].rank)
        names = dict.fromkeys(path for match, _ in self.patterns for path, _ in match.where)
        self.paths: list[Reader] = [reader(path) for path in names]
        self.roles: dict[str, Role] = {}


@dataclass(slots=True)
class Rules:
    """All rules in force. Make one with :meth:`standard`, :meth:`field` or :meth:`load`.

    ``profile`` names them for people: the profile and the files laid upon it, as ``standard, quiz.toml``.
    """

    workflows: tuple[WorkflowRule, ...]
    flows: tuple[FlowRule, ...]
    profile: str = "standard"
    by_kind: dict[str, FlowRule] = field(init=False)
    inside_only: frozenset[str] = field(init=False)
    depth: dict[str, int] = field(init=False)
    session_ids: Readers = field(init=False)
    request_id: Readers = field(init=False)
    gatherers: tuple[FlowRule, ...] = field(init=False)
    _claims: dict[str, _Claims] = field(init=False)
    _producers: dict[tuple[str, str], frozenset[str]] = field(init=False)
    _workflows: dict[frozenset[str], dict[frozenset[str], str]] = field(init=False)

    def __post_init__(self) -> None:
        """Index the rules for the questions that are asked for every event."""
        self.by_kind = {flow.kind: flow for flow in self.flows}
        self.inside_only = frozenset().union(*(workflow.inside_only for workflow in self.workflows))
        self.depth = _depths(self.by_kind)
        self.session_ids = Readers(path for flow in self.flows for path in flow.joins)
        self.gatherers = tuple(flow for flow in self.flows if flow.gathers_by)
        self.request_id = Readers(path for flow in self.gatherers for path in flow.gathers_by)
        patterns: dict[str, list[tuple[Match, Role]]] = {}
        for flow in self.flows:
            for match in flow.opens:
                patterns.setdefault(match.eid, []).append((match, Opens(flow)))
            for match in flow.closes:
                patterns.setdefault(match.eid, []).append((match, Closes(flow)))
        self._claims = {eid: _Claims(found) for eid, found in patterns.items()}
        self._producers = {}
        self._workflows = {}

    @classmethod
    def standard(cls) -> Rules:
        """Return the rules of the specification's five workflows."""
        from sunbird_otel._rules_file import load_rules  # noqa: PLC0415 - the core imports no file reader

        return load_rules("standard")

    @classmethod
    def field(cls) -> Rules:
        """Return the standard rules that also accept what known clients do on purpose."""
        from sunbird_otel._rules_file import load_rules  # noqa: PLC0415 - as above

        return load_rules("field")

    @classmethod
    def load(cls, *sources: str | Path) -> Rules:
        """Return the rules of ``sources``: ``standard``, ``field`` or files, each adding or replacing workflows.

        Raises:
            RuleError: A file cannot be read or breaks the vocabulary; the text names file, line and reason.
        """
        from sunbird_otel._rules_file import load_rules  # noqa: PLC0415 - as above

        return load_rules(*sources)

    def role(self, event: Event) -> Role:
        """Tell what ``event`` does to the flows."""
        claims = self._claims.get(event.eid)
        if claims is None:
            return None
        paths, roles = claims.paths, claims.roles
        key = paths[0].read(event) if len(paths) == 1 else "\0".join([path.read(event) for path in paths])
        try:
            return roles[key]
        except KeyError:
            pass
        role: Role = None
        for match, candidate in claims.patterns:
            if all(ANY in allowed or reader(path).read(event).casefold() in allowed for path, allowed in match.where):
                role = candidate
                break
        if len(roles) >= _MEMO_LIMIT:
            roles.clear()
        roles[key] = role
        return role

    def may_hold(self, flow: FlowRule, eid: str) -> bool:
        """Tell whether an event ``eid`` may stand in a flow of this kind."""
        if eid in flow.holds:
            return True
        return ANY in flow.holds and eid not in flow.excludes and eid not in self.inside_only

    def homes(self, eid: str) -> tuple[FlowRule, ...]:
        """Return the flows that name ``eid`` among the events they hold, in the order of the files."""
        return tuple(flow for flow in self.flows if eid in flow.holds)

    def marks_of(self, context: Context) -> frozenset[str]:
        """Return the workflows that the producer of a context marks, and keep it with that."""
        marks = context.marks
        if marks is None:
            marks = context.marks = self.marks_of_producer(context.pdata_id, context.pdata_pid)
        return marks

    def marks_of_producer(self, pdata_id: str, pdata_pid: str) -> frozenset[str]:
        """Return the workflows that the producer's names mark."""
        key = (pdata_id, pdata_pid)
        try:
            return self._producers[key]
        except KeyError:
            pass
        marks = frozenset(
            workflow.name
            for workflow in self.workflows
            if any(fnmatchcase(name, pattern) for pattern in workflow.marked_by_producers for name in key if name)
        )
        if len(self._producers) >= _MEMO_LIMIT:
            self._producers.clear()
        self._producers[key] = marks
        return marks

    def workflow_of(self, kinds: frozenset[str], marks: frozenset[str]) -> str:
        """Decide the workflow from the kinds of flows around and inside a flow, and what their producers mark."""
        of_kinds = self._workflows.get(marks)
        if of_kinds is None:
            if len(self._workflows) >= _MARKS_LIMIT:
                self._workflows.clear()
            of_kinds = self._workflows[marks] = {}
        known = of_kinds.get(kinds)
        if known is None:
            found = [w for w in self.workflows if w.name in marks or w.marked_by_flows & kinds]
            if found:
                known = max(found, key=lambda workflow: workflow.precedence).name
            else:
                known = next((workflow.name for workflow in self.workflows if workflow.default), "")
            if len(of_kinds) >= _KINDS_LIMIT:
                of_kinds.clear()
            of_kinds[kinds] = known
        return known


def _depths(by_kind: dict[str, FlowRule]) -> dict[str, int]:
    """Return how deep each kind stands in the shape that the allowed parents describe, for ordering equal times."""
    depths: dict[str, int] = {ROOT: 0}

    def depth(kind: str, seen: frozenset[str]) -> int:
        if kind in depths:
            return depths[kind]
        rule = by_kind.get(kind)
        if rule is None:
            return 0
        above = [depth(parent, seen | {kind}) for parent in rule.parents if parent != kind and parent not in seen]
        depths[kind] = 1 + max(above, default=0)
        return depths[kind]

    for kind in by_kind:
        depth(kind, frozenset())
    return depths
