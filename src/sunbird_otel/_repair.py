"""The policy ``repair``: the shape that the rules ask for, at the price of spans that were moved or made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sunbird_otel._rules import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from sunbird_otel._rules import FlowRule, Rules


class Nested(Protocol):
    """What repair has to know of a flow, whether events tell it or a process lives it. Times are nanoseconds."""

    rule: FlowRule
    parent: Self | None
    children: list[Self]
    repairs: list[str]
    synthetic: bool
    start_ns: int
    end_ns: int
    inner_end_ns: int
    observed_start_ns: int
    observed_end_ns: int

    def lineage(self) -> Iterator[Self]:
        """Yield this flow and those around it, the nearest first."""
        ...


F = TypeVar("F", bound=Nested)


class Repairs(Generic[F]):
    """Puts a flow where the rules want it.

    Args:
        rules: The rules.
        synthesise: Makes a flow that should have been there: its rule, and the flow that needs it.
        admit: Opens it; the second argument is the flow that it was put around.
        settle: Puts a flow, in which nothing is yet, into the trace of another; of its own, when there is none.
    """

    def __init__(
        self,
        rules: Rules,
        synthesise: Callable[[FlowRule, F], F],
        admit: Callable[[F, F | None], None],
        settle: Callable[[F, F | None], None],
    ) -> None:
        """Keep what makes and opens flows."""
        self._rules = rules
        self._synthesise = synthesise
        self._admit = admit
        self._settle = settle

    def parent(self, flow: F, observed: F | None) -> F | None:
        """Give ``flow``, which is not open yet, a parent that may hold it.

        Tried in this order: the nearest flow around it that may; the place between two flows around it where it
        belongs; the root, if it may stand there; a flow made for the purpose.

        Returns:
            The flow that ``flow`` was put around, if it was.
        """
        rule = flow.rule
        chain = list(observed.lineage()) if observed is not None else []
        near = next((f for f in chain if rule.accepts_parent(f.rule.kind) and self._within(rule, f)), None)
        inner = self._gap(rule, chain)
        # A flow that began by itself stays where it was seen, if it may; a flow that is made goes where it was missed.
        if near is not None and (inner is None or not flow.synthetic):
            self._move(flow, near)
            self._settle(flow, near)
            return None
        if inner is not None:
            self._put_around(flow, inner)
            return inner
        if rule.accepts_parent(ROOT):
            self._move(flow, None)
            self._settle(flow, None)
            return None
        self._make_parent(flow, observed, chain)
        return None

    def contain(self, flow: F) -> None:
        """Make a closed ``flow`` hold what was in it, and the flows around it hold it."""
        if flow.inner_end_ns > flow.end_ns:
            flow.observed_end_ns = flow.end_ns
            flow.end_ns = flow.inner_end_ns
            flow.repairs.append("end_moved")
        self._widen(flow.parent, flow.start_ns, flow.end_ns)

    def contain_instant(self, flow: F, time_ns: int) -> None:
        """Make an open ``flow`` hold the span of a lone event at ``time_ns``, which lasts 1 ns."""
        self._widen(flow, time_ns, time_ns + 1)

    def _widen(self, flow: F | None, start_ns: int, end_ns: int) -> None:
        if flow is None:
            return
        for outer in flow.lineage():
            outer.inner_end_ns = max(outer.inner_end_ns, end_ns)
            if start_ns < outer.start_ns:
                self.start_at(outer, start_ns)

    @staticmethod
    def start_at(flow: F, start_ns: int) -> None:
        """Let ``flow`` begin at ``start_ns``, and note when it was seen to."""
        if not flow.observed_start_ns and not flow.synthetic:
            flow.observed_start_ns = flow.start_ns
            flow.repairs.append("start_moved")
        flow.start_ns = start_ns

    @staticmethod
    def _within(rule: FlowRule, candidate: F) -> bool:
        return not rule.within or any(flow.rule.kind == rule.within for flow in candidate.lineage())

    @staticmethod
    def _move(flow: F, parent: F | None) -> None:
        if flow.parent is not parent:
            flow.parent = parent
            if not flow.synthetic:
                flow.repairs.append("reparented")

    @staticmethod
    def _gap(rule: FlowRule, chain: list[F]) -> F | None:
        """Return the outermost flow of ``chain`` that a flow of ``rule`` may be put around."""
        for inner in reversed(chain):
            outer = inner.parent.rule.kind if inner.parent is not None else ROOT
            if rule.kind in inner.rule.parents and outer in rule.parents:
                return inner
        return None

    def _put_around(self, flow: F, inner: F) -> None:
        flow.parent = inner.parent
        if flow.parent is not None:
            flow.parent.children.remove(inner)
        inner.parent = flow
        inner.repairs.append("adopted")
        self._settle(flow, inner)
        if inner.start_ns < flow.start_ns:
            self.start_at(flow, inner.start_ns)

    def _make_parent(self, flow: F, observed: F | None, chain: list[F]) -> None:
        rule = flow.rule
        missing = rule.within if rule.within and all(outer.rule.kind != rule.within for outer in chain) else ""
        made_rule = self._rules.by_kind[missing or self._usual_parent(rule)]
        made = self._synthesise(made_rule, flow)
        around = None
        if observed is not None:
            around = self.parent(made, observed)
        elif not made_rule.accepts_parent(ROOT):
            self._make_parent(made, None, [])
        self._admit(made, around)
        fits = observed is not None and rule.accepts_parent(observed.rule.kind) and self._within(rule, observed)
        flow.parent = observed if fits else made
        if not fits:
            flow.repairs.append("reparented")
        self._settle(flow, made)

    def _usual_parent(self, rule: FlowRule) -> str:
        """Return the parent to make: the innermost kind among those that may stand at the root, else the outermost."""
        depth = self._rules.depth
        kinds = sorted(kind for kind in rule.parents if kind != rule.kind)
        roots = [kind for kind in kinds if ROOT in self._rules.by_kind[kind].parents]
        return max(roots, key=lambda kind: depth[kind]) if roots else min(kinds, key=lambda kind: depth[kind])
