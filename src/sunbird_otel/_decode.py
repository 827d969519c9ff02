"""From a JSON document to events in normal form, or to refusals with a reason.

Liberal in: whatever a stage of Sunbird's pipeline leaves in an event is accepted. The rules of normalising:

* What the pipeline adds (arrival times, flags, looked-up blocks) is taken off, so that copies of one event from two
  stages are equal.
* A number without a fraction is an integer: the pipeline's JSON library rewrites ``12`` as ``12.0``.
* ``ets`` may be an integer, a float such as ``1.623E12``, or digits in a string.
* Identity fields that hold a number become its text; ``null`` is the same as absent.
* ``cdata`` may be one object, and an entry's ``id`` a list: then each id becomes an entry of its own.
* A key that is written twice has its last value, as in every JavaScript client.
* Bytes that are no UTF-8, and lone surrogates, become U+FFFD, as in the pipeline's decoder.
* Integers beyond 64 bits become floats, as in JavaScript; what is beyond those, and NaN and Infinity, is refused.

Everything else that is not as the specification says, at a place that the bridge must read, is refused as a
:class:`~sunbird_otel._findings.Finding`. Nothing here raises for any input.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import orjson

from sunbird_otel._event import Event
from sunbird_otel._findings import Finding, Position
from sunbird_otel._json import ADDED_BY_PIPELINE, Refusal, canonical, is_array, is_number, is_object, parse, plain, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._limits import Limits

EARLIEST_ETS_MS: Final = 946_684_800_000
"""2000-01-01: an earlier ets is a wrong unit or a clock that was never set."""

LATEST_ETS_MS: Final = 4_102_444_800_000
"""2100-01-01: a later ets is a wrong unit."""

MS: Final = 1_000_000
"""Nanoseconds of a millisecond."""

_HALF: Final = 20
_LOWER: Final = (1 << _HALF) - 1
"""Half of the bits of a time in milliseconds, and a mask of the lower ones."""

_EVENT_KEYS: Final = frozenset({"eid", "ets", "mid", "edata"})
_EID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_EIDS: Final[dict[str, bool]] = {}
_MOST_EIDS: Final = 10_000  # clients of any kind may write any text
_EARLIEST_NS: Final = EARLIEST_ETS_MS * MS
_LATEST_NS: Final = LATEST_ETS_MS * MS
_LONGEST_ETS_TEXT: Final = 32
_SHOWN: Final = 200


def decode(
    document: bytes | object,
    position: Position | None,
    limits: Limits,
    on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
    parsed: object = None,
) -> Iterator[Event | Finding]:
    """Yield each event of ``document``, and a finding for each thing in it that cannot be read as one.

    Args:
        document: JSON text, or a value as a JSON parser gives it (it is not changed): a batch, an array or one event.
        position: Where the document stands; events of a batch or array get their index in addition.
        limits: What is refused for its size.
        on_event: Is called with the value of each event that could be read, as it came.
        parsed: What ``document`` is when parsed, if a source has done that already.
    """
    try:
        value, trusted = _read(document) if parsed is None else (parsed, True)
    except Refusal as refused:
        raw = document[:_SHOWN].decode("utf-8", "replace") if isinstance(document, bytes) else ""
        yield _finding(refused, position, None, raw)
        return
    for path, index, candidate in _members(value, limits):
        place = position if index is None or position is None else Position(position.source, position.line, index)
        try:
            if isinstance(candidate, Refusal):
                raise candidate
            if not is_object(candidate) or not candidate.keys() & _EVENT_KEYS:
                raise Refusal("not_an_event", path, "an event object with eid", show(candidate))  # noqa: TRY301
            event = _event(candidate if trusted else plain(candidate, "$"), place, limits)
        except Refusal as refused:
            yield _finding(refused, place, None if isinstance(candidate, Refusal) else candidate, "")
        else:
            if on_event is not None:
                on_event(candidate, place)
            yield event


def _read(document: object) -> tuple[object, bool]:
    """Return the value of ``document``, and whether it is certainly JSON."""
    if not isinstance(document, bytes):
        return document, False
    try:
        return orjson.loads(document), True
    except orjson.JSONDecodeError:
        return parse(document), False


def _members(value: object, limits: Limits) -> Iterator[tuple[str, int | None, object]]:
    """Yield path, index and value of each event-to-be in a document."""
    if is_object(value) and "events" in value and "eid" not in value:
        events = value["events"]
        if not is_array(events):
            yield "$.events", None, Refusal("wrong_type", "$.events", "an array of events", show(events))
        elif len(events) > limits.batch_events:
            expected = f"at most {limits.batch_events} events (limit batch_events)"
            yield "$.events", None, Refusal("too_many_events", "$.events", expected, f"{len(events)} events")
        else:
            for index, event in enumerate(events):
                yield f"$.events[{index}]", index, event
    elif is_array(value):
        index = 0
        for number, member in enumerate(value):
            if is_object(member) and "events" in member and "eid" not in member:
                for path, _, event in _members(member, limits):
                    yield f"$[{number}]{path[1:]}", index, event
                    index += 1
            else:
                yield f"$[{number}]", index, member
                index += 1
    else:
        yield "$", None, value


def _event(value: dict[str, Any], position: Position | None, limits: Limits) -> Event:
    body = {key: part for key, part in value.items() if key not in ADDED_BY_PIPELINE}
    eid = body.get("eid")
    if eid is None:
        raise Refusal("missing_field", "$.eid", "a text such as START", "absent or null")
    if not isinstance(eid, str):
        raise Refusal("wrong_type", "$.eid", "a text such as START", show(eid))
    if not _EID.fullmatch(eid):
        raise Refusal("invalid_value", "$.eid", "letters, digits and _, at most 64, such as START", show(eid))
    body["eid"] = eid.upper()
    body["mid"] = _required_text(body, "mid")
    ets_ns = _ets(body.get("ets"))
    if not ets_ns % MS:
        body["ets"] = ets_ns // MS
    context = _object(body, "context")
    if context is None:
        raise Refusal("missing_field", "$.context", "an object with channel, env and pdata", "absent")
    body["context"] = _context(context, limits)
    actor = _object(body, "actor")
    if actor is not None:
        body["actor"] = _texts(actor, "$.actor", ("id", "type"))
    obj = _object(body, "object")
    if obj is not None:
        body["object"] = _texts(obj, "$.object", ("id", "type", "ver", "version"))
    edata = _object(body, "edata")
    if edata is not None and body["eid"] in {"START", "END"}:
        body["edata"] = _texts(edata, "$.edata", ("type", "mode", "pageid"))
    payload = _payload(body)
    _check_size(body, payload, limits)
    return Event.of(body, ets_ns, payload, position)


def revive(payload: bytes, ets_ns: int, position: Position | None) -> Event:
    """Return the event of a canonical ``payload`` that :func:`decode` made."""
    return Event.of(orjson.loads(payload), ets_ns, payload, position)


def is_eid(eid: str) -> bool:
    """Tell whether ``eid`` is an event id in normal form."""
    known = _EIDS.get(eid)
    if known is None:
        known = _EID.fullmatch(eid) is not None and eid.upper() == eid
        if len(_EIDS) < _MOST_EIDS:
            _EIDS[eid] = known
    return known


def of_milliseconds(ms: int) -> int:
    """Return the nanoseconds of a time that can be.

    The product is made of two small ones, which need no help of the interpreter in compiled code; for what that does to
    the others, see :func:`nanoseconds`.
    """
    return ((ms >> _HALF) * MS << _HALF) + (ms & _LOWER) * MS


def nanoseconds(milliseconds: Any, divided_by: Any) -> int:
    """Return milliseconds, as a fraction of integers of any size, in nanoseconds.

    They are Any because a product of large ``int`` in compiled code ends the process when Ctrl-C comes just then: the
    interpreter raises the interrupt from within the product, where such code takes every error for lack of memory.
    """
    ns: int = milliseconds * MS // divided_by
    return ns


def _payload(body: dict[str, Any]) -> bytes:
    try:
        return canonical(body)
    except TypeError as error:  # it walks 254 levels; everything else that it cannot write is no JSON value
        raise Refusal("too_deep", "$", "at most 254 levels", str(error)) from None


def _context(context: dict[str, Any], limits: Limits) -> dict[str, Any]:
    context = _texts(context, "$.context", ("channel", "env", "sid", "did"))
    pdata = _object(context, "pdata", "$.context.")
    if pdata is not None:
        context["pdata"] = _texts(pdata, "$.context.pdata", ("id", "pid", "ver"))
    cdata = context.get("cdata")
    if cdata is None:
        context.pop("cdata", None)
    else:
        context["cdata"] = _cdata(cdata, limits)
    return context


def _cdata(cdata: object, limits: Limits) -> list[dict[str, Any]]:
    if is_object(cdata):
        cdata = [cdata] if cdata else []
    if not is_array(cdata):
        raise Refusal("wrong_type", "$.context.cdata", "an array of {type, id}", show(cdata))
    entries: list[dict[str, Any]] = []
    for number, entry in enumerate(cdata):
        path = f"$.context.cdata[{number}]"
        if entry is None:
            continue
        if not is_object(entry):
            raise Refusal("wrong_type", path, "an object {type, id}", show(entry))
        ids = entry.get("id")
        if is_array(ids) and len(ids) * len(str({**entry, "id": ""})) > limits.event_bytes:
            # Each id becomes an entry of its own, which must not multiply what one event may be.
            expected = f"entries of at most {limits.event_bytes} bytes when each id is one (limit event_bytes)"
            raise Refusal("too_large", path, expected, f"{len(ids)} ids")
        for one in ids if is_array(ids) else [ids]:
            normal = _texts({**entry, "id": one}, path, ("id", "type"))
            entries.append({**normal, "id": normal.get("id", ""), "type": normal.get("type", "")})
    return entries


def _object(parent: dict[str, Any], name: str, prefix: str = "$.") -> dict[str, Any] | None:
    """Return the object ``name`` of ``parent``; ``null`` counts as absent and is taken out."""
    value = parent.get(name)
    if value is None:
        parent.pop(name, None)
        return None
    if not is_object(value):
        raise Refusal("wrong_type", prefix + name, "an object", show(value))
    return value


def _texts(parent: dict[str, Any], path: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Return ``parent`` with the fields ``names`` as texts, those that are null taken out."""
    copied = False
    for name in names:
        value = parent.get(name)
        if isinstance(value, str) or (value is None and name not in parent):
            continue
        if not copied:
            parent, copied = dict(parent), True
        if value is None:
            del parent[name]
        elif is_number(value):
            parent[name] = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        else:
            raise Refusal("wrong_type", f"{path}.{name}", "a text", show(value))
    return parent


