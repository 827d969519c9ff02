"""The clock of a run that follows its input."""

from __future__ import annotations

from sunbird_otel.cli._live import Live

S = 1_000_000_000
NOON = 1_795_176_000 * S


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 5_000.0

    def __call__(self) -> float:
        return self.seconds


def test_event_time_goes_on_while_no_events_come() -> None:
    clock = Clock()
    live = Live(10 * S, monotonic=clock)
    assert live.now(NOON) == NOON - 10 * S
    clock.seconds += 4
    assert live.now(NOON) == NOON - 6 * S
    clock.seconds += 60
    assert live.now(NOON) == NOON + 54 * S


def test_each_newest_event_sets_the_clock_anew() -> None:
    clock = Clock()
    live = Live(10 * S, monotonic=clock)
    live.now(NOON)
    clock.seconds += 30
    assert live.now(NOON + S) == NOON - 9 * S
    clock.seconds += 2
    assert live.now(NOON + S) == NOON - 7 * S


def test_events_of_another_year_are_as_good() -> None:
    clock = Clock()
    clock.seconds += 7_000_000
    assert Live(10 * S, monotonic=clock).now(NOON // 2) == NOON // 2 - 10 * S


def test_before_the_first_event_nothing_is_late() -> None:
    clock = Clock()
    live = Live(10 * S, monotonic=clock)
    assert live.now(0) == 0
    clock.seconds += 3
    assert live.now(0) == 0
