"""For the tests of code that emits Sunbird telemetry or makes flow spans.

With pytest the fixtures ``sunbird_telemetry``, ``sunbird_events``, ``sunbird_spans``, ``sunbird_clock`` and
``sunbird_api`` are there as soon as sunbird-otel is installed. What they give can also be made by hand, and needs no
pytest then. Each name is loaded when it is first asked for, so that other people's test runs stay as quick as they are.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from sunbird_otel.testing._api import Request, TelemetryApi
    from sunbird_otel.testing._assert import assert_flow, flow_tree
    from sunbird_otel.testing._clock import FixedClock
    from sunbird_otel.testing._recorder import Recorder
    from sunbird_otel.testing._spans import FlowSpans

__all__ = [
    "FixedClock",
    "FlowSpans",
    "Recorder",
    "Request",
    "TelemetryApi",
    "assert_flow",
    "flow_tree",
]

_MODULES: typing.Final = {
    "FixedClock": "_clock",
    "FlowSpans": "_spans",
    "Recorder": "_recorder",
    "Request": "_api",
    "TelemetryApi": "_api",
    "assert_flow": "_assert",
    "flow_tree": "_assert",
}


def __getattr__(name: str) -> typing.Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
