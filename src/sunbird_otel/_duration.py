"""The one form of a length of time that options and rule files share: ``90s``, ``30m``, ``36h``, ``7d``."""

from __future__ import annotations

import re
from typing import Any, Final

UNITS_NS: Final = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
"""The units from the smallest on, in nanoseconds."""

_FORM: Final = re.compile(r"([0-9]+)([smhd])")


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a whole number and one of ``s``, ``m``, ``h``, ``d``, with nothing around them.

    >>> parse_duration("30m")
    1800000000000

    Raises:
        ValueError: The text is none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(text)
    # Any for the reason that `nanoseconds` in `_decode` gives: a product of large integers must bear Ctrl-C.
    number: Any = int(found[1])
    ns: int = number * UNITS_NS[found[2]]
    return ns
