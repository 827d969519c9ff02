"""Durations, sizes and counts as people write them."""

from __future__ import annotations

import re
from typing import Final

from sunbird_otel._duration import UNITS_NS, parse_duration

_BYTES: Final = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
_NUMBER: Final = re.compile(r"([0-9]{1,19}) ?([A-Za-z]*)")
_COUNT: Final = re.compile(r"[0-9]{1,3}(?:[,_][0-9]{3})+|[0-9]{1,19}")

# 10,000 years: more than any telemetry spans, and sums with event times stay far from any limit.
_LONGEST_DAYS: Final = 3_650_000
# 1 EiB, beyond any machine.
_LARGEST_BYTES: Final = 1 << 60

DURATION: Final = "a whole number and a unit, s, m, h or d, such as 90s, 30m, 36h or 7d"
"""What :func:`duration_ns` takes, for messages."""

SIZE: Final = "a whole number of bytes, or one with a unit, such as 256MiB or 1GiB"
"""What :func:`size_bytes` takes, for messages."""

COUNT: Final = "a whole number from 1, such as 1,000,000"
"""What :func:`count` takes, for messages."""


def duration_ns(text: str) -> int:
    """Return the nanoseconds of ``90s``, ``30m``, ``36h`` or ``7d``.

    >>> duration_ns("30m")
    1800000000000

    Raises:
        ValueError: The text is no :data:`DURATION`.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    # People may write a space before the unit.
    length = parse_duration(found[1] + found[2])
    if length > _LONGEST_DAYS * UNITS_NS["d"]:
        raise ValueError(text)
    return length


def size_bytes(text: str) -> int:
    """Return the bytes of ``256MiB``, ``1GiB``, ``500MB`` or ``1048576``; never 0.

    >>> size_bytes("256MiB")
    268435456

    Raises:
        ValueError: The text is no :data:`SIZE`.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2].lower() not in _BYTES:
        raise ValueError(text)
    size = int(found[1]) * _BYTES[found[2].lower()]
    if not 0 < size <= _LARGEST_BYTES:
        raise ValueError(text)
    return size


def count(text: str) -> int:
    """Return the number that ``1000000``, ``1,000,000`` or ``1_000_000`` writes; never 0.

    >>> count("1,000,000")
    1000000

    Raises:
        ValueError: The text is no :data:`COUNT`.
    """
    found = _COUNT.fullmatch(text.strip())
    number = int(found[0].replace(",", "").replace("_", "")) if found else 0
    if not number:
        raise ValueError(text)
    return number
