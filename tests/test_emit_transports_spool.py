"""What waits on the disk: sent from there under the same ids, also after a process has died, and never lost by it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from sender_rig import House, decoded
from telemetry_api import mids

from sunbird_otel.emit.transports._base import TransportStats
from sunbird_otel.emit.transports._courier import Accepted, Busy

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel.emit.transports._batch import Batch


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
