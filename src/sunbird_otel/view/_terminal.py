"""The tree for the terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from sunbird_otel import names
from sunbird_otel.view import _format as form
from sunbird_otel.view._marks import INSTANT, codes_of, marks_of, meaning, refusals, text_of
from sunbird_otel.view._trees import build_traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from sunbird_otel._findings import Finding
    from sunbird_otel._signals import Span, SpanEvent
    from sunbird_otel.view._trees import Node, Trace

# Deeper flows stand at this depth and say theirs: each level costs four columns.
_DEEPEST = 24
# More turns between two flows are told as sums.
_RUNS_IN_A_LINE = 6
# A span of a lone event, or of a request without a duration, has no length to tell.
_POINT_NS = 1
# No line is this long; it stands for "do not wrap" where nobody looks at a terminal.
_UNWRAPPED = 100_000


def render_tree(
    spans: Sequence[Span], *, show_events: bool = False, limit: int | None = None, refused: Sequence[Finding] = ()
) -> RenderableType:
    """Return the spans as trees, one a trace, with a legend of the marks in use.

    Print it with ``soft_wrap=True``: it wraps by itself on a terminal, and keeps one line a flow when it is piped.

    Args:
        spans: Finished spans in any order.
        show_events: Show each span event in a line of its own; else neighbours of one name are counted.
        limit: At most so many lines of flows and events; what is left out is counted. None is all.
        refused: What was kept from the output, told in a table at the end.
    """
    picture = _Picture(spans, show_events=show_events, limit=limit)
    parts = picture.parts()
    if refused:
        parts += [Text(), Text("Refused", "bold"), _refusal_table(refused)]
    return _Unwrapped(Group(*parts))


@dataclass(frozen=True, slots=True)
class _Unwrapped:
    """Wraps to the width of a terminal; a pipe has none."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width if console.is_terminal else _UNWRAPPED
        yield from console.render(
            self.inner, options.update(width=width, no_wrap=False, overflow="fold", highlight=False)
        )


@dataclass(slots=True)
class _Branch:
    """A flow that may still get children, with its events that are not shown yet."""

    tree: Tree
    events: list[SpanEvent]
    shown: int = 0


@dataclass(slots=True)
class _Days:
    """Writes the date where it changes."""

    last: str = ""

    def time(self, time_ns: int) -> str:
        today = form.day(time_ns)
        if today == self.last:
            return form.clock(time_ns)
        self.last = today
        return f"{today} {form.clock(time_ns)}"


