"""Does Sunbird's pipeline accept this event?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import JsonValue, ValidationError

from sunbird_otel.schema import _events
from sunbird_otel.schema._envelope import Event, Unnamed
from sunbird_otel.schema._refusals import Refusal, brief, explain

MODELS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "START": _events.Start,
        "END": _events.End,
        "IMPRESSION": _events.Impression,
        "INTERACT": _events.Interact,
        "ASSESS": _events.Assess,
        "RESPONSE": _events.Response,
        "INTERRUPT": _events.Interrupt,
        "FEEDBACK": _events.Feedback,
        "SHARE": _events.Share,
        "AUDIT": _events.Audit,
        "ERROR": _events.Error,
        "HEARTBEAT": _events.Heartbeat,
        "LOG": _events.Log,
        "SEARCH": _events.Search,
        "METRICS": _events.Metrics,
        "SUMMARY": _events.Summary,
        "EXDATA": _events.Exdata,
    }
)
"""The events that have a schema, by eid."""

_FAILED = "the pipeline moves it to its failed topic"
_OF_JOBS = f"though Sunbird's analytics jobs write it; {_FAILED}"

# Eids that Sunbird writes or names though no schema knows them.
_WITHOUT_SCHEMA = {
    "JOB_START": _OF_JOBS,
    "JOB_LOG": _OF_JOBS,
    "JOB_END": _OF_JOBS,
    "METRIC": _OF_JOBS,
    "SHARE_ITEM": f"since the pipeline itself makes it from a SHARE; sent by a client, {_FAILED}",
    "LEVEL_SET": f"though Sunbird's workflows name it; {_FAILED}",
    "ACCESS": "though Sunbird's workflows name it; services write LOG of type api_access instead",
    "APP_UPDATE": "though Sunbird's workflows name it; clients write LOG of type app_update instead",
    "PLUGIN_LIFECYCLE": "though Sunbird's workflows name it; clients write INTERACT with edata.plugin instead",
}
_SUMMARY_PREFIX = "ME_"

_BY_SCHEMA_NAME = {eid.lower(): model for eid, model in MODELS.items()}

# The fields that the schemas know lie less deep.
_SCHEMA_DEPTH = 8


def validate(event: Mapping[str, Any] | JsonValue) -> list[Refusal]:
    """Return every reason for which the pipeline's schemas refuse an event (a mapping); none if they accept it.

    The order is by path. Takes any JSON value and never raises. An eid chooses its schema in any case, as in the
    pipeline, and is then refused if it is not in upper case. An event without an eid is checked as an envelope. NaN and
    Infinity, which no JSON text can hold, are refused where a number is looked at.

    One difference is on purpose: by accident the pipeline also takes an eid that names the schema of a part (OBJECT,
    CONTEXT, ENVELOPE ...), by which it then checks the whole event; here such an eid has no schema.
    """
    if not isinstance(event, Mapping):
        return [Refusal("$", "an object", brief(event))]
    eid = event.get("eid")
    model: type[Event] | None
    if not isinstance(eid, str) or not eid:
        model = Unnamed
    elif (model := _BY_SCHEMA_NAME.get(eid.lower())) is None:
        return [Refusal("$.eid", _why_no_schema(eid), brief(eid))]
    try:
        model.model_validate(dict(event), by_alias=True, by_name=False)
    except ValidationError as error:
        if any(detail["type"] == "string_unicode" for detail in error.errors(include_url=False)):
            return validate(_mended(dict(event), _SCHEMA_DEPTH))
        return explain(error)
    return []


def _why_no_schema(eid: str) -> str:
    reason = _OF_JOBS if eid.startswith(_SUMMARY_PREFIX) else _WITHOUT_SCHEMA.get(eid)
    return f"an eid that has a schema; this one has none, {reason}" if reason else "an eid that has a schema"


def _mended(value: JsonValue, depth: int) -> JsonValue:
    """Return a copy without lone surrogates, which JSON and its schemas allow and pydantic cannot look at."""
    if isinstance(value, str):
        return _printable(value)
    if depth and isinstance(value, dict):
        return {_printable(key): _mended(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list):
        return [_mended(item, depth - 1) for item in value]
    return value


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()
