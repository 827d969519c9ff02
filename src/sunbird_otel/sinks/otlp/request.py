"""One export request: its bytes as protobuf, and what can be done with them without the signals they came from.

OTLP/JSON request lines are what the file sink and the Collector's file exporter write and what is kept of undelivered
data; :func:`parse` reads one, whoever wrote it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from sunbird_otel.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

Kind: TypeAlias = Literal["traces", "metrics", "logs"]
"""The signals of OTLP, by the names that they have in its URLs and variables."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How OTLP speaks of one kind of signal; ``levels`` are the nested lists from the request down to the items."""

    request: type[Message]
    response: type[Message]
    levels: tuple[str, ...]
    json_key: str
    rejected: str
    method: str
    noun: str


_COLLECTOR = "/opentelemetry.proto.collector"

KINDS: dict[Kind, Protocol] = {
    "traces": Protocol(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        ("resource_spans", "scope_spans", "spans"),
        "resourceSpans",
        "rejected_spans",
        f"{_COLLECTOR}.trace.v1.TraceService/Export",
        "spans",
    ),
    "metrics": Protocol(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        ("resource_metrics", "scope_metrics", "metrics", "data_points"),
        "resourceMetrics",
        "rejected_data_points",
        f"{_COLLECTOR}.metrics.v1.MetricsService/Export",
        "metric points",
    ),
    "logs": Protocol(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        ("resource_logs", "scope_logs", "log_records"),
        "resourceLogs",
        "rejected_log_records",
        f"{_COLLECTOR}.logs.v1.LogsService/Export",
        "log records",
    ),
}

_LOOKS_LIKE = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(resource(?:Spans|Metrics|Logs))"\s*:')
_KIND_OF: dict[bytes, Kind] = {protocol.json_key.encode(): kind for kind, protocol in KINDS.items()}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


@dataclass(frozen=True, slots=True)
class Request:
    """One export request; ``items`` are its spans, metric points or log records."""

    kind: Kind
    body: bytes
    items: int


def amount(count: int, noun: str) -> str:
    """Return how many of what, for people; ``noun`` is a plural in s."""
    return f"{count:,} {noun if count != 1 else noun.removesuffix('s')}"


def looks_like_request(head: bytes) -> bool:
    """Tell from its first bytes whether a file or line holds OTLP/JSON export requests."""
    return _LOOKS_LIKE.match(head) is not None


def parse(line: bytes) -> Request:
    """Read one OTLP/JSON export request.

    Raises:
        SourceError: When it is none; the text says why, not where.
    """
    match = _LOOKS_LIKE.match(line)
    if match is None:
        keys = ", ".join(protocol.json_key for protocol in KINDS.values())
        raise SourceError(f"expected an OTLP/JSON export request, an object that begins with one of {keys}")
    kind = _KIND_OF[match[1]]
    try:
        data: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"expected an OTLP/JSON export request of {kind}, found broken JSON: {error}") from None
    try:
        _convert_ids(data, _from_hex)
        message = ParseDict(data, KINDS[kind].request(), ignore_unknown_fields=True)
    except (ParseError, ValueError) as error:
        raise SourceError(f"expected an OTLP/JSON export request of {kind}, found: {error}") from None
    return Request(kind, message.SerializeToString(), _count(message, KINDS[kind].levels))


def to_json(request: Request) -> bytes:
    """Return the request as OTLP/JSON, in one line without a newline."""
    data = MessageToDict(KINDS[request.kind].request.FromString(request.body), use_integers_for_enums=True)
    # A request of nothing has no list either, and would not be recognised when it is read again.
    data.setdefault(KINDS[request.kind].json_key, [])
    _convert_ids(data, _to_hex)
    return orjson.dumps(data)


def split(request: Request) -> Iterator[Request]:
    """Yield two requests with half of the items each; more than one item is expected."""
    protocol = KINDS[request.kind]
    middle = request.items // 2
    for start, stop in ((0, middle), (middle, request.items)):
        message = protocol.request.FromString(request.body)
        _keep(message, protocol.levels, start, stop)
        yield Request(request.kind, message.SerializeToString(), stop - start)


def limited(request: Request, max_bytes: int) -> Iterator[Request]:
    """Yield the request, in parts when it is larger than ``max_bytes``; a single item is never divided."""
    if len(request.body) <= max_bytes or request.items <= 1:
        yield request
        return
    for half in split(request):
        yield from limited(half, max_bytes)


def _children(message: Any, level: str) -> Any:
    if level != "data_points":
        return getattr(message, level)
    # The one list that hides below a choice: gauge, sum, histogram ...
    kind = message.WhichOneof("data")
    return getattr(message, kind).data_points if kind else []


def _count(message: Any, levels: tuple[str, ...]) -> int:
    children = _children(message, levels[0])
    if len(levels) == 1:
        return len(children)
    return sum(_count(child, levels[1:]) for child in children)


def _keep(message: Any, levels: tuple[str, ...], start: int, stop: int) -> None:
    """Remove the items before ``start`` and from ``stop`` on, and the parents that this leaves empty."""
    children = _children(message, levels[0])
    position = _count(message, levels)
    for index in reversed(range(len(children))):
        size = _count(children[index], levels[1:]) if len(levels) > 1 else 1
        position -= size
        first, last = max(start - position, 0), min(stop - position, size)
        if first >= last:
            del children[index]
        elif len(levels) > 1:
            _keep(children[index], levels[1:], first, last)


def _convert_ids(value: object, convert: Callable[[str], str]) -> None:
    """Convert every trace and span id in place.

    No free key can be mistaken for one: attributes are lists of objects with ``key`` and ``value``.
    """
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        for key, item in fields.items():
            if key in _IDS and isinstance(item, str):
                fields[key] = convert(item)
            else:
                _convert_ids(item, convert)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _convert_ids(item, convert)


def _from_hex(text: str) -> str:
    return b64encode(bytes.fromhex(text)).decode()


def _to_hex(text: str) -> str:
    return b64decode(text).hex()
