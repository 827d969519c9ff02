"""The usual case, quickly: a line that holds one event which is in normal form already.

Two steps, so that an event is parsed once and waits for its place in the order as the bytes that came:
:func:`time_of` reads the time from the text, and :func:`event_of` parses when the time has come. Each answers "not
for me" where the careful way of :mod:`sunbird_otel._decode` must look; neither refuses anything by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS, is_eid, nanoseconds
from sunbird_otel._event import Event
from sunbird_otel._json import is_array, is_object

if TYPE_CHECKING:
    from sunbird_otel._limits import Limits

_OBJECT: Final = b"{"
_ARRAY: Final = b"["

# As nearly all producers and every stage of the pipeline write it: right after the eid, 1700000000000 or 1.7E12.
_USUAL: Final = re.compile(rb'\{"eid":"[A-Z_]+","ets":(?:([0-9]{13})|([0-9](?:\.[0-9]+)?E12))[,}]')
# Anything else with eid and ets before the first nested value; what stands inside an event cannot be mistaken for them.
_SCALAR: Final = rb'"[^"\\]*": ?(?:"[^"\\]*"|[-+.0-9Ee]+|true|false|null), ?'
_HEAD: Final = re.compile(
    rb"\{ ?(?=(?:"
    + _SCALAR
    + rb')*"eid": ?")(?:'
    + _SCALAR
    + rb')*"ets": ?([0-9]{13}(?:\.0)?|[0-9]+(?:\.[0-9]+)?[Ee]\+?[0-9]+) ?[,}]'
)

_TEXT_KEYS: Final = ("id", "type", "ver", "version")


def time_of(line: bytes) -> int:
    """Return the time of the event on ``line`` in nanoseconds; 0 when only parsing can tell."""
    match = _USUAL.match(line)
    if match is not None and (digits := match[1]) is not None:
        ms = int(digits)
    else:
        text = match[2] if match is not None else (found[1] if (found := _HEAD.match(line)) is not None else b"0")
        number = float(text)
        if not number.is_integer():
            return 0
        ms = int(number)
    # A time that cannot be is refused at once: it must not move the window on.
    return nanoseconds(ms) if EARLIEST_ETS_MS <= ms < LATEST_ETS_MS else 0


def event_of(line: bytes, limits: Limits) -> Event | None:
    """Return the event on ``line`` if all that the bridge reads of it is in normal form; otherwise None."""
    try:
        body = orjson.loads(line)
    except ValueError:
        return None
    if not is_object(body) or not _is_normal(body):
        return None
    ets = body["ets"]
    if type(ets) is float:
        if not ets.is_integer():
            return None
    elif type(ets) is not int:
        return None
    ms = int(ets)
    size = len(line)
    if (
        not EARLIEST_ETS_MS <= ms < LATEST_ETS_MS
        or size > limits.event_bytes
        or size > limits.request_bytes
        or size > limits.string_bytes
        or line.count(_OBJECT) + line.count(_ARRAY) > limits.nesting_depth
    ):
        return None
    return Event(body, nanoseconds(ms), b"", None, line)


def _is_normal(body: dict[str, Any]) -> bool:  # noqa: C901, PLR0911, PLR0912 - one check after the other, no calls
    """Tell whether what the bridge reads is there and of the right type; in the order of what most often is not."""
    eid = body.get("eid")
    mid = body.get("mid")
    context = body.get("context")
    if type(eid) is not str or type(mid) is not str or not mid or not is_object(context) or "ets" not in body:
        return False
    if not is_eid(eid):
        return False
    if (
        type(context.get("sid", "")) is not str
        or type(context.get("did", "")) is not str
        or type(context.get("channel", "")) is not str
        or type(context.get("env", "")) is not str
    ):
        return False
    pdata = context.get("pdata")
    if not is_object(pdata):
        return False
    if type(pdata.get("id", "")) is not str or type(pdata.get("pid", "")) is not str:
        return False
    if type(pdata.get("ver", "")) is not str:
        return False
    cdata = context.get("cdata")
    if cdata is not None or "cdata" in context:
        if not is_array(cdata):
            return False
        for entry in cdata:
            if not is_object(entry) or type(entry.get("id")) is not str or type(entry.get("type")) is not str:
                return False
    actor = body.get("actor")
    if not is_object(actor) or type(actor.get("id", "")) is not str or type(actor.get("type", "")) is not str:
        return False
    obj = body.get("object")
    if obj is None:
        if "object" in body:
            return False
    elif not is_object(obj):
        return False
    else:
        for key in _TEXT_KEYS:
            if type(obj.get(key, "")) is not str:
                return False
    edata = body.get("edata")
    if not is_object(edata):
        return False
    if eid in ("START", "END"):
        return (
            type(edata.get("type", "")) is str
            and type(edata.get("mode", "")) is str
            and type(edata.get("pageid", "")) is str
        )
    return True
