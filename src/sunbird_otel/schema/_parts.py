"""Objects inside edata that have schemas of their own (telemetry v3)."""

from sunbird_otel.schema._base import Closed, JsonObject, Maybe, Measure, Number, Open


class Dspec(Open):
    """The device of a START: memory and disks (idisk internal, edisk external) as the device counts, -1 for unknown."""

    os: Maybe[str] = None
    make: Maybe[str] = None
    id: Maybe[str] = None
    mem: Maybe[Measure] = None
    idisk: Maybe[Measure] = None
    edisk: Maybe[Measure] = None
    scrn: Maybe[Measure] = None
    camera: Maybe[str] = None
    cpu: Maybe[str] = None
    sims: Maybe[Measure] = None
    cap: Maybe[list[str]] = None


class Uaspec(Open):
    """The browser of a START."""

    agent: Maybe[str] = None
    ver: Maybe[str] = None
    system: Maybe[str] = None
    platform: Maybe[str] = None
    raw: Maybe[str] = None


class Party(Open):
    """An id with its type: the parent of an object, the origin or the receiver of a shared item."""

    id: Maybe[str] = None
    type: Maybe[str] = None


class Target(Closed):
    """What an INTERACT or a RESPONSE was aimed at; ``ver`` is required."""

    id: str
    ver: str
    type: str
    parent: Maybe[Party] = None


class Plugin(Closed):
    """The plugin that an event comes from."""

    id: str
    ver: str
    category: Maybe[str] = None


class InlineObject(Closed):
    """The object in which an ERROR arose. Unlike the envelope's object it is closed, and id, type, ver are required."""

    id: str
    type: str
    ver: str
    subtype: Maybe[str] = None
    name: Maybe[str] = None
    code: Maybe[str] = None
    parent: Maybe[Party] = None


class Question(Closed):
    """The item of an ASSESS. ``exlength`` is the expected time in seconds, mc and mmc are (missing) microconcepts."""

    id: str
    maxscore: Maybe[Number] = None
    exlength: Maybe[Number] = None
    params: Maybe[list[JsonObject]] = None
    uri: Maybe[str] = None
    desc: Maybe[str] = None
    title: Maybe[str] = None
    mmc: Maybe[list[str]] = None
    mc: Maybe[list[str]] = None
    type: Maybe[str] = None


class Visit(Closed):
    """One object that an IMPRESSION showed; ``index`` is its place in the list."""

    objid: str
    objtype: str
    objver: Maybe[str] = None
    section: Maybe[str] = None
    index: Maybe[Number] = None


class ShareItem(Closed):
    """One item of a SHARE. The ``obj`` that the JavaScript guide nests in it is refused; nothing is required."""

    id: Maybe[str] = None
    type: Maybe[str] = None
    ver: Maybe[str] = None
    params: Maybe[list[JsonObject]] = None
    origin: Maybe[Party] = None
    to: Maybe[Party] = None


class Metric(Open):
    """One figure of a METRICS event; the schema names no unit and requires neither field."""

    metric: Maybe[str] = None
    value: Maybe[Number] = None


class SummaryExtra(Open):
    """One more figure of a SUMMARY; ``value`` is a text, also for numbers."""

    id: Maybe[str] = None
    value: Maybe[str] = None
