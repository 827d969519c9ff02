"""Events for tests: what a client writes, from a few words.

A :class:`Client` carries what all its events share; its methods write one event each, at a time in seconds after
:data:`T0`::

    app = MOBILE
    events = [app.start(0, "session"), app.impression(1, "home"), app.end(60, "session")]

Every event passes the schemas of Sunbird's pipeline unless a test makes it wrong on purpose. The mid follows from the
content, so that equal calls give exact copies and different calls different mids.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]

T0 = 1_795_154_400_000
"""2026-11-20T06:00:00Z in milliseconds: the time 0 of every test."""


def correlation(**ids: str) -> list[Event]:
    """Return ``context.cdata`` with one entry for each keyword: ``correlation(PlaySession="p1")``."""
    return [{"type": type_, "id": id_} for type_, id_ in ids.items()]


def content(id_: str, type_: str = "Content", ver: str = "1") -> Event:
    """Return the ``object`` of an event."""
    return {"id": id_, "type": type_, "ver": ver}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A producer in the hands of one user. An empty ``did`` or ``sid`` is left out, as backends do."""

    pdata: str
    pid: str
    ver: str = "1.0"
    channel: str = "0126684405014528002"
    env: str = "home"
    did: str = ""
    sid: str = ""
    actor: str = "5f1c2d7e-0c1b-4a55-9a63-2b7d1e0c9a11"
    actor_type: str = "User"

    def event(
        self,
        eid: str,
        at: float,
        edata: Event,
        *,
        object: Event | None = None,  # noqa: A002, Sunbird's name
        cdata: list[Event] | None = None,
        mid: str = "",
        context: Event | None = None,
        **top: Any,
    ) -> Event:
        """Return one event; ``context`` and ``top`` add or replace fields of the context and of the event."""
        ids = {key: value for key, value in (("sid", self.sid), ("did", self.did)) if value}
        event: Event = {
            "eid": eid,
            "ets": T0 + round(at * 1000),
            "ver": "3.0",
            "mid": mid,
            "actor": {"id": self.actor, "type": self.actor_type},
            "context": {
                "channel": self.channel,
                "pdata": {"id": self.pdata, "pid": self.pid, "ver": self.ver},
                "env": self.env,
                **ids,
                **({"cdata": cdata} if cdata is not None else {}),
                **(context or {}),
            },
            **({"object": object} if object is not None else {}),
            "edata": edata,
            **top,
        }
        if not mid:
            text = json.dumps(event, sort_keys=True)
            event["mid"] = f"{eid}:{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"
        return event

    def start(self, at: float, type_: str, mode: str | None = None, **more: Any) -> Event:
        """Return a START of a flow of this type."""
        return self.event(
            "START", at, _known(type=type_, mode=mode, pageid=f"{type_}-page".lower() if type_ else ""), **more
        )

    def end(self, at: float, type_: str, mode: str | None = None, **more: Any) -> Event:
        """Return an END of a flow of this type."""
        return self.event(
            "END", at, _known(type=type_, mode=mode, pageid=f"{type_}-page".lower() if type_ else ""), **more
        )

    def impression(self, at: float, page: str = "library", **more: Any) -> Event:
        """Return the visit of a page."""
        return self.event("IMPRESSION", at, {"type": "view", "pageid": page, "uri": page}, **more)

    def interact(self, at: float, id_: str = "play", **more: Any) -> Event:
        """Return a touch on something."""
        return self.event("INTERACT", at, {"type": "TOUCH", "id": id_, "pageid": "library"}, **more)

    def assess(self, at: float, question: str = "do_q1", score: float = 1, **more: Any) -> Event:
        """Return the answer to a question, with a score from 0 to 1."""
        edata = {
            "item": {"id": question, "maxscore": 1, "type": "mcq", "title": "What do plants need for photosynthesis?"},
            "pass": "Yes" if score > 0 else "No",
            "score": score,
            "resvalues": [{"1": "sunlight"}],
            "duration": 12,
        }
        return self.event("ASSESS", at, edata, **more)

    def error(self, at: float, **more: Any) -> Event:
        """Return an error with its stack trace."""
        trace = "TypeError: items is undefined\n    at render (main.js:1:8409)"
        return self.event("ERROR", at, {"err": "TypeError", "errtype": "SYSTEM", "stacktrace": trace}, **more)

    def log(self, at: float, message: str = "reading the cache", **more: Any) -> Event:
        """Return a line of a service's log."""
        return self.event("LOG", at, {"type": "system", "level": "INFO", "message": message}, **more)

    def search(self, at: float, query: str = "plants", **more: Any) -> Event:
        """Return a search with one hit."""
        edata = {"type": "content", "query": query, "size": 1, "topn": [{"identifier": "do_31290"}]}
        return self.event("SEARCH", at, edata, **more)

    def audit(self, at: float, state: str, object_: Event, **more: Any) -> Event:
        """Return a change of an object's state."""
        return self.event("AUDIT", at, {"props": ["status"], "state": state}, object=object_, **more)

    def ready(self, at: float) -> Event:
        """Return the AUDIT by which a service says that its run has begun."""
        return self.audit(at, "Ready", content(self.pid, "Service", self.ver))

    def stopped(self, at: float) -> Event:
        """Return the AUDIT by which a service says that its run is over."""
        return self.audit(at, "Stopped", content(self.pid, "Service", self.ver))

    def api_access(
        self,
        at: float,
        duration: float | str | None = 40,
        rid: str = "",
        url: str = "/content/v3/read",
        **more: Any,
    ) -> Event:
        """Return the LOG that a service writes at the end of a request; ``duration`` is in ms."""
        values = _known(rid=rid or None, method="GET", url=url, status=200, duration=duration)
        params = [{key: value} for key, value in values.items()]
        return self.event("LOG", at, {"type": "api_access", "level": "INFO", "message": "", "params": params}, **more)

    def metrics(self, at: float, **values: float) -> Event:
        """Return a METRICS event in the form of the pipeline's schema."""
        rows = [{"metric": name, "value": value} for name, value in values.items()]
        return self.event("METRICS", at, {"system": "Java", "subsystem": "API", "metrics": rows})

    def job_start(self, at: float, **more: Any) -> Event:
        """Return the start of a data product's job."""
        return self.event("JOB_START", at, {**_JOB, "message": f"Started {self.pid}", "data": {"config": {}}}, **more)

    def job_log(self, at: float, message: str = "reading the input", **more: Any) -> Event:
        """Return a line of a job's log."""
        return self.event("JOB_LOG", at, {**_JOB, "message": message}, **more)

    def job_end(self, at: float, status: str = "SUCCESS", **more: Any) -> Event:
        """Return the end of a job; the status is SUCCESS or FAILED."""
        data = {"model": self.pid, "inputEvents": 1200, "outputEvents": 40, "timeTaken": 60.0}
        edata = {**_JOB, "message": f"{self.pid} is over", "status": status, "data": data}
        return self.event("JOB_END", at, edata, **more)


