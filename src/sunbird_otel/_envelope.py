"""The outermost level of an event's text, read without looking into its parts.

``context`` and ``edata`` stay text, so that a context can be known again before it is parsed. Reading checks the types
at this level, and the grammar of the rest; that the whole is UTF-8, its caller must see to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable


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
    object: dict[str, str | dict[str, str]] | UnsetType = UNSET  # null is not the same: copies may differ in it
    tags: list[str] | None = None


class Ties(Struct, gc=False):
    """The parts of an event in the usual form that say what it belongs to."""

    eid: str
    context: Raw
    edata: Raw
    actor: Actor


read: Final[Callable[[bytes], Any]] = Decoder(Envelope).decode
"""Return the :class:`Envelope` of a text; what else it holds is passed over."""

read_ties: Final[Callable[[bytes], Any]] = Decoder(Ties).decode
"""Return the :class:`Ties` of a text; what else it holds is passed over."""

UNUSUAL: Final = (DecodeError, UnicodeDecodeError, RecursionError)
"""What :data:`read` and :data:`read_ties` raise for a text that is not in the usual form."""
