"""The span processor that enforces nesting before export."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from sunbird_otel._limits import SPAN_BYTES, SPAN_EVENTS
from sunbird_otel._rules import Rules
from sunbird_otel.names import FLOW_TYPE, PDATA_PID
from sunbird_otel.plugin._bounds import ATTRIBUTE_BYTES, PENDING_AFTER, Bounds
from sunbird_otel.plugin._flow_events import LOST, Watch
from sunbird_otel.plugin._in_time import in_time
from sunbird_otel.plugin._live_flow import EndedFlow, LiveFlow, Refused
from sunbird_otel.plugin._nesting import Nesting
from sunbird_otel.plugin._pending import PendingFlows
from sunbird_otel.plugin._rebuild import is_flow, peek, rebuild
from sunbird_otel.plugin._reject import OnReject, hand_over
from sunbird_otel.plugin._spilling import Spilling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

    from sunbird_otel._rules import FlowRule
    from sunbird_otel.plugin._flow_events import FlowEvents
    from sunbird_otel.plugin._live_flow import Item, NestingTally, Node, Outcome

logger = logging.getLogger(__name__)

MAX_OPEN_FLOWS: Final = 100_000
MAX_HELD_SPANS: Final = 100_000
_FLUSH_MS: Final = 30_000
_OTHERS_S: Final = 5.0
"""How long a shutdown waits for what another thread is handing on."""

_WHAT: Final = {
    "own": "a flow span could not be judged, and is exported as it is",
    "processor": "the processor that spans are handed on to has raised",
    "on_reject": "on_reject has failed, and the rejected spans are lost",
}


class FlowNestingProcessor(SpanProcessor):
    """Enforces the nesting rules on flow spans, and hands every span on to the processor that it owns.

    A flow span is one with the attribute ``sunbird.flow.type``. It is handed on as a copy that says how it ended and
    what it breaks; all other spans are handed on as they are. Nothing here raises into the code that uses spans.

    Args:
        downstream: The processor that gets the spans; it must not be given to the tracer provider as well.
        rules: The rules; the standard ones when absent.
        policy: ``annotate`` marks what breaks a rule, ``repair`` puts it right, ``reject`` keeps it from export.
        on_reject: Gets what ``reject`` keeps, one flow with all that is in it at a time: a function, or an exporter.
            It is called on the thread that ended the flow.
        max_open_flows: Beyond this the flow in which nothing has started for longest is closed as ``evicted``.
        max_held_spans: Beyond this ``reject`` lets spans go before the flows around them are over.
        span_events: With this many events a span is full, and the flow goes on in a further one.
        span_bytes: The same for the bytes of its events.
        attribute_bytes: A longer attribute value of a flow or of its events is cut, and its key noted beside it.
        pending: Tell flows while they are open, by a span of 1 ns inside the one that is still to come.
        pending_after: Seconds for which a flow is open before it is told so; 0 tells each as it begins.

    Raises:
        ConfigError: An option cannot be used.
    """

    def __init__(
        self,
        downstream: SpanProcessor,
        rules: Rules | None = None,
        policy: str = "annotate",
        on_reject: OnReject | None = None,
        *,
        max_open_flows: int = MAX_OPEN_FLOWS,
        max_held_spans: int = MAX_HELD_SPANS,
        span_events: int = SPAN_EVENTS,
        span_bytes: int = SPAN_BYTES,
        attribute_bytes: int = ATTRIBUTE_BYTES,
        pending: bool = False,
        pending_after: float = PENDING_AFTER,
    ) -> None:
        rules = Rules.standard() if rules is None else rules
        self._downstream = downstream
        self._on_reject = on_reject
        # The SDK has it since 1.40.
        self._ending: Callable[[Span], None] | None = getattr(downstream, "_on_ending", None)
        self._kinds = rules.by_kind
        self._bounds = Bounds(span_events, span_bytes, attribute_bytes).checked()
        # Weakly, since spans and a thread hold it. What a policy may yet move or refuse waits for the end of its flow.
        write = weakref.WeakMethod(self._write_full)
        self._spilling = Spilling(lambda events: (act := write()) is not None and act(events))
        weakref.finalize(self, self._spilling.close).atexit = False
        self._nesting = Nesting(
            rules,
            policy,
            self._bounds,
            Watch(span_events, self._spilling.note if policy == "annotate" else None),
            max_open_flows=max_open_flows,
            max_held_spans=max_held_spans,
        )
        self._pending: PendingFlows | None = None
        if pending:
            # Weakly, since its thread lives as long as the process.
            tell = weakref.WeakMethod(self._tell_pending)
            self._pending = PendingFlows(pending_after, lambda flow: (act := tell()) is not None and act(flow))
            weakref.finalize(self, self._pending.close, 0.0).atexit = False
        self._shut = False
        self._told: set[str] = set()
        self._renew()
        if hasattr(os, "register_at_fork"):
            # Held weakly: what is registered at fork stays registered for ever.
            again = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := again()) and method())

    def _renew(self) -> None:
        # Re-entrant, since a finaliser or a signal handler may end a span while its thread is in the middle of this.
        self._lock = threading.RLock()
        self._busy = False
        self._later: deque[Callable[[], list[Outcome]]] = deque()

    def _after_fork(self) -> None:
        self._nesting = self._nesting.in_child_process()
        self._renew()
        self._spilling.after_fork()
        if self._pending is not None:
            self._pending.after_fork()

    @property
    def tally(self) -> NestingTally:
        """The counts so far."""
        return self._nesting.tally

    # --- What the SDK calls ------------------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note where a span begins."""
        try:
            attributes = peek(span)
            if FLOW_TYPE in attributes:
                self._started(span, attributes, parent_context)
            elif (parent := span.parent) is not None:
                self._inside(span, parent)
        except Exception:  # noqa: BLE001 - nothing may reach the user's code
            self._failed("own")
        try:
            self._downstream.on_start(span, parent_context)
        except Exception:  # noqa: BLE001 - as above
            self._failed("processor")

    def _on_ending(self, span: Span) -> None:
        if self._ending is not None:
            try:
                self._ending(span)
            except Exception:  # noqa: BLE001 - as above
                self._failed("processor")

    def on_end(self, span: ReadableSpan) -> None:
        """Hand an ended span on, or what becomes of it."""
        try:
            outcomes = self._ended(span)
        except Exception:  # noqa: BLE001 - as above
            self._failed("own")
            outcomes = None
        if outcomes is not None:
            self._act(outcomes)
            return
        try:
            self._downstream.on_end(span)
        except Exception:  # noqa: BLE001 - as above
            self._failed("processor")

    def shutdown(self) -> None:
        """Write the flows that are open, with ``drain`` as the reason, and shut the processor down, once."""
        with self._lock:
            if self._shut:
                return
            self._shut = True
        if self._pending is not None:
            self._pending.close(_OTHERS_S)
        self._spilling.drain(_OTHERS_S)
        self._spilling.close()
        try:
            self._act(self._book(self._nesting.drain, time.time_ns()))
        except Exception:  # noqa: BLE001 - as above
            self._failed("own")
        try:
            self._downstream.shutdown()
        except Exception:  # noqa: BLE001 - as above
            self._failed("processor")
        if isinstance(self._on_reject, SpanExporter):
            try:
                self._on_reject.shutdown()
            except Exception:  # noqa: BLE001 - as above
                self._failed("on_reject")

    def force_flush(self, timeout_millis: int | None = _FLUSH_MS) -> bool:
        """Have everything that has ended exported; open flows stay open.

        Returns:
            False when that took longer than ``timeout_millis``, also where the processor does not heed it, or failed.
        """
        timeout = _FLUSH_MS if timeout_millis is None else timeout_millis
        deadline = time.monotonic() + timeout / 1000
        done = self._spilling.drain(timeout / 1000)
        done &= in_time(lambda: self._downstream.force_flush(timeout), deadline, lambda: self._failed("processor"))
        reject = self._on_reject
        if isinstance(reject, SpanExporter):
            left = max(0, int((deadline - time.monotonic()) * 1000))
            done &= in_time(lambda: reject.force_flush(left), deadline, lambda: self._failed("on_reject"))
        return done

    # --- Bookkeeping -------------------------------------------------------------------------------------------------

    def _inside(self, span: Span, parent: SpanContext) -> None:
        """Note the flow around a span that is none itself, for the flows that will start in it."""
        nesting = self._nesting
        around: Node | Literal[False] | None = nesting.nodes.get(parent.span_id, False)
        if around is not False:
            nesting.known.remember(span.get_span_context().span_id, around)
        elif parent.is_remote:
            nesting.known.remember(span.get_span_context().span_id, None)

    def _started(self, span: Span, attributes: Mapping[str, Any], parent_context: Context | None) -> None:
        rule = self._kinds.get(kind) if isinstance(kind := attributes[FLOW_TYPE], str) else None
        if rule is None or not is_flow(attributes):
            if rule is None:
                self._unknown(kind)
            if span.parent is not None:
                self._inside(span, span.parent)
            return
        context: SpanContext | None = span.context
        if self._shut or context is None or not context.trace_flags.sampled:
            return
        pid = attributes.get(PDATA_PID, "")
        nesting = self._nesting
        outcomes = self._book(nesting.start, rule, span, context, pid, parent_context)
        if outcomes:
            self._act(outcomes)
        if self._pending is not None and isinstance(flow := nesting.nodes.get(context.span_id), LiveFlow):
            self._pending.note(flow)

    def _ended(self, span: ReadableSpan) -> list[Outcome] | None:
        """Return what becomes of an ended span; None when it is to be handed on as it is."""
        context: SpanContext | None = span.context
        if context is None:
            return None
        nesting = self._nesting
        node: Node | Literal[False] | None = nesting.nodes.get(context.span_id, False)
        if node and node.context is context:
            return self._book(self._flow_ended, node, span)
        if FLOW_TYPE in (attributes := peek(span)) and is_flow(attributes):
            return self._late(span, attributes, context)
        if node and nesting.rejects:
            return self._book(nesting.pass_on, span, node)
        return None

    def _flow_ended(self, flow: Node, span: ReadableSpan) -> list[Outcome]:
        nesting, tally = self._nesting, self._nesting.tally
        if flow.foreign:
            tally.inherited += 1
            return []
        if isinstance(flow, EndedFlow) or flow.end_reason or flow.waiting:
            tally.swallowed += 1
            tally.swallowed_events += max(0, len(span.events) + span.dropped_events - flow.events_seen)
            return []
        return nesting.end(flow, span)

    def _late(self, span: ReadableSpan, attributes: Mapping[str, Any], context: SpanContext) -> list[Outcome] | None:
        """Take the end of a span that was no flow when it began, or that began before this processor was there."""
        kind = attributes[FLOW_TYPE]
        rule = self._kinds.get(kind) if isinstance(kind, str) else None
        if rule is None or self._shut or not context.trace_flags.sampled:
            return None
        return self._book(self._become_and_end, rule, span, context, attributes.get(PDATA_PID, ""))

    def _become_and_end(self, rule: FlowRule, span: ReadableSpan, context: SpanContext, pid: object) -> list[Outcome]:
        outcomes = self._nesting.start(rule, span, context, pid)
        flow = self._nesting.nodes[context.span_id]
        if isinstance(flow, LiveFlow):
            # There may be an open flow with its id, if ids are derived and something is told twice.
            return outcomes + (self._nesting.end(flow, span) if flow.context is context else [span])
        return outcomes

    def _write_full(self, events: FlowEvents) -> bool:
        try:
            self._act(self._book(self._nesting.overflow, events))
        except Exception:  # noqa: BLE001 - as above
            self._failed("own")
        return True

    def _tell_pending(self, flow: LiveFlow) -> bool:
        try:
            if not self._shut:
                self._act(self._book(self._nesting.pending, flow))
        except Exception:  # noqa: BLE001 - as above
            self._failed("own")
        return not self._shut

    def _book(self, job: Callable[..., list[Outcome]], *args: Any) -> list[Outcome]:
        """Run ``job`` alone, and return what it decides; a job inside another waits for that to be done."""
        with self._lock:
            if self._busy:
                self._later.append(lambda: job(*args))
                return []
            self._busy = True
            try:
                outcomes = job(*args)
                if self._later:
                    outcomes = [*outcomes, *self._catch_up()]
            finally:
                self._busy = False
        return outcomes

    def _catch_up(self) -> Iterator[Outcome]:
        while self._later:
            try:
                yield from self._later.popleft()()
            except Exception:  # noqa: BLE001 - as above
                self._failed("own")

    # --- Acting, outside the lock ------------------------------------------------------------------------------------

    def _act(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Refused):
                self._reject(outcome.items)
                continue
            span = self._written(outcome)
            if span is not None:
                try:
                    self._downstream.on_end(span)
                except Exception:  # noqa: BLE001 - as above
                    self._failed("processor")

    def _written(self, item: Item) -> ReadableSpan | None:
        if not isinstance(item, LiveFlow):
            return item
        if item.events_lost and "lost" not in self._told:
            self._told.add("lost")
            logger.warning(LOST, item.events_lost)
        try:
            return rebuild(item, self._bounds)
        except Exception:  # noqa: BLE001 - as above
            self._failed("own")
            return None if item.synthetic or item.span.end_time is None else item.span

    def _reject(self, items: list[Item]) -> None:
        spans = [span for item in items if (span := self._written(item)) is not None]
        if self._on_reject is None:
            return
        try:
            if not hand_over(spans, self._on_reject):
                self._failed("on_reject")
        except Exception:  # noqa: BLE001 - as above
            self._failed("on_reject")

    def _unknown(self, kind: object) -> None:
        with self._lock:
            self.tally.unknown_kinds += 1
        if "unknown" not in self._told:
            self._told.add("unknown")
            logger.warning(
                "sunbird-otel: %s is no flow that the rules know, and its spans pass as they are; expected one of %s.",
                repr(kind)[:100],
                ", ".join(self._kinds),
            )

    def _failed(self, whose: str) -> None:
        """Count an exception, and log the first of its kind."""
        with self._lock:
            self.tally.errors[whose] += 1
        if whose not in self._told:
            self._told.add(whose)
            text = "sunbird-otel: %s; further ones are only counted (tally.errors)."
            logger.warning(text, _WHAT[whose], exc_info=sys.exception())
