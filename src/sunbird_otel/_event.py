"""The Sunbird event as the rest of the bridge sees it."""

from __future__ import annotations

from typing import Any, Final

import orjson

from sunbird_otel._context import Context
from sunbird_otel._findings import Position
from sunbird_otel._json import canonical, is_array, is_object, parse

ANONYMOUS: Final = frozenset({"", "anonymous", "null", "undefined", "none"})
"""Ids, in lower case, that clients write when they know none: they identify nobody."""


class Event:
    """One telemetry event in the normal form of :mod:`sunbird_otel._decode`.

    ``ets_ns`` is the event's time in nanoseconds since 1970, ``text`` what it was parsed from, and ``size`` the length
    of that in bytes. ``object`` and ``edata`` are JSON objects, empty when absent. ``twin`` counts, from 0, events that
    differ in content but not in eid, mid and time; ``digest`` is for :mod:`sunbird_otel._ids`. ``request_id`` is the
    request that it belongs to, None until somebody has looked. ``echo`` marks an event that another process writes and
    counts, and that is shown here for what others must know of it.
    """

    __slots__ = (
        "_body",
        "_line",
        "_payload",
        "_place",
        "actor_id",
        "actor_type",
        "context",
        "digest",
        "echo",
        "edata",
        "eid",
        "ets_ns",
        "late",
        "merged",
        "mid",
        "object",
        "request_id",
        "size",
        "tags",
        "text",
        "twin",
    )

    def __init__(  # noqa: PLR0917 - by place: one is made for each event
        self,
        eid: str,
        mid: str,
        ets_ns: int,
        context: Context,
        actor_id: str,
        actor_type: str,
        object_: dict[str, Any] | None,
        edata: dict[str, Any],
        tags: Any,
        text: bytes,
    ) -> None:
        """Take the parts, which must be in normal form."""
        self.eid = eid
        self.mid = mid
        self.ets_ns = ets_ns
        self.context: Context = context
        self.actor_id = actor_id
        self.actor_type = actor_type
        self.object: dict[str, Any] = _NOTHING if object_ is None else object_
        self.edata: dict[str, Any] = edata
        self.tags = tags
        self.text = text
        self.size = len(text)
        self.late = False
        self.twin = 0
        self.echo = False
        self.digest = b""
        self.merged: dict[str, Any] | None = None
        self.request_id: str | None = None
        self._body: dict[str, Any] | None = None
        self._payload = b""
        self._place: str | Position | None = None
        self._line = 0

    @staticmethod
    def of(
        body: dict[str, Any],
        ets_ns: int,
        payload: bytes = b"",
        position: Position | None = None,
        context: Context | None = None,
    ) -> Event:
        """Return the event that ``body``, which must be in normal form, and its canonical text ``payload`` are.

        ``context`` is that of ``body``, where somebody has it already.
        """
        actor: dict[str, Any] = body.get("actor", _NOTHING)
        event = Event(
            body["eid"],
            body["mid"],
            ets_ns,
            context or Context(body["context"]),
            actor.get("id", ""),
            actor.get("type", ""),
            body.get("object"),
            body.get("edata", _NOTHING),
            body.get("tags"),
            payload,
        )
        event._body = body
        event._payload = payload
        event._place = position
        return event

    @property
    def body(self) -> dict[str, Any]:
        """Return the event as JSON values; keys that the pipeline adds may be among them, and nothing reads those."""
        if self._body is None:
            self._body = body_of(self.text)
        return self._body

    @property
    def position(self) -> Position | None:
        """Return where the event came from."""
        place = self._place
        return Position(place, self._line) if isinstance(place, str) else place

    @position.setter
    def position(self, position: Position | None) -> None:
        self._place = position

    def stands_on(self, source: str, line: int) -> None:
        """Set the position, which most events are never asked for, by its parts."""
        self._place = source
        self._line = line

    @property
    def payload(self) -> bytes:
        """Return the event as canonical JSON text: keys sorted, without what the pipeline adds.

        It is equal for copies of one event at any stage of the pipeline; it is made when somebody asks.
        """
        if not self._payload:
            self._payload = canonical(self.body)
        return self._payload

    @property
    def params(self) -> dict[str, Any]:
        """Return the fields of a LOG's ``params``, which is a list of one-key objects or one object with many keys.

        An ACCESS has the same fields in its edata itself, so that these stand beneath.
        """
        merged = self.merged
        if merged is None:
            merged = self.merged = dict(self.edata)
            params = merged.get("params")
            for entry in params if is_array(params) else (params,):
                if is_object(entry):
                    merged.update(entry)
        return merged


def body_of(text: bytes) -> dict[str, Any]:
    """Return the event that was read from ``text`` as JSON values."""
    try:
        value = orjson.loads(text)
    except ValueError:  # a number that no float holds, in a field that nothing reads: it is shown as text
        value = orjson.loads(orjson.dumps(parse(text), default=str))
    return value if is_object(value) else {}


_NOTHING: Final[dict[str, Any]] = {}
