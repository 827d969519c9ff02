"""Sunbird telemetry for the benchmarks: the mix, the shapes and the sizes that were counted in the field, from a seed.

    PYTHONPATH=benchmarks python -m workload --events 200000 > events.jsonl

What is copied from the field, with the source of each figure:

* **Mix.** Of 114,379 events of one system: LOG 90.7 %, IMPRESSION 4.9, START 1.6, AUDIT 0.9, INTERACT 0.7, END 0.6,
  ERROR 0.4, SEARCH 0.1. STARTs are app (half of them, never ended), page and player; two in five have an END.
* **LOGs** are what services write about their requests: in two captures 70 and 94 % of them are ``api_access``, here
  85 %: from a Node service (with a request id, without duration), Java services (duration, status, no request id) and a
  third kind whose request id stands in ``cdata``. The rest are requests' payloads and system messages.
* **Stage.** Lines are as in the archives of topic ``telemetry.raw``: what came through the telemetry API has ``ets`` as
  a float in scientific notation, and ``syncts``, ``@timestamp`` and ``flags``; Java services write there directly.
* **Arrival.** Clients send in batches: half of the delayed events come more than 4.6 s late, one in twenty more than
  38.6 s. Some come twice.

Devices are active ``lanes`` at a time, each visit has a device of its own, and time passes so that an active device
writes an event every 35 seconds.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workload._clients import Clients
from workload._services import Services

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

MIX: Final = {
    "LOG": 90.7,
    "IMPRESSION": 4.9,
    "START": 1.6,
    "AUDIT": 0.9,
    "INTERACT": 0.7,
    "END": 0.6,
    "ERROR": 0.4,
    "SEARCH": 0.1,
}
"""Per cent of all events."""

_CLIENT_SHARE: Final = sum(MIX[eid] for eid in ("IMPRESSION", "START", "INTERACT", "END")) / 100
_SECONDS_BETWEEN: Final = 35
"""Of an active device: about nine events in a visit of five minutes."""

_LOGINS: Final = 0.15
"""Of the AUDITs; the others are a service's."""

_FIRST_MS: Final = 1_760_000_000_000
_LAG_MEDIAN_MS: Final = 4_600
_LAG_SIGMA: Final = math.log(38.6 / 4.6) / 1.645
"""Of a log-normal distribution whose 95th percentile is 38.6 s."""

LONGEST_LAG_MS: Final = 240_000
"""No event comes later than this, so that a lateness of five minutes keeps all in order."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What to make. Equal workloads make equal lines."""

    events: int = 50_000
    """How many lines, copies among them."""
    lanes: int = 500
    """Devices that are active at a time."""
    duplicates: float = 0.01
    """The share of lines that are exact copies of an earlier one."""
    delayed: float = 0.1
    """The share of events that arrive late, and therefore out of order."""
    seed: int = 1


def lines(workload: Workload) -> Iterator[bytes]:
    """Yield the lines in the order in which they arrive."""
    made = _made(workload)
    rng = random.Random(f"arrival {workload.seed}")
    waiting: list[tuple[int, int, bytes]] = []
    lately: deque[bytes] = deque(maxlen=64)
    given = 0
    for number, (now_ms, arrival_ms, event) in enumerate(made):
        heapq.heappush(waiting, (arrival_ms, number, event))
        while waiting and waiting[0][0] <= now_ms:
            if given >= workload.events:
                return
            if lately and rng.random() < workload.duplicates:
                yield lately.popleft()  # a batch that was sent again
            else:
                line = heapq.heappop(waiting)[2]
                lately.append(line)
                yield line
            given += 1


def _made(workload: Workload) -> Iterator[tuple[int, int, bytes]]:
    """Yield event time, time of arrival and text of events without end, in the order of event time."""
    rng = random.Random(workload.seed)
    clients, services = Clients(rng, workload.lanes), Services(rng)

    def audit(ets: int, arrival: int) -> bytes:
        return (clients.login if rng.random() < _LOGINS else services.audit)(ets, arrival)

    makers: dict[str, Callable[[int, int], bytes]] = {
        "LOG": services.log,
        "AUDIT": audit,
        "ERROR": services.error,
        "IMPRESSION": clients.impression,
        "START": clients.start,
        "INTERACT": clients.interact,
        "END": clients.end,
        "SEARCH": clients.search,
    }
    kinds, weights = list(makers.values()), [MIX[eid] for eid in makers]
    step_ms = 1000 * _SECONDS_BETWEEN * _CLIENT_SHARE / workload.lanes
    number = 0
    while True:
        for make in rng.choices(kinds, weights, k=1000):
            ets = arrival = _FIRST_MS + int(number * step_ms)
            if rng.random() < workload.delayed:
                arrival += min(LONGEST_LAG_MS, int(rng.lognormvariate(math.log(_LAG_MEDIAN_MS), _LAG_SIGMA)))
            yield ets, arrival, make(ets, arrival)
            number += 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of :class:`Workload`."""
    usual = Workload()
    group = parser.add_argument_group("workload")
    group.add_argument("--events", type=int, default=usual.events, help="lines a round (default %(default)s)")
    group.add_argument("--lanes", type=int, default=usual.lanes, help="devices that are active at a time (%(default)s)")
    group.add_argument("--duplicates", type=float, default=usual.duplicates, help="share of copies (%(default)s)")
    group.add_argument(
        "--delayed", type=float, default=usual.delayed, help="share that comes out of order (%(default)s)"
    )
    group.add_argument("--seed", type=int, default=usual.seed)


def of(options: argparse.Namespace, events: int | None = None) -> Workload:
    """Return the workload that was asked for, but with ``events`` lines if that is given."""
    return Workload(
        events=options.events if events is None else events,
        lanes=options.lanes,
        duplicates=options.duplicates,
        delayed=options.delayed,
        seed=options.seed,
    )
