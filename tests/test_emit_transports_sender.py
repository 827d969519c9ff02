"""When a batch is tried, kept, divided, set aside: with a clock and a destination of the test's own, and no thread."""

from __future__ import annotations

import errno
import itertools
import math
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from telemetry_api import event, mids

from sunbird_otel.emit.transports._base import Notices, TransportStats, encode
from sunbird_otel.emit.transports._courier import Accepted, Answer, Busy, Denied, Refused, TooLarge
from sunbird_otel.emit.transports._outbox import Outbox
from sunbird_otel.emit.transports._sender import Sender
from sunbird_otel.emit.transports._settings import QueueSettings
from sunbird_otel.emit.transports._spool import Spool
from sunbird_otel.errors import ConfigError

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


def test_a_full_batch_goes_at_once_and_the_rest_when_it_is_due() -> None:
    house = House()
    house.put(0, 6)
    house.run()
    assert [names for _, names in house.posted] == [mids(0, 1, 2, 3)]
    assert house.stats == TransportStats(sent=4, queued=2)
    house.run(5.0)
    assert [names for _, names in house.posted] == [mids(0, 1, 2, 3), mids(4, 5)]
    assert house.stats == TransportStats(sent=6)


def test_a_batch_is_bounded_in_bytes() -> None:
    house = House(batch_bytes=500)
    house.put(0, 6)
    house.outbox.seal()
    house.run()
    assert [len(names) for _, names in house.posted] == [2, 2, 2]


def test_a_batch_keeps_its_id_when_it_is_tried_again_and_the_pauses_grow() -> None:
    house = House(None, *[Busy("HTTP 503")] * 4)
    house.put(0, 4)
    times: list[float] = []
    for _ in range(200):
        before = len(house.posted)
        wait = house.sender.step()
        if len(house.posted) > before:
            times.append(house.now)
        house.now += 0.0 if math.isinf(wait) else wait
    assert len({msgid for msgid, _ in house.posted}) == 1
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert len(pauses) == 4
    for pause, most in zip(pauses, (1, 2, 4, 8), strict=True):
        assert most / 2 <= pause <= most
    assert house.stats == TransportStats(sent=4)


def test_retry_after_is_obeyed_up_to_an_hour() -> None:
    house = House(None, Busy("HTTP 429", after=120.0), Busy("HTTP 503", after=1e9))
    house.put(0, 4)
    house.run(119)
    assert len(house.posted) == 1
    house.run(2)
    assert len(house.posted) == 2
    house.run(3700)
    assert house.stats.sent == 4


def test_without_a_spool_what_is_not_taken_stays_in_memory_and_the_newest_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House(always=Busy("HTTP 503"))
    house.put(0, 50)
    house.run(30)
    assert house.stats == TransportStats(queued=40, dropped=10)
    assert [r.getMessage() for r in caplog.records if "full" in r.getMessage()] == [
        "the telemetry queue is full (40 events); new events are dropped"
    ]
    house.always = Accepted()
    house.run(120)
    assert house.stats == TransportStats(sent=40, dropped=10)
    assert sorted(name for _, names in house.posted[-10:] for name in names) == sorted(mids(*range(40)))


def test_a_queue_is_bounded_in_bytes() -> None:
    house = House(always=Busy("HTTP 503"), queue_bytes=1000)
    house.put(0, 20)
    stats = house.stats
    assert 0 < stats.queued < 7
    assert stats.queued + stats.dropped == 20


def test_what_is_not_taken_goes_to_the_spool_and_from_there_under_the_same_id(tmp_path: Path) -> None:
    house = House(tmp_path / "spool", always=Busy("HTTP 503"))
    house.put(0, 30)
    house.run(5)
    house.put(30, 60)
    house.run(5)
    assert house.stats == TransportStats(spooled=60)
    assert len(house.files()) == 16
    first = house.posted[0]
    house.always = Accepted()
    house.posted.clear()
    house.run(120)
    assert house.stats == TransportStats(sent=60)
    assert first in house.posted
    assert sorted(name for _, names in house.posted for name in names) == sorted(mids(*range(60)))
    assert house.files("*") == [house.files("*.lock")[0]]


def test_new_batches_and_stored_ones_take_turns(tmp_path: Path) -> None:
    house = House(tmp_path, always=Busy("HTTP 503"))
    house.put(0, 12)
    house.run(5)
    house.always = Accepted()
    house.now += 100
    house.posted.clear()
    house.put(12, 24)
    house.run()
    kinds = ["new" if int(names[0].partition(":")[2]) >= 12 else "stored" for _, names in house.posted]
    assert kinds in (["new", "stored"] * 3, ["stored", "new"] * 3)