@dataclass(slots=True)
class _Picture:
    spans: Sequence[Span]
    show_events: bool
    limit: int | None
    lines: int = 0
    used: dict[str, str] = field(default_factory=dict[str, str])
    titles: dict[tuple[bytes, bytes], str] = field(default_factory=dict[tuple[bytes, bytes], str])
    days: _Days = field(default_factory=_Days)

    def parts(self) -> list[RenderableType]:
        if not self.spans:
            return [Text("No flows.")]
        self.titles = {(span.trace_id, span.span_id): span.name for span in self.spans}
        traces = build_traces(self.spans)
        parts: list[RenderableType] = []
        shown_spans = 0
        for trace in traces:
            if self._full():
                break
            tree = Tree(_header(trace), guide_style="dim")
            shown_spans += self._grow(tree, trace)
            parts += [tree, Text()]
        if left := len(self.spans) - shown_spans:
            parts += [Text(f"{form.counted(left, 'more span')} not shown: raise --limit, or look at --html.", "bold")]
        if self.used:
            wide = max(map(len, self.used))
            parts.append(Text("Marks", "bold"))
            parts += [
                Text.assemble((mark.ljust(wide), style), f"  {meaning(mark)}")
                for mark, style in sorted(self.used.items())
            ]
        elif not left:
            parts.pop()
        return parts

    def _full(self) -> bool:
        return self.limit is not None and self.lines >= self.limit

    def _grow(self, root: Tree, trace: Trace) -> int:
        """Hang the nodes and their events below ``root`` in the order of time; return the number of spans shown."""
        self.days = _Days()
        open_: list[_Branch] = []
        for count, node in enumerate(trace.nodes):
            while len(open_) > node.depth:
                self._tell_events(open_.pop(), None)
            if open_:
                self._tell_events(open_[-1], node.span.start_ns)
            if self._full():
                return count
            above = open_[min(node.depth, _DEEPEST) - 1].tree if node.depth else root
            self.lines += 1
            open_.append(_Branch(above.add(self._label(node)), sorted(node.span.events, key=lambda e: e.time_ns)))
        while open_:
            self._tell_events(open_.pop(), None)
        return len(trace.nodes)

    def _tell_events(self, branch: _Branch, until_ns: int | None) -> None:
        first = branch.shown
        while branch.shown < len(branch.events):
            if until_ns is not None and branch.events[branch.shown].time_ns > until_ns:
                break
            branch.shown += 1
        some = branch.events[first : branch.shown]
        if not some or self._full():
            return
        if not self.show_events:
            self.lines += 1
            told = Text(f"{self.days.time(some[0].time_ns)}  {_runs(some)}", "dim")
            branch.tree.add(told)
            return
        for event in some:
            if self._full():
                return
            self.lines += 1
            line = Text(f"{self.days.time(event.time_ns)}  {form.clean(event.name)}", "dim")
            if mid := event.attributes.get(names.MID):
                line.append(f"  {form.clean(str(mid))}")
            for code in codes_of(event.attributes, names.FLOW_VIOLATIONS):
                self._mark(line, code, "red")
            branch.tree.add(line)

    def _label(self, node: Node) -> Text:
        span = node.span
        marks = marks_of(span)
        line = Text(style="dim" if marks.instant else "")
        line.append(self.days.time(span.start_ns), "dim")
        line.append(f"  {form.clean(span.name)}", "" if marks.instant else "bold")
        if object_id := text_of(span, names.OBJECT_ID):
            line.append(f"  {form.clean(object_id)}", "cyan")
        if span.end_ns - span.start_ns > _POINT_NS:
            line.append(f"  {form.duration(span.end_ns - span.start_ns)}")
        if span.events:
            line.append(f"  {form.counted(len(span.events), 'event')}")
        if marks.instant:
            self._mark(line, INSTANT, "dim")
        if marks.unfinished:
            self._mark(line, marks.unfinished, "yellow", "unfinished: ")
        for code in marks.violations:
            self._mark(line, code, "red")
        for kind in marks.repairs:
            self._mark(line, kind, "magenta", "repaired: ")
        if marks.error:
            self._mark(line, "error", "bold red")
        for note in self._notes(node):
            line.append(f"  ({note})", "italic dim")
        return line

    def _mark(self, line: Text, mark: str, style: str, prefix: str = "") -> None:
        mark = form.clean(mark)
        self.used.setdefault(mark, style)
        line.append(f"  [{prefix}{mark}]", style)

    def _notes(self, node: Node) -> list[str]:
        notes = [node.note] if node.note else []
        if node.depth > _DEEPEST:
            notes.append(f"at depth {node.depth}")
        for link in node.span.links:
            name = self.titles.get((link.trace_id, link.span_id))
            what = f"{form.clean(name)} in" if name else "a span outside this input,"
            notes.append(f"linked to {what} trace {link.trace_id.hex()}")
        return notes


def _runs(events: Sequence[SpanEvent]) -> str:
    runs = [(name, len(list(same))) for name, same in groupby(event.name for event in events)]
    if len(runs) <= _RUNS_IN_A_LINE:
        return ", ".join(_times(name, count) for name, count in runs)
    sums = Counter(event.name for event in events)
    return "in turns: " + ", ".join(_times(name, count) for name, count in sums.most_common())


def _times(name: str, count: int) -> str:
    return form.clean(name) + (f" x{count}" if count > 1 else "")


def _header(trace: Trace) -> Text:
    start_ns, end_ns = trace.start_ns, trace.end_ns
    days = form.day(start_ns)
    if form.day(end_ns) != days:
        days += f" to {form.day(end_ns)}"
    header = Text(days, "bold")
    for noun, key in (("session", names.SESSION_ID), ("device", names.DEVICE_ID)):
        ids = {text_of(node.span, key) for node in trace.nodes} - {""}
        if ids:
            told = form.short_id(ids.pop()) if len(ids) == 1 else f"x{len(ids)}"
            header.append(f"  {noun} {told}")
    services = sorted({node.span.resource.service_name for node in trace.nodes} - {""})
    if services:
        header.append("  " + form.clean(", ".join(services)), "green")
    counts = (form.counted(len(trace.nodes), "span"), form.counted(trace.events, "event"))
    length = f", {form.duration(end_ns - start_ns)}" if end_ns - start_ns > _POINT_NS else ""
    header.append(f"  {', '.join(counts)}{length}")
    header.append(f"  trace {trace.trace_id.hex()}", "dim")
    return header


def _refusal_table(refused: Sequence[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, justify in (("code", "left"), ("count", "right"), ("first at", "left"), ("first example", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    for refusal in refusals(refused):
        table.add_row(
            Text(refusal.code, "red"),
            f"{refusal.count:,}",
            Text(form.clean(refusal.place)),
            Text(form.clean(refusal.example)),
        )
    return table
