"""One call that wires the plugin into a service, and one that takes it out again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from opentelemetry import propagate, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider

from sunbird_otel._rules import Rules
from sunbird_otel.errors import ConfigError, SunbirdOtelError
from sunbird_otel.names import FLOW_END_REASON, FLOW_SEGMENT, SYNTHETIC
from sunbird_otel.plugin._emission import RequestEvents
from sunbird_otel.plugin._processor import FlowNestingProcessor
from sunbird_otel.plugin._settings import settings_or_defaults
from sunbird_otel.plugin._wiring import (
    change_processors,
    derive_ids,
    describe_entry_spans,
    forget,
    install_propagator,
    is_settled,
    processors_held,
    processors_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import TracerProvider as AnyTracerProvider

    from sunbird_otel.plugin._emission import Emitter
    from sunbird_otel.plugin._settings import PluginSettings, Writing

logger = logging.getLogger(__name__)

_DRAIN: Final = "drain"

RulesOption: TypeAlias = Rules | str | Sequence[str]
"""Rules, or ``standard``, ``field`` and files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentorConfiguration:
    """The options of ``instrumentation/development: python: sunbird`` in a file for ``OTEL_CONFIG_FILE``.

    ``telemetry`` names the client as ``package.module:name``; the others are those of
    :meth:`SunbirdInstrumentor.instrument`.
    """

    rules: str | list[str] | None = None
    policy: str | None = None
    telemetry: str | None = None
    emit_access: bool = False
    emit_errors: bool = False
    span_events: int | None = None
    span_bytes: int | None = None
    attribute_bytes: int | None = None
    pending: bool | None = None
    pending_after: float | None = None


class SunbirdInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Wires sunbird-otel into an OpenTelemetry that is set up, and takes it out again; there is one in a process."""

    configuration: ClassVar[type[InstrumentorConfiguration]] = InstrumentorConfiguration

    _undo: ExitStack | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: it instruments OpenTelemetry itself."""
        return ()

    def instrument(
        self,
        *,
        tracer_provider: AnyTracerProvider | None = None,
        telemetry: Emitter | str | None = None,
        rules: RulesOption | None = None,
        policy: str | None = None,
        emit_access: bool = False,
        emit_errors: bool = False,
        span_events: int | None = None,
        span_bytes: int | None = None,
        attribute_bytes: int | None = None,
        pending: bool | None = None,
        pending_after: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Have the nesting rules kept, requests joined to sessions and, when asked, requests told as Sunbird events.

        Call it when the provider has its exporters, and before the instrumentations of frameworks. A provider that
        the configurator or the hook of ``opentelemetry-instrument`` has seen to stays as they left it, unless the
        provider itself or one of the options about flows is given.

        Args:
            tracer_provider: Where it is wired in; None: the global one.
            telemetry: A :class:`sunbird_otel.emit.Telemetry`, or where it is: ``package.module:name``.
            rules: The nesting rules; None: as the settings say.
            policy: ``annotate``, ``repair`` or ``reject``; None: as the settings say.
            emit_access: Tell each HTTP server span as LOG of type api_access.
            emit_errors: Tell each exception that such a span has recorded as ERROR.
            span_events: This and the following as for :class:`FlowNestingProcessor`; None: as the settings say.
            span_bytes: Bytes of the events of one span.
            attribute_bytes: Bytes of one attribute value.
            pending: Tell flows while they are open.
            pending_after: Seconds for which a flow is open before that.
            kwargs: What OpenTelemetry's own loader says.

        Raises:
            ConfigError: An option cannot be used; nothing is wired in then.
            RuleError: A file of rules is wrong.
        """
        super().instrument(
            tracer_provider=tracer_provider,
            telemetry=telemetry,
            rules=rules,
            policy=policy,
            emit_access=emit_access,
            emit_errors=emit_errors,
            writing={
                "span_events": span_events,
                "span_bytes": span_bytes,
                "attribute_bytes": attribute_bytes,
                "pending": pending,
                "pending_after": pending_after,
            },
            **kwargs,
        )

    def _instrument(self, **kwargs: Any) -> None:
        client = _client(kwargs["telemetry"]) if kwargs["emit_access"] or kwargs["emit_errors"] else None
        given = kwargs["tracer_provider"]
        provider = trace.get_tracer_provider() if given is None else given
        if not isinstance(provider, TracerProvider):
            logger.warning(
                "sunbird-otel: expected a tracer provider of opentelemetry-sdk; found %s. Nothing was wired in. Set "
                "one up first, or give one as tracer_provider.",
                type(provider).__name__,
            )
            return
        rules, policy = kwargs["rules"], kwargs["policy"]
        writing = {name: value for name, value in kwargs["writing"].items() if value is not None}
        with ExitStack() as undo:
            if (rules, policy, given) != (None, None, None) or writing or not is_settled(provider):
                settings = settings_or_defaults()
                wanted = settings.writing | cast("Writing", writing)
                _enforce(provider, _nesting(settings, rules, policy), wanted, undo)
                _join(provider, settings.trace_scope, undo)
            if client is not None:
                events = RequestEvents(client, access=kwargs["emit_access"], errors=kwargs["emit_errors"])
                undo.callback(events.shutdown)
                provider.add_span_processor(events)
                undo.callback(_remove, provider, [events])
            self._undo = undo.pop_all()

    def _uninstrument(self, **_: Any) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()


class _Stage(SynchronousMultiSpanProcessor):
    """The provider's own processors, behind the one that keeps the rules; they live on when that one is taken out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.released = False

    def on_end(self, span: ReadableSpan) -> None:
        """Hand ``span`` on, unless it is the early copy of one that will come itself."""
        if self.released:
            attributes = span.attributes or {}
            early = attributes.get(FLOW_END_REASON) == _DRAIN and SYNTHETIC not in attributes
            if early or FLOW_SEGMENT in attributes:
                return
        super().on_end(span)

    def shutdown(self) -> None:
        """Shut them down, if the provider wishes it."""
        if not self.released:
            super().shutdown()


def _enforce(provider: TracerProvider, nesting: tuple[Rules, str], writing: Writing, undo: ExitStack) -> None:
    """Put the processor that keeps the rules before those that ``provider`` has."""
    present = processors_of(provider)
    if present is None:
        # Beside the others it sees what they see, and changes nothing for them.
        watch = FlowNestingProcessor(SpanProcessor(), *nesting, **writing)
        provider.add_span_processor(watch)
        undo.callback(watch.shutdown)
        logger.warning(
            "sunbird-otel: this tracer provider does not show its span processors, so flow spans are exported as they "
            "are; what breaks the nesting rules is only counted. To have the rules kept, build the provider with "
            "FlowNestingProcessor(your_processor)."
        )
        return
    if any(isinstance(processor, FlowNestingProcessor) for processor in present):
        logger.info("sunbird-otel: this tracer provider has a FlowNestingProcessor, which keeps its rules and policy.")
        return
    if not present:
        logger.warning(
            "sunbird-otel: this tracer provider has no span processors yet. Those that are added from now on get flow "
            "spans as they are; call instrument() after them to have the nesting rules kept."
        )
        return
    stage = _Stage()
    nester = FlowNestingProcessor(stage, *nesting, **writing)

    def put_before(held: tuple[SpanProcessor, ...]) -> tuple[SpanProcessor, ...]:
        for processor in held:
            stage.add_span_processor(processor)
        return (nester,)

    def put_back(held: tuple[SpanProcessor, ...]) -> tuple[SpanProcessor, ...]:
        originals = processors_held(stage) or ()
        return tuple(one for processor in held for one in (originals if processor is nester else (processor,)))

    def release() -> None:
        stage.released = True
        nester.shutdown()

    undo.callback(release)
    change_processors(provider, put_before)
    undo.callback(change_processors, provider, put_back)


def _join(provider: TracerProvider, trace_scope: str, undo: ExitStack) -> None:
    """Have requests join the trace of their client's telemetry."""
    if not is_settled(provider):
        before = processors_of(provider)
        describe_entry_spans(provider)
        if before is not None:
            added = [one for one in processors_of(provider) or () if one not in before]
            undo.callback(forget, provider)
            undo.callback(_remove, provider, added)
    former_ids = provider.id_generator
    derive_ids(provider)
    ours = provider.id_generator

    def restore_ids() -> None:
        if provider.id_generator is ours:
            provider.id_generator = former_ids

    undo.callback(restore_ids)
    former_textmap = propagate.get_global_textmap()
    install_propagator(trace_scope)
    installed = propagate.get_global_textmap()

    def restore_textmap() -> None:
        # One that somebody has set since then is not ours to take away.
        if propagate.get_global_textmap() is installed:
            propagate.set_global_textmap(former_textmap)

    undo.callback(restore_textmap)


def _remove(provider: TracerProvider, processors: Sequence[SpanProcessor]) -> None:
    change_processors(provider, lambda held: tuple(one for one in held if one not in processors))


def _nesting(settings: PluginSettings, rules: RulesOption | None, policy: str | None) -> tuple[Rules, str]:
    """Return rules and policy: what is given must be right, what is set must not stop a service."""
    if isinstance(rules, Rules):
        chosen = rules
    elif rules is not None:
        chosen = Rules.load(rules) if isinstance(rules, str) else Rules.load(*rules)
    else:
        try:
            chosen = settings.load_rules()
        except SunbirdOtelError as error:
            logger.error("sunbird-otel: %s The standard rules are used instead.", error)  # noqa: TRY400 - the text says all
            chosen = Rules.standard()
    return chosen, settings.policy if policy is None else policy


def _client(telemetry: Emitter | str | None) -> Emitter:
    wanted = "telemetry: expected a sunbird_otel.emit.Telemetry, or where one is, as package.module:name, since events"
    if isinstance(telemetry, str):
        try:
            telemetry = cast("Emitter", resolve_name(telemetry))
        except (AttributeError, ImportError, ValueError) as error:
            raise ConfigError(f"{wanted} are to be emitted; found {telemetry!r}: {error}.") from error
    if telemetry is None or not callable(getattr(telemetry, "access", None)):
        raise ConfigError(f"{wanted} are to be emitted; found {type(telemetry).__name__}.")
    return telemetry