@pytest.mark.parametrize("spooled", [True, False])
def test_one_batch_that_chokes_the_destination_does_not_hold_up_the_others(tmp_path: Path, spooled: bool) -> None:
    house = House(tmp_path if spooled else None)
    house.choke_on = "HEARTBEAT:0"
    house.put(0, 20)
    house.run(60)
    assert house.stats == TransportStats(sent=16, **{"spooled" if spooled else "queued": 4})


def test_a_denied_sender_keeps_everything_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path, always=Denied("HTTP 401", "check the token"))
    house.put(0, 20)
    house.run(600)
    assert house.stats == TransportStats(spooled=20)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        (
            "ERROR",
            "the API takes no telemetry events from us: HTTP 401. They are kept and tried again; check the token.",
        )
    ]
    house.always = Accepted()
    house.run(60)
    assert house.stats == TransportStats(sent=20)


@pytest.mark.parametrize("mode", ["on_failure", "always", None])
def test_a_batch_that_is_too_large_is_divided(tmp_path: Path, mode: str | None) -> None:
    house = House(tmp_path, spool_mode=mode) if mode else House()
    house.most = 1
    house.put(0, 4)
    house.run()
    assert [names for _, names in house.posted if len(names) == 1] == [mids(n) for n in (0, 1, 2, 3)]
    assert len({msgid for msgid, _ in house.posted}) == len(house.posted)
    assert house.stats == TransportStats(sent=4)
    assert house.files() == []


def test_dividing_a_batch_again_gives_the_same_ids() -> None:
    first, second = House(), House()
    for house in (first, second):
        house.put(0, 4)
    (batch,) = first.outbox.batches()
    (copy,) = second.outbox.batches()
    copy.msgid = batch.msgid
    assert [half.msgid for half in batch.halves()] == [half.msgid for half in copy.halves()]


def test_an_event_that_alone_is_too_large_is_set_aside(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.most = 0
    house.put(0, 2)
    house.outbox.seal()
    house.run()
    assert house.stats == TransportStats(failed=2)
    assert len(house.files("refused/*.jsonl")) == 2


def test_a_refused_batch_is_set_aside_with_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path, Refused("HTTP 400: bad channel", '{"err": "bad channel"}'))
    house.put(0, 8)
    house.run()
    assert house.stats == TransportStats(sent=4, failed=4)
    (events,) = house.files("refused/*.jsonl")
    (answer,) = house.files("refused/*.answer.txt")
    assert [decoded(line)["mid"] for line in events.read_bytes().splitlines()] == mids(0, 1, 2, 3)
    assert answer.read_text("utf-8") == 'HTTP 400: bad channel\n\n{"err": "bad channel"}\n'
    assert str(events) in caplog.text
    assert events.stat().st_mode & 0o777 == 0o600

    events.rename(tmp_path / events.name)
    again = House(tmp_path)
    assert house.spool is not None
    house.spool.release()
    again.run()
    assert again.stats == TransportStats(sent=4, recovered=4)


def test_a_refused_batch_without_a_spool_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    house = House(None, Refused("HTTP 400: bad channel"))
    house.put(0, 4)
    house.run()
    assert house.stats == TransportStats(failed=4)
    assert "refused 4 telemetry events: HTTP 400: bad channel; they are lost, since there is no spool" in caplog.text


@pytest.mark.parametrize("spooled", [True, False])
def test_of_a_batch_that_was_taken_in_part_only_the_rest_is_tried_again(tmp_path: Path, spooled: bool) -> None:
    rest = tuple(encode(event(number)) for number in (1, 3))
    house = House(tmp_path if spooled else None, Busy("timed out", left=rest), Busy("timed out", left=rest[:1]))
    house.put(0, 4)
    house.run()
    assert house.stats == TransportStats(sent=2, **{"spooled" if spooled else "queued": 2})
    house.run(5)
    assert house.stats == TransportStats(sent=4)
    assert [names for _, names in house.posted] == [mids(0, 1, 2, 3), mids(1, 3), mids(1)]
    assert len({msgid for msgid, _ in house.posted}) == 1
    assert house.files() == []


def test_with_always_each_event_is_on_the_disk_before_it_is_sent(tmp_path: Path) -> None:
    house = House(tmp_path, spool_mode="always")
    house.put(0, 3)
    (part,) = house.files("*.part")
    assert [decoded(line)["mid"] for line in part.read_bytes().splitlines()] == mids(0, 1, 2)
    house.put(3, 4)
    house.run()
    assert house.stats == TransportStats(sent=4)
    assert house.files("*.part") == house.files() == []


def test_with_always_a_full_memory_is_no_loss(tmp_path: Path) -> None:
    house = House(tmp_path, always=Busy("HTTP 503"), spool_mode="always")
    house.put(0, 500)
    stats = house.stats
    assert stats.dropped == 0
    assert stats.queued <= 40
    assert stats.queued + stats.spooled == 500
    house.run(5)
    house.always = Accepted()
    house.run(300)
    assert house.stats == TransportStats(sent=500)
    assert sorted({n for _, names in house.posted for n in names}) == sorted(mids(*range(500)))


