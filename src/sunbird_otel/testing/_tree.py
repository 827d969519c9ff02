"""Flows as lines of text: the notation in which a person says beforehand what is to come out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sunbird_otel import names
from sunbird_otel._signals import StatusCode
from sunbird_otel.view._marks import codes_of, marks_of, text_of
from sunbird_otel.view._trees import build_traces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sunbird_otel._signals import Span, SpanEvent
    from sunbird_otel.view._trees import Trace

EVENT: Final = "* "
_INDENT: Final = "  "
_LONE: Final = "~"
_TIMES: Final = re.compile(r"(?P<line>.*\S) +x(?P<times>[1-9]\d{0,5})")


def lines_of(spans: Sequence[Span]) -> list[str]:
    """Return the lines of the tree, with events; neighbours that read alike are counted."""
    return _counted([line for trace in build_traces(spans) for line in _trace_lines(trace)])


def read(expected: str) -> list[str]:
    """Return the lines of a tree that a person has written, in the same form as :func:`lines_of`.

    Raises:
        ValueError: The text is no tree.
    """
    lines: list[str] = []
    widths: list[int] = []
    for number, raw in enumerate(expected.expandtabs(4).splitlines(), 1):
        text = " ".join(raw.split())
        if not text:
            continue
        width = len(raw) - len(raw.lstrip())
        while widths and widths[-1] > width:
            widths.pop()
        if not widths or widths[-1] < width:
            if lines and (not widths or _is_event(lines[-1])):
                raise ValueError(_misplaced(number, text, lines[-1].strip(), event=_is_event(lines[-1])))
            widths.append(width)
        lines += _repeated(f"{_INDENT * (len(widths) - 1)}{text}")
    return _counted(lines)


def without_events(lines: Iterable[str]) -> list[str]:
    """Return the lines of the spans alone."""
    return [line for line in lines if not _is_event(line)]


def has_events(lines: Iterable[str]) -> bool:
    """Tell whether a tree says anything about events."""
    return any(map(_is_event, lines))


def _is_event(line: str) -> bool:
    return line.lstrip().startswith(EVENT)


def _misplaced(number: int, text: str, above: str, *, event: bool) -> str:
    told = "an event holds nothing; indent it as the event" if event else "no flow above begins at this indentation"
    return f"expected flow, line {number}: {text!r} cannot stand below {above!r}: {told}"


@dataclass(slots=True)
class _Branch:
    """A span, and what is in it with the time at which it begins."""

    text: str
    inside: list[tuple[int, _Branch]] = field(default_factory=list["tuple[int, _Branch]"])


def _trace_lines(trace: Trace) -> list[str]:
    root = _Branch("")
    branches: list[_Branch] = []
    for node in trace.nodes:
        events = sorted(node.span.events, key=lambda event: event.time_ns)
        branch = _Branch(_span_text(node.span), [(event.time_ns, _Branch(_event_text(event))) for event in events])
        above = branches[node.parent] if node.depth else root
        above.inside.append((node.span.start_ns, branch))
        branches.append(branch)
    lines: list[str] = []
    pending = [(-1, root)]
    while pending:
        depth, branch = pending.pop()
        if depth >= 0:
            lines.append(_INDENT * depth + branch.text)
        # The sort keeps the order of those that begin together: events before flows.
        inside = sorted(branch.inside, key=lambda item: item[0])
        pending += [(depth + 1, below) for _, below in reversed(inside)]
    return lines


def _span_text(span: Span) -> str:
    marks = marks_of(span)
    words = [text_of(span, names.FLOW_TYPE) or f"{_LONE}{span.name}"]
    words += [f"({marks.unfinished})"] * bool(marks.unfinished)
    words += ["ERROR"] * (span.status is StatusCode.ERROR)
    words += [f"!{code}" for code in sorted(marks.violations)]
    words += [f"+{repair}" for repair in sorted(marks.repairs)]
    return " ".join(" ".join(words).split())


def _event_text(event: SpanEvent) -> str:
    codes = sorted(codes_of(event.attributes, names.FLOW_VIOLATIONS))
    return EVENT + " ".join([event.name.removeprefix(names.EVENT_PREFIX), *(f"!{code}" for code in codes)])


def _repeated(line: str) -> list[str]:
    """Return ``* interact x3`` as three lines."""
    found = _TIMES.fullmatch(line) if _is_event(line) else None
    return [found["line"]] * int(found["times"]) if found else [line]


def _counted(lines: Sequence[str]) -> list[str]:
    """Put neighbouring events that read alike into one line."""
    told: list[tuple[str, int]] = []
    for line in lines:
        if told and told[-1][0] == line and _is_event(line):
            told[-1] = (line, told[-1][1] + 1)
        else:
            told.append((line, 1))
    return [line if times == 1 else f"{line} x{times}" for line, times in told]
