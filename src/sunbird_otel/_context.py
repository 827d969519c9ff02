"""An event's ``context``: which producer wrote it, for which tenant, on which device, in which session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Hashable


class Context:
    """One ``context`` in normal form, with what follows from it alone.

    Many events have equal contexts, and one instance serves them all (see :class:`sunbird_otel._line.LineReader`); so
    what is worked out from a context is kept here. ``value`` is the JSON object; the other fields are texts, empty when
    absent. ``lane`` and ``producer`` are keys of lanes (see :func:`sunbird_otel._flow.lane_key`). ``session_ids``,
    ``marks``, ``kin``, ``resource`` and ``written`` are for those who look at contexts by the rules, or write them, and
    are None until they have; an instance serves one pipeline.
    """

    __slots__ = (
        "cdata",
        "channel",
        "did",
        "env",
        "kin",
        "lane",
        "marks",
        "pdata_id",
        "pdata_pid",
        "pdata_ver",
        "producer",
        "resource",
        "session_ids",
        "sid",
        "value",
        "written",
    )

    def __init__(self, value: dict[str, Any]) -> None:
        """Take the parts of ``value``, which must be in normal form."""
        self.value = value
        self.sid: str = value.get("sid", "")
        self.did: str = value.get("did", "")
        self.channel: str = value.get("channel", "")
        self.env: str = value.get("env", "")
        pdata: dict[str, Any] = value.get("pdata", _NOTHING)
        self.pdata_id: str = pdata.get("id", "")
        self.pdata_pid: str = pdata.get("pid", "")
        self.pdata_ver: str = pdata.get("ver", "")
        self.cdata: list[dict[str, Any]] = value.get("cdata", _NONE)
        self.producer: Hashable = ("producer", self.pdata_id, self.pdata_pid)
        self.lane: Hashable = None
        if self.did:
            self.lane = ("did", self.did, self.channel, self.pdata_id)
        elif self.sid:
            self.lane = ("sid", self.sid, self.channel, self.pdata_id)
        self.session_ids: tuple[str, ...] | None = None
        self.marks: frozenset[str] | None = None
        self.resource: Any = None
        self.kin: Any = None
        self.written: Any = None


_NOTHING: Final[dict[str, Any]] = {}
_NONE: Final[list[dict[str, Any]]] = []
