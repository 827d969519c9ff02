"""Memory of open flows, against the raw JSON of the events that they hold.

Sessions are opened in cohorts, each event of a cohort's sessions in turn, so that all stay open until the end. What the
process has grown by is divided by the length of the lines that it was fed.
"""

from __future__ import annotations

import gc
import random
from typing import TYPE_CHECKING, Final

import ours
from figures import Result
from resident import available_share, resident_bytes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_COHORT: Final = 5_000
_FIRST_MS: Final = 1_760_000_000_000
_SPAN_MS: Final = 1_200_000
"""All of it happens within this time, which is less than an idle gap."""
_SPARE: Final = 0.15
"""Of the machine's memory: it is kept for others."""


def measure(options: argparse.Namespace) -> Result:
    """Open ``options.flows`` flows of ``options.flow_events`` events, or as many as there is memory for."""
    wanted, each = options.flows, options.flow_events
    pipeline = ours.Pipeline(lateness=0)
    # What is made once, whatever the number of flows, is made before the measurement begins.
    warm = ours.Pipeline(lateness=0)
    for _ in warm.feed(_cohort(random.Random(0), 50, each, _FIRST_MS, 1)):
        pass
    for _ in warm.drain():
        pass
    del warm
    gc.collect()
    before = resident_bytes()
    if before is None:
        return Result(
            title="Memory of open flows", notes=["Not measured: this system does not tell a process's memory."]
        )
    rng = random.Random(options.seed)
    raw = opened = 0
    while opened < wanted and (not opened or available_share() > _SPARE):
        flows = min(_COHORT, wanted - opened)
        begin = _FIRST_MS + _SPAN_MS * opened // wanted
        cohort = list(_cohort(rng, flows, each, begin, _SPAN_MS * flows // wanted))
        raw += sum(map(len, cohort))
        for _ in pipeline.feed(cohort):
            pass
        del cohort
        opened += flows
    gc.collect()
    grown = (resident_bytes() or 0) - before
    if pipeline.open_flows != opened:
        raise RuntimeError(f"expected all {opened:,} flows to be open, found {pipeline.open_flows:,}")
    notes = [] if opened == wanted else [f"{wanted:,} flows were wanted; this machine had no memory for more."]
    return Result(
        title=f"Memory of {opened:,} open flows of {each} events",
        headings=["", "bytes", "a flow", "x raw JSON"],
        rows=[
            ["raw JSON of their events", f"{raw:,}", f"{raw / opened:,.0f}", "1.00"],
            ["growth of the process", f"{grown:,}", f"{grown / opened:,.0f}", f"{grown / raw:.2f}"],
        ],
        figures={"memory": grown / raw},
        notes=notes,
    )


def _cohort(rng: random.Random, flows: int, each: int, begin_ms: int, span_ms: int) -> Iterator[bytes]:
    """Yield the events of ``flows`` sessions: a START each, then what happens in them."""
    heads = [_head(rng) for _ in range(flows)]
    count = flows * each
    for number in range(count):
        head = heads[number % flows]
        ets = begin_ms + span_ms * number // count
        if number < flows:
            eid, edata = b"START", b'"type":"session","mode":"","pageid":"page/home","duration":0.31'
        elif number // flows % 3:
            eid = b"IMPRESSION"
            edata = b'"pageid":"app/search/learning","type":"app","uri":"app/search/learning?q=course&page=%d"' % (
                rng.randrange(1000)
            )
        else:
            eid = b"INTERACT"
            edata = b'"type":"click","subtype":"cardSearch","id":"do_3143%014d","pageid":"page/home"' % (
                rng.randrange(10**14)
            )
        yield (
            b'{"eid":"%b","ets":%d,"ver":"3.0","mid":"%b:%032x",%b,"object":{"ver":"1.0","id":"do_3143%014d",'
            b'"type":"Content"},"tags":[],"edata":{%b},"syncts":%d}'
            % (eid, ets, eid, rng.getrandbits(128), head, rng.randrange(10**14), edata, ets + 4_600)
        )


def _head(rng: random.Random) -> bytes:
    return (
        b'"actor":{"id":"%032x","type":"User"},"context":{"channel":"0126684405014528002","pdata":{"id":"prod.portal",'
        b'"ver":"6.0.1","pid":"sunbird-portal"},"env":"prod","sid":"%032x","did":"%032x","cdata":[],'
        b'"rollup":{"l1":"0126684405014528002"}}' % (rng.getrandbits(128), rng.getrandbits(128), rng.getrandbits(128))
    )
