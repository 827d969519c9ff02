"""Which attribute a field of an event becomes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sunbird_otel import names
from sunbird_otel._event import Event
from sunbird_otel._json import dumps, is_array, is_empty, is_number, is_object
from sunbird_otel._measure import moments
from sunbird_otel._values import put

if TYPE_CHECKING:
    from sunbird_otel._context import Context
    from sunbird_otel._signals import Attributes

_SERVER_ERROR: Final = 500
_OWN_REQUEST_FIELDS: Final = ("type", "level", "message", "pageid")
_CDATA_KEYS: Final = {"playsession": names.PLAY_SESSION, "contentsession": names.CONTENT_SESSION}
_PIPELINE_LOG: Final = "telemetry_audit"


class _Table:
    """The fields of one eid's edata that have names of their own."""

    def __init__(self, paths: dict[str, str]) -> None:
        """Split ``paths`` into direct fields and, for each object, its own fields."""
        self.direct = {path: key for path, key in paths.items() if "." not in path}
        self.nested: dict[str, dict[str, str]] = {}
        for path, key in paths.items():
            outer, dot, inner = path.partition(".")
            if dot:
                self.nested.setdefault(outer, {})[inner] = key
        self.of_requests = tuple((field, self.direct.get(field, "")) for field in _OWN_REQUEST_FIELDS)

    def has_all_of(self, field: str, value: Any) -> bool:
        """Tell whether ``value`` is an object whose fields all have names of their own."""
        inner = self.nested.get(field)
        return inner is not None and is_object(value) and value.keys() <= inner.keys()


_TABLES: Final = {eid: _Table(paths) for eid, paths in names.EDATA.items()}
_NO_TABLE: Final = _Table({})


_NOBODY: Final = Event.of({"eid": "", "mid": "", "context": {}}, 0)


def context_attributes(attributes: Attributes, event: Event, beside: Event = _NOBODY) -> None:
    """Add who and where; with ``beside`` only what differs from that event, since the span around says the rest."""
    if event.context is not beside.context:
        place_attributes(attributes, event.context, beside.context)
    who_attributes(attributes, event, beside)


def who_attributes(attributes: Attributes, event: Event, beside: Event = _NOBODY) -> None:
    """Add who acts, and the tags, as far as they differ from ``beside``."""
    if event.actor_id != beside.actor_id:
        put(attributes, names.USER_ID, event.actor_id)
    if event.actor_type != beside.actor_type:
        put(attributes, names.ACTOR_TYPE, event.actor_type)
    if event.tags and event.tags != beside.tags:
        put(attributes, names.TAGS, event.tags)


def place_attributes(attributes: Attributes, context: Context, beside: Context = _NOBODY.context) -> None:
    """Add what a context says otherwise than ``beside``, but for the producer, which is the resource."""
    if context.sid != beside.sid:
        put(attributes, names.SESSION_ID, context.sid)
    if context.did != beside.did:
        put(attributes, names.DEVICE_ID, context.did)
    if context.channel != beside.channel:
        put(attributes, names.CHANNEL, context.channel)
    if context.env != beside.env:
        put(attributes, names.ENV, context.env)
    if context.pdata_pid != beside.pdata_pid:
        put(attributes, names.PDATA_PID, context.pdata_pid)
    if context.cdata and context.cdata != beside.cdata:
        _correlations(attributes, context)


def _correlations(attributes: Attributes, context: Context) -> None:
    for entry in context.cdata:
        name = _CDATA_KEYS.get(entry["type"].casefold())
        if name is not None and entry["id"]:
            attributes[name] = entry["id"]
    attributes[names.CDATA] = dumps(context.cdata)


def object_attributes(attributes: Attributes, event: Event) -> None:
    """Add the object and its place in the content hierarchy."""
    obj = event.object
    if obj:
        put(attributes, names.OBJECT_ID, obj.get("id"))
        put(attributes, names.OBJECT_TYPE, obj.get("type"))
        put(attributes, names.OBJECT_VERSION, obj.get("ver") or obj.get("version"))
    rollup = obj.get("rollup") or event.context.value.get("rollup")
    if rollup and is_object(rollup):
        for level, key in _ROLLUP:
            put(attributes, key, rollup.get(level))


_ROLLUP: Final = tuple((f"l{level}", key) for level, key in enumerate(names.ROLLUP, 1))


