"""From bytes to JSON documents, whatever stands between them, in bounded memory and without I/O.

An input may hold one event a line, batches, pretty-printed documents, documents with nothing or a record separator
between them, and arrays of any length, in any mixture; the bytes alone tell. Usual lines are handed on together as they
are, since who takes them knows best when to parse them. Everything else goes through
:class:`sunbird_otel._scan.Scanner`.

What is broken costs only itself. A line that was cut off can look as if the next one belonged to it; so when a
document breaks, reading goes back to the line after its first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import orjson

from sunbird_otel._document import Document, Lines, is_whole
from sunbird_otel._findings import Finding, Position
from sunbird_otel._scan import Scanner, Step
from sunbird_otel._wreck import LINE_END, Wreck, can_quote, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel._limits import Limits

_BETWEEN = re.compile(rb"[ \t\r\n\x1e]*+")
_WORD = re.compile(rb'[^\s,:{}\[\]"\x1e]++')
_NULS = re.compile(rb"\x00*+")
_UTF8_BOM = b"\xef\xbb\xbf"
_BOMS = (_UTF8_BOM, b"\xff\xfe", b"\xfe\xff")
_MARKS = b"\x00\xef\xff\xfe"

_BRACE, _BRACKET, _CLOSE_BRACE, _CLOSE_BRACKET, _COMMA, _NUL, _CR = b"{[}],\x00\r"

_SCALAR_BYTES = 4096  # a line or word of this length without a bracket is no event; the rest of it need not be kept
_WAIT_BYTES = 1 << 20  # how long a line may become before it is scanned as it comes


_Move = Document | Finding | Literal[Step.MORE, Step.DONE]
"""What one move gives: an item, DONE when it gave none, or MORE when nothing can be told before more bytes come."""


class Framer:
    """Cut a stream of bytes into documents.

    Args:
        limits: ``document_bytes`` bounds what is kept in memory.
        source: the name that goes into positions.
        line: the number of the first line.
        base: the offset of the first byte.
        together: whether usual lines may be handed on together.

    Everything that ``feed`` and ``close`` return must be taken before the next call.
    """

    def __init__(
        self, limits: Limits, source: str = "", *, line: int = 1, base: int = 0, together: bool = True
    ) -> None:
        """Begin at the start of an input."""
        self._limit = limits.document_bytes
        self._source = source
        self._buffer = bytearray()
        self._base = base  # offset in the input of the first byte of the buffer
        self._at = 0  # in the buffer: all before it is done
        self._line = line
        self._line_start = 0  # in the buffer, negative when those bytes are gone
        self._indent = 0  # blanks before the first thing on this line
        self._fresh = True  # nothing but blanks so far on this line
        self._skipping = False  # to the end of the line
        self._waiting = False  # for the end of a line
        self._separable = False  # a document or element stands directly before, so a comma may follow
        self._nuls_end = -1  # where the last run of NUL bytes ends, in the input
        self._index: int | None = None  # of the next element, when inside an array
        self._array_line = 0
        self._stray = False  # an array was given up: its closing bracket is still to come
        self._scanner: Scanner | None = None
        self._wreck = Wreck()
        self._foreign = False  # the input is no UTF-8 text at all
        self._final = False
        self._together = together
        self._closing_code = "not_json"

    def feed(self, chunk: bytes) -> Iterator[Lines | Document | Finding]:
        """Take the next bytes, of any length; return what they complete."""
        if self._foreign:
            return iter(())
        self._buffer += chunk
        if self._waiting and b"\n" not in chunk and self._may_wait():
            return iter(())
        return self._take()

    def close(self, code: str = "not_json") -> Iterator[Lines | Document | Finding]:
        """End the input; return what is left.

        ``code`` is for a document that the end cuts off: ``truncated`` when the caller knows that bytes are missing.
        """
        self._final = True
        self._closing_code = code
        return self._take()

    def _take(self) -> Iterator[Lines | Document | Finding]:
        self._waiting = False
        while True:
            if self._together and self._fresh and self._index is None and self._scanner is None and not self._skipping:
                yield from self._lines()
            item = self._next()
            if item is Step.MORE:
                break
            if item is not Step.DONE:
                yield item
        self._drop()

    def _lines(self) -> Iterator[Lines]:
        """Take the lines that hold one object each as far as their brackets tell: this is the hot path."""
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\n", start)
        if end < 0 or buffer[start] != _BRACE:
            return
        line_end = b"\r\n" if buffer[end - 1] == _CR else b"\n"
        if not is_whole(bytes(buffer[start : end + 1 - len(line_end)])):
            return
        data = bytes(memoryview(buffer)[start : buffer.rfind(line_end, start) + len(line_end)])
        texts: list[bytes] = []
        taken, limit = 0, self._limit
        # Splitting would look at each byte by itself; finding skips over them.
        while (end := data.find(line_end, taken)) >= 0:
            text = data[taken:end]
            if not is_whole(text) or len(text) > limit:
                break
            texts.append(text)
            taken = end + len(line_end)
        if not texts:
            return
        self._at = self._line_start = start + taken
        yield Lines(self._source, self._line, texts, self._base + self._at, len(line_end))
        self._line += len(texts)
        self._separable = True
        if self._wreck.is_past(self._base + self._at - 1):
            self._wreck = Wreck()

    def _drop(self) -> None:
        """Forget the bytes that are done with."""
        scanner = self._scanner
        if scanner is not None and scanner.oversized:
            self._pass_to(scanner.at)
        done = self._at
        del self._buffer[:done]
        self._base += done
        self._at = 0
        self._line_start -= done
        if scanner is not None and done:
            scanner.shift(done)

    def _next(self) -> _Move:  # noqa: PLR0911  # one return a kind of move
        """Make one move."""
        if self._skipping:
            return self._skip()
        if self._scanner is not None:
            return self._scan(self._scanner)
        if self._blank():
            return Step.DONE
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            if self._final and self._index is not None:
                return self._give_up_array("an array that the input ends in", code=self._closing_code)
            return Step.MORE
        byte = buffer[at]
        if byte in _MARKS and (moved := self._pass_mark(byte)):
            return moved
        return self._between(byte) if self._index is None else self._in_array(byte)

    def _skip(self) -> _Move:
        """Go to the end of the line."""
        found = LINE_END.search(self._buffer, self._at)
        if found is None:
            self._at = len(self._buffer)
            return Step.MORE
        self._at = found.start()
        self._skipping = False
        return Step.DONE

    def _blank(self) -> bool:
        """Pass what may stand between documents; tell whether there was any."""
        buffer, at = self._buffer, self._at
        end = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]  # it matches the empty string
        if self._pass_to(end) or buffer.find(b"\x1e", at, end) >= 0:
            self._fresh = True
        if self._fresh:
            self._indent = end - self._line_start
        return end > at

    def _pass_to(self, end: int) -> int:
        """Have done with the bytes before ``end``; return how many line ends they hold."""
        newlines = self._buffer.count(b"\n", self._at, end)
        if newlines:
            self._line += newlines
            self._line_start = self._buffer.rfind(b"\n", self._at, end) + 1
        self._at = end
        return newlines

    def _pass_mark(self, byte: int) -> _Move | None:
        """Pass what is no text, but stands in files: byte order marks, runs of NUL bytes. None when it is neither."""
        buffer, at = self._buffer, self._at
        offset = self._base + at
        if byte == _NUL:  # a crash can leave them in front of good data
            self._at = _NULS.match(buffer, at).end()  # type: ignore[union-attr]  # it matches the empty string
            going_on = offset == self._nuls_end
            self._nuls_end = self._base + self._at
            return Step.DONE if going_on else self._finding("a run of NUL bytes", raw="\x00")
        for bom in _BOMS if offset == 0 else _BOMS[:1]:  # UTF-8 also where files were put one after the other
            mark = bytes(buffer[at : at + len(bom)])
            if mark == bom == _UTF8_BOM:
                self._at += len(bom)
                self._line_start += len(bom)
                return Step.DONE
            if mark == bom:
                self._foreign = True
                self._at = len(buffer)
                return self._finding("UTF-16 text; nothing of it was read", expected="JSON in UTF-8")
            if bom.startswith(mark) and not self._final:
                return Step.MORE
        return None

    def _between(self, byte: int) -> _Move:
        """Move on from ``byte``, which stands outside of every array."""
        offset = self._base + self._at
        if (byte == _COMMA and self._separable) or (byte == _CLOSE_BRACKET and self._stray):
            self._stray &= byte == _COMMA
            return self._pass(separable=byte == _CLOSE_BRACKET)
        if self._fresh:
            if self._wreck.holds(offset, self._indent, byte):
                self._skipping = True
                return Step.DONE
            if self._wreck.is_unclosed(offset):
                return self._refuse_line("a document that is cut off at a line end")
            if self._wreck.is_past(offset):
                self._wreck = Wreck()
        if byte == _BRACKET:
            self._index = 0
            self._array_line = self._line
            return self._pass(separable=False)
        if byte == _BRACE:
            self._waiting = self._fresh and self._may_wait() and self._buffer.find(b"\n", self._at) < 0
            return Step.MORE if self._waiting else self._begin()
        return self._scalar_line()

    def _may_wait(self) -> bool:
        """Tell whether to wait for the line end: then the line can be parsed at once, which is faster than scanning it.

        Not when the bytes end like a document, since they may be all that comes for a while.
        """
        size = len(self._buffer) - self._at
        return size <= min(_WAIT_BYTES, self._limit) and not self._final and self._buffer[-1] != _CLOSE_BRACE

    def _pass(self, *, separable: bool) -> _Move:
        """Pass one byte of punctuation."""
        self._at += 1
        self._fresh = False
        self._separable = separable
        return Step.DONE

    def _begin(self) -> _Move:
        """Let the scanner find the end of the document that begins here."""
        self._scanner = Scanner(self._at, indent=self._indent)
        self._fresh = self._separable = False
        return Step.DONE

    def _scan(self, scanner: Scanner) -> _Move:
        """Follow the document under way as far as the bytes go."""
        step = scanner.run(self._buffer)
        if not scanner.oversized and scanner.at - scanner.start > self._limit:
            scanner.oversized = True
            expected = f"at most {self._limit} bytes (limit document_bytes)"
            raw = quote(self._buffer, scanner.start, self._limit)
            return self._finding("a larger document", code="too_large", expected=expected, raw=raw)
        if step is Step.MORE and not self._final:
            return Step.MORE
        if scanner.oversized:
            return self._leave_oversized(scanner)
        if step is Step.DONE:
            self._scanner = None
            return self._document(scanner.at)
        if not (self._final or can_quote(self._buffer, self._at)):
            return Step.MORE
        return self._broken(scanner)

    def _document(self, end: int, value: Any = None) -> Document:
        data = bytes(self._buffer[self._at : end])
        position = Position(self._source, self._line, self._index)
        self._pass_to(end)
        self._after_document()
        return Document(data, position, self._base + end, value)

    def _after_document(self) -> None:
        self._fresh = False
        self._separable = True
        if self._index is not None:
            self._index += 1

    def _broken(self, scanner: Scanner) -> Finding:
        """Refuse the line on which a broken document began, and go back to the next."""
        at_end = scanner.step is Step.MORE
        code = self._closing_code if at_end else scanner.code
        finding = self._finding(scanner.problem, code=code, raw=quote(self._buffer, scanner.start))
        self._scanner = None
        self._skipping = True
        self._leave_array()
        if b"\n" in self._buffer[self._at : scanner.at].rstrip():
            reach = len(self._buffer) if at_end else self._buffer.rfind(b"\n", 0, scanner.at) + 1
            unclosed = (self._base + head for _, head in scanner.heads if head < reach)
            self._wreck = Wreck(scanner.indent, self._base + reach, unclosed)
        return finding

    def _leave_oversized(self, scanner: Scanner) -> _Move:
        """Go on after a document that was too large to be kept, or where it broke."""
        self._scanner = None
        self._pass_to(scanner.at)
        if scanner.step is Step.DONE:
            self._after_document()
        else:
            self._fresh = scanner.broken_at_line_start
            self._skipping = not self._fresh
            self._leave_array()
        return Step.DONE

    def _leave_array(self) -> None:
        """Take what follows for lines again, but for the closing bracket that may still come."""
        if self._index is not None:
            self._index = None
            self._stray = True

    def _in_array(self, byte: int) -> _Move:  # noqa: PLR0911  # one return a kind of move
        """Move on from ``byte``, which stands between the elements of an array."""
        if byte == _CLOSE_BRACKET:
            self._index = None
            return self._pass(separable=True)
        if byte == _COMMA and self._separable:
            return self._pass(separable=False)
        if self._separable:
            return self._give_up_array("an array that is not closed")
        if byte in b'{["':
            return self._begin()
        buffer, at = self._buffer, self._at
        word = _WORD.match(buffer, at, at + _SCALAR_BYTES)
        if word is None or word.end() == at + _SCALAR_BYTES:
            return self._give_up_array("something that is no element of an array")
        if word.end() == len(buffer) and not self._final:
            return Step.MORE
        return self._document(word.end())

    def _give_up_array(self, found: str, *, code: str = "not_json") -> _Move:
        """Refuse the rest of an array; its elements so far have been handed out.

        What begins a line may be a good document, and is looked at again; on the same line all is lost.
        """
        lost = not self._fresh and self._at < len(self._buffer)
        if lost and not (self._final or can_quote(self._buffer, self._at)):
            return Step.MORE
        finding = self._finding(
            found, code=code, line=self._array_line, raw=quote(self._buffer, self._at) if lost else ""
        )
        self._leave_array()
        self._skipping = lost
        return finding

    def _scalar_line(self) -> _Move:
        """Hand out the rest of the line if it is a JSON text without brackets; refuse it otherwise."""
        buffer, at = self._buffer, self._at
        found = LINE_END.search(buffer, at, at + _SCALAR_BYTES)
        end = found.start() if found is not None else len(buffer)
        if end - at < _SCALAR_BYTES:
            if found is None and not self._final:
                return Step.MORE
            end = at + len(buffer[at:end].rstrip())
            try:
                value = orjson.loads(buffer[at:end])
            except ValueError:
                pass
            else:
                return self._document(end, value)
        return self._refuse_line("text that is not JSON")

    def _refuse_line(self, found: str) -> _Move:
        """Refuse the rest of the line."""
        if not (self._final or can_quote(self._buffer, self._at)):
            return Step.MORE
        self._skipping = True
        self._separable = False
        return self._finding(found, raw=quote(self._buffer, self._at))

    def _finding(
        self, found: str, *, code: str = "not_json", expected: str = "", line: int = 0, raw: str = ""
    ) -> Finding:
        expected = expected or "a JSON object or an array of objects"
        position = Position(self._source, line or self._line, self._index)
        return Finding(code=code, path="$", expected=expected, found=found, position=position, refused=True, raw=raw)