def test_what_a_dead_process_left_is_taken_over_in_order_and_sent_under_its_ids(tmp_path: Path) -> None:
    dead = House(tmp_path, always=Busy("HTTP 503"), spool_mode="always")
    dead.put(0, 10)
    dead.run(1)
    dead.put(10, 11)
    assert dead.spool is not None
    alive = House(tmp_path)
    alive.run(100)
    assert alive.posted == []
    dead.spool.release()

    alive.run(31)
    assert [name for _, names in alive.posted for name in names] == mids(*range(11))
    assert dead.posted[0] == alive.posted[0]
    assert alive.stats == TransportStats(sent=11, recovered=11)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_is_set_aside_and_the_others_are_sent(tmp_path: Path) -> None:
    dead = House(tmp_path, spool_mode="always")
    dead.put(0, 3)
    (part,) = dead.files("*.part")
    part.write_bytes(part.read_bytes()[:-20])
    assert dead.spool is not None
    dead.spool.release()

    alive = House(tmp_path)
    alive.run()
    assert [names for _, names in alive.posted] == [mids(0, 1)]
    assert alive.stats == TransportStats(sent=2, failed=1, recovered=3)
    (cut,) = alive.files("refused/*.jsonl")
    assert b"HEARTBEAT:2" in cut.read_bytes()


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("hello", "utf-8")
    (tmp_path / "something.lock").touch()
    house = House(tmp_path)
    house.run(60)
    assert house.posted == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.jsonl", "something.lock"]


@pytest.mark.parametrize("mode", ["on_failure", "always"])
def test_a_full_spool_leaves_events_in_memory(tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path, always=Busy("HTTP 503"), spool_mode=mode, spool_bytes=2000)
    house.put(0, 40)
    house.run(10)
    stats = house.stats
    assert stats.queued + stats.spooled == 40
    assert 0 < stats.spooled < 16
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert len([r for r in caplog.records if "spool" in r.getMessage()]) == 1
    house.always = Accepted()
    house.run(300)
    assert house.stats == TransportStats(sent=40)
    assert sorted({n for _, names in house.posted for n in names}) == sorted(mids(*range(40)))


@pytest.mark.parametrize("mode", ["on_failure", "always"])
def test_a_spool_that_cannot_be_made_leaves_events_in_memory(tmp_path: Path, mode: str) -> None:
    (tmp_path / "file").touch()
    house = House(tmp_path / "file" / "spool", Busy("HTTP 503"), spool_mode=mode)
    house.put(0, 8)
    house.run(10)
    assert house.stats == TransportStats(sent=8)


def test_a_disk_that_fails_amid_a_line_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, spool_mode="always")
    house.put(0, 1)

    write = os.write

    def short(fd: int, data: bytes) -> int:
        return write(fd, data[:10])

    monkeypatch.setattr(os, "write", short)
    house.put(1, 2)
    monkeypatch.undo()
    (part,) = house.files("*.part")
    assert [decoded(line)["mid"] for line in part.read_bytes().splitlines()] == mids(0)
    house.outbox.seal()
    house.run()
    assert house.posted[0][1] == mids(0, 1)
    assert house.files("*.part") == house.files() == []


def test_a_batch_that_cannot_be_divided_on_the_disk_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, spool_mode="always")
    house.most = 2
    house.put(0, 4)
    assert house.spool is not None
    keep = house.spool.keep

    def full(batch: Batch) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(house.spool, "keep", full)
    house.run(3)
    assert house.stats == TransportStats(queued=4)
    monkeypatch.setattr(house.spool, "keep", keep)
    house.run(60)
    assert house.stats == TransportStats(sent=4)
    assert house.files() == []


@pytest.mark.parametrize("spooled", [True, False])
def test_a_failure_that_nobody_foresaw_costs_a_pause_and_nothing_else(tmp_path: Path, spooled: bool) -> None:
    house = House(tmp_path if spooled else None)
    house.bursts = True
    house.put(0, 8)
    with pytest.raises(RuntimeError) as caught:
        house.sender.step()
    house.sender.broke(caught.value)
    house.run(10)
    assert house.stats == TransportStats(sent=8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"queue_size": True}, "queue_size is True"),
        ({"flush_interval": -1}, "flush_interval is -1"),
        ({"patience": math.inf}, "patience is inf"),
        ({"spool_mode": "never"}, "spool_mode is 'never'; give one of: on_failure, always"),
        ({"spool_mode": "always"}, "needs a folder"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        settings_for(None, **changes)