def _required_text(body: dict[str, Any], name: str) -> str:
    value = _texts(body, "$", (name,)).get(name)
    if value is None or value == "":
        found = "absent" if name not in body else show(body[name])
        raise Refusal("missing_field", f"$.{name}", "a text that is not empty", found)
    return str(value)


def _ets(value: object) -> int:
    """Return ``ets`` (milliseconds) in nanoseconds, by integer arithmetic only."""
    if isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_ETS_TEXT:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise Refusal("invalid_value", "$.ets", "milliseconds since 1970", show(value)) from None
        if not number.is_finite() or number.adjusted() > len(str(LATEST_ETS_MS)) or number.adjusted() < 0:
            raise Refusal("ets_out_of_range", "$.ets", "milliseconds from 2000 to 2100", show(value))
        numerator, denominator = number.as_integer_ratio()
    elif isinstance(value, float) and math.isfinite(value):
        numerator, denominator = value.as_integer_ratio()
    elif isinstance(value, int) and not isinstance(value, bool):
        numerator, denominator = value, 1
    elif value is None:
        raise Refusal("missing_field", "$.ets", "milliseconds since 1970", "absent or null")
    else:
        raise Refusal("wrong_type", "$.ets", "milliseconds since 1970, a number", show(value))
    ns = nanoseconds(numerator, denominator)
    if not _EARLIEST_NS <= ns < _LATEST_NS:
        raise Refusal("ets_out_of_range", "$.ets", "milliseconds from 2000 to 2100", show(value))
    return ns


