"""The span exporter that enforces nesting, for set-ups that can name an exporter and no processor."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sunbird_otel._rules import Rules
from sunbird_otel._told import POLICIES
from sunbird_otel.errors import ConfigError, SunbirdOtelError
from sunbird_otel.names import FLOW_END_REASON, FLOW_TYPE, PDATA_PID
from sunbird_otel.plugin._flow_events import LOST
from sunbird_otel.plugin._live_flow import LiveFlow, NestingTally, Refused
from sunbird_otel.plugin._nesting import Nesting
from sunbird_otel.plugin._portions import export_in_portions
from sunbird_otel.plugin._rebuild import is_flow, peek, rebuild
from sunbird_otel.plugin._reject import OnReject, hand_over
from sunbird_otel.plugin._settings import settings_or_defaults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from sunbird_otel._rules import FlowRule
    from sunbird_otel.plugin._bounds import Bounds
    from sunbird_otel.plugin._live_flow import Outcome

logger = logging.getLogger(__name__)

_GROUP: Final = "opentelemetry_traces_exporter"
_OURS: Final = "sunbird"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

Inner = SpanExporter | str | Mapping[str, Mapping[str, Any] | None]
"""An exporter, the name of one among the entry points, or that name with its options."""


class FlowNestingExporter(SpanExporter):
    """Enforces the nesting rules on the flow spans of each batch, and hands the batch on.

    A batch holds ended spans only, and a flow may leave in an earlier batch than what is around it. Such a flow is
    judged by what its own batch shows: that nothing is around it is not held against it, nor that it has not ended.
    The first one is told in the log, all are counted (``tally.unjudged``). Use :class:`FlowNestingProcessor` where
    a processor can be given.

    Args:
        inner: The exporter that gets the spans; when absent, that of OTLP by the protocol that ``OTEL_*`` names.
        rules: ``standard``, ``field``, files, or rules; when absent, as the settings say.
        policy: ``annotate``, ``repair`` or ``reject``; when absent, as the settings say.
        on_reject: Gets what ``reject`` keeps: a function, or an exporter as for ``inner``.
        span_events: With this many events a span is full; this and the next two as for the processor, and when absent,
            as the settings say.
        span_bytes: The same for the bytes of its events.
        attribute_bytes: A longer attribute value is cut.

    Raises:
        ConfigError: An option cannot be used.
        RuleError: A file of rules is wrong.
    """

    def __init__(
        self,
        inner: Inner | None = None,
        rules: Rules | str | Sequence[str] | None = None,
        policy: str | None = None,
        on_reject: OnReject | Inner | None = None,
        *,
        span_events: int | None = None,
        span_bytes: int | None = None,
        attribute_bytes: int | None = None,
    ) -> None:
        settings = settings_or_defaults()
        given = {"span_events": span_events, "span_bytes": span_bytes, "attribute_bytes": attribute_bytes}
        self._bounds = settings.bounds._replace(**{n: v for n, v in given.items() if v is not None}).checked()
        self._policy = settings.policy if policy is None else policy
        if self._policy not in POLICIES:
            raise ConfigError(f"policy: expected one of {', '.join(POLICIES)}; found {self._policy!r}.")
        self._rules = _default_rules(settings.load_rules) if rules is None else _rules(rules)
        self._inner = _exporter(_otlp() if inner is None else inner, "inner")
        self._on_reject: OnReject | None = None
        if on_reject is not None:
            self._on_reject = on_reject if callable(on_reject) else _exporter(on_reject, "on_reject")
        self.tally = NestingTally()
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._shut = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what the policy lets pass; only what becomes of that is the result."""
        try:
            kept = self._judged(spans) if any(map(_unjudged, spans)) else spans
        except Exception:  # noqa: BLE001 - rather unjudged than lost
            self._failed("own")
            kept = spans
        if not kept:
            return SpanExportResult.SUCCESS
        try:
            return export_in_portions(self._inner, kept)
        except Exception:  # noqa: BLE001 - the interface has a word for it
            self._failed("exporter")
            return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass the wish on."""
        done = True
        for whose, exporter in self._exporters():
            try:
                # Some exporters return nothing when all is well.
                done &= exporter.force_flush(timeout_millis) is not False
            except Exception:  # noqa: BLE001 - the interface has a word for it
                self._failed(whose)
                done = False
        return done

    def shutdown(self) -> None:
        """Shut the exporters down, once."""
        with self._lock:
            if self._shut:
                return
            self._shut = True
        for whose, exporter in self._exporters():
            try:
                exporter.shutdown()
            except Exception:  # noqa: BLE001 - the other one has to be shut down, too
                self._failed(whose)

    def _exporters(self) -> Iterator[tuple[str, SpanExporter]]:
        yield "exporter", self._inner
        if isinstance(self._on_reject, SpanExporter):
            yield "on_reject", self._on_reject

    def _judged(self, spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
        batch = _Batch(spans, self._rules, self._policy, self._bounds)
        kept: list[ReadableSpan] = []
        for outcome in batch.outcomes():
            if isinstance(outcome, Refused):
                self._reject([self._written(item) for item in outcome.items])
            else:
                kept.append(self._written(outcome))
        with self._lock:
            self.tally.add(batch.nesting.tally)
            news = self.tally.unjudged and "unjudged" not in self._told
            self._told |= {"unjudged"} if news else set()
        if news:
            logger.warning(
                "sunbird-otel: the exporter judges each batch by itself, and a flow has come without what is around "
                "it; that it may miss a flow around it, or outlive it, is not seen. Larger batches help; the "
                "processor FlowNestingProcessor sees all. Further ones are only counted (tally.unjudged)."
            )
        return kept

    def _written(self, item: LiveFlow | ReadableSpan) -> ReadableSpan:
        if not isinstance(item, LiveFlow):
            return item
        if item.events_lost and "lost" not in self._told:
            self._told.add("lost")
            logger.warning(LOST, item.events_lost)
        return rebuild(item, self._bounds)

    def _reject(self, spans: list[ReadableSpan]) -> None:
        try:
            if self._on_reject is not None and not hand_over(spans, self._on_reject):
                self._failed("on_reject")
        except Exception:  # noqa: BLE001 - what is not rejected has to be exported
            self._failed("on_reject")

    def _failed(self, whose: str) -> None:
        with self._lock:
            self.tally.errors[whose] += 1
            if whose in self._told:
                return
            self._told.add(whose)
        text = "sunbird-otel: %s; further ones are only counted (tally.errors)."
        logger.warning(text, _WHAT[whose], exc_info=sys.exception())


_WHAT: Final = {
    "own": "a batch could not be judged, and is exported as it is",
    "exporter": "the exporter that spans are handed on to has raised",
    "on_reject": "on_reject has failed, and the rejected spans are lost",
}


class _Moment(NamedTuple):
    """When a span of a batch starts (or, with ``ends``, ends), in an order in which nesting can follow."""

    time_ns: int
    ends: bool
    depth: int
    span: ReadableSpan
    context: SpanContext


class _Batch:
    """Plays the spans of a batch as if they ran."""

    def __init__(self, spans: Sequence[ReadableSpan], rules: Rules, policy: str, bounds: Bounds) -> None:
        self.nesting = Nesting(rules, policy, bounds, max_open_flows=2 * len(spans), max_held_spans=2 * len(spans))
        self._spans = spans
        self._by_id = {span.context.span_id: span for span in spans if span.context is not None}
        self._starts: dict[int, tuple[int, int]] = {}
        self._flows: set[int] = set()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what becomes of the spans."""
        for moment in sorted(self._moments(), key=lambda moment: moment[:3]):
            if moment.ends:
                yield from self._end(moment.span, moment.context)
            else:
                yield from self._start(moment.span, moment.context)
        yield from (span for span in self._spans if span.context is None)

    def _moments(self) -> Iterator[_Moment]:
        for span in self._spans:
            context: SpanContext | None = span.context
            if context is None:
                continue
            start_ns, depth = self._start_of(context.span_id)
            yield _Moment(start_ns, False, depth, span, context)  # noqa: FBT003 - the field says what it is
            yield _Moment(max(start_ns, span.end_time or 0), True, -depth, span, context)  # noqa: FBT003 - as above

    def _start_of(self, span_id: int) -> tuple[int, int]:
        """Return when a span starts, not before those around it, and how deep it stands."""
        chain: list[tuple[int, ReadableSpan]] = []
        seen: set[int] = set()
        one_id: int | None = span_id
        while one_id is not None and one_id not in self._starts and one_id not in seen:
            one = self._by_id.get(one_id)
            if one is None:
                break
            seen.add(one_id)  # a circle of parents is nonsense, and must not hold up the export
            chain.append((one_id, one))
            one_id = one.parent.span_id if one.parent is not None else None
        start_ns, depth = self._starts.get(one_id, (0, 0)) if one_id is not None else (0, 0)
        for inner_id, inner in reversed(chain):
            start_ns, depth = max(start_ns, inner.start_time or 0), depth + 1
            self._starts[inner_id] = start_ns, depth
        return start_ns, depth

    def _start(self, span: ReadableSpan, context: SpanContext) -> list[Outcome]:
        nesting, parent = self.nesting, span.parent
        if parent is not None and parent.span_id not in self._by_id:
            nesting.nodes[parent.span_id] = None
        rule = self._rule(span, context)
        if rule is not None and not isinstance(nesting.nodes.get(context.span_id), LiveFlow):
            self._flows.add(id(span))
            return nesting.start(rule, span, context, peek(span).get(PDATA_PID, ""), _NOWHERE)
        if rule is None and parent is not None and parent.span_id in nesting.nodes:
            nesting.known.remember(context.span_id, nesting.nodes[parent.span_id])
        return []

    def _end(self, span: ReadableSpan, context: SpanContext) -> list[Outcome]:
        node = self.nesting.nodes.get(context.span_id)
        if id(span) not in self._flows:  # no flow, or one with the id of another
            return self.nesting.pass_on(span, node)
        if isinstance(node, LiveFlow) and node.span is span:
            return self.nesting.end(node, span)
        return []  # what is around it has ended it before

    def _rule(self, span: ReadableSpan, context: SpanContext) -> FlowRule | None:
        attributes = peek(span)
        kind = attributes.get(FLOW_TYPE)
        if not isinstance(kind, str) or not is_flow(attributes) or not context.trace_flags.sampled:
            return None
        return self.nesting.rules.by_kind.get(kind)


