"""The 17 events of Sunbird telemetry v3, as the pipeline's schemas take them.

A docstring says which fields the schema requires, the units (the specification's; the schema knows none), and where the
specification (its text, its JavaScript guide) or what producers send does not fit the schema. ``type``, ``mode``,
``level`` and the like are free text everywhere: the lists of values in the specification are a custom. An empty text
satisfies "required" everywhere but in ``mid`` and ``context.channel``.
"""

from typing import Annotated, Literal

from pydantic import Field

from sunbird_otel.schema._base import Closed, JsonObject, Maybe, Number, Open
from sunbird_otel.schema._envelope import Event
from sunbird_otel.schema._parts import (
    Dspec,
    InlineObject,
    Metric,
    Plugin,
    Question,
    ShareItem,
    SummaryExtra,
    Target,
    Uaspec,
    Visit,
)


class StartEdata(Closed):
    """The edata of START: ``type`` is required; ``duration`` is seconds spent on starting up.

    The JavaScript guide also requires mode and ``stageid``; the schema asks for neither and refuses ``stageid``.
    Clients write epoch seconds or milliseconds into ``duration``, which passes: any number does.
    """

    type: str
    dspec: Maybe[Dspec] = None
    uaspec: Maybe[Uaspec] = None
    loc: Maybe[str] = None
    mode: Maybe[str] = None
    duration: Maybe[Number] = None
    pageid: Maybe[str] = None


class Start(Event):
    """Sunbird telemetry v3, START: a flow begins."""

    eid: Literal["START"] = "START"
    edata: StartEdata


class EndEdata(Closed):
    """The edata of END: ``type`` is required; ``duration`` is seconds from START to END.

    The JavaScript guide requires ``contentId`` and duration; the schema refuses the one and does not ask for the other.
    The mobile SDK's ``summaryList`` is refused too: the field is ``summary``, a list of objects.
    """

    type: str
    mode: Maybe[str] = None
    duration: Maybe[Number] = None
    pageid: Maybe[str] = None
    summary: Maybe[list[JsonObject]] = None


class End(Event):
    """Sunbird telemetry v3, END: a flow is over."""

    eid: Literal["END"] = "END"
    edata: EndEdata


class ImpressionEdata(Closed):
    """The edata of IMPRESSION: ``type``, ``pageid`` and ``uri`` are required.

    ``duration`` (seconds to show the page) is in the schema, not in the specification. The JavaScript guide lacks
    ``uri`` and has ``itype`` and ``stageto``, which are refused.
    """

    type: str
    subtype: Maybe[str] = None
    pageid: str
    duration: Maybe[Number] = None
    uri: str
    visits: Maybe[list[Visit]] = None


class Impression(Event):
    """Sunbird telemetry v3, IMPRESSION: a page was shown."""

    eid: Literal["IMPRESSION"] = "IMPRESSION"
    edata: ImpressionEdata


class InteractEdata(Closed):
    """The edata of INTERACT: ``type`` and ``id`` are required; ``extra`` is any object.

    ``duration`` (seconds) is in the schema, not in the specification.
    """

    type: str
    subtype: Maybe[str] = None
    id: str
    pageid: Maybe[str] = None
    target: Maybe[Target] = None
    plugin: Maybe[Plugin] = None
    extra: Maybe[JsonObject] = None
    duration: Maybe[Number] = None


class Interact(Event):
    """Sunbird telemetry v3, INTERACT: the user did something."""

    eid: Literal["INTERACT"] = "INTERACT"
    edata: InteractEdata


class AssessEdata(Closed):
    """The edata of ASSESS: all but ``index`` is required; ``duration`` is seconds.

    ``pass`` is the text Yes or No, not a bool; as a Python keyword it is spelled ``pass_`` here. ``score`` is 0..1 in
    the specification; the schema takes any number.
    """

    item: Question
    index: Maybe[Number] = None
    pass_: Annotated[str, Field(alias="pass")]
    score: Number
    resvalues: list[JsonObject]
    duration: Number


class Assess(Event):
    """Sunbird telemetry v3, ASSESS: an answer was marked."""

    eid: Literal["ASSESS"] = "ASSESS"
    edata: AssessEdata


class ResponseEdata(Closed):
    """The edata of RESPONSE: all three are required. The ``qid`` that the JavaScript guide requires is refused."""

    target: Target
    type: str
    values: list[JsonObject]


class Response(Event):
    """Sunbird telemetry v3, RESPONSE: the user answered."""

    eid: Literal["RESPONSE"] = "RESPONSE"
    edata: ResponseEdata


class InterruptEdata(Closed):
    """The edata of INTERRUPT: ``type`` is required. The JavaScript guide's ``eventid`` is refused."""

    type: str
    pageid: Maybe[str] = None


class Interrupt(Event):
    """Sunbird telemetry v3, INTERRUPT: background, resume; the pipeline drops it after the check."""

    eid: Literal["INTERRUPT"] = "INTERRUPT"
    edata: InterruptEdata


