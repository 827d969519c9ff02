"""The parts that all events share: ids, and what stands around an event when it has come to ``telemetry.raw``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

CHANNELS: Final = (b"0126684405014528002", b"0131397178949058560", b"01285019302823526477", b"0123221617357783046602")


def hexadecimal(rng: random.Random) -> bytes:
    """Return 128 bits."""
    return b"%032x" % rng.getrandbits(128)


def uuid(rng: random.Random) -> bytes:
    """Return 128 bits with hyphens."""
    text = b"%032x" % rng.getrandbits(128)
    return b"%b-%b-%b-%b-%b" % (text[:8], text[8:12], text[12:16], text[16:20], text[20:])


def content_id(rng: random.Random) -> bytes:
    """Return the identifier of some content."""
    return b"do_3143%014d" % rng.randrange(10**14)


def extracted(eid: bytes, ets: int, arrival: int, rest: bytes) -> bytes:
    """Wrap what came in a batch through the telemetry API and the pipeline's extractor."""
    moment = datetime.fromtimestamp(arrival // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    return b'{"eid":"%b","ets":%b,"ver":"3.0",%b,"syncts":%d,"@timestamp":"%b.%03dZ","flags":{"ex_processed":true}}' % (
        eid, _float(ets), rest, arrival, moment, arrival % 1000,
    )  # fmt: skip


def direct(eid: bytes, ets: int, arrival: int, rest: bytes) -> bytes:
    """Wrap what a service wrote straight to the topic."""
    return b'{"eid":"%b","ets":%d,"ver":"3.0",%b,"syncts":%d}' % (eid, ets, rest, arrival)


def _float(ets: int) -> bytes:
    """Write milliseconds as the pipeline's JSON library does: 1.760000000123E12."""
    digits = b"%d" % ets
    return b"%b.%bE12" % (digits[:1], digits[1:].rstrip(b"0") or b"0")
