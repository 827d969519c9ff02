"""The Sunbird event as the rest of the bridge sees it."""

from __future__ import annotations

from typing import Any, Final

from sunbird_otel._findings import Position
from sunbird_otel._json import canonical, is_array, is_object

ANONYMOUS: Final = frozenset({"", "anonymous", "null", "undefined", "none"})
"""Ids, in lower case, that clients write when they know none: they identify nobody."""


class Event:
    """One telemetry event in the normal form of :mod:`sunbird_otel._decode`.

    ``body`` is the event as JSON values; keys that the pipeline adds may be among them, and nothing reads those.
    ``payload`` is the event as canonical JSON text (keys sorted, without what the pipeline adds), which is equal for
    copies of one event at any stage of the pipeline; it is made when somebody asks. ``ets_ns`` is the event's time in
    nanoseconds since 1970, ``size`` the length of its text in bytes. Identity fields are texts, empty when absent.
    ``twin`` counts, from 0, events that differ in content but not in eid, mid and time; ``digest`` is for
    :mod:`sunbird_otel._ids`. ``echo`` marks an event that another process writes and counts, and that is shown here
    for what others must know of it.
    """

    __slots__ = (
        "_line",
        "_payload",
        "_place",
        "actor_id",
        "body",
        "cdata",
        "channel",
        "context",
        "did",
        "digest",
        "echo",
        "edata",
        "eid",
        "ets_ns",
        "late",
        "merged",
        "mid",
        "object",
        "pdata_id",
        "pdata_pid",
        "pdata_ver",
        "sid",
        "size",
        "text",
        "twin",
    )

    def __init__(
        self, body: dict[str, Any], ets_ns: int, payload: bytes, position: Position | None, text: bytes = b""
    ) -> None:
        """Take the parts of ``body``, which must be in normal form; ``text`` is what it was parsed from."""
        self.body = body
        self._payload = payload
        self.text: bytes = text or payload
        self.size: int = len(self.text)
        self._place: str | Position | None = position
        self._line = 0
        self.ets_ns = ets_ns
        self.late = False
        self.twin = 0
        self.echo = False
        self.digest = b""
        self.eid: str = body["eid"]
        self.mid: str = body["mid"]
        context: dict[str, Any] = body["context"]
        self.context = context
        self.sid: str = context.get("sid", "")
        self.did: str = context.get("did", "")
        self.channel: str = context.get("channel", "")
        pdata: dict[str, Any] = context.get("pdata", _NOTHING)
        self.pdata_id: str = pdata.get("id", "")
        self.pdata_pid: str = pdata.get("pid", "")
        self.pdata_ver: str = pdata.get("ver", "")
        self.cdata: list[dict[str, Any]] = context.get("cdata", _NONE)
        actor: dict[str, Any] = body.get("actor", _NOTHING)
        self.actor_id: str = actor.get("id", "")
        self.object: dict[str, Any] = body.get("object", _NOTHING)
        self.edata: dict[str, Any] = body.get("edata", _NOTHING)
        self.merged: dict[str, Any] | None = None

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
        """Return the canonical text."""
        if not self._payload:
            self._payload = canonical(self.body)
        return self._payload

    @property
    def params(self) -> dict[str, Any]:
        """Return the fields of a LOG's ``params``, which is a list of one-key objects or one object with many keys.

        An ACCESS has the same fields in its edata itself, so that these stand beneath.
        """
        if self.merged is None:
            merged = dict(self.edata)
            params = merged.get("params")
            for entry in params if is_array(params) else (params,):
                if is_object(entry):
                    merged.update(entry)
            self.merged = merged
        return self.merged


_NOTHING: Final[dict[str, Any]] = {}
_NONE: Final[list[dict[str, Any]]] = []
