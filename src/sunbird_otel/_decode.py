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

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import orjson

from sunbird_otel._event import Event
from sunbird_otel._findings import Finding, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sunbird_otel._limits import Limits

EARLIEST_ETS_MS: Final = 946_684_800_000
"""2000-01-01: an earlier ets is a wrong unit or a clock that was never set."""

LATEST_ETS_MS: Final = 4_102_444_800_000
"""2100-01-01: a later ets is a wrong unit."""

_ADDED_BY_PIPELINE: Final = frozenset(
    {
        "syncts", "@timestamp", "@version", "flags", "metadata", "type", "uuid", "key", "ts", "host", "path",
        "devicedata", "userdata", "contentdata", "collectiondata", "l2data", "dialcodedata", "derivedlocationdata",
    }
)  # fmt: skip
_EID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_INTEGRAL_FLOAT: Final = re.compile(rb"(?:\.0|e\+?\d+)[,}\]]")
_INT64: Final = 1 << 63
_MS: Final = 1_000_000
_CANONICAL: Final = orjson.OPT_SORT_KEYS
_LONGEST_ETS_TEXT: Final = 32


class _Refused(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    def __init__(self, code: str, path: str, expected: str, found: str) -> None:
        super().__init__(code)
        self.code, self.path, self.expected, self.found = code, path, expected, found


class _BadNumber:
    """Stands in a parsed document for a number that cannot be used, until its path is known."""

    def __init__(self, text: str) -> None:
        self.text = text[:40]

    def __str__(self) -> str:
        return self.text


def decode(
    document: bytes | object,
    position: Position | None,
    limits: Limits,
    on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
) -> Iterator[Event | Finding]:
    """Yield each event of ``document``, and a finding for each thing in it that cannot be read as one.

    Args:
        document: JSON text, or a value as a JSON parser gives it (it is not changed): a batch, an array or one event.
        position: Where the document stands; events of a batch or array get their index in addition.
        limits: What is refused for its size.
        on_event: Is called with the value of each event that could be read, as it came.
    """
    if isinstance(document, bytes):
        try:
            value: Any = orjson.loads(document)
            trusted = True
        except orjson.JSONDecodeError:
            trusted = False
            try:
                value = _parse_patiently(document)
            except _Refused as refused:
                raw = document[:200].decode("utf-8", "replace")
                yield _finding(refused, position, None, raw)
                return
    else:
        value, trusted = document, False
    for path, index, candidate in _members(value, limits):
        place = position if index is None or position is None else Position(position.source, position.line, index)
        try:
            if isinstance(candidate, _Refused):
                raise candidate
            if not isinstance(candidate, dict) or "eid" not in candidate:
                raise _Refused("not_an_event", path, "an event object with eid", _show(candidate))  # noqa: TRY301
            event = _event(candidate if trusted else _plain(candidate, "$"), place, limits)
        except _Refused as refused:
            yield _finding(refused, place, candidate if not isinstance(candidate, _Refused) else None, "")
        else:
            if on_event is not None:
                on_event(candidate, place)
            yield event


def _members(value: object, limits: Limits) -> Iterator[tuple[str, int | None, object]]:
    """Yield path, index and value of each event-to-be in a document."""
    if isinstance(value, dict) and "events" in value and "eid" not in value:
        events = value["events"]
        if not isinstance(events, list):
            yield "$.events", None, _Refused("wrong_type", "$.events", "an array of events", _show(events))
        elif len(events) > limits.batch_events:
            expected = f"at most {limits.batch_events} events (limit batch_events)"
            yield "$.events", None, _Refused("too_many_events", "$.events", expected, f"{len(events)} events")
        else:
            for index, event in enumerate(events):
                yield f"$.events[{index}]", index, event
    elif isinstance(value, list):
        index = 0
        for number, member in enumerate(value):
            if isinstance(member, dict) and "events" in member and "eid" not in member:
                for path, _, event in _members(member, limits):
                    yield f"$[{number}]{path[1:]}", index, event
                    index += 1
            else:
                yield f"$[{number}]", index, member
                index += 1
    else:
        yield "$", None, value


def _event(value: dict[str, Any], position: Position | None, limits: Limits) -> Event:
    body = {key: part for key, part in value.items() if key not in _ADDED_BY_PIPELINE}
    eid = body["eid"]
    if not isinstance(eid, str):
        raise _Refused("wrong_type", "$.eid", "a text such as START", _show(eid))
    if not _EID.fullmatch(eid):
        raise _Refused("invalid_value", "$.eid", "letters, digits and _, at most 64, such as START", _show(eid))
    body["eid"] = eid.upper()
    body["mid"] = _required_text(body, "mid")
    ets_ns = _ets(body.get("ets"))
    if not ets_ns % _MS:
        body["ets"] = ets_ns // _MS
    context = _object(body, "context")
    if context is None:
        raise _Refused("missing_field", "$.context", "an object with channel, env and pdata", "absent")
    body["context"] = _context(context)
    actor = _object(body, "actor")
    if actor is not None:
        body["actor"] = _texts(actor, "$.actor", ("id", "type"))
    obj = _object(body, "object")
    if obj is not None:
        body["object"] = _texts(obj, "$.object", ("id", "type", "ver", "version"))
    edata = _object(body, "edata")
    if edata is not None and body["eid"] in {"START", "END"}:
        body["edata"] = _texts(edata, "$.edata", ("type", "mode", "pageid"))
    payload = _canonical(body)
    if _INTEGRAL_FLOAT.search(payload):
        body = _integers(body)
        payload = _canonical(body)
    _check_size(body, payload, limits)
    return Event(body, ets_ns, payload, position)


def revive(payload: bytes, ets_ns: int, position: Position | None) -> Event:
    """Return the event of a canonical ``payload`` that :func:`decode` made."""
    return Event(orjson.loads(payload), ets_ns, payload, position)


def _canonical(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=_CANONICAL)


def _context(context: dict[str, Any]) -> dict[str, Any]:
    context = _texts(context, "$.context", ("channel", "env", "sid", "did"))
    pdata = _object(context, "pdata", "$.context.")
    if pdata is not None:
        context["pdata"] = _texts(pdata, "$.context.pdata", ("id", "pid", "ver"))
    cdata = context.get("cdata")
    if cdata is None:
        context.pop("cdata", None)
    else:
        context["cdata"] = _cdata(cdata)
    return context


def _cdata(cdata: object) -> list[dict[str, Any]]:
    if isinstance(cdata, dict):
        cdata = [cdata] if cdata else []
    if not isinstance(cdata, list):
        raise _Refused("wrong_type", "$.context.cdata", "an array of {type, id}", _show(cdata))
    entries: list[dict[str, Any]] = []
    for number, entry in enumerate(cdata):
        path = f"$.context.cdata[{number}]"
        if entry is None:
            continue
        if not isinstance(entry, dict):
            raise _Refused("wrong_type", path, "an object {type, id}", _show(entry))
        ids = entry.get("id")
        for one in ids if isinstance(ids, list) else [ids]:
            normal = _texts({**entry, "id": one}, path, ("id", "type"))
            entries.append({**normal, "id": normal.get("id", ""), "type": normal.get("type", "")})
    return entries


def _object(parent: dict[str, Any], name: str, prefix: str = "$.") -> dict[str, Any] | None:
    """Return the object ``name`` of ``parent``; ``null`` counts as absent and is taken out."""
    value = parent.get(name)
    if value is None:
        parent.pop(name, None)
        return None
    if not isinstance(value, dict):
        raise _Refused("wrong_type", prefix + name, "an object", _show(value))
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
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            parent[name] = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        else:
            raise _Refused("wrong_type", f"{path}.{name}", "a text", _show(value))
    return parent


def _required_text(body: dict[str, Any], name: str) -> str:
    value = _texts(body, "$", (name,)).get(name)
    if value is None or value == "":
        found = "absent" if name not in body else _show(body[name])
        raise _Refused("missing_field", f"$.{name}", "a text that is not empty", found)
    return str(value)


def _ets(value: object) -> int:
    """Return ``ets`` (milliseconds) in nanoseconds, by integer arithmetic only."""
    if isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_ETS_TEXT:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            raise _Refused("invalid_value", "$.ets", "milliseconds since 1970", _show(value)) from None
        if not number.is_finite() or number.adjusted() > len(str(LATEST_ETS_MS)) or number.adjusted() < 0:
            raise _Refused("ets_out_of_range", "$.ets", "milliseconds from 2000 to 2100", _show(value))
        numerator, denominator = number.as_integer_ratio()
    elif isinstance(value, float) and math.isfinite(value):
        numerator, denominator = value.as_integer_ratio()
    elif isinstance(value, int) and not isinstance(value, bool):
        numerator, denominator = value, 1
    elif value is None:
        raise _Refused("missing_field", "$.ets", "milliseconds since 1970", "absent or null")
    else:
        raise _Refused("wrong_type", "$.ets", "milliseconds since 1970, a number", _show(value))
    ns = numerator * _MS // denominator
    if not EARLIEST_ETS_MS * _MS <= ns < LATEST_ETS_MS * _MS:
        raise _Refused("ets_out_of_range", "$.ets", "milliseconds from 2000 to 2100", _show(value))
    return ns


def _integers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return ``value`` with integers in place of floats that have no fraction."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _INT64 else value
    if isinstance(value, dict):
        return {key: _integers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_integers(part) for part in value]
    return value


def _check_size(body: dict[str, Any], payload: bytes, limits: Limits) -> None:
    if len(payload) > limits.event_bytes:
        expected = f"at most {limits.event_bytes} bytes (limit event_bytes)"
        raise _Refused("too_large", "$", expected, f"{len(payload)} bytes")
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
                raise _Refused("too_large", path, expected, f"{len(value.encode())} bytes")
        elif isinstance(value, (dict, list)):
            if depth > limits.nesting_depth:
                expected = f"at most {limits.nesting_depth} levels (limit nesting_depth)"
                raise _Refused("too_deep", path[:200], expected, f"{depth} levels")
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in parts:
                step = f".{key}" if isinstance(value, dict) else f"[{key}]"
                stack.append((path + step, part, depth + 1))


def _parse_patiently(document: bytes) -> object:
    """Parse what the fast parser refuses, marking numbers that cannot be used."""
    text = document.decode("utf-8", "replace").lstrip("\ufeff")

    def integer(digits: str) -> object:
        if len(digits) < len(str(_INT64)):
            return int(digits)
        number = float(digits)
        return number if math.isfinite(number) else _BadNumber(digits)

    def fraction(digits: str) -> object:
        number = float(digits)
        return number if math.isfinite(number) else _BadNumber(digits)

    try:
        return json.JSONDecoder(
            parse_int=integer, parse_float=fraction, parse_constant=_BadNumber, strict=False
        ).decode(text)
    except RecursionError:
        raise _Refused("too_deep", "$", "fewer levels", "too many levels to read") from None
    except ValueError as error:
        raise _Refused("not_json", "$", "a JSON value", str(error)) from None


def _plain(value: Any, path: str, depth: int = 0) -> Any:  # noqa: ANN401 - any value a caller may hand in
    """Return a copy of ``value`` that is certainly JSON, or refuse it with the path of what is not."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return str(value)
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else _plain(_as_float(value), path)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (_BadNumber, float)):
        found = value.text if isinstance(value, _BadNumber) else repr(value)
        raise _Refused("invalid_number", path, "a number that a 64-bit float can hold", found)
    if depth > _PLAIN_DEPTH:
        raise _Refused("too_deep", path[:200], f"at most {_PLAIN_DEPTH} levels", "more")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise _Refused("wrong_type", path, "texts as keys", _show(key))
        return {_plain(key, path): _plain(part, f"{path}.{key}", depth + 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, f"{path}[{number}]", depth + 1) for number, part in enumerate(value)]
    raise _Refused("wrong_type", path, "a JSON value", f"a Python {type(value).__name__}")


_PLAIN_DEPTH: Final = 256


def _as_float(value: int) -> object:
    try:
        return float(value)
    except OverflowError:
        return _BadNumber(f"an integer of {value.bit_length()} bits")


def _show(value: object) -> str:
    """Return a short text of ``value`` for people."""
    if value is None:
        return "null"
    if isinstance(value, _BadNumber):
        return value.text
    if isinstance(value, dict):
        return f"an object with {', '.join(str(key) for key in list(value)[:5])}"[:80] if value else "an empty object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN: Final = 80


def _finding(refused: _Refused, position: Position | None, event: object, raw: str) -> Finding:
    eid = event.get("eid") if isinstance(event, dict) else ""
    mid = event.get("mid") if isinstance(event, dict) else ""
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