def _check_size(body: dict[str, Any], payload: bytes, limits: Limits) -> None:
    if len(payload) > limits.event_bytes:
        expected = f"at most {limits.event_bytes} bytes (limit event_bytes)"
        raise Refusal("too_large", "$", expected, f"{len(payload)} bytes")
    if len(payload) > limits.request_bytes:
        expected = f"at most {limits.request_bytes} bytes, since one request must hold it (limit request_bytes)"
        raise Refusal("too_large", "$", expected, f"{len(payload)} bytes")
    # An event with few brackets cannot be deep, and a short one has no long text: most are not walked at all.
    deep = payload.count(b"{") + payload.count(b"[") > limits.nesting_depth
    if not deep and len(payload) <= limits.string_bytes:
        return
    stack: list[tuple[str, Any, int]] = [("$", body, 1)]
    while stack:
        path, value, depth = stack.pop()
        if isinstance(value, str):
            if len(value.encode()) > limits.string_bytes:
                expected = f"a text of at most {limits.string_bytes} bytes (limit string_bytes)"
                raise Refusal("too_large", path, expected, f"{len(value.encode())} bytes")
            continue
        if is_object(value):
            parts = [(f"{path}.{key}", part) for key, part in value.items()]
        elif is_array(value):
            parts = [(f"{path}[{number}]", part) for number, part in enumerate(value)]
        else:
            continue
        if depth > limits.nesting_depth:
            expected = f"at most {limits.nesting_depth} levels (limit nesting_depth)"
            raise Refusal("too_deep", path[:200], expected, f"{depth} levels")
        stack.extend((place, part, depth + 1) for place, part in parts)


def _finding(refused: Refusal, position: Position | None, event: object, raw: str) -> Finding:
    eid = event.get("eid") if is_object(event) else ""
    mid = event.get("mid") if is_object(event) else ""
    return Finding(
        code=refused.code,
        path=refused.path,
        expected=refused.expected,
        found=refused.found,
        position=position,
        eid=eid if isinstance(eid, str) else "",
        mid=mid if isinstance(mid, str) else "",
        refused=True,
        event=event,
        raw=raw,
    )
