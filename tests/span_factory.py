"""Spans of the five standard workflows, made by hand: input for tests of what comes after the bridge."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sunbird_otel import names
from sunbird_otel._signals import (
    Attributes,
    AttributeValue,
    Link,
    Resource,
    Span,
    SpanEvent,
    SpanKind,
    StatusCode,
)

BASE_NS = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()) * 1_000_000_000
MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

APP = Resource("prod.diksha.app", "4.10.1")
PLAYER = Resource("prod.diksha.app.contentplayer", "7.2")
PORTAL = Resource("prod.diksha.portal", "5.1.0")
EDITOR = Resource("prod.diksha.editor", "3.9")
PLATFORM = Resource("org.sunbird.learning.platform", "1.0")
SERVICE = Resource("prod.content.service", "5.2.0")
ANALYTICS = Resource("AnalyticsDataPipeline", "1.0")


def digest(text: str, size: int) -> bytes:
    """Return ``size`` bytes that stand for ``text``."""
    return hashlib.sha256(text.encode()).digest()[:size]


@dataclass
class Story:
    """One trace in the making; times are given in ns after ``start_ns``."""

    name: str
    workflow: str
    start_ns: int = BASE_NS
    session: str = ""
    device: str = ""
    user: str = ""
    spans: list[Span] = field(default_factory=list[Span])
    events: int = 0

    @property
    def trace_id(self) -> bytes:
        return digest(f"trace {self.name}", 16)

    def mid(self, eid: str) -> str:
        self.events += 1
        return f"{eid}:{digest(f'{self.name}/{self.events}', 16).hex()}"

    def common(self) -> Attributes:
        given = {names.SESSION_ID: self.session, names.DEVICE_ID: self.device, names.USER_ID: self.user}
        return {key: value for key, value in given.items() if value}

    def flow(
        self,
        kind: str,
        begin: int,
        end: int,
        *,
        parent: Span | None = None,
        resource: Resource = APP,
        reason: str = "end",
        violations: tuple[str, ...] = (),
        repair: tuple[str, ...] = (),
        object_id: str = "",
        title: str = "",
        span_kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, AttributeValue] | None = None,
    ) -> Span:
        """Add a flow that lasts from ``begin`` to ``end``."""
        given: Attributes = {
            names.FLOW_TYPE: kind,
            names.WORKFLOW: self.workflow,
            names.EDATA_TYPE: kind,
            names.FLOW_END_REASON: reason,
            names.START_MID: self.mid("START"),
            **self.common(),
            names.CHANNEL: "0123221617357783046602",
            **(attributes or {}),
        }
        if reason == "end":
            given[names.END_MID] = self.mid("END")
        if violations:
            given[names.FLOW_VIOLATIONS] = list(violations)
        if repair:
            given[names.FLOW_REPAIR] = list(repair)
        if object_id:
            given[names.OBJECT_ID] = object_id
            given[names.OBJECT_TYPE] = "Content"
        span = Span(
            trace_id=self.trace_id,
            span_id=digest(f"{self.name} span {len(self.spans)}", 8),
            parent_span_id=parent.span_id if parent else b"",
            name=title or kind,
            kind=span_kind,
            start_ns=self.start_ns + begin,
            end_ns=self.start_ns + end,
            resource=resource,
            attributes=given,
            synthetic="synthetic" in repair,
        )
        self.spans.append(span)
        return span

    def event(self, span: Span, eid: str, at: int, **attributes: AttributeValue) -> None:
        """Add a span event ``at`` ns after the story's start."""
        known = names.EDATA.get(eid, {})
        told = {known.get(field_name, field_name): value for field_name, value in attributes.items()}
        span.events.append(SpanEvent(f"sunbird.{eid.lower()}", self.start_ns + at, {names.MID: self.mid(eid), **told}))

    def instant(self, eid: str, at: int, *, parent: Span | None = None, resource: Resource = APP) -> Span:
        """Add the span of a lone event."""
        span = self.flow("", at, at + 1, parent=parent, resource=resource, title=f"sunbird.{eid.lower()}")
        span.attributes = {names.FLOW_END_REASON: "instant", names.MID: self.mid(eid), **self.common()}
        return span


