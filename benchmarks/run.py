"""Throughput as ratios, measured side by side in one process: the bare parse, the naive bridge, ours.

``make bench ARGS="--events 50000 --rounds 5"`` sets the size.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import time
from typing import TYPE_CHECKING

import naive
import orjson
import workload
from rich.console import Console
from rich.table import Table

from sunbird_otel import Bridge, MetricPoint, Rules, Span
from sunbird_otel.sinks.otlp.encode import ProtobufEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 512


def parse(lines: list[bytes]) -> int:
    """Parse and do nothing else."""
    return sum(len(orjson.loads(line)) for line in lines)


def translate(lines: list[bytes]) -> int:
    """Run the bridge up to signals."""
    bridge = Bridge(rules=RULES)
    count = 0
    for line in lines:
        count += len(bridge.feed(line))
    return count + sum(len(step) for step in bridge.drain_steps())


def ours(lines: list[bytes]) -> int:
    """Run the bridge up to encoded requests."""
    bridge, encoder = Bridge(rules=RULES), ProtobufEncoder()
    size = 0
    spans: list[Span] = []
    points: list[MetricPoint] = []

    def flush() -> int:
        written = len(encoder.encode_traces(spans)) if spans else 0
        written += len(encoder.encode_metrics(points)) if points else 0
        spans.clear()
        points.clear()
        return written

    for line in lines:
        bridge.feed(line)
    for step in bridge.drain_steps():
        for signal in step:
            if isinstance(signal, Span):
                spans.append(signal)
            else:
                points.append(signal)
            if len(spans) + len(points) >= BATCH:
                size += flush()
    return size + flush()


def seconds(work: Callable[[list[bytes]], int], lines: list[bytes]) -> float:
    """Return the CPU time of one run."""
    gc.collect()
    begun = time.process_time()
    work(lines)
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = list(workload.events(options.events, options.seed))
    stages: dict[str, Callable[[list[bytes]], int]] = {
        "bare orjson parse": parse,
        "ours, to signals": translate,
        "ours, to OTLP bytes": ours,
        "naive bridge over the stock SDK, to OTLP bytes": naive.run,
    }
    taken: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(options.rounds):
        for name, work in stages.items():
            taken[name].append(seconds(work, lines))
    table = Table(title=f"{options.events:,} events, {options.rounds} rounds, Python {platform.python_version()}")
    table.add_column("stage")
    for heading in ("us/event (least)", "us/event (median)", "ratio to the parse", "ratio to the naive bridge"):
        table.add_column(heading, justify="right")
    bare, stock = min(taken["bare orjson parse"]), min(taken["naive bridge over the stock SDK, to OTLP bytes"])
    for name, times in taken.items():
        least, median = min(times), statistics.median(times)
        scale = 1e6 / options.events
        figures = (f"{least * scale:.1f}", f"{median * scale:.1f}", f"{least / bare:.1f}", f"{least / stock:.2f}")
        table.add_row(name, *figures)
    Console().print(table)


RULES = Rules.standard()

if __name__ == "__main__":
    main()