def edata_attributes(attributes: Attributes, edata: dict[str, Any], eid: str) -> dict[str, Any]:
    """Add the fields of ``edata`` that have a name of their own, and return the others."""
    table = _TABLES.get(eid, _NO_TABLE)
    # In the order of the table: that of the event differs from stage to stage of the pipeline.
    for outer, inner in table.nested.items():
        fields = edata.get(outer)
        if is_object(fields):
            for name, key in inner.items():
                put(attributes, key, fields.get(name))
    for field, key in table.direct.items():
        value = edata.get(field)
        if type(value) is str:
            if value:
                attributes[key] = value
        elif value is not None and not (table.nested and table.has_all_of(field, value)):
            put(attributes, key, value)
    return {
        field: value
        for field, value in edata.items()
        if field not in table.direct and not is_empty(value) and not (table.nested and table.has_all_of(field, value))
    }


def _put_edata(attributes: Attributes, edata: dict[str, Any], eid: str) -> None:
    other = edata_attributes(attributes, edata, eid)
    if other:
        attributes[names.EDATA_OTHER] = dumps(other)


def event_name(event: Event) -> str:
    """Return the name of the span event, or of the instant span, that stands for ``event``."""
    return names.EVENT_PREFIX + event.eid.lower()


def event_attributes(attributes: Attributes, event: Event, violations: tuple[str, ...]) -> None:
    """Add what an event says, besides who and where."""
    attributes[names.MID] = event.mid
    if violations:
        attributes[names.FLOW_VIOLATIONS] = list(violations)
    if event.late:
        attributes[names.LATE] = True
    if event.eid == "SHARE_ITEM" or event.edata.get("type") == _PIPELINE_LOG:
        attributes[names.SYNTHETIC] = True
    object_attributes(attributes, event)
    _put_edata(attributes, event.edata, event.eid)
    if event.eid == "SHARE":
        items = event.edata.get("items")
        if is_array(items):
            ids = [item["id"] for item in items if is_object(item) and isinstance(item.get("id"), str)]
            put(attributes, names.SHARE_ITEM_IDS, ids)


def open_attributes(attributes: Attributes, event: Event, *, is_job: bool) -> None:
    """Add what the opening event of a flow says."""
    agent = event.edata.get("uaspec")
    if is_object(agent):
        put(attributes, names.USER_AGENT, agent.get("raw"))
    if is_job:
        put(attributes, names.JOB_NAME, event.context.pdata_pid)
    _put_edata(attributes, event.edata, event.eid)


def close_attributes(attributes: Attributes, event: Event, opener: Event) -> None:
    """Add what the closing event of a flow says.

    It fills in what the opening event left open (the object of a QR scan, for example). Where the two differ, the
    opening event's value stays, and the other one goes to :data:`sunbird_otel.names.END_OTHER`.
    """
    attributes[names.END_MID] = event.mid
    said: Attributes = {}
    context_attributes(said, event, beside=opener)
    object_attributes(said, event)
    other = edata_attributes(said, event.edata, event.eid)
    for key, value in said.items():
        if key not in attributes:
            attributes[key] = value
        elif attributes[key] != value:
            other[key] = value
    if other:
        attributes[names.END_OTHER] = dumps(other)


def error_text(event: Event) -> str:
    """Return the text for the status of a span in which ``event`` failed."""
    edata = event.edata
    parts = [edata.get(field) for field in ("err", "errtype", "message", "status")]
    return ": ".join(part for part in parts if isinstance(part, str) and part)[:_ERROR_TEXT]


_ERROR_TEXT: Final = 200


class _Params:
    """The fields of a request, and how many of them have been asked for: each once."""

    __slots__ = ("asked", "fields")

    def __init__(self, fields: dict[str, Any]) -> None:
        """Begin with none asked for."""
        self.fields = fields
        self.asked = 0

    def get(self, name: str) -> Any:
        """Return the value of a field; None when there is none."""
        value = self.fields.get(name)
        if value is not None:
            self.asked += 1
        return value


def request_attributes(attributes: Attributes, event: Event, request_id: str) -> tuple[str, bool]:
    """Add what a LOG api_access or an ACCESS says.

    Returns:
        The name of the span, ``METHOD route`` with ids in the path replaced by ``{id}``, and whether the server failed.
    """
    params = _Params(event.params)
    name = _method_and_url(attributes, params)
    status = params.get("status")
    code = _status_code(status)
    if code:
        attributes[names.HTTP_STATUS] = code
    else:
        put(attributes, names.REQUEST_STATUS, status)
    size = params.get("size")
    if is_number(size):
        attributes[names.HTTP_BODY_SIZE] = int(size)
    rid = params.get("rid")
    put(attributes, names.REQUEST_ID, request_id)
    if isinstance(rid, str) and rid != request_id:
        put(attributes, names.REQUEST_API, rid)
    for field, key in _REQUEST_FIELDS:
        put(attributes, key, params.get(field))
    _own_attributes(attributes, params, event.eid)
    if params.asked + ("params" in params.fields) < len(params.fields):
        rest = {f: v for f, v in params.fields.items() if f not in _READ_REQUEST_FIELDS and not is_empty(v)}
        if rest:
            attributes[names.REQUEST_PARAMS] = dumps(rest)
    return name, code >= _SERVER_ERROR


