"""What an event measured: the numbers of METRICS, the duration of a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sunbird_otel._decode import EARLIEST_ETS_MS, LATEST_ETS_MS, nanoseconds, of_milliseconds
from sunbird_otel._json import integers, is_array, is_number, is_object

if TYPE_CHECKING:
    from sunbird_otel._event import Event

METRICS: Final = "METRICS"
"""The one event that measures."""

_WHEN: Final = re.compile(r"(?i:date|time|timestamp)$|(?:At|On|_at|_on|_ts)$")
_LONGEST_REQUEST_MS: Final = 86_400_000
_NAMING: Final = frozenset({"system", "subsystem", "metrics"})


def measurements(event: Event) -> list[tuple[str, int | float]]:
    """Return name and value of each measurement of a METRICS event; empty for every other event.

    Both forms are read: the schema's ``{system, subsystem, metrics: [{metric, value}]}`` and the specification's free
    map of names to numbers. A value that is a moment and not a measurement (``createdDate`` with epoch milliseconds)
    is left out; :func:`moments` returns it.
    """
    return [(name, value) for name, value in _numbers(event) if not _is_moment(name, value)]


def moments(event: Event) -> dict[str, int | float]:
    """Return the values of a METRICS event that are moments in epoch milliseconds."""
    return {name: value for name, value in _numbers(event) if _is_moment(name, value)}


def _numbers(event: Event) -> list[tuple[str, int | float]]:
    if event.eid != METRICS:
        return []
    found: list[tuple[str, int | float]] = []
    listed = event.edata.get("metrics")
    if is_array(listed):
        entries = [entry for entry in listed if is_object(entry) and isinstance(entry.get("metric"), str)]
        found.extend((entry["metric"], integers(entry["value"])) for entry in entries if is_number(entry.get("value")))
    found.extend(
        (name, integers(value))
        for name, value in sorted(event.edata.items())
        if name not in _NAMING and is_number(value)
    )
    return found


def _is_moment(name: str, value: float) -> bool:
    return EARLIEST_ETS_MS <= value < LATEST_ETS_MS and _WHEN.search(name) is not None


def duration_ns(event: Event, param: str) -> int:
    """Return how long a request took by its field ``param``; 0 when it does not say or what it says cannot be."""
    value = event.params.get(param)
    if type(value) is int and 0 <= value <= _LONGEST_REQUEST_MS:
        return of_milliseconds(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LONGEST_REQUEST_MS:
        return 0
    numerator, denominator = value.as_integer_ratio()
    return nanoseconds(numerator, denominator)
