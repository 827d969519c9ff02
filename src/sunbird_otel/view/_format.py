"""Times, durations and foreign text as people read them on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_S_PER_MINUTE, _S_PER_HOUR, _S_PER_DAY = 60, 3_600, 86_400
# Joiners shape Indic text and do nothing else.
_JOINERS = "\u200c\u200d"


def day(time_ns: int) -> str:
    """Return the UTC day, as ``2026-03-02``."""
    return f"{_moment(time_ns):%Y-%m-%d}"


def clock(time_ns: int) -> str:
    """Return the UTC time of day to the millisecond, as ``08:00:00.250``."""
    moment = _moment(time_ns)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def duration(length_ns: int) -> str:
    """Return a length in its two largest units, as ``350 ms``, ``2.5 s``, ``12 min 4 s`` or ``1 d 3 h``."""
    if length_ns < _NS_PER_S:
        return f"{length_ns // _NS_PER_MS} ms" if length_ns >= _NS_PER_MS else f"{length_ns:,} ns"
    if length_ns < _S_PER_MINUTE * _NS_PER_S:
        return f"{length_ns // _NS_PER_MS / 1000:g} s"
    seconds = length_ns // _NS_PER_S
    for size, unit, next_size, next_unit in (
        (_S_PER_DAY, "d", _S_PER_HOUR, "h"),
        (_S_PER_HOUR, "h", _S_PER_MINUTE, "min"),
    ):
        if seconds >= size:
            return _two(seconds, size, unit, next_size, next_unit)
    return _two(seconds, _S_PER_MINUTE, "min", 1, "s")


def _two(seconds: int, size: int, unit: str, next_size: int, next_unit: str) -> str:
    rest = seconds % size // next_size
    return f"{seconds // size} {unit}" + (f" {rest} {next_unit}" if rest else "")


def clean(text: str, width: int = 160) -> str:
    """Return foreign text in one line of at most ``width`` characters; control characters are shown, not obeyed."""
    if len(text) > width:
        text = text[: width - 2] + ".."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode("ascii") for c in text)


def short_id(text: str) -> str:
    """Return an id by its first eight characters when it is long."""
    return clean(text if len(text) <= len("12345678....") else text[:8] + "..")


def counted(count: int, noun: str) -> str:
    """Return ``1 span`` or ``1,200 spans``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _moment(time_ns: int) -> datetime:
    # Not fromtimestamp: a float cannot hold the nanoseconds, and rounds the millisecond.
    return _EPOCH + timedelta(microseconds=time_ns // _NS_PER_US)
