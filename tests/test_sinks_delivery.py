"""When a request is tried again, split, skipped or kept: with a clock and a receiver of the test's own."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from encoding import encode
from span_factory import many

from sunbird_otel.sinks import SinkReport
from sunbird_otel.sinks.otlp.delivery import Delivery
from sunbird_otel.sinks.otlp.encode import ProtobufForm
from sunbird_otel.sinks.otlp.request import Request
from sunbird_otel.sinks.otlp.settings import OtlpSettings
from sunbird_otel.sinks.otlp.transport import Accepted, Answer, Busy, NoPlace, Refused, TooLarge
from sunbird_otel.sinks.otlp.undelivered import UndeliveredFolder, read

if TYPE_CHECKING:
    from pathlib import Path

    from sunbird_otel.sinks.otlp.request import Kind
    from sunbird_otel.sinks.otlp.transport import Transport


class Receiver:
    """Gives the answers in ``answers``, then ``always``."""

    def __init__(self, *answers: Answer, always: Answer | None = None) -> None:
        self.answers = deque(answers)
        self.always: Answer = always or Accepted()
        self.most = 10**9
        self.sent: list[int] = []

    def send(self, request: Request) -> Answer:
        self.sent.append(request.items)
        if request.items > self.most:
            return TooLarge("HTTP 413")
        return self.answers.popleft() if self.answers else self.always

    def close(self) -> None:
        pass


class House:
    """A delivery with everything it needs."""

    def __init__(self, folder: Path, traces: Receiver, metrics: Receiver | None = None, *, keep: bool = True) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []
        self.ended = False
        self.report = SinkReport()
        self.folder = folder / "undelivered"
        transports: dict[Kind, Transport] = {"traces": traces, "metrics": metrics or Receiver()}
        self.delivery = Delivery(
            OtlpSettings(destinations={}, retry_seconds=60, retry_first=1, retry_most=8, probe_seconds=30),
            transports,
            self.report,
            UndeliveredFolder(self.folder) if keep else None,
            monotonic=lambda: self.now,
            wait=self.wait,
        )

    def wait(self, seconds: float) -> bool:
        if not self.ended and seconds:
            self.pauses.append(seconds)
            self.now += seconds
        return self.ended

    def deliver(self, items: int = 4, kind: Kind = "traces") -> None:
        body = encode(ProtobufForm(), many(items)) if kind == "traces" else b""
        self.delivery.deliver(Request(kind, body, items))

    @property
    def kept(self) -> int:
        return sum(request.items for request in read(self.folder)) if self.folder.exists() else 0


def test_what_is_accepted_is_counted_once(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver())
    house.deliver()
    house.deliver(3, "metrics")
    assert house.report.delivered == {"traces": 4, "metrics": 3}
    assert (house.report.requests, house.pauses, house.report.notes) == (2, [], [])


def test_pauses_grow_with_jitter_up_to_a_bound(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(*[Busy("503")] * 7))
    house.deliver()
    assert house.report.delivered["traces"] == 4
    for pause, full in zip(house.pauses, [1, 2, 4, 8, 8, 8, 8], strict=True):
        assert full / 2 <= pause <= full


def test_the_receiver_may_name_a_longer_pause(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(Busy("429", after=20), Busy("429", after=0)))
    house.deliver()
    assert house.pauses[0] == 20
    assert 1 <= house.pauses[1] <= 2


def test_an_outage_holds_up_the_run_once(tmp_path: Path) -> None:
    receiver = Receiver(always=Busy("connection refused"))
    house = House(tmp_path, receiver)
    house.deliver()
    first = len(receiver.sent)
    assert sum(house.pauses) <= 60
    assert house.kept == 4
    for _ in range(10):
        house.deliver()
    assert len(receiver.sent) == first, "kept at once"
    house.now += 31
    house.deliver()
    house.deliver()
    assert len(receiver.sent) == first + 1, "one probe, without a retry"
    assert house.report.undelivered == {"traces": 52}
    assert house.kept == 52
    assert house.delivery.last_failure == "connection refused"


def test_after_an_outage_everything_flows_again(tmp_path: Path) -> None:
    receiver = Receiver(always=Busy("down"))
    house = House(tmp_path, receiver)
    house.deliver()
    receiver.always = Accepted()
    receiver.answers.clear()
    house.now += 31
    house.deliver()
    house.deliver()
    assert house.report.delivered == {"traces": 8}
    assert house.report.undelivered == {"traces": 4}


def test_a_pause_beyond_the_budget_is_not_waited_for(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(always=Busy("429", after=3_600)))
    house.deliver()
    assert house.pauses == []
    assert house.kept == 4


def test_what_is_too_large_is_split_and_a_single_span_kept(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.most = 3
    house = House(tmp_path, receiver)
    house.deliver(10)
    assert receiver.sent[:4] == [10, 5, 2, 3]
    assert max(receiver.sent[4:]) < 10
    assert house.report.delivered["traces"] == 10
    receiver.sent.clear()
    house.deliver(10)
    assert max(receiver.sent) <= 5, "what it found too large is not sent again"
    receiver.most = 0
    house.deliver(2)
    assert house.report.undelivered["traces"] == 2
    assert len(house.report.undelivered_files) == 2
    assert house.delivery.last_failure == "HTTP 413"


def test_a_refused_request_is_kept_and_the_next_one_sent(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(Refused("HTTP 400")))
    house.deliver()
    house.deliver()
    assert (house.report.delivered["traces"], house.report.undelivered["traces"]) == (4, 4)
    assert house.pauses == []


def test_a_kind_without_a_place_is_said_once_and_skipped(tmp_path: Path) -> None:
    metrics = Receiver(always=NoPlace("HTTP 404"))
    house = House(tmp_path, Receiver(), metrics)
    for _ in range(3):
        house.deliver(5, "metrics")
    house.deliver()
    assert metrics.sent == [5]
    assert house.report.skipped == {"metrics": 15}
    assert house.report.undelivered == {}
    assert house.report.notes == ["The receiver has no place for metric points (HTTP 404); they are left out."]


def test_a_wrong_address_is_a_failure_not_a_missing_place(tmp_path: Path) -> None:
    traces = Receiver(always=NoPlace("HTTP 404"))
    house = House(tmp_path, traces, Receiver(always=NoPlace("HTTP 404")))
    house.deliver()
    house.deliver()
    assert house.report.skipped == {}
    assert house.kept == 8
    assert traces.sent == [4, 0]
    assert "is this the address of an OTLP receiver?" in house.delivery.last_failure


def test_a_404_from_a_receiver_that_took_the_kind_before_loses_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(Accepted(), NoPlace("HTTP 404")))
    for _ in range(3):
        house.deliver()
    assert (house.report.delivered["traces"], house.kept) == (8, 4)


def test_partial_success_is_counted_and_told(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(Accepted(3, "too old"), Accepted(99, ""), Accepted(0, "slow down")))
    for _ in range(3):
        house.deliver()
    assert house.report.rejected["traces"] == 7
    assert house.report.delivered["traces"] == 5
    assert house.report.notes == [
        "The receiver dropped some spans (partial success): too old",
        "The receiver dropped some spans (partial success): no reason given",
        "The receiver remarked on spans: slow down",
    ]


@pytest.mark.parametrize("keep", [True, False])
def test_when_the_run_ends_the_rest_is_kept_without_a_try(tmp_path: Path, keep: bool) -> None:
    receiver = Receiver()
    house = House(tmp_path, receiver, keep=keep)
    house.ended = True
    house.deliver()
    assert receiver.sent == []
    assert house.report.undelivered["traces"] == 4
    assert house.kept == (4 if keep else 0)


def test_a_pause_is_cut_short_when_the_run_ends(tmp_path: Path) -> None:
    house = House(tmp_path, Receiver(always=Busy("503")))

    def end(seconds: float) -> bool:
        house.ended = house.ended or seconds > 0
        return house.ended

    house.delivery._wait = end
    house.deliver()
    assert house.report.requests == 1
    assert house.kept == 4