def mobile_app(name: str = "mobile", start_ns: int = BASE_NS) -> list[Span]:
    """Return six spans: app, session, two players (one without END), a made-up collection, and a lone event."""
    story = Story(
        name,
        "mobile_app",
        start_ns,
        session=digest(f"{name} sid", 16).hex(),
        device=digest(f"{name} did", 20).hex(),
        user="95e4942d-cbe8-477d-aebd-ad8e6de4bfc8",
    )
    app = story.flow("app", 0, 24 * MINUTE + 4 * SECOND)
    story.event(app, "INTERRUPT", 23 * MINUTE, type="background", pageid="home")
    session = story.flow("session", 800 * MS, 23 * MINUTE, parent=app)
    story.event(session, "IMPRESSION", 1_200 * MS, type="view", pageid="home", uri="home")
    for turn in range(12):
        story.event(session, "INTERACT", (5 + turn * 4) * SECOND, type="TOUCH", id=f"card-{turn}", pageid="home")
    first = story.flow(
        "player",
        MINUTE,
        8 * MINUTE,
        parent=session,
        resource=PLAYER,
        object_id="do_31307361357558579213961",
        title="player play",
    )
    story.event(first, "IMPRESSION", MINUTE + 300 * MS, type="workflow", pageid="stage-1")
    for item in range(5):
        at = (90 + 60 * item) * SECOND
        story.event(first, "INTERACT", at - 4 * SECOND, type="TOUCH", id=f"option-{item}", pageid=f"stage-{item}")
        story.event(first, "ASSESS", at, score=float(item % 2), duration=8.5, index=item)
    story.event(session, "IMPRESSION", 8 * MINUTE + 5 * SECOND, type="view", pageid="content-detail")
    unit = story.flow(
        "collection",
        9 * MINUTE,
        22 * MINUTE,
        parent=session,
        object_id="do_2125010643527925761169",
        repair=("synthetic",),
        title="TextBookUnit",
    )
    second = story.flow(
        "player",
        9 * MINUTE,
        22 * MINUTE,
        parent=unit,
        resource=PLAYER,
        reason="parent_end",
        violations=("unclosed_child", "wrong_parent"),
        repair=("reparented",),
        object_id="do_31250841732493312026783",
        title="player play",
    )
    for beat in range(40):
        story.event(second, "INTERACT" if beat % 3 else "IMPRESSION", 9 * MINUTE + beat * 17 * SECOND, type="TOUCH")
    second.status = StatusCode.ERROR
    second.status_message = "CONTENT_LOAD_FAILED"
    story.instant("AUDIT", 12 * MINUTE, parent=session, resource=PLATFORM)
    return story.spans


def portal(name: str = "portal", start_ns: int = BASE_NS + HOUR) -> list[Span]:
    """Return a portal session that stays open, as portal sessions do."""
    story = Story(name, "portal", start_ns, session=digest(f"{name} sid", 16).hex(), user="anonymous")
    story.instant("AUDIT", -2 * SECOND, resource=PLATFORM)
    session = story.flow("session", 0, 18 * MINUTE, resource=PORTAL, reason="drain")
    for visit in range(20):
        story.event(session, "IMPRESSION", visit * 50 * SECOND, type="view", pageid=f"page-{visit}")
        story.event(session, "INTERACT", visit * 50 * SECOND + 9 * SECOND, type="CLICK", pageid=f"page-{visit}")
    return story.spans


def editor(name: str = "editor", start_ns: int = BASE_NS + 2 * HOUR) -> list[Span]:
    """Return an editor flow with spans of three producers."""
    story = Story(name, "editor", start_ns, session=digest(f"{name} sid", 16).hex(), user="creator-17")
    session = story.flow("session", 0, 50 * MINUTE, resource=PORTAL, reason="idle", violations=("missing_end",))
    story.event(session, "IMPRESSION", 2 * SECOND, type="view", pageid="workspace")
    story.instant("AUDIT", 30 * SECOND, parent=session, resource=PLATFORM)
    edit = story.flow(
        "editor",
        MINUTE,
        45 * MINUTE,
        parent=session,
        resource=EDITOR,
        object_id="do_41236357557913600012",
        title="editor content",
    )
    for step in range(9):
        story.event(edit, "PLUGIN_LIFECYCLE", (2 + 4 * step) * MINUTE, type="add", pluginid="org.ekstep.image")
    story.flow(
        "request",
        20 * MINUTE - 184 * MS,
        20 * MINUTE,
        parent=edit,
        resource=PLATFORM,
        title="PATCH /content/v3/update",
        span_kind=SpanKind.SERVER,
        attributes={names.HTTP_STATUS: 200},
    )
    return story.spans


