"""What is left of a document that broke: what to quote of it, and which lines after it still belong to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LINE_END = re.compile(rb"[\n\x1e]")

_QUOTE_CHARS = 200
_QUOTE_BYTES = 4 * _QUOTE_CHARS


def can_quote(buffer: bytearray, start: int) -> bool:
    """Tell whether all that :func:`quote` shows is there, so that it shows the same however the input was cut."""
    return len(buffer) - start >= _QUOTE_BYTES or LINE_END.search(buffer, start) is not None


def quote(buffer: bytearray, start: int, most: int = _QUOTE_BYTES) -> str:
    """Return the first 200 characters at ``start``, no more than ``most`` bytes, and only to the end of the line."""
    text = bytes(buffer[start : start + min(most, _QUOTE_BYTES)])
    return LINE_END.split(text, maxsplit=1)[0].decode("utf-8", "replace")[:_QUOTE_CHARS]


class Wreck:
    """The last document that broke after more than its first line. Offsets count from the start of the input.

    Reading goes back to the second line of such a document. Most of its lines are then no news, but a good document
    may stand among them, where a line that was cut off was taken together with the next.
    """

    __slots__ = ("_end", "_indent", "_unclosed")

    def __init__(self, indent: int = -1, end: int = -1, unclosed: Iterable[int] = ()) -> None:
        """Remember the blanks before the document, where the bytes end that fitted it, and its brackets left open."""
        self._indent = indent
        self._end = end
        self._unclosed = frozenset(unclosed)

    def holds(self, offset: int, indent: int, byte: int) -> bool:
        """Tell whether the line with ``byte`` as the first thing on it, at ``offset``, is only more of the document.

        A line that could carry the document on is, unless it may begin another: one that stands no deeper.
        """
        if self._indent < 0:
            return False
        return (
            indent > self._indent
            or (offset < self._end and byte not in b"{[")
            or (indent == self._indent and byte in b"}]")
        )

    def is_unclosed(self, offset: int) -> bool:
        """Tell whether a bracket is known to break where the document broke.

        Knowing it keeps many lines that were cut off from costing a scan each of all that follows them.
        """
        return offset in self._unclosed

    def is_past(self, offset: int) -> bool:
        """Tell whether nothing that begins at ``offset`` can belong to the document any more."""
        return offset >= self._end
