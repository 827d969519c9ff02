"""Where the bulk path spends its time: ``make profile``.

    make profile ARGS="--events 50000 --top 60 --sort cumulative"

The profiler makes every call dearer, so short functions look worse than they are; ``make bench`` has the true sums. Of
a compiled package it sees the calls only that pass through the interpreter.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections import deque

import ours
import workload

from sunbird_otel.cli._garbage import little_garbage


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top", type=int, default=40, help="functions to print (default %(default)s)")
    parser.add_argument("--sort", choices=("tottime", "cumulative", "ncalls"), default="tottime")
    workload.add_options(parser)
    options = parser.parse_args()
    lines = list(workload.lines(workload.of(options)))
    deque(ours.requests(lines[:1000]), maxlen=0)  # imports and caches
    profile = cProfile.Profile()
    with little_garbage():
        profile.runcall(lambda: deque(ours.requests(lines), maxlen=0))
    pstats.Stats(profile).strip_dirs().sort_stats(options.sort).print_stats(options.top)


if __name__ == "__main__":
    main()
