"""The usual case, quickly: a line that holds one event which is in normal form already.

Two steps, so that an event is parsed once and waits for its place in the order as the bytes that came:
:func:`time_of` reads the time from the text, and :class:`LineReader` parses when the time has come. Each answers "not
for me" where the careful way of :mod:`sunbird_otel._decode` must look; neither refuses anything by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from msgspec import UNSET

from sunbird_otel._context import Context
from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS, is_eid, nanoseconds
from sunbird_otel._envelope import UNUSUAL, read
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

_MOST_CONTEXTS: Final = 4_096
_LONGEST_CONTEXT: Final = 4_096
"""Contexts that are kept in one generation, and bytes of the longest: about 20 MB in all."""


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


class LineReader:
    """Parses lines. It knows contexts again by their text, so that each is looked at once for many events.

    Args:
        limits: Those of the bridge.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with nothing known."""
        self._longest = min(limits.event_bytes, limits.request_bytes, limits.string_bytes)
        self._deepest = limits.nesting_depth
        self._contexts: dict[bytes, Context] = {}
        self._older: dict[bytes, Context] = {}

    def event(self, line: bytes) -> Event | None:  # noqa: C901, PLR0911, PLR0912 - one look after the other, no calls
        """Return the event on ``line`` if all that the bridge reads of it is in normal form; otherwise None."""
        if len(line) > self._longest:
            return None
        # An event with few brackets cannot be deep.
        if line.count(_OBJECT) + line.count(_ARRAY) > self._deepest:
            return None
        try:
            if not line.isascii():
                line.decode()
            envelope = read(line)
        except UNUSUAL:
            return None
        eid: str = envelope.eid
        mid: str = envelope.mid
        if not mid or not is_eid(eid):
            return None
        ets: Any = envelope.ets
        if type(ets) is float:
            if not ets.is_integer():
                return None
            ets = int(ets)
        if not EARLIEST_ETS_MS <= ets < LATEST_ETS_MS:
            return None
        context = self.context(bytes(envelope.context))
        if context is None:
            return None
        try:
            edata = orjson.loads(bytes(envelope.edata))
        except ValueError:
            return None
        if not is_object(edata):
            return None
        if (eid == "START" or eid == "END") and (  # noqa: PLR1714 - no tuple is searched
            type(edata.get("type", "")) is not str
            or type(edata.get("mode", "")) is not str
            or type(edata.get("pageid", "")) is not str
        ):
            return None
        actor = envelope.actor
        obj = envelope.object
        if obj is UNSET:
            obj = None
        elif not _has_texts(obj):
            return None
        return Event(eid, mid, nanoseconds(ets), context, actor.id, actor.type, obj, edata, envelope.tags, line)

    def context(self, text: bytes) -> Context | None:
        """Return the context that ``text`` is, and know it from now on; None when it is not in normal form."""
        context = self._contexts.get(text)
        if context is not None:
            return context
        context = self._older.get(text)
        if context is None:
            try:
                value = orjson.loads(text)
            except ValueError:
                return None
            if not _is_normal(value):
                return None
            context = Context(value)
            if len(text) > _LONGEST_CONTEXT:
                return context
        if len(self._contexts) >= _MOST_CONTEXTS:
            self._older, self._contexts = self._contexts, {}
        self._contexts[text] = context
        return context


def _has_texts(obj: dict[str, Any]) -> bool:
    return (
        type(obj.get("id", "")) is str
        and type(obj.get("type", "")) is str
        and type(obj.get("ver", "")) is str
        and type(obj.get("version", "")) is str
    )


def _is_normal(context: Any) -> bool:  # noqa: C901, PLR0911 - one check after the other
    """Tell whether what the bridge reads of a context is there and of the right type."""
    if not is_object(context):
        return False
    for name in ("sid", "did", "channel", "env"):
        if type(context.get(name, "")) is not str:
            return False
    pdata = context.get("pdata")
    if not is_object(pdata):
        return False
    for name in ("id", "pid", "ver"):
        if type(pdata.get(name, "")) is not str:
            return False
    if "cdata" not in context:
        return True
    cdata = context["cdata"]
    if not is_array(cdata):
        return False
    for entry in cdata:
        if not is_object(entry) or type(entry.get("id")) is not str or type(entry.get("type")) is not str:
            return False
    return True
