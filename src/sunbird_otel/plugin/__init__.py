"""The plugin: Sunbird flows and sessions inside any service that uses OpenTelemetry.

Each name is loaded when it is first asked for, so that a service pays for what it uses.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from sunbird_otel.plugin._configurator import SunbirdConfigurator
    from sunbird_otel.plugin._entry_spans import JoinedAttributes
    from sunbird_otel.plugin._exporter import FlowNestingExporter
    from sunbird_otel.plugin._id_generator import SunbirdIdGenerator
    from sunbird_otel.plugin._instrumentor import InstrumentorConfiguration, SunbirdInstrumentor
    from sunbird_otel.plugin._live_flow import NestingTally
    from sunbird_otel.plugin._processor import FlowNestingProcessor
    from sunbird_otel.plugin._propagator import PropagatorStats, SunbirdPropagator

__all__ = [
    "FlowNestingExporter",
    "FlowNestingProcessor",
    "InstrumentorConfiguration",
    "JoinedAttributes",
    "NestingTally",
    "PropagatorStats",
    "SunbirdConfigurator",
    "SunbirdIdGenerator",
    "SunbirdInstrumentor",
    "SunbirdPropagator",
]

_MODULES: typing.Final = {
    "FlowNestingExporter": "_exporter",
    "FlowNestingProcessor": "_processor",
    "InstrumentorConfiguration": "_instrumentor",
    "JoinedAttributes": "_entry_spans",
    "NestingTally": "_live_flow",
    "PropagatorStats": "_propagator",
    "SunbirdConfigurator": "_configurator",
    "SunbirdIdGenerator": "_id_generator",
    "SunbirdInstrumentor": "_instrumentor",
    "SunbirdPropagator": "_propagator",
}


def __getattr__(name: str) -> typing.Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
