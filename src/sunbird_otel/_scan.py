"""Where a JSON document ends: a scanner that can stop at any byte and go on when more have come.

It looks at brackets and strings, and leaves the rest of the grammar to the decoder: what is balanced is one document,
even with ``NaN``, bad UTF-8 or a lost comma inside, so that it is refused alone. Only where a line ends inside a
document does it look closer, because there a document that was cut off meets the next one.
"""

from __future__ import annotations

import re
import sys
from enum import Enum, auto

_QUOTE, _BACKSLASH = b'"\\'
_LINE_ENDS = b"\n\x1e"
_CLOSER = {ord("{"): ord("}"), ord("["): ord("]")}

# A raw line end or record separator cannot stand in a JSON string, so there a string that was cut off ends.
_TEXT = rb'[^"\\\n\x1e]*+(?:\\[^\n\x1e][^"\\\n\x1e]*+)*+'
_STRING_BODY = re.compile(_TEXT)
# The line ends of pretty-printed JSON that can be judged without knowing which bracket is open.
_PLAIN_LINE_END = rb'(?:(?<=[,{\[])|(?<=[,{\[]\r))\n[ \t\r\n]*+(?=["}\]])|\n[ \t\r\n]*+(?=[}\]])'
# Where branches stand inside a possessive group, early releases of CPython 3.11 go beyond the end (gh-106052). Without
# it the same is matched, at three times the cost.
_MENDED = 0x030B07F0  # 3.11.7
_ALL = b"*+" if sys.hexversion >= _MENDED else b"*"
_NO_BRACKET = re.compile(rb'(?:[^"{}\[\]\n\x1e]++|"' + _TEXT + rb'"|' + _PLAIN_LINE_END + b")" + _ALL)
_BLANK = re.compile(rb"[ \t\r\n]*+")

_VALUE = b'{["-0123456789tfnNI}]'
# What may come first on a line, by the closing bracket that is awaited and the last byte before the line end. Closing
# brackets always may: no good document begins with one.
_MAY_FOLLOW = {
    ord("}"): {ord("{"): b'"}]', ord(","): b'"}]', ord(":"): _VALUE, ord('"'): b",:}]"},
    ord("]"): {ord("["): _VALUE, ord(","): _VALUE},
}
_AFTER_VALUE = b",}]"

_DEPTH = 1024  # orjson reads no deeper; below this the decoder judges by its own limit


class Step(Enum):
    """How far a scan has come."""

    MORE = auto()
    DONE = auto()
    BROKEN = auto()


class Scanner:
    """The document under way. All offsets are indexes into the buffer that ``run`` is given.

    Args:
        start: where the document begins: at a ``{``, a ``[`` or a quote.
        indent: blanks before the first thing on its line.
    """

    __slots__ = (
        "_crossed",
        "_first",
        "_in_string",
        "_last",
        "_stack",
        "at",
        "broken_at_line_start",
        "code",
        "heads",
        "indent",
        "oversized",
        "problem",
        "start",
        "step",
    )

    def __init__(self, start: int, *, indent: int) -> None:
        """Begin a document."""
        self.start = start
        self.at: int = start
        """The next byte to look at; once done the end of the document, once broken the byte that broke it."""
        self.indent = indent
        self.step = Step.MORE
        self.code = "not_json"
        self.problem = "a document that the input ends in"
        self.broken_at_line_start = False
        self.oversized = False
        """For the caller: the document was refused for its size, and is only followed to its end."""
        self.heads: list[tuple[int, int]] = []
        """(depth, offset) of the open brackets that came first on a line."""
        self._stack = bytearray()
        self._last = 0
        self._first = -1
        self._in_string = False
        self._crossed = False

    def shift(self, dropped: int) -> None:
        """Follow a buffer that lost its first ``dropped`` bytes."""
        self.start -= dropped
        self.at -= dropped
        self._first -= dropped
        self.heads = [(depth, offset - dropped) for depth, offset in self.heads]

    def run(self, buffer: bytearray) -> Step:
        """Scan on; each byte is looked at once, however the input was cut. A finished scan stays as it is."""
        while self.step is Step.MORE:
            if self._in_string:
                moved = self._string(buffer)
            elif self._crossed:
                moved = self._next_line(buffer)
            else:
                moved = self._brackets(buffer)
            if not moved:
                break
        return self.step

    def _string(self, buffer: bytearray) -> bool:
        """Pass the rest of a string that did not stand whole in the buffer."""
        end = _STRING_BODY.match(buffer, self.at).end()  # type: ignore[union-attr]  # it matches the empty string
        self.at = end
        if end == len(buffer) or (end == len(buffer) - 1 and buffer[end] == _BACKSLASH):
            return False
        if buffer[end] != _QUOTE:
            return self._break("a line that ends inside a string")
        self.at = end + 1
        self._last = _QUOTE
        self._in_string = False
        if not self._stack:
            self.step = Step.DONE
        return True

    def _next_line(self, buffer: bytearray) -> bool:
        """Look whether the first thing after a line end can carry the document on."""
        end = _BLANK.match(buffer, self.at).end()  # type: ignore[union-attr]  # it matches the empty string
        self.at = self._first = end
        if end == len(buffer):
            return False
        if buffer[end] not in _MAY_FOLLOW[self._stack[-1]].get(self._last, _AFTER_VALUE):
            self.broken_at_line_start = True
            return self._break("a document that is cut off at a line end")
        self._crossed = False
        return True

    def _brackets(self, buffer: bytearray) -> bool:  # noqa: C901, PLR0911  # the hot loop of the slow way: no calls
        """Go from bracket to bracket up to the end of the line, of the document or of the buffer."""
        at, size, stack = self.at, len(buffer), self._stack
        if not stack and buffer[at] == _QUOTE:
            self.at += 1
            self._in_string = True
            return True
        while True:
            mark = at
            at = _NO_BRACKET.match(buffer, at).end()  # type: ignore[union-attr]  # it matches the empty string
            if at == size:
                self._remember(buffer, mark, at)
                return False
            byte = buffer[at]
            if closer := _CLOSER.get(byte):
                if len(stack) == _DEPTH:
                    self.at = at
                    return self._break(f"brackets more than {_DEPTH} deep", code="too_deep")
                stack.append(closer)
                if at == self._first:
                    self.heads.append((len(stack), at))
                self._last = byte
            elif byte == _QUOTE:
                self.at = at + 1
                self._in_string = True
                return True
            elif byte in _LINE_ENDS:
                self._remember(buffer, mark, at)
                self._crossed = True
                return True
            elif byte == stack[-1]:
                if self.heads and self.heads[-1][0] == len(stack):
                    self.heads.pop()
                stack.pop()
                self._last = byte
                if not stack:
                    self.at = at + 1
                    self.step = Step.DONE
                    return True
            else:
                self.at = at
                return self._break(f"{chr(byte)!r} where {chr(stack[-1])!r} is due")
            at += 1

    def _remember(self, buffer: bytearray, mark: int, at: int) -> None:
        """Stop at ``at`` and keep the last byte before it that is not blank."""
        self.at = at
        passed = buffer[mark:at].rstrip(b" \t\r")
        if passed:
            self._last = passed[-1]

    def _break(self, problem: str, *, code: str = "not_json") -> bool:
        self.step = Step.BROKEN
        self.problem = problem
        self.code = code
        return False
