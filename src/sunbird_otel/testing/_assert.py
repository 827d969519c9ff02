"""What came out, compared with what was to come out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sunbird_otel._bridge import Bridge
from sunbird_otel._findings import ADVICE
from sunbird_otel._signals import Resource, Span, SpanEvent, SpanKind, StatusCode
from sunbird_otel.testing._tree import has_events, lines_of, read, without_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import Event, ReadableSpan

    from sunbird_otel import Finding, Rules
    from sunbird_otel._signals import Attributes

Flows: TypeAlias = "Iterable[ReadableSpan | Span | Mapping[str, Any]]"
"""Finished spans of the SDK, spans of the bridge, Sunbird events, or the fixture that holds them."""

_AROUND: Final = 8
_CODE: Final = re.compile(r" !(\w+)")


def flow_tree(flows: Flows, *, events: bool = True, rules: Rules | None = None) -> str:
    """Return spans, or the spans that a replay of events gives, in the notation of :func:`assert_flow`.

    Args:
        flows: Spans or events, in any order.
        events: Show span events.
        rules: Rules for the replay of events; the standard ones by default.

    Raises:
        AssertionError: A replay refuses one of the events.
    """
    lines = lines_of(_spans(flows, rules))
    return "\n".join(lines if events else without_events(lines))


def assert_flow(flows: Flows, expected: str, *, rules: Rules | None = None) -> None:
    """Assert that spans, or the spans that a replay of events gives, form the expected tree.

    A flow is written as its kind, what is inside it below it and further in, all in the order of time. A span that is
    no flow is written as ``~`` and its name; so is a lone event (``~sunbird.audit``). Behind it follow, where they
    apply, ``(reason)`` when it ended otherwise than by its END, ``ERROR`` when that is its status, ``!code`` for each
    violation and ``+code`` for each repair. An event is written as ``*`` and its eid in lower case, ``x3`` behind it
    when it comes three times in a row; events are compared only where the expected tree names one. Blank lines and the
    width of the indentation do not matter.

    >>> def event(eid, at, **edata):
    ...     ets = 1_700_000_000_000 + at
    ...     return {"eid": eid, "ets": ets, "mid": f"{eid}:{at}", "context": {"did": "d1", "sid": "s1"}, "edata": edata}
    >>> events = [event("START", 0, type="session"), event("START", 1, type="editor"), event("INTERACT", 2)]
    >>> events += [event("INTERACT", 3), event("ERROR", 4), event("END", 5, type="editor")]
    >>> assert_flow(
    ...     events,
    ...     '''
    ...     session (drain)
    ...       editor ERROR
    ...         * interact x2
    ...         * error
    ...     ''',
    ... )

    Args:
        flows: Spans or events, in any order; of a test's fixtures ``sunbird_spans`` or ``sunbird_events``.
        expected: The tree; empty for none at all.
        rules: Rules for the replay of events; the standard ones by default.

    Raises:
        AssertionError: It is another tree, or a replay refuses one of the events. The text shows the difference.
        ValueError: The expected text is no tree.
    """
    __tracebackhide__ = True
    wanted = read(expected)
    found = lines_of(_spans(flows, rules))
    if not has_events(wanted):
        found = without_events(found)
    if wanted != found:
        raise AssertionError(_difference(wanted, found))


def _difference(wanted: list[str], found: list[str]) -> str:
    lines = ["The flows are not as expected (- expected, + found):", ""]
    # Lines of a tree repeat, so that none is too common to be compared.
    matcher = SequenceMatcher(None, wanted, found, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_AROUND)):
        if number or group[0][1]:
            lines.append("  ...")
        for tag, first, last, first_found, last_found in group:
            if tag == "equal":
                lines += [f"  {line}" for line in wanted[first:last]]
            else:
                lines += [f"- {line}" for line in wanted[first:last]]
                lines += [f"+ {line}" for line in found[first_found:last_found]]
    if not found:
        lines += ["", "There are no spans; a flow becomes one when it ends."]
    seen = {code for line in wanted for code in _CODE.findall(line)}
    codes = sorted({code for line in found for code in _CODE.findall(line)} - seen)
    if codes:
        lines += ["", *(f"  !{code}: {ADVICE.get(code, 'a mark that sunbird-otel does not know')}" for code in codes)]
    return "\n".join(lines)


def _spans(flows: Flows, rules: Rules | None) -> list[Span]:
    """Return what is given as the bridge's spans."""
    given = list(flows)
    events = [item for item in given if isinstance(item, Mapping)]
    if events and len(events) < len(given):
        raise TypeError("expected spans or events, found both; compare one at a time")
    if events:
        return _replayed(events, rules)
    return [item if isinstance(item, Span) else _of_sdk(item) for item in given if not isinstance(item, Mapping)]


def _replayed(events: Iterable[Mapping[str, Any]], rules: Rules | None) -> list[Span]:
    refused: list[Finding] = []

    def keep(finding: Finding) -> None:
        if finding.refused:
            refused.append(finding)

    bridge = Bridge(rules=rules, on_finding=keep)
    signals = [signal for event in events for signal in bridge.feed(dict(event))]
    signals += bridge.drain()
    if refused:
        lines = [f"  {f.code} {f.mid} {f.path}: expected {f.expected}, found {f.found}" for f in refused]
        raise AssertionError("\n".join(["A replay refuses these events:", *lines]))
    return [signal for signal in signals if isinstance(signal, Span)]


def _of_sdk(span: ReadableSpan) -> Span:
    context = span.get_span_context()
    if context is None:
        raise TypeError(f"expected finished spans, found {span.name!r} without a span context")
    start_ns = span.start_time or 0
    return Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent.span_id.to_bytes(8, "big") if span.parent is not None else b"",
        name=span.name,
        kind=SpanKind.SERVER if span.kind.name == "SERVER" else SpanKind.INTERNAL,
        start_ns=start_ns,
        end_ns=span.end_time or start_ns,
        resource=Resource("", ""),
        attributes=_plain(span.attributes),
        events=[_event_of_sdk(event) for event in span.events],
        status=StatusCode.ERROR if span.status.status_code.name == "ERROR" else StatusCode.UNSET,
    )


def _event_of_sdk(event: Event) -> SpanEvent:
    return SpanEvent(event.name, event.timestamp, _plain(event.attributes))


def _plain(attributes: Mapping[str, Any] | None) -> Attributes:
    return {key: [*value] if isinstance(value, tuple) else value for key, value in (attributes or {}).items()}