_NOWHERE: Final = Context()


def _unjudged(span: ReadableSpan) -> bool:
    attributes = peek(span)
    return is_flow(attributes) and FLOW_END_REASON not in attributes


# --- Options -------------------------------------------------------------------------------------------------------


def _rules(rules: Rules | str | Sequence[str]) -> Rules:
    if isinstance(rules, Rules):
        return rules
    return Rules.load(rules) if isinstance(rules, str) else Rules.load(*rules)


def _default_rules(load: Any) -> Rules:
    try:
        return cast("Rules", load())
    except SunbirdOtelError as error:
        # Like every setting of the plugin: it must not stop a service.
        logger.error("sunbird-otel: %s The standard rules are used instead.", error)  # noqa: TRY400 - the text says all
        return Rules.standard()


def _otlp() -> str:
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name))), "grpc")
    return "otlp_proto_http" if protocol.startswith("http") else "otlp_proto_grpc"


def _exporter(wanted: object, option: str) -> SpanExporter:
    if isinstance(wanted, SpanExporter):
        return wanted
    name, options = wanted, None
    if isinstance(wanted, Mapping):
        named = cast("Mapping[str, Any]", wanted)
        name, options = next(iter(named.items())) if len(named) == 1 else (None, None)
    known = {entry.name: entry for entry in entry_points(group=_GROUP) if entry.name != _OURS}
    if not isinstance(name, str) or name not in known or not isinstance(options, Mapping | None):
        raise ConfigError(
            f"{option}: expected the name of an exporter that is installed ({', '.join(sorted(known))}), or that name "
            f"with its options; found {wanted!r}."
        )
    return cast("SpanExporter", known[name].load()(**cast("Mapping[str, Any]", options or {})))
