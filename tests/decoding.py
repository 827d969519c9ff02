"""One event, as a client writes it or with something wrong, through the decoder."""

from __future__ import annotations

import json
from typing import Any

from events import MOBILE

from sunbird_otel._decode import decode
from sunbird_otel._event import Event
from sunbird_otel._findings import ADVICE, Finding, Position
from sunbird_otel._limits import Limits


def body(**top: Any) -> dict[str, Any]:
    """Return an event as a client writes it; ``top`` replaces fields of it."""
    return {**MOBILE.start(0, "session", mid="m1"), **top}


def context(**fields: Any) -> dict[str, Any]:
    """Return the event's context with other ``fields``."""
    return {**body()["context"], **fields}


def items(document: object, limits: Limits | None = None, position: Position | None = None) -> list[Event | Finding]:
    return list(decode(document, position, limits or Limits()))


def one(document: object, limits: Limits | None = None) -> Event:
    (event,) = items(document, limits)
    assert isinstance(event, Event), event
    return event


def refusal(document: object, limits: Limits | None = None) -> Finding:
    (finding,) = items(document, limits)
    assert isinstance(finding, Finding), finding.body
    assert finding.refused
    assert finding.advice == ADVICE[finding.code]
    return finding


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def itself(value: object) -> object:
    return value


def in_array(event: object) -> object:
    return [event]


def in_batch(event: object) -> object:
    return {"id": "api.telemetry", "events": [event]}