def backend_service(name: str = "service", start_ns: int = BASE_NS + 3 * HOUR, requests: int = 4) -> list[Span]:
    """Return a service's run, and requests in traces of their own that link to it."""
    story = Story(name, "backend_service", start_ns)
    run = story.flow("service", 0, 9 * DAY, resource=SERVICE, reason="drain")
    spans = list(story.spans)
    for number in range(requests):
        begin = number * 7 * MINUTE + 250 * MS
        call = Story(f"{name} request {number}", "backend_service", start_ns)
        request = call.flow(
            "request",
            begin,
            begin + (15 + 40 * number) * MS,
            resource=SERVICE,
            title="POST /v1/search",
            span_kind=SpanKind.SERVER,
            attributes={names.REQUEST_ID: f"req-{number}", names.HTTP_STATUS: 200},
        )
        call.event(request, "LOG", begin + 5 * MS, type="system", level="INFO", message="query took 4 ms")
        request.links.append(Link(run.trace_id, run.span_id, {names.LINK_TYPE: "service_run"}))
        spans += call.spans
    return spans


def analytics_job(name: str = "job", start_ns: int = BASE_NS + 5 * HOUR) -> list[Span]:
    """Return one job with its logs."""
    story = Story(name, "analytics_job", start_ns)
    job = story.flow("job", 0, 42 * MINUTE, resource=ANALYTICS, attributes={names.JOB_NAME: "WorkFlowSummarizer"})
    for line in range(6):
        story.event(job, "JOB_LOG", line * 7 * MINUTE, level="INFO", message=f"step {line}")
    return story.spans


def five_workflows() -> list[Span]:
    """Return spans of all five workflows."""
    return [*mobile_app(), *portal(), *editor(), *backend_service(), *analytics_job()]


def many(count: int, seed: int = 7) -> list[Span]:
    """Return ``count`` spans of mobile sessions over three days, with a good share of every mark."""
    random_ = random.Random(seed)
    spans: list[Span] = []
    number = 0
    while len(spans) < count:
        number += 1
        start_ns = BASE_NS + random_.randrange(3 * DAY // MS) * MS
        story = Story(
            f"many {number}",
            random_.choice(["mobile_app", "mobile_app", "portal"]),
            start_ns,
            session=digest(f"sid {number}", 16).hex(),
            device=digest(f"did {number % 40}", 20).hex(),
            user=f"user-{number % 60}",
        )
        length = random_.randrange(5, 90) * MINUTE
        open_end = random_.random() < 0.2
        session = story.flow(
            "session",
            0,
            length,
            resource=APP if story.workflow == "mobile_app" else PORTAL,
            reason="idle" if open_end else "end",
            violations=("missing_end",) if open_end else (),
        )
        at = SECOND
        while at < length - MINUTE and len(spans) + len(story.spans) < count:
            story.event(session, "IMPRESSION", at, type="view", pageid="home")
            end = min(at + random_.randrange(10, 600) * SECOND, length)
            broken = random_.random() < 0.1
            player = story.flow(
                "player",
                at,
                end,
                parent=session,
                resource=PLAYER,
                object_id=f"do_3130{random_.randrange(10**12):012d}",
                reason="restart" if broken else "end",
                violations=("missing_end",) if broken else (),
                repair=("end_moved",) if random_.random() < 0.05 else (),
                title="player play",
            )
            for _ in range(random_.randrange(8)):
                story.event(player, "INTERACT", random_.randrange(at, end), type="TOUCH", id="next")
            player.events.sort(key=lambda event: event.time_ns)
            if random_.random() < 0.1:
                story.instant("FEEDBACK", end, parent=session)
            at = end + random_.randrange(1, 90) * SECOND
        spans += story.spans
    return spans[:count]
