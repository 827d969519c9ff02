"""When a batch is tried, kept, divided, set aside: with a clock and a destination of the test's own, and no thread."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
from sender_rig import House, decoded, settings_for
from telemetry_api import event, mids

from sunbird_otel.emit.transports._base import TransportStats, encode
from sunbird_otel.emit.transports._courier import Accepted, Busy, Denied, Refused
from sunbird_otel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


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
