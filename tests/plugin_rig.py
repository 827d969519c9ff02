"""A tracer provider whose flow spans pass our processor or exporter, and what comes out of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from sunbird_otel import Rules, names
from sunbird_otel.plugin import FlowNestingExporter, FlowNestingProcessor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import Span

RULES = Rules.standard()
POLICIES = ("annotate", "repair", "reject")


class Rig:
    """A provider; ``through`` says whether flows pass the processor or the exporter."""

    def __init__(
        self,
        policy: str = "annotate",
        through: str = "processor",
        *,
        downstream: SpanProcessor | None = None,
        provider: TracerProvider | None = None,
        **options: Any,
    ) -> None:
        self.memory = InMemorySpanExporter()
        self.rejected: list[list[ReadableSpan]] = []
        self.provider = provider or TracerProvider(shutdown_on_exit=False)
        if through == "processor":
            options = {"on_reject": self.rejected.append} | options
            downstream = downstream or SimpleSpanProcessor(self.memory)
            self.processor = FlowNestingProcessor(downstream, RULES, policy, **options)
            self.provider.add_span_processor(self.processor)
            self.tally = self.processor.tally
        else:
            exporter = FlowNestingExporter(self.memory, RULES, policy, self.rejected.append)
            self.provider.add_span_processor(BatchSpanProcessor(exporter))
            self.tally = exporter.tally
        self.tracer = self.provider.get_tracer("service", "1")

    def start(self, name: str, parent: Span | None = None, /, *, plain: bool = False, **options: Any) -> Span:
        """Start a flow span of the kind ``name``, or a plain one."""
        attributes: dict[str, Any] = {} if plain else {names.FLOW_TYPE: name}
        attributes |= options.pop("attributes", {})
        context = options.pop("context", None) or Context()
        if parent is not None:
            context = trace.set_span_in_context(parent, context)
        return self.tracer.start_span(name, context, attributes=attributes, **options)

    def finish(self) -> dict[str, ReadableSpan]:
        """Shut down and return the exported spans by their names, which must differ."""
        self.provider.shutdown()
        spans = self.memory.get_finished_spans()
        by_name = {span.name: span for span in spans}
        assert len(by_name) == len(spans)
        return by_name


def tree(spans: Iterable[ReadableSpan]) -> dict[str, str]:
    """Return for each span the name of its parent; empty for a root."""
    spans = list(spans)
    by_id = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: by_id[span.parent.span_id] if span.parent else "" for span in spans}


def violations(span: ReadableSpan) -> list[str]:
    return attribute(span, names.FLOW_VIOLATIONS)


def repairs(span: ReadableSpan) -> list[str]:
    return attribute(span, names.FLOW_REPAIR)


def attribute(span: ReadableSpan, key: str) -> list[str]:
    found = (span.attributes or {}).get(key, ())
    assert isinstance(found, tuple)
    return [str(code) for code in found]


def end_reason(span: ReadableSpan) -> str:
    return str((span.attributes or {})[names.FLOW_END_REASON])


def names_of(spans: Sequence[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


def count(span: Span, events: int, name: str = "sunbird.interact", **more: str) -> None:
    """Add so many events, numbered from 0."""
    for number in range(events):
        span.add_event(name, {"n": number, **more})


def numbers(span: ReadableSpan) -> list[int]:
    found: list[int] = []
    for event in span.events:
        number = (event.attributes or {})["n"]
        assert isinstance(number, int)
        found.append(number)
    return found


def in_order(spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """Return parts in their order, the flow's own span last: a thread of its own writes them while the flow goes on."""
    return sorted(spans, key=_segment)


def _segment(span: ReadableSpan) -> float:
    number = (span.attributes or {}).get(names.FLOW_SEGMENT, float("inf"))
    assert isinstance(number, (int, float))
    return number


def app_inside_its_session(rig: Rig) -> None:
    session = rig.start("session")
    app = rig.start("app", session)
    rig.start("work", app, plain=True).end()
    app.end()
    session.end()


