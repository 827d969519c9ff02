"""A sender of events with a clock and a destination of the test's own, and no thread."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from telemetry_api import event

from sunbird_otel.emit.transports._base import Notices, TransportStats, encode
from sunbird_otel.emit.transports._courier import Accepted, Answer, Busy, TooLarge
from sunbird_otel.emit.transports._outbox import Outbox
from sunbird_otel.emit.transports._sender import Sender
from sunbird_otel.emit.transports._settings import QueueSettings
from sunbird_otel.emit.transports._spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel.emit.transports._batch import Batch


def settings_for(folder: Path | None = None, **changes: Any) -> QueueSettings:
    values: dict[str, Any] = {
        "batch_size": 4,
        "flush_interval": 5.0,
        "queue_size": 40,
        "spool": folder,
        "spool_mode": "on_failure",
        "spool_bytes": 1 << 20,
        "retry_first": 1.0,
        "retry_most": 60.0,
        "patience": 1.0,
        **changes,
    }
    return QueueSettings(**values)


class House:
    """A sender with everything it needs; ``answers`` come first, then ``always``."""

    def __init__(
        self, folder: Path | None = None, *answers: Answer, always: Answer | None = None, **changes: Any
    ) -> None:
        self.now: float = 1_000.0
        self.answers = deque(answers)
        self.always: Answer = always or Accepted()
        self.posted: list[tuple[str, list[str]]] = []
        self.most = math.inf
        self.choke_on = ""
        self.bursts = False
        settings = settings_for(folder, **changes)
        notices = Notices()
        self.spool = Spool(folder, settings.spool_bytes) if folder is not None else None
        self.outbox = Outbox(settings, self.spool, notices, lambda: self.now)
        self.sender = Sender(
            "the API",
            self,
            settings,
            outbox=self.outbox,
            spool=self.spool,
            notices=notices,
            monotonic=lambda: self.now,
        )

    def post(self, batch: Batch) -> Answer:
        names = [str(e["mid"]) for e in map(decoded, batch.lines)]
        self.posted.append((batch.msgid, names))
        if self.bursts:
            self.bursts = False
            raise RuntimeError("nobody foresaw this")
        if self.choke_on in names:
            return Busy("HTTP 500")
        if len(names) > self.most:
            return TooLarge("HTTP 413")
        return self.answers.popleft() if self.answers else self.always

    def close(self) -> None:
        pass

    def forget(self) -> None:
        pass

    def put(self, first: int, last: int) -> None:
        for number in range(first, last):
            self.outbox.put(encode(event(number)))

    def run(self, seconds: float = 0.0) -> None:
        """Take steps until there is nothing to do, for so many seconds of its clock."""
        end = self.now + seconds
        for _ in range(10_000):
            wait = self.sender.step()
            if wait and self.now + wait > end:
                self.now = end
                return
            self.now += wait
        pytest.fail("the sender does not come to rest")

    @property
    def stats(self) -> TransportStats:
        return self.outbox.stats

    def files(self, pattern: str = "*.jsonl") -> list[Path]:
        return sorted(self.spool.folder.glob(pattern)) if self.spool else []


def decoded(line: bytes) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(line)
    return value