class FeedbackEdata(Closed):
    """The edata of FEEDBACK: the schema requires nothing, the specification rating and comments.

    ``commentid`` and ``commenttxt``, which newer clients send, are in the schema only. The ``contentId`` that the
    JavaScript guide requires is refused.
    """

    rating: Maybe[Number] = None
    comments: Maybe[str] = None
    commentid: Maybe[str] = None
    commenttxt: Maybe[str] = None


class Feedback(Event):
    """Sunbird telemetry v3, FEEDBACK: a rating or a comment."""

    eid: Literal["FEEDBACK"] = "FEEDBACK"
    edata: FeedbackEdata


class ShareEdata(Closed):
    """The edata of SHARE: ``items`` is required and may be empty; the JavaScript guide's nested ``obj`` is refused."""

    dir: Maybe[str] = None
    type: Maybe[str] = None
    items: list[ShareItem]


class Share(Event):
    """Sunbird telemetry v3, SHARE: content went in or out."""

    eid: Literal["SHARE"] = "SHARE"
    edata: ShareEdata


class AuditEdata(Closed):
    """The edata of AUDIT: the schema requires nothing, the specification ``props``.

    ``type`` and ``duration`` (seconds in the state before) are in the schema only. Seen in the field and refused: props
    as a text, state as an object, duration as "".
    """

    type: Maybe[str] = None
    props: Maybe[list[str]] = None
    state: Maybe[str] = None
    prevstate: Maybe[str] = None
    duration: Maybe[Number] = None


class Audit(Event):
    """Sunbird telemetry v3, AUDIT: an object changed its fields or its state."""

    eid: Literal["AUDIT"] = "AUDIT"
    edata: AuditEdata


class ErrorEdata(Closed):
    """The edata of ERROR: ``err``, ``errtype`` and ``stacktrace`` are required, all texts.

    Backends and the portal also send ``requestid`` and ``errmsg``, which are refused.
    """

    err: str
    errtype: str
    stacktrace: str
    pageid: Maybe[str] = None
    object: Maybe[InlineObject] = None
    plugin: Maybe[Plugin] = None


class Error(Event):
    """Sunbird telemetry v3, ERROR: something went wrong."""

    eid: Literal["ERROR"] = "ERROR"
    edata: ErrorEdata


class HeartbeatEdata(Open):
    """The edata of HEARTBEAT: any object, the only open edata."""


class Heartbeat(Event):
    """Sunbird telemetry v3, HEARTBEAT: still alive."""

    eid: Literal["HEARTBEAT"] = "HEARTBEAT"
    edata: HeartbeatEdata


class LogEdata(Closed):
    """The edata of LOG: ``type``, ``level`` and ``message`` are required; ``params`` is a list of objects, not one."""

    type: str
    level: str
    message: str
    pageid: Maybe[str] = None
    params: Maybe[list[JsonObject]] = None


class Log(Event):
    """Sunbird telemetry v3, LOG: a line of a log, an API access or call, a job, an update."""

    eid: Literal["LOG"] = "LOG"
    edata: LogEdata


class SearchEdata(Closed):
    """The edata of SEARCH: ``query``, ``size`` and ``topn`` are required.

    The JavaScript guide also requires ``type``; ``topn`` is what producers leave out most.
    """

    type: Maybe[str] = None
    query: str
    filters: Maybe[JsonObject] = None
    sort: Maybe[JsonObject] = None
    correlationid: Maybe[str] = None
    size: Number
    topn: list[JsonObject]


class Search(Event):
    """Sunbird telemetry v3, SEARCH: a search with its results."""

    eid: Literal["SEARCH"] = "SEARCH"
    edata: SearchEdata


class MetricsEdata(Closed):
    """The edata of METRICS: ``system`` and ``subsystem`` are required, figures stand in ``metrics``.

    The specification has a free map of name to number instead. The two forms exclude each other: the schema is closed,
    so every name of such a map is refused.
    """

    system: str
    subsystem: str
    metrics: Maybe[list[Metric]] = None


class Metrics(Event):
    """Sunbird telemetry v3, METRICS: figures of a service."""

    eid: Literal["METRICS"] = "METRICS"
    edata: MetricsEdata


class SummaryEdata(Closed):
    """The edata of SUMMARY: all but ``mode`` and ``extra`` is required.

    ``starttime`` and ``endtime`` are milliseconds since 1970, ``timespent`` is seconds, ``pageviews`` and
    ``interactions`` are counts. The specification's ``envsummary``, ``eventssummary`` and ``pagesummary`` are refused.
    """

    type: str
    mode: Maybe[str] = None
    starttime: Number
    endtime: Number
    timespent: Number
    pageviews: Number
    interactions: Number
    extra: Maybe[list[SummaryExtra]] = None


class Summary(Event):
    """Sunbird telemetry v3, SUMMARY: the figures of a session or a play."""

    eid: Literal["SUMMARY"] = "SUMMARY"
    edata: SummaryEdata


class ExdataEdata(Closed):
    """The edata of EXDATA: the schema requires nothing, the specification both; ``data`` is a text, however encoded."""

    type: Maybe[str] = None
    data: Maybe[str] = None


class Exdata(Event):
    """Sunbird telemetry v3, EXDATA: data of a partner, packed into a text."""

    eid: Literal["EXDATA"] = "EXDATA"
    edata: ExdataEdata
