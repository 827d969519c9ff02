"""The parts that an input comes apart into."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sunbird_otel._findings import Position  # noqa: TC001 - compiled, a tuple needs the classes of its fields

_BRACE: Final = 0x7B
_CLOSE_BRACE: Final = 0x7D
_SHORTEST: Final = 2
_USUAL: Final = b'{"eid":"'


class Document(NamedTuple):
    """One JSON document: an event, a batch, or an element of an array; a tuple because one is made for each line."""

    data: bytes
    """The bytes of the document, with nothing around them; balanced, but not always valid JSON."""
    position: Position
    """The line on which it begins; ``index`` is its place (from 0) when it is an element of an array."""
    end: int
    """Offset of the first byte after it, from the start of the (inflated) input."""
    value: Any = None
    """What ``orjson.loads(data)`` returns, when that is known already; else None."""


class Lines(NamedTuple):
    """Lines that begin and end as one object each, which is not proven: what :func:`is_whole` takes for whole.

    Sooner or later a parser must look at each; :func:`sunbird_otel._apart.documents` does.
    """

    source: str
    """Name of the input."""
    first: int
    """Number (from 1) of the first line."""
    texts: list[bytes]
    """The lines, without line ends or blanks around them."""
    end: int = 0
    """Offset of the first byte after them and their line ends, from the start of the (inflated) input."""
    line_end: int = 1
    """How many bytes end a line."""


def is_whole(line: bytes) -> bool:
    """Tell whether ``line`` is one object as far as its beginning and end tell.

    One that does not begin as events do must have as many opening as closing braces, too: the first line of a document
    that goes on may end in one.
    """
    if len(line) < _SHORTEST or line[-1] != _CLOSE_BRACE:
        return False
    if line.startswith(_USUAL):
        return True
    return line[0] == _BRACE and line.count(b"{") == line.count(b"}")
