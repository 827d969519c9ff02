"""Every name that the bridge writes, once: spans, attributes, span events, metrics.

Names are OpenTelemetry's where a semantic convention exists, and ``sunbird.*`` for the rest. A field that many events
share has one name; a field of one event is ``sunbird.<eid>.<field>``. Names are few and fixed: ids and free text are
values, never parts of a name. Fields that no table here knows travel together as one JSON string
(:data:`EDATA_OTHER`), so that nothing is lost and no producer can invent names.

``docs/attributes.md`` is generated from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Name:
    """One row of the table of names: what is written, where it stands, and where it comes from."""

    key: str
    place: str
    type: str
    meaning: str
    source: str


TABLE: list[Name] = []
"""All names in the order of the documentation."""


def _name(key: str, place: str, type_: str, meaning: str, source: str) -> str:
    TABLE.append(Name(key, place, type_, meaning, source))
    return key


# --- Resource and scope ------------------------------------------------------------------------------------------

SERVICE_NAME: Final = _name("service.name", "resource", "string", "the producer", "context.pdata.id")
SERVICE_VERSION: Final = _name("service.version", "resource", "string", "its version", "context.pdata.ver")
SCOPE: Final = _name("sunbird_otel", "scope", "string", "this package, with its version", "-")
UNKNOWN_SERVICE: Final = "unknown_service"
"""The service name of an event without ``pdata.id``: OpenTelemetry's own word for it."""

# --- Flows -------------------------------------------------------------------------------------------------------

_FLOW = "flow span"
FLOW_TYPE: Final = _name("sunbird.flow.type", _FLOW, "string", "kind of the flow, as the rules name it", "rules")
WORKFLOW: Final = _name("sunbird.workflow", _FLOW, "string", "the standard workflow it belongs to", "rules")
EDATA_TYPE: Final = _name("sunbird.edata.type", _FLOW, "string", "type as the client wrote it", "START edata.type")
EDATA_MODE: Final = _name("sunbird.edata.mode", _FLOW, "string", "mode as the client wrote it", "START edata.mode")
FLOW_END_REASON: Final = _name(
    "sunbird.flow.end_reason",
    "span",
    "string",
    "how it ended: end, restart, parent_end, idle, drain, evicted; instant for a span made for a lone event",
    "flow engine",
)
FLOW_VIOLATIONS: Final = _name(
    "sunbird.flow.violations",
    "span, span event",
    "string[]",
    "codes of the rules that it breaks",
    "flow engine",
)
FLOW_REPAIR: Final = _name(
    "sunbird.flow.repair",
    _FLOW,
    "string[]",
    "what the policy repair changed: reparented, adopted, synthetic, start_moved, end_moved",
    "flow engine",
)
FLOW_OBSERVED_START: Final = _name(
    "sunbird.flow.observed_start", _FLOW, "int", "ns since 1970; the start before repair moved it", "flow engine"
)
FLOW_OBSERVED_END: Final = _name(
    "sunbird.flow.observed_end", _FLOW, "int", "ns since 1970; the end before repair moved it", "flow engine"
)
FLOW_SEGMENT: Final = _name(
    "sunbird.flow.segment",
    _FLOW,
    "int",
    "a part of a flow with too many events for one span, counted from 1; its parent is the flow's span, or it links to "
    "that from a further trace",
    "flow engine",
)
FLOW_SEGMENTS: Final = _name(
    "sunbird.flow.segments", _FLOW, "int", "how many such parts precede the events of this span", "flow engine"
)
FLOW_LOST_EVENTS: Final = _name(
    "sunbird.flow.lost_events",
    _FLOW,
    "int",
    "span events that OpenTelemetry's SDK had dropped for its limit before the plugin saw the span",
    "plugin",
)
START_MID: Final = _name("sunbird.start.mid", _FLOW, "string", "the opening event", "START mid")
END_MID: Final = _name("sunbird.end.mid", _FLOW, "string", "the END that closed it", "END mid")
MID: Final = _name("sunbird.mid", "span, span event", "string", "the one event it stands for", "mid")
LATE: Final = _name(
    "sunbird.late", "span, span event", "bool", "the event came after its place in the order had passed", "order"
)
SYNTHETIC: Final = _name(
    "sunbird.synthetic",
    "span, span event",
    "bool",
    "written by Sunbird's pipeline, not by a client (SHARE_ITEM, telemetry_audit)",
    "eid, edata.type",
)
LINK_TYPE: Final = _name(
    "sunbird.link.type",
    "link",
    "string",
    "why the spans are linked: service_run, request, closed_flow; parent and flow from a further trace, to the flow "
    "around it and to the flow whose events it holds, when their trace was full; by the plugin, a request that stands "
    "in another trace: session, device, request, and previous_day for a session from before midnight (UTC)",
    "flow engine, plugin",
)

FLOW_PENDING: Final = _name(
    "sunbird.flow.pending",
    "span of an open flow",
    "bool",
    "the flow had not ended when this was written; its own span, the parent of this one, comes when it has",
    "flow engine, plugin",
)
TRUNCATED: Final = _name(
    "sunbird.truncated",
    "span, span event",
    "string[]",
    "keys of attributes that were cut, since their values were longer than the setting allows",
    "limit attribute_bytes",
)

