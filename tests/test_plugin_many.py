"""The nesting processor among threads and tasks: all is told as a sequential model tells it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from plugin_rig import (
    KINDS,
    RULES,
    Rig,
    attribute,
    model,
    play,
    story,
    violations,
)

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span


T = TypeVar("T")

SECOND = 10**9
ASSESS = "sunbird.assess"


def expected(seeds: range, flows: int) -> tuple[Counter[str], Counter[tuple[str, ...]]]:
    """Return the violations by code, and the flows by their marks, that a sequential model tells of the stories."""
    codes: Counter[str] = Counter()
    marks: Counter[tuple[str, ...]] = Counter()
    for seed in seeds:
        for number, flow in model(story(seed, flows)).items():
            codes.update(flow.codes)
            marks[f"{seed}.{number}", *sorted(set(flow.codes))] += 1
    return codes, marks


def check_stories(rig: Rig, seeds: range, flows: int) -> None:
    rig.provider.shutdown()
    codes, marks = expected(seeds, flows)
    spans = rig.memory.get_finished_spans()
    told = [span for span in spans if names.FLOW_TYPE in (span.attributes or {})]
    assert rig.tally.errors == {}
    assert Counter((span.name, *sorted(violations(span))) for span in told) == marks
    assert rig.tally.violations == codes
    assert rig.tally.opened == len(told) == sum(rig.tally.closed.values())
    ended = {f"{seed}.{step.number}" for seed in seeds for step in story(seed, flows) if step.what == "end"} | {
        span.name for span in told
    }
    assert Counter(span.name for span in spans) == Counter(ended)


def in_threads(seeds: range, threads: int, work: Callable[[int], None]) -> None:
    """Do ``work`` for each seed; the threads start together."""
    ready = threading.Barrier(threads)
    errors: list[BaseException] = []

    def run(mine: range) -> None:
        ready.wait()
        try:
            for seed in mine:
                work(seed)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    workers = [threading.Thread(target=run, args=(seeds[n::threads],)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []


async def in_tasks(rig: Rig, seeds: range, flows: int) -> None:
    """Play the stories at once, each in a task that gives way after every few steps."""

    async def run(seed: int) -> None:
        player = Player(rig, seed)
        steps = story(seed, flows)
        for begin in range(0, len(steps), 5):
            player.go_on(steps[begin : begin + 5])
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(run(seed))


class Player:
    """Plays a story in parts."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig = rig
        self._prefix = f"{seed}."
        self._spans: dict[int, Span] = {}

    def go_on(self, steps: Sequence[Any]) -> None:
        play(steps, self._rig, self._prefix, self._spans)


def test_the_model_knows_all_codes() -> None:
    codes, _ = expected(range(100), 40)
    assert codes.keys() == {"wrong_parent", "missing_parent", "unclosed_child", "missing_end", "event_outside_flow"}
    assert set(KINDS) - {""} <= RULES.by_kind.keys()


def test_threads_are_told_as_one_after_the_other() -> None:
    rig, seeds = Rig(), range(64)
    in_threads(seeds, 8, lambda seed: play(story(seed, 40), rig, f"{seed}."))
    check_stories(rig, seeds, 40)


def test_tasks_are_told_as_one_after_the_other() -> None:
    rig, seeds = Rig(), range(50)
    asyncio.run(in_tasks(rig, seeds, 40))
    check_stories(rig, seeds, 40)


@pytest.mark.parametrize("policy", ["repair", "reject"])
def test_threads_lose_no_span_under_any_policy(policy: str) -> None:
    rig, seeds = Rig(policy), range(64)
    in_threads(seeds, 8, lambda seed: play(story(seed, 40), rig, f"{seed}."))
    rig.provider.shutdown()
    spans = [*rig.memory.get_finished_spans(), *(span for flow in rig.rejected for span in flow)]
    told = Counter(span.name for span in spans if "synthetic" not in attribute(span, names.FLOW_REPAIR))
    wanted = {f"{seed}.{s.number}" for seed in seeds for s in story(seed, 40) if s.what == "end" or s.kind}
    assert told == Counter(wanted)
    assert (rig.tally.errors, rig.tally.open) == ({}, 0)


@pytest.mark.parametrize("seed", range(40))
def test_repair_gives_the_shape_that_the_rules_ask_for(seed: int) -> None:
    rig = Rig("repair")
    play(story(seed, 40), rig, "")
    rig.provider.shutdown()
    spans = rig.memory.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans if span.context}
    assert len(by_id) == len(spans)
    for span in spans:
        kind = (span.attributes or {}).get(names.FLOW_TYPE)
        around: list[ReadableSpan] = []
        parent = span.parent
        while parent is not None and parent.span_id in by_id:
            outer = by_id[parent.span_id]
            if names.FLOW_TYPE in (outer.attributes or {}):
                around.append(outer)
            parent = outer.parent
        kinds = [str((outer.attributes or {})[names.FLOW_TYPE]) for outer in around]
        # Runs stand beside; what an unfinished span stands in cannot be seen here.
        if kind is None or kind == "job" or "job" in kinds or parent is not None:
            continue
        assert RULES.by_kind[str(kind)].accepts_parent(kinds[0] if kinds else "root")
        if around:
            assert (around[0].start_time or 0) <= (span.start_time or 0)
            assert (span.end_time or 0) <= (around[0].end_time or 0)


@pytest.mark.slow
def test_a_hundred_thousand_flows_in_threads_and_tasks() -> None:
    """50,000 in 32 threads and, at the same time, 50,000 in 200 tasks."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    flows, in_pool, in_loop = 280, range(200), range(200, 400)
    rig = Rig()
    loop = threading.Thread(target=asyncio.run, args=(in_tasks(rig, in_loop, flows),))
    loop.start()
    in_threads(in_pool, 32, lambda seed: play(story(seed, flows), rig, f"{seed}."))
    loop.join()
    check_stories(rig, range(400), flows)
    assert rig.tally.opened >= 95_000
