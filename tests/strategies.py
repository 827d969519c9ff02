"""Hypothesis strategies: Sunbird events, the stories that they tell together, and all that goes wrong with them.

:func:`events` draws single events from few clients, times, types and ids, so that they meet: nothing about their
order makes sense, and every rule has to hold all the same. :func:`stories` draws what clients mean to write: sessions,
apps, players, editors, requests, jobs, services, each whole and in order. :func:`worn` is either of them after the
journey: events lost, doubled, moved, retyped, stripped of their ids or made unreadable.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Client, Event, content, correlation
from hypothesis import strategies as st

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Defect: TypeAlias = Callable[[Event], list[Any]]
Writer: TypeAlias = Callable[..., Event]

OTHER_PHONE = replace(MOBILE, did="another-device", sid="another-session", actor="another-user")
WEB = replace(PORTAL, pdata="web", sid="", did="web-device")
SID_ONLY = replace(PORTAL, did="")
NOBODY = replace(PORTAL, did="", sid="", actor="anonymous")
CLIENTS = (MOBILE, PLAYER, PORTAL, EDITOR, PLATFORM, JOB, OTHER_PHONE, WEB, SID_ONLY, NOBODY)

TYPES = (
    "app", "session", "sso", "player", "content", "Content", "editor", "TextBook", "TextBookUnit", "collection", "",
    "qr", "Page", "Resource", "assessment", "workflow",
)  # fmt: skip
MODES = (None, "", "play", "Play", "preview")
OBJECTS: tuple[Event | None, ...] = (
    None,
    content("do_1"),
    content("do_2", "Resource"),
    {**content("do_3"), "rollup": {"l1": "do_1", "l2": "do_2"}},
)
RIDS = ("6f0b2f6e-1111-4222-8333-0123456789ab", "6f0b2f6e-2222-4222-8333-0123456789ab", "api.content.read", "")
CORRELATIONS: tuple[list[Event] | None, ...] = (
    None,
    [],
    correlation(PlaySession="p1"),
    correlation(PlaySession="p2", ContentSession="c1"),
    correlation(ContentSession="c1"),
    correlation(Session=MOBILE.sid),
    correlation(Request=RIDS[0]),
    correlation(JobRun="run1"),
    correlation(JobRun="run2"),
)
MINUTE = 60
# Seconds. Few of them, so that equal times are common; some to either side of the idle gap and of midnight.
TIMES = (0, 0.001, 1, 2, 3, 5, 8, 13, 21, 29 * MINUTE, 30 * MINUTE, 30 * MINUTE + 0.001, 61 * MINUTE, 18 * 60 * MINUTE)

INSIDE: tuple[tuple[str, Event], ...] = (
    ("RESPONSE", {"target": {"id": "q1", "ver": "1", "type": "mcq"}, "type": "CHOOSE", "values": [{"1": "a"}]}),
    ("LEVEL_SET", {"category": "maths", "current": "2", "max": "5"}),
    ("PLUGIN_LIFECYCLE", {"type": "add", "pluginid": "org.image", "pluginver": "1.0", "objectid": "x", "stage": "s1"}),
    ("APP_UPDATE", {"message": "6.0.1"}),
    ("FEEDBACK", {"rating": 4.5, "comments": ["good"], "commentid": "c"}),
    ("SHARE", {"dir": "out", "type": "link", "items": [{"id": "do_1", "type": "Content", "ver": "1"}]}),
    ("INTERRUPT", {"type": "background", "pageid": "home"}),
    ("HEARTBEAT", {}),
    ("SUMMARY", {"type": "session", "starttime": 1, "endtime": 2, "timespent": 1, "pageviews": 1, "interactions": 0}),
    ("EXDATA", {"type": "x", "data": {"deep": [{"er": None}]}}),
    ("METRICS", {"jobs": 3, "createdDate": 1_795_154_400_000, "note": "x"}),
    ("METRICS", {"system": "s", "subsystem": "t", "metrics": []}),
    ("EXPERIMENT_42", {"type": "unknown"}),
)


def events() -> st.SearchStrategy[Event]:
    """Return single events of every kind, from few clients, at few times."""
    return st.one_of(flow_events(), flow_events(), inside_events(), requests(), jobs(), services())


def clients() -> st.SearchStrategy[Client]:
    """Return the clients, those of one device more often than others."""
    return st.sampled_from((MOBILE, MOBILE, PLAYER, *CLIENTS))


def times() -> st.SearchStrategy[float]:
    """Return times in seconds."""
    return st.one_of(st.sampled_from(TIMES), st.integers(0, 40))


def flow_events() -> st.SearchStrategy[Event]:
    """Return STARTs and ENDs."""

    def build(client: Client, start: bool, at: float, words: tuple[str, str | None], about: tuple[Any, Any]) -> Event:
        write = client.start if start else client.end
        return write(at, *words, object=about[0], cdata=about[1])

    about = st.tuples(st.sampled_from(OBJECTS), st.sampled_from(CORRELATIONS))
    words = st.tuples(st.sampled_from(TYPES), st.sampled_from(MODES))
    return st.builds(build, clients(), st.booleans(), times(), words, about)


def inside_events() -> st.SearchStrategy[Event]:
    """Return events that happen inside flows."""

    def build(client: Client, at: float, write: Writer, about: tuple[Any, Any]) -> Event:
        return write(client, at, object=about[0], cdata=about[1])

    def other(eid: str, edata: Event) -> Writer:
        def write(client: Client, at: float, **about: Any) -> Event:
            return client.event(eid, at, edata, **about)

        return write

    usual = (Client.impression, Client.interact, Client.assess, Client.error, Client.log, Client.search, Client.job_log)
    writers = st.sampled_from([*usual, *(other(*row) for row in INSIDE)])
    about = st.tuples(st.sampled_from(OBJECTS), st.sampled_from(CORRELATIONS))
    return st.builds(build, clients(), times(), writers, about)


def requests() -> st.SearchStrategy[Event]:
    """Return requests and what belongs to them."""

    def build(client: Client, at: float, access: int, words: tuple[Any, ...]) -> Event:
        rid, duration = words
        if access == 0:
            return client.log(at, cdata=correlation(Request=rid))
        if access == 1:
            return client.event("ACCESS", at, {"rid": rid, "duration": duration, "status": 500, "path": "/v1/read/42"})
        return client.api_access(at, duration, rid)

    durations = (0, 40, 40.5, 3_000, "250", "x", -1, 1e12, None)
    words = st.tuples(st.sampled_from(RIDS), st.sampled_from(durations))
    return st.builds(build, st.sampled_from((PLATFORM, PORTAL, MOBILE)), times(), st.integers(0, 3), words)


def jobs() -> st.SearchStrategy[Event]:
    """Return starts and ends of jobs that overlap."""

    def build(write: Writer, client: Client, at: float, cdata: list[Event] | None) -> Event:
        return write(client, at, cdata=cdata)

    runs = (None, correlation(JobRun="run1"), correlation(JobRun="run2"), correlation(Job="j1"))
    writers = st.sampled_from((Client.job_start, Client.job_end, Client.job_log))
    producers = st.sampled_from((JOB, replace(JOB, pid="DeviceSummary")))
    return st.builds(build, writers, producers, times(), st.sampled_from(runs))


def services() -> st.SearchStrategy[Event]:
    """Return the AUDITs of services."""

    def build(write: Writer, client: Client, at: float) -> Event:
        return write(client, at)

    writers = st.sampled_from((Client.ready, Client.stopped))
    return st.builds(build, writers, st.sampled_from((PLATFORM, PORTAL)), times())


# --- Stories ---------------------------------------------------------------------------------------------------------


class Clock:
    """Time that goes on by drawn steps, some of none."""

    def __init__(self, draw: Draw, at: float) -> None:
        self._draw = draw
        self.at = at

    def tick(self) -> float:
        """Go on, and return the time."""
        self.at += self._draw(st.sampled_from((0, 0, 0.001, 1, 7)))
        return self.at


def _play(clock: Clock, draw: Draw, client: Client = PLAYER) -> list[Event]:
    about: Event = {"object": content(draw(st.sampled_from(("do_1", "do_2"))))}
    if draw(st.booleans()):
        about["cdata"] = correlation(PlaySession=draw(st.sampled_from(("p1", "p2"))), ContentSession="c1")
    type_ = draw(st.sampled_from(("player", "content")))
    inner = [client.impression(clock.tick(), "stage", **about), client.assess(clock.tick(), **about)]
    if draw(st.booleans()):
        inner.append(client.error(clock.tick(), **about))
    first = client.start(inner[0]["ets"] / 1000 - 1_795_154_400, type_, "play", **about)
    return [first, *inner, client.end(clock.tick(), type_, draw(st.sampled_from((None, "play"))), **about)]


def mobile_story(draw: Draw, at: float) -> list[Event]:
    """Return an app with a session in it, or the other way round, with collections and plays."""
    clock = Clock(draw, at)
    outer, inner = draw(st.sampled_from((("app", "session"), ("session", "app"))))
    told = [MOBILE.start(clock.tick(), outer), MOBILE.start(clock.tick(), inner), MOBILE.impression(clock.tick())]
    books = draw(st.integers(0, 2))
    units = [content(f"do_unit_{number}", "TextBookUnit") for number in range(books)]
    told += [MOBILE.start(clock.tick(), "TextBookUnit", "play", object=unit) for unit in units]
    for _ in range(draw(st.integers(0, 3))):
        told += _play(clock, draw)
        told.append(MOBILE.interact(clock.tick()))
    told += [MOBILE.end(clock.tick(), "TextBookUnit", "play", object=unit) for unit in reversed(units)]
    return [*told, MOBILE.end(clock.tick(), inner), MOBILE.end(clock.tick(), outer)]


def portal_story(draw: Draw, at: float) -> list[Event]:
    """Return a session that nobody ends, with pages and plays."""
    clock = Clock(draw, at)
    client = draw(st.sampled_from((PORTAL, WEB, SID_ONLY, NOBODY)))
    told = [client.audit(clock.tick(), "Created", content("user1", "User")), client.start(clock.tick(), "session")]
    for _ in range(draw(st.integers(0, 2))):
        told += [client.start(clock.tick(), "Page", "View"), client.impression(clock.tick())]
        told += _play(clock, draw, client)
        told += [client.end(clock.tick(), "Page", "View")]
    return told


def editor_story(draw: Draw, at: float) -> list[Event]:
    """Return an editor that portal, editor and platform write together."""
    clock = Clock(draw, at)
    draft: Event = {"object": content("do_new")}
    session: Event = {**draft, "cdata": correlation(session=PORTAL.sid)}
    plugin = dict(INSIDE)["PLUGIN_LIFECYCLE"]
    return [
        PORTAL.start(clock.tick(), "session"),
        PORTAL.impression(clock.tick(), "create", **session),
        PLATFORM.audit(clock.tick(), "Draft", content("do_new"), cdata=correlation(session=PORTAL.sid)),
        EDITOR.start(clock.tick(), "editor", "content", **draft),
        PLATFORM.search(clock.tick(), **session),
        EDITOR.event("PLUGIN_LIFECYCLE", clock.tick(), plugin, **draft),
        PLATFORM.api_access(clock.tick(), 30, RIDS[0], **session),
        *(_play(clock, draw, EDITOR) if draw(st.booleans()) else []),
        EDITOR.end(clock.tick(), "editor", "content", **draft),
    ]


def service_story(draw: Draw, at: float) -> list[Event]:
    """Return the run of a service with requests and their LOGs."""
    clock = Clock(draw, at)
    told = [PLATFORM.ready(clock.tick())]
    for rid in draw(st.lists(st.sampled_from(RIDS), max_size=4)):
        told.append(PLATFORM.log(clock.tick(), cdata=correlation(Request=rid)))
        told.append(PLATFORM.api_access(clock.tick(), draw(st.sampled_from((0, 40, 5_000))), rid))
        told.append(PLATFORM.metrics(clock.tick(), requests=1, errors=0.5))
    return [*told, PLATFORM.stopped(clock.tick())]


def job_story(draw: Draw, at: float) -> list[Event]:
    """Return two runs of one job that overlap."""
    clock = Clock(draw, at)
    runs = [correlation(JobRun=name) for name in ("run1", "run2")]
    told = [JOB.job_start(clock.tick(), cdata=cdata) for cdata in runs]
    told += [JOB.job_log(clock.tick(), cdata=draw(st.sampled_from(runs))) for _ in range(draw(st.integers(0, 3)))]
    return [*told, *(JOB.job_end(clock.tick(), cdata=cdata) for cdata in draw(st.permutations(runs)))]


SCENES = (mobile_story, portal_story, editor_story, service_story, job_story)


@st.composite
def stories(draw: Draw) -> list[Event]:
    """Return the events of some users and services, in the order of their time."""
    scenes = draw(st.lists(st.tuples(st.sampled_from(SCENES), st.sampled_from(TIMES)), min_size=1, max_size=3))
    told = [event for scene, at in scenes for event in scene(draw, at)]
    return sorted(told, key=lambda event: event["ets"])


# --- Defects ---------------------------------------------------------------------------------------------------------


def _lost(_: Event) -> list[Any]:
    return []


def _doubled(event: Event) -> list[Any]:
    return [event, copy.deepcopy(event)]


def _doubled_by_the_pipeline(event: Event) -> list[Any]:
    other = {
        **event,
        "syncts": 1_795_200_000_000,
        "@timestamp": "2026-11-21T00:00:00Z",
        "flags": {"ex_processed": True},
    }
    return [event, {**other, "ets": float(event["ets"]), "type": "events", "metadata": {"src": "x"}}]


def _changed(event: Event, **fields: Any) -> list[Any]:
    return [{**event, **fields}]


def _without(event: Event, *path: str) -> list[Any]:
    changed = copy.deepcopy(event)
    part: Any = changed
    for name in path[:-1]:
        part = part.get(name, {})
    part.pop(path[-1], None)
    return [changed]


def _retyped(event: Event) -> list[Any]:
    edata = event["edata"]
    return _changed(event, edata={**edata, "type": str(edata.get("type", "")).upper()})


def _cdata_as_lists(event: Event) -> list[Any]:
    ids = {"type": "PlaySession", "id": ["p1", "p9"]}
    return _changed(event, context={**event["context"], "cdata": ids})


BENIGN: dict[str, Defect] = {
    "lost": _lost,
    "doubled": _doubled,
    "doubled by the pipeline": _doubled_by_the_pipeline,
    "early": lambda event: _changed(event, ets=event["ets"] - 5_000),
    "much too late": lambda event: _changed(event, ets=event["ets"] + 45 * 60_000),
    "coarse clock": lambda event: _changed(event, ets=event["ets"] // 10_000 * 10_000),
    "fraction": lambda event: _changed(event, ets=event["ets"] + 0.25),
    "time as text": lambda event: _changed(event, ets=str(event["ets"])),
    "mid of others": lambda event: _changed(event, mid="shared"),
    "type in capitals": _retyped,
    "no mode": lambda event: _without(event, "edata", "mode"),
    "no object": lambda event: _without(event, "object"),
    "no cdata": lambda event: _without(event, "context", "cdata"),
    "no device": lambda event: _without(event, "context", "did"),
    "no session": lambda event: _without(event, "context", "sid"),
    "no producer": lambda event: _without(event, "context", "pdata"),
    "no actor": lambda event: _without(event, "actor"),
    "null object": lambda event: _changed(event, object=None),
    "cdata as lists": _cdata_as_lists,
    "numbers as ids": lambda event: _changed(event, mid=7, actor={"id": 12.0, "type": None}),
    "odd text": lambda event: _changed(event, tags=["\ud800", "\u0000", "\N{GRINNING FACE}", "\u202e"]),
    "large number": lambda event: _changed(event, edata={**event["edata"], "duration": 1 << 70}),
}
"""What happens to an event that can still be read, unless it is lost."""

UNREADABLE: dict[str, Defect] = {
    "no eid": lambda event: _without(event, "eid"),
    "no mid": lambda event: _without(event, "mid"),
    "no time": lambda event: _without(event, "ets"),
    "no context": lambda event: _without(event, "context"),
    "time in seconds": lambda event: _changed(event, ets=event["ets"] // 1000),
    "time of no clock": lambda event: _changed(event, ets=True),
    "channel as list": lambda event: _changed(event, context={**event["context"], "channel": ["x"]}),
    "not an object": lambda _: [42],
    "no text as eid": lambda event: _changed(event, eid=[event["eid"]]),
    "cdata of texts": lambda event: _changed(event, context={**event["context"], "cdata": ["p1"]}),
}
"""What makes an event unreadable."""


@st.composite
def worn(draw: Draw, *, unreadable: bool = True) -> list[Any]:
    """Return events or stories with some of the defects that the journey leaves."""
    drawn: list[Event] = draw(st.one_of(st.lists(events(), max_size=25), stories()))
    told: list[list[Any]] = [[event] for event in drawn]
    defects = st.sampled_from([*BENIGN.values(), *(UNREADABLE.values() if unreadable else ())])
    if told:
        for index, defect in draw(st.lists(st.tuples(st.integers(0, len(told) - 1), defects), max_size=6)):
            told[index] = defect(drawn[index])
    return [event for group in told for event in group]


@st.composite
def cut(draw: Draw, members: list[Any]) -> list[bytes]:
    """Return ``members`` as documents: single events, arrays and batches, each of some of them in order."""
    documents: list[bytes] = []
    rest = members
    while rest:
        size = draw(st.integers(1, 8))
        group, rest = rest[:size], rest[size:]
        form = draw(st.sampled_from(("single", "array", "batch")))
        if form == "single":
            documents += [json.dumps(member).encode() for member in group]
        else:
            batch = {"id": "api.sunbird.telemetry", "ver": "3.0", "params": {"msgid": "1"}, "events": group}
            documents.append(json.dumps(batch if form == "batch" else group).encode())
    return documents