def _own_attributes(attributes: Attributes, params: _Params, eid: str) -> None:
    """Add the fields that a LOG has beside its ``params``."""
    other: dict[str, Any] = {}
    for field, key in _TABLES.get(eid, _NO_TABLE).of_requests:
        value = params.get(field)
        if key:
            put(attributes, key, value)
        elif not is_empty(value):
            other[field] = value
    if other:
        attributes[names.EDATA_OTHER] = dumps(other)


class _Call:
    """What is called: a method of HTTP, the parts of a URL, and what a span of it is named."""

    __slots__ = ("method", "name", "path", "query")

    def __init__(self, method: str, url: str) -> None:
        """Take ``url`` apart; ``method`` is not used if it is none."""
        self.method = method.upper() if _METHOD.fullmatch(method) else ""
        self.path, _, self.query = url.partition("?")
        self.name = f"{self.method or 'HTTP'} {route(self.path)}" if url else self.method or "HTTP"


def _call(method: str, url: str) -> _Call:
    calls = _CALLS.get(method)
    if calls is None:
        return _Call(method, url)
    call = calls.get(url)
    if call is None:
        if len(calls) >= _MOST_CALLS:
            calls.clear()
        call = calls[url] = _Call(method, url)
    return call


def _method_and_url(attributes: Attributes, params: _Params) -> str:
    method, url = params.get("method"), params.get("url") or params.get("path")
    url = url if isinstance(url, str) else ""
    call = _call(method if isinstance(method, str) else "", url)
    if call.method:
        attributes[names.HTTP_METHOD] = call.method
    if url:
        attributes[names.URL_PATH] = call.path
    if call.query:
        attributes[names.URL_QUERY] = call.query
    return call.name


_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")
_METHODS: Final = ("", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_CALLS: Final[dict[str, dict[str, _Call]]] = {method: {} for method in _METHODS}
"""The calls that were made lately, by method and URL. Of other methods, which anybody may invent, none is kept."""
_MOST_CALLS: Final = 2_000
_REQUEST_FIELDS: Final = tuple(names.REQUEST_FIELDS.items())
_READ_REQUEST_FIELDS: Final = frozenset(
    {"params", "method", "url", "path", "status", "size", "rid", *names.REQUEST_FIELDS, *_OWN_REQUEST_FIELDS}
)


def _status_code(status: object) -> int:
    if isinstance(status, str) and status.isascii() and status.isdigit() and len(status) == _STATUS_DIGITS:
        return int(status)
    if isinstance(status, float) and status.is_integer():
        status = int(status)
    return status if type(status) is int and _LEAST_STATUS <= status <= _GREATEST_STATUS else 0


_STATUS_DIGITS: Final = 3
_LEAST_STATUS: Final = 100
_GREATEST_STATUS: Final = 599


_TO_DIGIT: Final = r"[^/0-9]*+[0-9]"
_ID: Final = re.compile(
    rf"""/(?:
        {_TO_DIGIT * 4}[^/]*+
        | [0-9]+
        | [^/]{{41,}}+
        | [0-9A-Fa-f]{{32}} | [0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}
    )(?![^/])""",
    re.VERBOSE,
)
"""A segment with its slash that looks like an id: of four digits or more, nothing but digits, long, or a UUID."""


def route(path: str) -> str:
    """Return ``path`` with what looks like an id replaced, so that names stay few.

    >>> route("/content/v3/upload/do_11330179562065100813290")
    '/content/v3/upload/{id}'
    """
    if "://" in path:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return _ID.sub("/{id}", "/" + path)[1:]


def metric_attributes(event: Event) -> Attributes:
    """Return what all points of a METRICS event share."""
    attributes: Attributes = {}
    put(attributes, names.METRIC_SYSTEM, event.edata.get("system"))
    put(attributes, names.METRIC_SUBSYSTEM, event.edata.get("subsystem"))
    # What tells series apart, and no more: a user or a session would make a series of each measurement.
    put(attributes, names.CHANNEL, event.context.channel)
    put(attributes, names.ENV, event.context.env)
    put(attributes, names.PDATA_PID, event.context.pdata_pid)
    put(attributes, names.DEVICE_ID, event.context.did)
    named = {"system", "subsystem", "metrics"}
    other: dict[str, Any] = {
        field: value
        for field, value in event.edata.items()
        if field not in named and not is_empty(value) and not is_number(value)
    }
    other.update(moments(event))
    if other:
        attributes[names.EDATA_OTHER] = dumps(other)
    return attributes
