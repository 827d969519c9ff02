"""The outermost level of an event's text, read without looking into its parts.

The parts that vary little or are needed late (``context``, ``edata``, ``tags``) stay text, so that who needs them can
know an equal one again before it is parsed. Reading checks the types at this level and that the rest is JSON by its
grammar; that a part which stays text is UTF-8, its parser must find out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct, defstruct
from msgspec.json import Decoder

from sunbird_otel._json import ADDED_BY_PIPELINE

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSENT: Final = Raw()


class Actor(Struct, gc=False):
    """Who acts."""

    id: str = ""
    type: str = ""


class Envelope(Struct, gc=False):
    """An event in the usual form. A part of another form, or none where one must be, is for the careful way."""

    eid: str
    mid: str
    ets: int | float
    context: Raw
    edata: Raw
    actor: Actor
    object: dict[str, str | dict[str, str]] | None = None
    tags: Raw = _ABSENT


_SKIPPED: Final = ["ver", *sorted(ADDED_BY_PIPELINE)]

_Known: Final = defstruct(
    "_Known",
    [(f"skipped_{number}", Raw, _ABSENT) for number in range(len(_SKIPPED))],
    bases=(Envelope,),
    rename={f"skipped_{number}": name for number, name in enumerate(_SKIPPED)},
    forbid_unknown_fields=True,
    gc=False,
)

read_known: Final[Callable[[bytes], Any]] = Decoder(_Known).decode
"""Return the :class:`Envelope` of a text that holds nothing else at its outermost level than what is known."""

read_any: Final[Callable[[bytes], Any]] = Decoder(Envelope).decode
"""Return the :class:`Envelope` of a text, whatever else it holds."""

UNUSUAL: Final = (DecodeError, UnicodeDecodeError, RecursionError)
"""What the two raise for a text that is not in the usual form."""
