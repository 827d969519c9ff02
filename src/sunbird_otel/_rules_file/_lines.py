"""Where in a TOML text a key or a list entry stands: tomllib knows the values only."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final, TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of tables and indices of lists."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING: Final = re.compile(
    r"""
    "{3} (?: \\. | [^\\] )*? "{3,5}
    | '{3} .*? '{3,5}
    | " (?: \\. | [^"\\] )* "
    | ' [^']* '
    """,
    re.DOTALL | re.VERBOSE,
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^,\]}\n#]*")


class Lines:
    """The lines of ``text``, which must be valid TOML, by the way to what stands there."""

    __slots__ = ("_at", "_found", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, int] = {}
        self._document()

    def find(self, path: Path) -> int:
        """Return the line (from 1) of ``path``, or of the nearest thing around it that has a line."""
        while path and path not in self._found:
            path = path[:-1]
        return self._found.get(path, 1)

    def _document(self) -> None:
        table: Path = ()
        arrays: dict[Path, int] = {}
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                line = self._line()
                many = self._text.startswith("[[", self._at)
                self._at += 2 if many else 1
                table = self._key(())
                if many:
                    arrays[table] = arrays.get(table, -1) + 1
                    table = (*table, arrays[table])
                    self._found[table] = line
                self._at = self._text.index("]", self._at) + (2 if many else 1)
            else:
                self._pair(table)
            self._skip_blank()

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _key(self, path: Path) -> Path:
        """Read a dotted key below ``path`` and remember the line of each part that is new."""
        while True:
            self._skip_blank()
            line = self._line()
            quoted = _STRING.match(self._text, self._at)
            if quoted:
                # The parser itself knows best what the escapes in the key mean.
                (part,) = tomllib.loads(f"{quoted.group()} = 1")
                self._at = quoted.end()
            else:
                bare = cast("re.Match[str]", _BARE_KEY.match(self._text, self._at))
                part = bare.group()
                self._at = bare.end()
            path = (*path, part)
            self._found.setdefault(path, line)
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return path
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip_blank()
        self._found.setdefault(path, self._line())
        opening = self._text[self._at]
        if opening == "[":
            self._at += 1
            index = 0
            while not self._closes("]"):
                self._value((*path, index))
                index += 1
        elif opening == "{":
            self._at += 1
            while not self._closes("}"):
                self._pair(path)
        else:
            pattern = _STRING if opening in "\"'" else _PLAIN
            self._at = cast("re.Match[str]", pattern.match(self._text, self._at)).end()

    def _closes(self, bracket: str) -> bool:
        """Step over a comma; tell whether ``bracket`` follows, and step over it, too."""
        self._skip_blank()
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip_blank()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        return False

    def _skip_blank(self) -> None:
        self._at = cast("re.Match[str]", _BLANK.match(self._text, self._at)).end()

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1


def value_at(document: Any, path: Path) -> Any:
    """Return what stands at ``path`` in parsed TOML; None when there is nothing."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document
