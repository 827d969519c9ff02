"""The bridge between Sunbird telemetry and OpenTelemetry.

>>> from sunbird_otel import Bridge
>>> bridge = Bridge()
>>> signals = bridge.feed(b'{"eid":"START","ets":1700000000000,"mid":"m1","context":{},"edata":{"type":"app"}}')
>>> [span.name for span in bridge.drain()]
['app']
"""

from sunbird_otel._bridge import Bridge
from sunbird_otel._findings import Finding, Position
from sunbird_otel._limits import Limits
from sunbird_otel._rules import FlowRule, Rules, WorkflowRule
from sunbird_otel._signals import (
    Attributes,
    AttributeValue,
    Link,
    MetricPoint,
    Resource,
    Signal,
    Span,
    SpanEvent,
    SpanKind,
    StatusCode,
)
from sunbird_otel._tally import Tally
from sunbird_otel._version import __version__
from sunbird_otel.errors import ConfigError, RuleError, SinkError, SourceError, SunbirdOtelError

__all__ = [
    "AttributeValue",
    "Attributes",
    "Bridge",
    "ConfigError",
    "Finding",
    "FlowRule",
    "Limits",
    "Link",
    "MetricPoint",
    "Position",
    "Resource",
    "RuleError",
    "Rules",
    "Signal",
    "SinkError",
    "SourceError",
    "Span",
    "SpanEvent",
    "SpanKind",
    "StatusCode",
    "SunbirdOtelError",
    "Tally",
    "WorkflowRule",
    "__version__",
]
