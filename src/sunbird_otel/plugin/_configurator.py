"""Zero code: what ``OTEL_PYTHON_CONFIGURATOR=sunbird opentelemetry-instrument`` calls."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_ID_GENERATOR
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sunbird_otel.errors import SunbirdOtelError
from sunbird_otel.plugin._id_generator import SunbirdIdGenerator
from sunbird_otel.plugin._sdk import SdkConfigurator, config_file
from sunbird_otel.plugin._settings import read
from sunbird_otel.plugin._wiring import describe_entry_spans, install_propagator, leave_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace.export import SpanExporter

    from sunbird_otel._rules import Rules
    from sunbird_otel.plugin._settings import PluginSettings

logger = logging.getLogger(__name__)


class SunbirdConfigurator(SdkConfigurator):
    """Sets up OpenTelemetry as its own configurator does, with sunbird-otel in it.

    One :class:`FlowNestingProcessor` stands before all exporters; entry spans join the trace of the client's
    telemetry; ids are derived. With ``OTEL_CONFIG_FILE``, that file says what is set up. Settings that cannot be used
    are told in the log; OpenTelemetry then runs without sunbird-otel.
    """

    def _configure(self, **kwargs: Any) -> None:
        if config_file():
            self.set_up()
            return
        try:
            settings = read()
            rules = settings.load_rules()
        except SunbirdOtelError as error:
            logger.error("sunbird-otel: %s OpenTelemetry runs without sunbird-otel until this is corrected.", error)  # noqa: TRY400 - the text says it all
            self.set_up(**kwargs)
            _on_provider(leave_alone)
            return
        if not os.environ.get(OTEL_PYTHON_ID_GENERATOR):
            kwargs.setdefault("id_generator", SunbirdIdGenerator())
        self.set_up(OneNesting(settings, rules), **kwargs)
        install_propagator(settings.trace_scope)
        _on_provider(describe_entry_spans)


def _on_provider(act: Callable[[TracerProvider], None]) -> None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        act(provider)


class OneNesting:
    """Makes the processors for a provider's exporters: one that keeps the rules, which feeds a batch for each."""

    def __init__(self, settings: PluginSettings, rules: Rules) -> None:
        self._settings = settings
        self._rules = rules
        self._batches = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        self._begun = False

    def __call__(self, span_exporter: SpanExporter, *_: Any, **__: Any) -> SpanProcessor:
        """Return what the provider is to be given for ``span_exporter``."""
        # Whether it is loaded tells the hook whether the rules are kept.
        from sunbird_otel.plugin._portions import InPortions  # noqa: PLC0415
        from sunbird_otel.plugin._processor import FlowNestingProcessor  # noqa: PLC0415

        self._batches.add_span_processor(BatchSpanProcessor(InPortions(span_exporter)))
        if self._begun:
            # The first one feeds this exporter, too; one does nothing.
            return SpanProcessor()
        self._begun = True
        return FlowNestingProcessor(
            self._batches,
            rules=self._rules,
            policy=self._settings.policy,
            **self._settings.writing,
        )
