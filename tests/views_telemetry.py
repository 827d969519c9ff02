"""Telemetry in which each recipe of ``docs/queries.toml`` has something to find, and something that it must not find.

Every case is a device and a session of its own, called by what happens in it, so that it is a trace of its own.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from events import EDITOR, JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Client, Event, content, correlation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).resolve().parent.parent / "docs"
RECIPES: dict[str, dict[str, Any]] = {
    recipe["id"]: recipe for recipe in tomllib.loads((DOCS / "queries.toml").read_text("utf-8"))["recipe"]
}

SERVICE = Client(
    pdata="staging.sunbird.learning.service",
    pid="content-service",
    env="content",
    actor="content-service",
    actor_type="System",
)
_HOUR = 3600


def telemetry() -> list[Event]:
    """Return the events of all cases, in the order of their cases."""
    return list(chain(_flows(), _learning(), _editor(), _services(), _jobs()))


def long_flow() -> list[Event]:
    """Return a session with more events than one span holds."""
    app, _ = _phone("many-touches")
    return _session("many-touches", 0, [app.interact(1 + n / 10) for n in range(3000)])


def _phone(case: str) -> tuple[Client, Client]:
    """Return the app and its player on a device of its own."""
    return replace(MOBILE, did=case, sid=case), replace(PLAYER, did=case, sid=case)


def _session(case: str, at: float, inside: list[Event], lasts: float = 600) -> list[Event]:
    """Return a session that keeps every rule, around what happens in it."""
    app, _ = _phone(case)
    return [
        app.start(at, "app"),
        app.start(at, "session"),
        *inside,
        app.end(at + lasts, "session"),
        app.end(at + lasts, "app"),
    ]


def _play(player: Client, at: float, object_: str, *inside: Event, lasts: float = 60) -> list[Event]:
    thing = content(object_)
    return [
        player.start(at, "content", "play", object=thing),
        *inside,
        player.end(at + lasts, "content", "play", object=thing),
    ]


def _flows() -> Iterator[Event]:
    app, player = _phone("all-is-well")
    yield from _session("all-is-well", 0, [app.impression(5), *_play(player, 10, "do_easy", player.assess(20))])

    app, player = _phone("left-idle")
    yield from (
        app.start(0, "app"),
        app.start(0, "session"),
        player.start(9, "content", "play", object=content("do_1")),
    )

    app, player = _phone("ended-around-it")
    yield from _session("ended-around-it", 0, [player.start(9, "content", "play", object=content("do_1"))])

    app, player = _phone("opened-again")
    yield from _session(
        "opened-again", 0, [player.start(9, "content", "play", object=content("do_1")), *_play(player, 99, "do_1")]
    )

    app, player = _phone("still-open")
    yield from (app.start(2 * _HOUR, "app"), app.start(2 * _HOUR, "session"))
    yield player.start(2 * _HOUR + 9, "content", "play", object=content("do_1"))

    app, player = _phone("no-session")
    yield from _play(player, 0, "do_1")

    app, player = _phone("end-alone")
    yield player.end(0, "content", "play", object=content("do_1"))

    app, player = _phone("end-twice")
    yield from _session(
        "end-twice", 0, [*_play(player, 10, "do_1"), player.end(80, "content", "play", object=content("do_1"))]
    )

    # A hundred flows in one lane are the most; the next one costs the innermost.
    app, player = _phone("never-closes")
    units = [app.start(1 + n, "TextBookUnit", object=content(f"do_unit_{n}", "TextBookUnit")) for n in range(98)]
    units.append(player.start(97.5, "content", "play", object=content("do_1")))
    yield from _session("never-closes", 0, units)

    # Never silent for half an hour, which would end it.
    app, _ = _phone("long")
    yield from _session("long", 0, [app.impression(n * 1200) for n in range(1, 6)], lasts=2 * _HOUR)


def _learning() -> Iterator[Event]:
    _, player = _phone("left-at-once")
    yield from _session("left-at-once", 0, _play(player, 10, "do_easy", lasts=4))

    _, player = _phone("tried-three-times")
    tries = [_play(player, at, "do_hard", player.assess(at + 9, score=0)) for at in (10, 110, 210)]
    yield from _session("tried-three-times", 0, list(chain.from_iterable(tries)))

    _, player = _phone("tried-twice")
    tries = [_play(player, at, "do_hard", player.assess(at + 9, score=0.25)) for at in (10, 110)]
    yield from _session(
        "tried-twice", 0, [*chain.from_iterable(tries), *_play(player, 210, "do_hard", player.assess(219))]
    )

    app, player = _phone("error-then-left")
    broken = _play(player, 10, "do_1", _network_error(player, 20))
    yield from (app.start(0, "app"), app.start(0, "session"), *broken)

    _, player = _phone("error-then-stayed")
    yield from _session("error-then-stayed", 0, _play(player, 10, "do_1", player.error(20)))

    app, _ = _phone("error-outside")
    yield _network_error(app, 0)

    app, _ = _phone("asks-for-help")
    qr = [app.start(10, "qr"), app.impression(20, "qr-help"), app.end(30, "qr")]
    yield from _session("asks-for-help", 0, [app.impression(5, "home"), *qr])

    app, _ = _phone("finds-nothing")
    yield from _session("finds-nothing", 0, [_vain_search(app, 10), app.search(20)])

    app, _ = _phone("finds-nothing-outside")
    yield _vain_search(app, 10)

    for stars in (1, 2, 5):
        case = f"{stars}-stars"
        app, _ = _phone(case)
        yield from _session(case, 0, [app.event("FEEDBACK", 10, {"rating": stars, "comments": ""})])


def _editor() -> Iterator[Event]:
    yield from _authoring("save-fails", lambda backend: _request(backend, 60, "update", status=500))
    yield from _authoring("save-works", lambda backend: _request(backend, 60, "update"))
    yield from _authoring("search-is-slow", lambda backend: _request(backend, 60, "search", ms=2600))
    yield from _authoring("search-is-quick", lambda backend: _request(backend, 60, "search", ms=150))


def _services() -> Iterator[Event]:
    yield SERVICE.ready(0)
    yield from (
        _request(SERVICE, 10 + n, "update", status=status) for n, status in enumerate((500, 502, 503, 504, 404))
    )
    yield _request(SERVICE, 20, "update")
    yield _request(SERVICE, 30, "search", ms=2100, rid="6a1f0c2d-38b5-4b0e-9a57-1f6d2c8e4b90")
    yield _request(SERVICE, 40, "search", ms=2000)
    yield SERVICE.metrics(50, requests=4)
    yield SERVICE.stopped(60)


def _jobs() -> Iterator[Event]:
    for pid, lasts, status in (
        ("WorkFlowSummarizer", 900, "SUCCESS"),
        ("DeviceSummary", 700, "FAILED"),
        ("MonitorSummary", 60, "SUCCESS"),
    ):
        job = replace(JOB, pid=pid)
        yield from (job.job_start(0), job.job_end(lasts, status))
    yield replace(JOB, pid="NeverEnds").job_start(0)
    quick = replace(JOB, pid="WorkFlowSummarizer")
    yield from (quick.job_start(_HOUR), quick.job_end(_HOUR + 300))


def _authoring(case: str, request: Callable[[Client], Event]) -> list[Event]:
    """Return a session of the portal with an editor, in which the backend answers one request."""
    portal = replace(PORTAL, did=case, sid=case)
    editor = replace(EDITOR, did=case, sid=case)
    backend = replace(PLATFORM, actor=case)
    inside = request(backend)
    inside["context"]["cdata"] = correlation(session=case)
    thing = content("do_draft")
    return [
        portal.start(0, "session"),
        editor.start(30, "editor", "edit", object=thing),
        inside,
        editor.end(200, "editor", "edit", object=thing),
    ]


def _request(client: Client, at: float, what: str, *, ms: int = 120, status: int = 200, rid: str = "") -> Event:
    method, url = {"update": ("PATCH", "/content/v3/update/do_31436370129634035876"), "search": ("POST", "/v3/search")}[
        what
    ]
    values = {
        "rid": rid or f"request-of-{client.actor}",
        "method": method,
        "url": url,
        "status": status,
        "duration": ms,
    }
    params = [{key: value} for key, value in values.items()]
    return client.event("LOG", at, {"type": "api_access", "level": "INFO", "message": "", "params": params})


def _network_error(client: Client, at: float) -> Event:
    return client.event("ERROR", at, {"err": "ERR_CONNECTION_RESET", "errtype": "NETWORK", "stacktrace": ""})


def _vain_search(client: Client, at: float) -> Event:
    return client.event("SEARCH", at, {"type": "content", "query": "plnats", "size": 0, "topn": []})
