"""The usual case, quickly: a line that holds one event which is in normal form already.

Two steps, so that an event is parsed once and waits for its place in the order as the bytes that came:
:func:`time_of` reads the time from the text, and :class:`LineReader` parses when the time has come. Each answers "not
for me" where the careful way of :mod:`sunbird_otel._decode` must look; neither refuses anything by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from sunbird_otel._context import Context
from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS, MS, is_eid, of_milliseconds
from sunbird_otel._envelope import LEVELS, UNUSUAL, read, read_shallow, read_shallow_context
from sunbird_otel._event import Event
from sunbird_otel._json import is_array, is_object

if TYPE_CHECKING:
    from sunbird_otel._limits import Limits

_OBJECT: Final = b"{"
_ARRAY: Final = b"["

# As nearly all producers and every stage of the pipeline write it: right after the eid, 1700000000000 or 1.7E12.
_USUAL: Final = re.compile(rb'\{"eid":"[A-Z_]++","ets":([0-9]\.[0-9]++E12|[0-9]{13})[,}]')
# Anything else with eid and ets before the first nested value; what stands inside an event cannot be mistaken for them.
_SCALAR: Final = rb'"[^"\\]*": ?(?:"[^"\\]*"|[-+.0-9Ee]+|true|false|null), ?'
_HEAD: Final = re.compile(
    rb"\{ ?(?=(?:"
    + _SCALAR
    + rb')*"eid": ?")(?:'
    + _SCALAR
    + rb')*"ets": ?([0-9]{13}(?:\.0)?|[0-9]+(?:\.[0-9]+)?[Ee]\+?[0-9]+) ?[,}]'
)

_ROOM: Final = 1_000
"""Bytes of a line beside its context that need no look: they may hold 500 levels, which every parser can read."""

_RUN: Final = 64
"""How many lines after an unusual one are taken to be as unusual."""

_MOST_CONTEXTS: Final = 4_096
_LONGEST_CONTEXT: Final = 4_096
"""Contexts that are kept in one generation, and bytes of the longest: about 20 MB in all."""


def time_of(line: bytes) -> int:
    """Return the time of the event on ``line`` in nanoseconds; 0 when only parsing can tell."""
    match = _USUAL.match(line) or _HEAD.match(line)
    if match is None:
        return 0
    number = float(match[1])
    # A time that cannot be is refused at once: it must not move the window on.
    if not EARLIEST_ETS_MS <= number < LATEST_ETS_MS:
        return 0
    ms = int(number)
    return of_milliseconds(ms) if ms == number else 0


class LineReader:
    """Parses lines. It knows contexts again by their text, so that each is looked at once for many events.

    Args:
        limits: Those of the bridge.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with nothing known."""
        # Below that depth every event is for the careful way.
        reads = limits.nesting_depth >= LEVELS
        self._longest = min(limits.event_bytes, limits.request_bytes, limits.string_bytes) if reads else 0
        self._deepest = limits.nesting_depth
        self._unusual = 0
        self._contexts: dict[bytes, Context] = {}
        self._older: dict[bytes, Context] = {}

    def event(self, line: bytes, ets_ns: int) -> Event | None:  # noqa: PLR0911 - one look after the other, no calls
        """Return the event on ``line`` if all that the bridge reads of it is in normal form; otherwise None.

        Args:
            line: The text.
            ets_ns: What :func:`time_of` says of it; where the event has another time, this is for the careful way.
        """
        if len(line) > self._longest:
            return None
        try:
            parts = self._parts(line)
        except UNUSUAL:
            return None
        if parts is None:
            return None
        eid: str = parts.eid
        mid: str = parts.mid
        if not mid or not is_eid(eid) or parts.ets != ets_ns // MS:
            return None
        text: bytes = b"" + parts.context  # a copy, and quicker than `bytes()`
        # Of a context that stands there twice only the last was looked at.
        if len(line) - len(text) > _ROOM and _brackets(line) > self._deepest:
            return None
        context = self.context(text)
        if context is None:
            return None
        edata: dict[str, Any] = parts.edata
        if (eid == "START" or eid == "END") and (  # noqa: PLR1714 - no tuple is searched
            type(edata.get("type", "")) is not str
            or type(edata.get("mode", "")) is not str
            or type(edata.get("pageid", "")) is not str
        ):
            return None
        obj: dict[str, Any] = parts.object
        if obj and not _has_texts(obj):
            return None
        actor = parts.actor
        return Event(eid, mid, ets_ns, context, actor.id, actor.type, obj, edata, parts.tags, line)

    def _parts(self, line: bytes) -> Any:
        """Return what stands on the outermost level of ``line``, its ``edata`` parsed; None when it is not as usual.

        Nearly all events are shallow. One that is not is read in another way, and so are those that follow at once,
        since they are likely to be as unusual. What is read, and as what, is the same with and without that.
        """
        tried = not self._unusual
        if tried:
            try:
                return read_shallow(line)
            except UNUSUAL:
                self._unusual = _RUN
        else:
            self._unusual -= 1
        if _is_text(line) and _brackets(line) <= self._deepest:
            parts = read(line)
            parts.edata = orjson.loads(b"" + parts.edata)
            return parts if is_object(parts.edata) else None
        return None if tried else read_shallow(line)

    def context(self, text: bytes) -> Context | None:
        """Return the context that ``text`` is, and know it from now on; None when it is not in normal form."""
        context = self._contexts.get(text)
        if context is not None:
            return context
        context = self._older.get(text)
        if context is None:
            value = self._context(text)
            if not _is_normal(value):
                return None
            context = Context(value)
            if len(text) > _LONGEST_CONTEXT:
                return context
        if len(self._contexts) >= _MOST_CONTEXTS:
            self._older, self._contexts = self._contexts, {}
        self._contexts[text] = context
        return context

    def _context(self, text: bytes) -> Any:
        """Return the value of a context; None when it may be deep, or is none."""
        try:
            return read_shallow_context(text)
        except UNUSUAL:
            pass
        # It stands on the second level.
        if _brackets(text) >= self._deepest:
            return None
        try:
            return orjson.loads(text)
        except ValueError:
            return None


def _is_text(line: bytes) -> bool:
    """Tell whether ``line`` is UTF-8."""
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _brackets(text: bytes) -> int:
    """Return a bound of the levels of objects and arrays in ``text``."""
    return text.count(_OBJECT) + text.count(_ARRAY)


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
