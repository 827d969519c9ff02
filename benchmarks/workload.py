"""Telemetry for the benchmarks: the mix that was counted in the field, in realistic sizes, from a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of 114,379 events of one system: LOG 90.7 %, IMPRESSION 4.9, START 1.6, AUDIT 0.9, INTERACT 0.7, END 0.6, ERROR 0.4.
MIX = {
    "LOG": 90.7,
    "IMPRESSION": 4.9,
    "START": 1.6,
    "AUDIT": 0.9,
    "INTERACT": 0.7,
    "END": 0.6,
    "ERROR": 0.4,
    "SEARCH": 0.2,
}
SERVICE = {"LOG", "AUDIT", "ERROR", "SEARCH"}
LATE = 0.01
APIS = ("/v1/content/read", "/v3/search", "/v1/user/read", "/v2/framework/read", "/v1/course/hierarchy")
FIRST_MS = 1_760_000_000_000


def events(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield ``count`` events as JSON lines, in order of time but for some that come late."""
    rng = random.Random(seed)
    kinds, weights = list(MIX), list(MIX.values())
    playing: list[dict[str, Any]] = []
    for number in range(count):
        eid = rng.choices(kinds, weights)[0]
        if eid == "END" and not playing:
            eid = "IMPRESSION"
        ets = FIRST_MS + number * 7 - (rng.randrange(60_000) if rng.random() < LATE else 0)
        event = _service_event(eid, rng) if eid in SERVICE else _client_event(eid, rng, playing)
        mid = f"{eid}:{rng.getrandbits(128):032x}"
        yield orjson.dumps({"eid": eid, "ets": ets, "ver": "3.0", "mid": mid, "tags": [], "syncts": ets + 900, **event})


def _service_event(eid: str, rng: random.Random) -> dict[str, Any]:
    rid = f"{rng.getrandbits(128):032x}"
    edata: dict[str, Any]
    if eid == "LOG":
        edata = {
            "type": "api_access",
            "level": "INFO",
            "message": "successful",
            "params": [
                {"rid": f"{rid[:8]}-{rid[8:12]}-{rid[12:16]}-{rid[16:20]}-{rid[20:]}"},
                {"title": "Content api"},
                {"category": "content"},
                {"url": rng.choice(APIS)},
                {"method": "GET"},
                {"status": 200},
                {"duration": rng.randrange(3, 400)},
            ],
        }
    elif eid == "AUDIT":
        edata = {"state": "Live", "prevstate": "Review", "props": ["status", "lastUpdatedOn", "pkgVersion"]}
    elif eid == "ERROR":
        edata = {"err": "ERR_TOKEN", "errtype": "UNAUTHORIZED_ACCESS", "stacktrace": "at validate" * 16}
    else:
        edata = {"type": "content", "query": "photosynthesis", "size": 12, "filters": {"board": ["CBSE"]}, "topn": []}
    return {
        "actor": {"id": f"{rng.randrange(5000):08x}-6a66-4546-b509-3bd233239b4e", "type": "User"},
        "context": {
            "channel": "0126684405014528002",
            "pdata": {"id": "prod.sunbird.content-service", "ver": "5.1", "pid": "content-service"},
            "env": "content",
            "sid": "",
            "did": "",
            "cdata": [],
            "rollup": {},
        },
        "object": {"id": f"do_3143{rng.randrange(10**14):014d}", "type": "content", "ver": "", "rollup": {}},
        "edata": edata,
    }


def _client_event(eid: str, rng: random.Random, playing: list[dict[str, Any]]) -> dict[str, Any]:
    if eid == "END":
        played = playing.pop(rng.randrange(len(playing)))
        return {**played, "edata": {"type": "content", "mode": "play", "duration": 12.5}}
    device = rng.randrange(2000)
    content = f"do_3143{rng.randrange(10**14):014d}"
    event: dict[str, Any] = {
        "actor": {"id": f"{device:08x}-820b-4a0d-8a24-e2ea7bb5d0b6", "type": "User"},
        "context": {
            "channel": "0126684405014528002",
            "pdata": {"id": "prod.sunbird.app", "ver": "6.0.1", "pid": "sunbird.app.contentplayer"},
            "env": "ContentPlayer",
            "sid": f"{device:08x}-7e0f-4b7a-8f66-d1b9c7a0e512",
            "did": f"{device:040x}",
            "cdata": [{"type": "PlaySession", "id": f"{rng.getrandbits(128):032x}"}],
            "rollup": {"l1": "0126684405014528002"},
        },
        "object": {"id": content, "type": "Content", "ver": "2", "rollup": {"l1": content}},
    }
    if eid == "START":
        playing.append(event)
        return {**event, "edata": {"type": "content", "mode": "play", "pageid": "content-detail", "duration": 0.83}}
    if eid == "IMPRESSION":
        return {**event, "edata": {"type": "detail", "pageid": "content-detail", "uri": f"/content/{content}"}}
    extra = {"pos": [{"x": 12, "y": 31}]}
    return {**event, "edata": {"type": "TOUCH", "id": "next", "pageid": "page-1", "extra": extra}}
