"""The Sunbird event as the rest of the bridge sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sunbird_otel._json import is_array, is_object

if TYPE_CHECKING:
    from sunbird_otel._findings import Position

ANONYMOUS = frozenset({"", "anonymous", "null", "undefined", "none"})
"""Ids, in lower case, that clients write when they know none: they identify nobody."""


class Event:
    """One telemetry event in the normal form of :mod:`sunbird_otel._decode`.

    ``body`` is the event as JSON values, without what the pipeline adds; ``payload`` the same as canonical JSON text
    (keys sorted), which is equal for copies of one event at any stage of the pipeline. ``ets_ns`` is the event's time
    in nanoseconds since 1970. Identity fields are texts, empty when absent.
    """

    __slots__ = (
        "actor_id",
        "body",
        "cdata",
        "channel",
        "did",
        "edata",
        "eid",
        "ets_ns",
        "late",
        "merged",
        "mid",
        "object",
        "payload",
        "pdata_id",
        "pdata_pid",
        "pdata_ver",
        "position",
        "sid",
    )

    def __init__(self, body: dict[str, Any], ets_ns: int, payload: bytes, position: Position | None) -> None:
        """Take the parts of ``body``, which must be in normal form."""
        self.body = body
        self.payload = payload
        self.position = position
        self.ets_ns = ets_ns
        self.late = False
        self.eid: str = body["eid"]
        self.mid: str = body["mid"]
        context: dict[str, Any] = body["context"]
        self.sid: str = context.get("sid", "")
        self.did: str = context.get("did", "")
        self.channel: str = context.get("channel", "")
        pdata: dict[str, Any] = context.get("pdata", _NOTHING)
        self.pdata_id: str = pdata.get("id", "")
        self.pdata_pid: str = pdata.get("pid", "")
        self.pdata_ver: str = pdata.get("ver", "")
        self.cdata: list[dict[str, Any]] = context.get("cdata", _NONE)
        self.actor_id: str = body.get("actor", _NOTHING).get("id", "")
        self.object: dict[str, Any] = body.get("object", _NOTHING)
        self.edata: dict[str, Any] = body.get("edata", _NOTHING)
        self.merged: dict[str, Any] | None = None

    @property
    def params(self) -> dict[str, Any]:
        """Return the fields of a LOG's ``params``, which is a list of one-key objects or one object with many keys.

        An ACCESS has the same fields in its edata itself, so that these stand beneath.
        """
        if self.merged is None:
            params = self.edata.get("params")
            self.merged = dict(self.edata)
            for entry in params if is_array(params) else [params]:
                if is_object(entry):
                    self.merged.update(entry)
        return self.merged

    @property
    def size(self) -> int:
        """Return the length of the canonical text in bytes."""
        return len(self.payload)


_NOTHING: dict[str, Any] = {}
_NONE: list[dict[str, Any]] = []