class Keeper(SpanProcessor):
    """Keeps what it is given, and says in which order."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] = []
        self.calls: list[str] = []

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        self.calls.append(f"start {span.name}")

    def _on_ending(self, span: SdkSpan) -> None:
        self.calls.append(f"ending {span.name}")

    def on_end(self, span: ReadableSpan) -> None:
        self.calls.append(f"end {span.name}")
        self.ended.append(span)

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.calls.append(f"flush {timeout_millis}")
        return True


class AlwaysRecord(Sampler):
    """Records all spans, and samples all or none."""

    def __init__(self, *, sampled: bool) -> None:
        self._decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY

    def should_sample(self, *arguments: Any, **_: Any) -> SamplingResult:
        # Positional from the SDK: context, trace id, name, kind, attributes, links.
        return SamplingResult(self._decision, arguments[4])

    def get_description(self) -> str:
        return "AlwaysRecord"


# --- Stories: what one thread or task does, and what a model of the rules says about it ----------------------------

KINDS = ("app", "session", "page", "player", "editor", "collection", "request", "job", "")
"""The last is a span that is no flow."""

EVENTS = ("sunbird.interact", "sunbird.assess", "sunbird.plugin_lifecycle", "sunbird.job_log")


@dataclass(slots=True)
class Step:
    """Start span ``number`` as ``kind`` inside ``other``, add ``event`` to it, or end it."""

    what: str
    number: int
    kind: str = ""
    other: int | None = None
    event: str = ""


def story(seed: int, flows: int) -> list[Step]:
    """Return steps that start about ``flows`` spans and end nearly all, in right and wrong order."""
    chance = random.Random(seed)
    steps: list[Step] = []
    running: list[int] = []
    for number in range(flows):
        # Mostly inside something that runs; sometimes inside what has ended, and sometimes alone.
        other = chance.choice(running[-4:]) if running and chance.random() < 0.8 else None
        if number and other is None and chance.random() < 0.5:
            other = chance.randrange(number)
        steps.append(Step("start", number, chance.choice(KINDS), other))
        running.append(number)
        while running and chance.random() < 0.3:
            steps.append(Step("event", chance.choice(running), event=chance.choice(EVENTS)))
        while len(running) > 1 and chance.random() < 0.55:
            last = -1 if chance.random() < 0.7 else chance.randrange(len(running))
            steps.append(Step("end", running.pop(last)))
    chance.shuffle(running)
    steps += [Step("end", number) for number in running[: len(running) - len(running) // 8]]
    return steps


@dataclass(slots=True)
class Told:
    """What the model says of one flow."""

    kind: str
    around: int | None
    open: bool = True
    inside: set[str] = field(default_factory=set[str])
    events: list[str] = field(default_factory=list[str])
    codes: list[str] = field(default_factory=list[str])


def model(steps: Sequence[Step]) -> Mapping[int, Told]:
    """Return what the rules say about the flows of a story, told one step after the other under ``annotate``."""
    telling = _Model()
    for step in steps:
        if step.what == "start":
            telling.start(step)
        elif step.number in telling.flows and step.what == "event":
            telling.flows[step.number].events.append(step.event)
        elif step.number in telling.flows:
            telling.end(step.number)
    telling.shut_down()
    return telling.flows


class _Model:
    def __init__(self) -> None:
        self.flows: dict[int, Told] = {}
        self._parents: dict[int, int | None] = {}

    def start(self, step: Step) -> None:
        self._parents[step.number] = step.other
        if not step.kind:
            return
        above = step.other
        while above is not None and (above not in self.flows or not self.flows[above].open):
            # Of an ended flow, the next is what was around it; of another span, its parent.
            above = self.flows[above].around if above in self.flows else self._parents[above]
        rule = RULES.by_kind[step.kind]
        flow = self.flows[step.number] = Told(step.kind, None if rule.scope == "producer" else above)
        kinds = [self.flows[n].kind for n in self._lineage(flow.around)]
        if not rule.accepts_parent(kinds[0] if kinds else "root"):
            flow.codes.append("wrong_parent" if kinds else "missing_parent")
        elif kinds and rule.within and rule.within not in kinds:
            flow.codes.append("missing_parent")

    def end(self, number: int) -> None:
        for child in self._still_inside(number):
            if "unclosed_child" not in self.flows[child].codes and self._must_end(child):
                self.flows[child].codes.append("unclosed_child")
        self._close(number)

    def shut_down(self) -> None:
        tops = [n for n, f in self.flows.items() if f.open and not (f.around is not None and self.flows[f.around].open)]
        for top in tops:
            for number in [*self._still_inside(top), top]:
                self._close(number, "missing_end")

    def _lineage(self, number: int | None) -> list[int]:
        found: list[int] = []
        while number is not None:
            found.append(number)
            number = self.flows[number].around
        return found

    def _must_end(self, number: int) -> bool:
        flow = self.flows[number]
        kinds = {self.flows[n].kind for n in self._lineage(number)} | flow.inside
        may = RULES.by_kind[flow.kind].may_stay_open
        return "*" not in may and RULES.workflow_of(frozenset(kinds), frozenset()) not in may

    def _close(self, number: int, code: str = "") -> None:
        flow = self.flows[number]
        around = [RULES.by_kind[self.flows[n].kind] for n in self._lineage(number)]
        for event in flow.events:
            eid = event.removeprefix(names.EVENT_PREFIX).upper()
            if eid in RULES.inside_only and not any(RULES.may_hold(rule, eid) for rule in around):
                flow.codes.append("event_outside_flow")
        flow.open = False
        if code and "unclosed_child" not in flow.codes and self._must_end(number):
            flow.codes.append(code)
        if flow.around is not None:
            self.flows[flow.around].inside |= {flow.kind} | flow.inside

    def _still_inside(self, number: int) -> list[int]:
        found: list[int] = []
        for child, flow in self.flows.items():
            if flow.around == number and flow.open:
                found += [*self._still_inside(child), child]
        return found


def play(steps: Iterable[Step], rig: Rig, prefix: str, spans: dict[int, Span] | None = None) -> None:
    """Do on a tracer what a story says; spans are called ``prefix`` and their number, and kept in ``spans``."""
    spans = {} if spans is None else spans
    for step in steps:
        if step.what == "start":
            parent = spans[step.other] if step.other is not None else None
            attributes = {names.FLOW_TYPE: step.kind} if step.kind else {}
            spans[step.number] = rig.start(f"{prefix}{step.number}", parent, plain=True, attributes=attributes)
        elif step.what == "event":
            spans[step.number].add_event(step.event)
        else:
            spans[step.number].end()