# --- Fields that many events share -------------------------------------------------------------------------------

_ANY = "span, span event"
SESSION_ID: Final = _name("session.id", _ANY, "string", "the session", "context.sid")
USER_ID: Final = _name("user.id", _ANY, "string", "the user or system that acts", "actor.id")
DEVICE_ID: Final = _name("device.id", _ANY, "string", "the device", "context.did")
ACTOR_TYPE: Final = _name("sunbird.actor.type", _ANY, "string", "kind of actor: User, System ...", "actor.type")
CHANNEL: Final = _name("sunbird.channel", _ANY, "string", "tenant", "context.channel")
ENV: Final = _name("sunbird.env", _ANY, "string", "part of the client: home, contentplayer ...", "context.env")
PDATA_PID: Final = _name("sunbird.pdata.pid", _ANY, "string", "process of the producer", "context.pdata.pid")
PLAY_SESSION: Final = _name("sunbird.play_session.id", _ANY, "string", "one play", "context.cdata PlaySession")
CONTENT_SESSION: Final = _name(
    "sunbird.content_session.id", _ANY, "string", "replays of a content", "context.cdata ContentSession"
)
CDATA: Final = _name("sunbird.cdata", _ANY, "string", "correlation data as JSON", "context.cdata")
OBJECT_ID: Final = _name("sunbird.object.id", _ANY, "string", "the content or other object", "object.id")
OBJECT_TYPE: Final = _name("sunbird.object.type", _ANY, "string", "its type", "object.type")
OBJECT_VERSION: Final = _name("sunbird.object.version", _ANY, "string", "its version", "object.ver or .version")
ROLLUP: Final = tuple(
    _name(f"sunbird.rollup.l{n}", _ANY, "string", f"ancestor of the object, level {n}", "object.rollup, context.rollup")
    for n in (1, 2, 3, 4)
)
PAGE_ID: Final = _name("sunbird.page.id", _ANY, "string", "the page", "edata.pageid")
TAGS: Final = _name("sunbird.tags", _ANY, "string[]", "dimension tags", "tags")
EDATA_OTHER: Final = _name(
    "sunbird.edata.other", _ANY, "string", "fields of edata without a name of their own, as JSON", "edata"
)
END_OTHER: Final = _name(
    "sunbird.end.other",
    _FLOW,
    "string",
    "what the END says otherwise than the START, and fields without a name, as JSON",
    "END",
)

# --- Span events and metrics -------------------------------------------------------------------------------------

EVENT_PREFIX: Final = "sunbird."
"""A span event, and the span of a lone event, is called ``sunbird.<eid in lower case>``."""

METRIC: Final = _name(
    "sunbird.metrics.value", "metric (gauge, unit 1)", "as given", "one measurement of a METRICS event", "edata.metrics"
)
METRIC_NAME: Final = _name(
    "sunbird.metrics.metric",
    "metric point",
    "string",
    "what was measured",
    "edata.metrics[].metric, or the field",
)
METRIC_SYSTEM: Final = _name("sunbird.metrics.system", "metric point", "string", "measured system", "edata.system")
METRIC_SUBSYSTEM: Final = _name("sunbird.metrics.subsystem", "metric point", "string", "part of it", "edata.subsystem")

EVENTS: Final = _name("sunbird.events", "metric (counter, unit {event})", "int", "emitted events", "the emitter")
EID: Final = _name("sunbird.eid", "metric point", "string", "kind of the event", "eid")
FLOW_DURATION: Final = _name(
    "sunbird.flow.duration", "metric (histogram, unit s)", "float", "how long flows lasted", "the emitter"
)

# --- Requests (LOG api_access, ACCESS) ---------------------------------------------------------------------------

_REQ = "request span"
HTTP_METHOD: Final = _name("http.request.method", _REQ, "string", "HTTP method", "params method")
URL_PATH: Final = _name("url.path", _REQ, "string", "path as called", "params url, path")
URL_QUERY: Final = _name("url.query", _REQ, "string", "query of the URL", "params url")
HTTP_STATUS: Final = _name("http.response.status_code", _REQ, "int", "HTTP status", "params status")
HTTP_BODY_SIZE: Final = _name("http.response.body.size", _REQ, "int", "bytes", "params size")
URL_SCHEME: Final = _name("url.scheme", _REQ, "string", "http, https", "params protocol")
CLIENT_ADDRESS: Final = _name("client.address", _REQ, "string", "caller's address", "params uip")
REQUEST_ID: Final = _name("sunbird.request.id", _REQ, "string", "correlation id", "cdata Request, params rid")
REQUEST_API: Final = _name("sunbird.request.api", _REQ, "string", "API name, where rid is one", "params rid")
REQUEST_STATUS: Final = _name("sunbird.request.status", _REQ, "string", "status that is no number", "params status")
REQUEST_TITLE: Final = _name("sunbird.request.title", _REQ, "string", "title", "params title")
REQUEST_CATEGORY: Final = _name("sunbird.request.category", _REQ, "string", "category", "params category")
REQUEST_DURATION: Final = _name("sunbird.request.duration", _REQ, "number", "ms, as given", "params duration")
REQUEST_PARAMS: Final = _name("sunbird.request.params", _REQ, "string", "other params, as JSON", "params")

