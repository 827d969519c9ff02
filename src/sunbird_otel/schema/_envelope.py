"""The envelope: what every Sunbird event carries around its edata (telemetry v3)."""

from typing import Any, Literal

from sunbird_otel.schema._base import Closed, FilledText, Maybe, Number, Open


class Actor(Open):
    """Who did it. Both fields are required and may be empty; ``type`` is User, System, service ... by custom."""

    id: str
    type: str


class Pdata(Open):
    """The producer. The specification calls pdata optional; the schema of the context requires it, with its id.

    ``platform`` (Android, iOS, Windows ...) came with ver 3.1; the schema does not look at it.
    """

    id: str
    pid: Maybe[str] = None
    ver: Maybe[str] = None
    platform: Any = None


class Cdata(Closed):
    """One correlation. Closed, both fields texts: producers that send a list of ids are refused."""

    type: str
    id: str


class Context(Open):
    """Where it happened: channel (not empty), producer, environment, session, device.

    ``sid`` and ``did`` may be empty or absent, as they are for backends. The specification limits ``rollup`` to l1..l4;
    the schema does not look at it.
    """

    channel: FilledText
    pdata: Pdata
    env: str
    sid: Maybe[str] = None
    did: Maybe[str] = None
    cdata: Maybe[list[Cdata]] = None
    rollup: Any = None


class Rollup(Open):
    """The ancestors of an object, l1 the topmost."""

    l1: Maybe[str] = None
    l2: Maybe[str] = None
    l3: Maybe[str] = None
    l4: Maybe[str] = None


class Object(Open):
    """What it happened to. The specification requires id and type; the schema requires nothing, so ``{}`` passes."""

    id: Maybe[str] = None
    type: Maybe[str] = None
    ver: Maybe[str] = None
    rollup: Maybe[Rollup] = None


class Envelope(Open):
    """What every event carries around its edata; more fields at the top level are allowed (syncts, flags ...).

    ``ets`` is milliseconds since 1970. The schema calls it a date-time, which means nothing for a number: an ISO text
    is refused, a fraction or a negative number passes. ``ver`` 3.1 is newer than some clients' own copies of the
    schemas, which refuse it.
    """

    ets: Number
    ver: Literal["3.0", "3.1"]
    mid: FilledText
    actor: Actor
    context: Context
    object: Maybe[Object] = None
    tags: Maybe[list[str]] = None


class Event(Envelope):
    """Base of the 17 events; each narrows ``eid`` and ``edata``, which is why they are Any here."""

    eid: Any
    edata: Any

    def to_event(self) -> dict[str, Any]:
        """Return the event as Sunbird writes it: what was not given is absent, not null."""
        return {"eid": self.eid, **self.model_dump(exclude_unset=True, by_alias=True)}


class Unnamed(Event):
    """An event whose eid is absent, empty or no text: checked by the envelope's schema, and refused for its eid."""

    eid: FilledText
