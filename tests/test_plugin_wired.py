"""Services that wire the plugin in by code, in processes of their own: what their requests and plays become."""

from __future__ import annotations

import json
import time
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest
from service_process import FOLDER, SERVER, ReceivedSpan, Service, received

from sunbird_otel import names
from sunbird_otel._ids import session_trace
from sunbird_otel.schema import validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVED = ("fastapi", "django", "django asgi")
HEADERS = {"X-Session-ID": "s-1", "X-Device-ID": "d-1", "X-Channel-ID": "0126684405014528002"}


class Wired:
    """A running service, and the events that it has emitted."""

    def __init__(self, service: Service, events: Path) -> None:
        self.service = service
        self._events = events

    def events_of(self, url: str) -> list[dict[str, Any]]:
        """Return what was told until the request for ``url`` was, that being the last."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            lines = self._events.read_text("utf-8").splitlines() if self._events.exists() else []
            events: list[dict[str, Any]] = [json.loads(line) for line in lines]
            told = [event["eid"] == "LOG" and {"url": url} in event["edata"]["params"] for event in events]
            if any(told):
                return events[: told.index(True) + 1]
            time.sleep(0.02)
        raise AssertionError(f"no LOG of {url}:\n{self.service.errors}")

    def span(self, name: str) -> ReceivedSpan:
        """Return the span of that name, when it has arrived."""
        return self.service.wait(lambda span: span.name == name)


@pytest.fixture(params=SERVED)
def wired(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wired]:
    framework, *arguments = str(request.param).split()
    variables = {"EVENTS": str(tmp_path / "events.jsonl"), "DJANGO_SETTINGS_MODULE": f"wired_{framework}_service"}
    with Service(FOLDER / f"wired_{framework}_service.py", arguments, **variables) as service:
        yield Wired(service, tmp_path / "events.jsonl")


def traces() -> set[int]:
    """Return the trace of the session; two while midnight passes."""
    now = time.time_ns()
    found = (session_trace(HEADERS["X-Channel-ID"], "d-1", "s-1", at) for at in (now - 60 * 10**9, now))
    return {int.from_bytes(trace) for trace in found}


def params(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for entry in event["edata"]["params"] for name, value in entry.items()}


@pytest.mark.parametrize("view", ["play", "blocking"])
def test_a_play_and_its_request_are_one_trace_and_one_story(wired: Wired, view: str) -> None:
    url = f"/{view}/do_31290"
    server = wired.service.get(url, HEADERS)
    events = wired.events_of(url)
    assert [validate(event) for event in events] == [[]] * len(events)
    assert [event["eid"] for event in events] == ["START", "START", "ASSESS", "END", "END", "LOG"]
    assert {(event["context"]["sid"], event["context"]["did"]) for event in events} == {("s-1", "d-1")}
    told = params(events[-1])
    assert (told["method"], told["url"], told["status"]) == ("GET", url, 200)
    assert told["title"].lstrip("/").startswith(f"{view}/")

    session, player = wired.span("session"), wired.span("player")
    assert server.trace_id in traces()
    assert {session.trace_id, player.trace_id} == {server.trace_id}
    assert (server.parent, player.parent) == ("", session.span_id)
    assert session.parent in {server.span_id, *inside(server, wired)}
    for span in (session, player):
        assert span.attributes[names.FLOW_END_REASON] == "end"
        assert names.FLOW_VIOLATIONS not in span.attributes
    assert [span.span_id for span in received(wired.service.receiver) if span.kind == SERVER] == [server.span_id]


def inside(server: ReceivedSpan, wired: Wired) -> set[str]:
    return {span.span_id for span in received(wired.service.receiver) if span.parent == server.span_id}


def test_an_exception_is_told_before_its_request(wired: Wired) -> None:
    with pytest.raises(urllib.error.HTTPError, match="500"):
        wired.service.get("/fail/do_1", HEADERS)
    *errors, log = wired.events_of("/fail/do_1")
    assert [(event["eid"], event["edata"]["err"], event["edata"]["errtype"]) for event in errors] == [
        ("ERROR", "do_1", "LookupError")
    ]
    assert [validate(event) for event in (*errors, log)] == [[], []]
    assert (params(log)["status"], log["edata"]["level"]) == (500, "ERROR")
    assert {event["context"]["sid"] for event in (*errors, log)} == {"s-1"}
