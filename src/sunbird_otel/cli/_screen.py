"""What the commands write to the standard output and the standard error.

The standard output carries results alone, the standard error everything that is said about them. Both are plain text
unless they are terminals; NO_COLOR is respected.
"""

from __future__ import annotations

import contextlib
import os
import sys
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.style import Style
from rich.text import Text

from sunbird_otel.errors import SinkError

if TYPE_CHECKING:
    from rich.console import RenderableType

NAME: Final = "sunbird-otel"
"""What stands before each sentence on the standard error."""

_STREAMS = (0, 1, 2)
# No line is this long: where nobody looks at a terminal, nothing is wrapped.
_UNWRAPPED = 100_000


class ReaderGone(Exception):  # noqa: N818 - not an error: `head` has seen enough
    """Whoever read the standard output has closed it."""


def hold_standard_streams() -> None:
    """Make sure that the descriptors 0, 1 and 2 are taken.

    A caller may have closed them (``>&-``). Then the next file that we open would get the number, and what a library
    writes to the standard error would end up in it.
    """
    for descriptor in _STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def rendered(what: RenderableType, stream: TextIO) -> str:
    """Return what rich makes of ``what`` for ``stream``: wrapped and coloured on a terminal, else plain long lines."""
    seen = is_seen(stream)
    # rich looks at the encoding before it draws lines.
    page = TextIOWrapper(BytesIO(), stream.encoding, "backslashreplace", newline="")
    console = Console(
        file=page,
        force_terminal=seen or None,
        width=None if seen else _UNWRAPPED,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(what, soft_wrap=True)
    page.seek(0)
    text = page.read()
    # rich pads the cells of a table; what is piped into a file needs no blanks at the line ends.
    return text if seen else "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def tell(text: str) -> None:
    """Write a sentence for people to the standard error."""
    show(Text(f"{NAME}: {printable(text)}"))


def show(what: RenderableType) -> None:
    """Write something to the standard error. If that cannot be written to, there is nobody to tell."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - it is, after `2>&-`
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(rendered(what, sys.stderr))
        sys.stderr.flush()


def is_seen(stream: TextIO | None) -> bool:
    """Tell whether ``stream`` is a terminal."""
    return stream is not None and stream.isatty()


def printable(text: str) -> str:
    """Return ``text`` with control characters, which would bend a terminal, shown instead of obeyed."""
    return "".join(
        c if c.isprintable() or c in "\n\u200c\u200d" else c.encode("unicode_escape", "replace").decode("ascii")
        for c in text
    )


class Output:
    """The standard output.

    Every method raises :class:`ReaderGone` when its reader has closed it, and SinkError when it cannot be written to.
    """

    def __init__(self) -> None:
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it is, after `>&-`
            raise SinkError("the standard output is closed; open it, or name a file.")
        self._stream = sys.stdout
        self._takes_colours = is_seen(self._stream) and not os.environ.get("NO_COLOR")

    def write(self, text: str) -> None:
        """Write ``text`` as it is."""
        rest = memoryview(text.encode(self._stream.encoding, "backslashreplace"))
        try:
            # With PYTHONUNBUFFERED set, a stream of text loses what its descriptor does not take at once.
            while rest:
                rest = rest[self._stream.buffer.write(rest) :]
        except OSError as error:
            self._fail(error)

    def paint(self, text: str, style: str) -> str:
        """Return ``text`` in a style of rich if the output is a terminal that wants colours, else as it is."""
        return Style.parse(style).render(text) if self._takes_colours else text

    def show(self, what: RenderableType) -> None:
        """Write something that rich can render."""
        self.write(rendered(what, self._stream))

    def flush(self) -> None:
        """Write out what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        # Python flushes once more when it ends, and would complain; there is nobody to read it.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise SinkError(f"the standard output could not be written: {error.strerror}.") from error
