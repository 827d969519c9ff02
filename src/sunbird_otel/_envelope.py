"""An event's text, read by msgspec, which checks types while it parses.

``context`` stays text, so that it can be known again before it is parsed. That the whole is UTF-8, the caller must see
to: nobody looks at what is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS: Final = 6
"""Levels of objects and arrays that a :class:`Shallow` event has at most, its ``context`` aside."""

# Larger integers are not the same to every parser.
_Integer: TypeAlias = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Scalar: TypeAlias = str | _Integer | float | bool | None
_Level6: TypeAlias = _Scalar | list[_Scalar] | dict[str, _Scalar]
_Level5: TypeAlias = _Scalar | list[_Level6] | dict[str, _Level6]
_Level4: TypeAlias = _Scalar | list[_Level5] | dict[str, _Level5]
_Level3: TypeAlias = _Scalar | list[_Level4] | dict[str, _Level4]

_Object: TypeAlias = dict[str, str | dict[str, str]]


class Actor(Struct, gc=False):
    """Who acts."""

    id: str = ""
    type: str = ""


class _ActorAlone(Actor, gc=False, forbid_unknown_fields=True):
    """An actor of whom nothing else is said."""


class Shallow(
    Struct,
    gc=False,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"at_timestamp": "@timestamp", "at_version": "@version"},
):
    """An event of nothing but the usual fields, in the order in which they are written; none of them is deep."""

    eid: str
    ets: int | float
    ver: str = ""
    mid: str
    actor: _ActorAlone
    context: Raw
    object: _Object = {}  # null is not the same: copies may differ in it
    tags: list[str] | None = None
    edata: dict[str, _Level3]
    syncts: int | float = 0
    at_timestamp: str = ""
    flags: dict[str, bool] | None = None
    at_version: str = ""
    type: str = ""


class Envelope(Struct, gc=False):
    """The outermost level of an event in the usual form.

    A part of another form, or none where one must be, is for the careful way; what the rest holds is passed over, but
    for its grammar.
    """

    eid: str
    mid: str
    ets: int | float
    context: Raw
    edata: Raw
    actor: Actor
    object: _Object = {}
    tags: list[str] | None = None


class Ties(Struct, gc=False):
    """The parts of an event in the usual form that say what it belongs to."""

    eid: str
    context: Raw
    edata: Raw
    actor: Actor


read_shallow: Final[Callable[[bytes], Any]] = Decoder(Shallow).decode
"""Return the :class:`Shallow` event that a text is."""

read_shallow_context: Final[Callable[[bytes], Any]] = Decoder(dict[str, _Level3]).decode
"""Return the value of the ``context`` of an event, when it is as shallow."""

read: Final[Callable[[bytes], Any]] = Decoder(Envelope).decode
"""Return the :class:`Envelope` of a text."""

read_ties: Final[Callable[[bytes], Any]] = Decoder(Ties).decode
"""Return the :class:`Ties` of a text."""

UNUSUAL: Final = (DecodeError, ValueError, RecursionError)
"""What these, and any other parser, raise for a text that is not in the form they read."""