REQUEST_FIELDS: Final[dict[str, str]] = {
    "uip": CLIENT_ADDRESS,
    "protocol": URL_SCHEME,
    "title": REQUEST_TITLE,
    "category": REQUEST_CATEGORY,
    "duration": REQUEST_DURATION,
}
"""Fields of a request that are copied as they are."""

# --- Fields of one event -----------------------------------------------------------------------------------------

ERROR_TYPE: Final = _name("error.type", _ANY, "string", "class of the error", "ERROR edata.errtype")
EXCEPTION_MESSAGE: Final = _name("exception.message", _ANY, "string", "error code or text", "ERROR edata.err")
EXCEPTION_STACKTRACE: Final = _name("exception.stacktrace", _ANY, "string", "trace", "ERROR edata.stacktrace")
USER_AGENT: Final = _name("user_agent.original", _FLOW, "string", "user agent", "START edata.uaspec.raw")
JOB_NAME: Final = _name("sunbird.job.name", "job span", "string", "the job or model", "context.pdata.pid")

_META = {
    "type": ("string", "type as given"),
    "subtype": ("string", "subtype as given"),
    "duration": ("number", "s, as given; clients disagree about the unit"),
    "level": ("string", "severity as given"),
    "message": ("string", "text"),
    "score": ("number", "score"),
    "size": ("int", "count"),
    "state": ("string", "state"),
    "prevstate": ("string", "state before"),
    "status": ("string", "SUCCESS or FAILED"),
    "index": ("int", "index"),
    "rating": ("number", "rating"),
}

EDATA: Final[dict[str, dict[str, str]]] = {}
"""For each eid, the fields of its edata with a name of their own: path (dots for nesting) to attribute."""


def _fields(eid: str, *paths: str, **conventions: str) -> None:
    prefix = EVENT_PREFIX + eid.lower() + "."
    table = EDATA.setdefault(eid, {})
    for path in paths:
        snake = "".join("_" + c.lower() if c.isupper() else c for c in path)
        kind, meaning = _META.get(path.rsplit(".", 1)[-1], ("as given", path))
        table[path] = _name(prefix + snake, f"event {eid}", kind, meaning, f"{eid} edata.{path}")
    table.update(conventions)


_fields("START", "duration", "loc", "dspec", "uaspec", type=EDATA_TYPE, mode=EDATA_MODE, pageid=PAGE_ID)
_fields("END", "type", "mode", "pageid", "duration", "summary")
_fields("IMPRESSION", "type", "subtype", "uri", "visits", "duration", pageid=PAGE_ID)
_fields("INTERACT", "type", "subtype", "id", "target", "plugin", "extra", "duration", pageid=PAGE_ID)
_fields("ASSESS", "item.id", "item.type", "item.title", "item.maxscore", "item", "pass", "score", "resvalues")
_fields("ASSESS", "duration", "index", pageid=PAGE_ID)
_fields("RESPONSE", "type", "target.id", "target.type", "target", "values", pageid=PAGE_ID)
_fields("INTERRUPT", "type", pageid=PAGE_ID)
_fields("FEEDBACK", "rating", "comments", "commentid", "commenttxt", pageid=PAGE_ID)
_fields("SHARE", "dir", "type", "items", pageid=PAGE_ID)
_fields("SHARE_ITEM", "dir", "type", "size")
_fields("AUDIT", "type", "state", "prevstate", "props", "duration")
_fields(
    "ERROR",
    "object",
    "plugin",
    err=EXCEPTION_MESSAGE,
    errtype=ERROR_TYPE,
    stacktrace=EXCEPTION_STACKTRACE,
    pageid=PAGE_ID,
)
_fields("HEARTBEAT", "type", pageid=PAGE_ID)
_fields("LOG", "type", "level", "message", "params", pageid=PAGE_ID)
_fields("SEARCH", "type", "query", "size", "filters", "sort", "topn", "correlationid", pageid=PAGE_ID)
_fields("METRICS")
_fields("SUMMARY", "type", "mode", "starttime", "endtime", "timespent", "pageviews", "interactions", "extra")
_fields("EXDATA", "type", "data")
_fields("ACCESS", "type")
_fields("LEVEL_SET", "category", "score", "current", "max", "atmpts", "failedatmpts", pageid=PAGE_ID)
_fields("PLUGIN_LIFECYCLE", "type", "pluginid", "pluginver", "objectid", "stage", "containerid", pageid=PAGE_ID)
_fields("APP_UPDATE", "message", pageid=PAGE_ID)
_fields("JOB_START", "class", "level", "message", "data", "status")
_fields("JOB_LOG", "class", "level", "message", "data", "status")
_fields("JOB_END", "class", "level", "message", "data", "status")

SHARE_ITEM_IDS: Final = _name(
    "sunbird.share.item_ids", "event SHARE", "string[]", "ids of what was shared", "SHARE items"
)