_JOB = {"class": "org.ekstep.analytics.framework.driver.BatchJobDriver", "level": "INFO"}


def _known(**fields: Any) -> Event:
    return {key: value for key, value in fields.items() if value is not None}


DEVICE = "4d7a1f0c9be2386512fd0a77c1e94b83a6c0d5e2"
SID = "0b9d1c44-7e0f-4b7a-8f66-d1b9c7a0e512"

MOBILE = Client(pdata="staging.sunbird.app", pid="sunbird.app", ver="6.0.1", did=DEVICE, sid=SID)
PLAYER = Client(
    pdata="staging.sunbird.app",
    pid="sunbird.app.contentplayer",
    ver="6.0.1",
    env="contentplayer",
    did=DEVICE,
    sid=SID,
)
PORTAL = Client(
    pdata="staging.sunbird.portal", pid="sunbird-portal", ver="5.1.0", did="a6f0c5d2e81b4793b0a2c4e6f8d1b357", sid=SID
)
EDITOR = Client(pdata="staging.sunbird.editor", pid="contenteditor", ver="3.4", env="contenteditor", sid=SID)
PLATFORM = Client(
    pdata="staging.sunbird.learning.service",
    pid="learning-service",
    env="content",
    actor="org.sunbird.learning.platform",
    actor_type="System",
)
JOB = Client(
    pdata="AnalyticsDataPipeline",
    pid="WorkFlowSummarizer",
    channel="in.ekstep",
    env="analytics",
    actor="",
    actor_type="System",
)
