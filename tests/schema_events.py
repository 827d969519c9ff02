"""An event for each schema of Sunbird's pipeline, with every field that the schemas know, and ways to spoil it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeAlias

from events import PORTAL, Event, content, correlation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import JsonValue

Steps: TypeAlias = tuple[str | int, ...]
"""Where a value stands in an event."""

PARENT = {"id": "do_0", "type": "Course"}
TARGET = {"id": "b1", "ver": "1", "type": "Button", "parent": PARENT}
PLUGIN = {"id": "org.ekstep.text", "ver": "1.2", "category": "core"}

# One edata an eid, with every field that its schema knows.
FULL: dict[str, Event] = {
    "START": {
        "type": "player",
        "dspec": {
            "os": "Android 9",
            "make": "Moto",
            "id": "9f",
            "mem": -1,
            "idisk": 16,
            "edisk": 2.5,
            "scrn": 5.1,
            "camera": "13,5",
            "cpu": "ARM",
            "sims": 2,
            "cap": ["GPS"],
        },
        "uaspec": {"agent": "Chrome", "ver": "91", "system": "Linux", "platform": "Blink", "raw": "Mozilla/5.0"},
        "loc": "12.9,77.6",
        "mode": "play",
        "duration": 0.83,
        "pageid": "player",
    },
    "END": {"type": "player", "mode": "play", "duration": 30, "pageid": "end", "summary": [{"progress": 100}]},
    "IMPRESSION": {
        "type": "list",
        "subtype": "scroll",
        "pageid": "library",
        "duration": 0.4,
        "uri": "/library",
        "visits": [{"objid": "do_1", "objtype": "Resource", "objver": "1", "section": "new", "index": 3}],
    },
    "INTERACT": {
        "type": "TOUCH",
        "subtype": "swipe",
        "id": "play",
        "pageid": "library",
        "target": TARGET,
        "plugin": PLUGIN,
        "extra": {"pos": [{"x": 1}]},
        "duration": 1,
    },
    "ASSESS": {
        "item": {
            "id": "q1",
            "maxscore": 1,
            "exlength": 20.5,
            "params": [{"var1": "5"}],
            "uri": "/q/1",
            "desc": "fractions",
            "title": "One half",
            "mmc": ["C1"],
            "mc": ["C2"],
            "type": "mcq",
        },
        "index": 1,
        "pass": "Yes",
        "score": 0.5,
        "resvalues": [{"1": "a"}],
        "duration": 21,
    },
    "RESPONSE": {"type": "CHOOSE", "target": TARGET, "values": [{"lhs": "a"}]},
    "INTERRUPT": {"type": "background", "pageid": "player"},
    "FEEDBACK": {"rating": 4.5, "comments": "good", "commentid": "c1", "commenttxt": "good"},
    "SHARE": {
        "dir": "Out",
        "type": "File",
        "items": [
            {"id": "do_1", "type": "Resource", "ver": "1", "params": [{"size": 9}], "origin": PARENT, "to": PARENT}
        ],
    },
    "AUDIT": {"type": "Created", "props": ["name"], "state": "Draft", "prevstate": "", "duration": 7},
    "ERROR": {
        "err": "E1",
        "errtype": "SYSTEM",
        "stacktrace": "at 1",
        "pageid": "player",
        "object": {**PARENT, "ver": "1", "subtype": "s", "name": "n", "code": "c", "parent": PARENT},
        "plugin": PLUGIN,
    },
    "HEARTBEAT": {"anything": {"goes": [1, None]}},
    "LOG": {"type": "api_access", "level": "INFO", "message": "", "pageid": "p", "params": [{"status": 200}]},
    "SEARCH": {
        "type": "content",
        "query": "",
        "filters": {"board": ["CBSE"]},
        "sort": {"name": "asc"},
        "correlationid": "c1",
        "size": 333,
        "topn": [{"identifier": "do_1"}],
    },
    "METRICS": {"system": "App", "subsystem": "API", "metrics": [{"metric": "minApiTime", "value": 12, "unit": "ms"}]},
    "SUMMARY": {
        "type": "content",
        "mode": "play",
        "starttime": 1623412345678,
        "endtime": 1623412355678,
        "timespent": 10.5,
        "pageviews": 3,
        "interactions": 4,
        "extra": [{"id": "progress", "value": "100"}],
    },
    "EXDATA": {"type": "partnerdata", "data": "c2VjcmV0"},
}


def full(eid: str) -> Event:
    """Return an event with every field that the schemas know, and some that they do not look at."""
    return copy.deepcopy(
        PORTAL.event(
            eid,
            0,
            FULL[eid],
            object={**content("do_1"), "rollup": {"l1": "a", "l2": "b", "l3": "c", "l4": "d"}},
            cdata=correlation(PlaySession="p1"),
            tags=["t"],
            syncts=1,
        )
    )


def value_at(event: Event, path: Steps) -> Any:
    """Return what stands at the path."""
    place: Any = event
    for step in path:
        place = place[step]
    return place


def with_value(event: Event, path: Steps, value: object) -> Event:
    """Return a copy of the event with the value at the path."""
    changed = copy.deepcopy(event)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed


def without(event: Event, path: Steps) -> Event:
    """Return a copy of the event without what stands at the path."""
    changed = copy.deepcopy(event)
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def paths(value: JsonValue, above: Steps = ()) -> Iterator[Steps]:
    """Yield the path of every value inside a JSON value."""
    items: list[tuple[str | int, JsonValue]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        yield (*above, key)
        yield from paths(item, (*above, key))
