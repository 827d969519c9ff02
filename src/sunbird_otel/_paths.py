"""The paths of the rule files: how a field of an event is named and read."""

from __future__ import annotations

from binascii import unhexlify
from typing import TYPE_CHECKING, Any, Final

from sunbird_otel._json import is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sunbird_otel._event import Event

_UUID_LENGTH: Final = 36
_UUID_DIGITS: Final = 32


def is_uuid(text: str) -> bool:
    """Tell whether ``text`` has the shape of a UUID, with or without its hyphens."""
    if len(text) == _UUID_LENGTH:
        if text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
            return False
        text = text.replace("-", "")
    if len(text) != _UUID_DIGITS:
        return False
    try:
        _FROM_HEX(text)
    except ValueError:
        return False
    return True


_FROM_HEX: Final = unhexlify


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # the pipeline's spelling of an integer
    return ""


def text_at(value: Any, names: Iterable[str]) -> str:
    """Return the text that stands below ``value`` under ``names``, one inside the other; empty if there is none."""
    for name in names:
        if not is_object(value):
            return ""
        value = value.get(name)
    return _text(value)


class Reader:
    """Reads one field of an event; :func:`reader` makes them of paths."""

    __slots__ = ()

    def read(self, event: Event) -> str:
        """Return the field as text; empty when it is absent or not a text or number."""
        raise NotImplementedError


class _Named(Reader):
    """Reads what stands under names, one inside the other."""

    __slots__ = ("_first", "_others")

    def __init__(self, names: list[str]) -> None:
        self._first = names[0]
        self._others = names[1:]

    def within(self, value: dict[str, Any]) -> str:
        """Return the text that stands there in ``value``."""
        inner = value.get(self._first)
        return text_at(inner, self._others) if self._others else _text(inner)


class _Body(_Named):
    __slots__ = ()

    def read(self, event: Event) -> str:
        return self.within(event.body)


class _Edata(_Named):
    __slots__ = ()

    def read(self, event: Event) -> str:
        return self.within(event.edata)


class _Object(_Named):
    __slots__ = ()

    def read(self, event: Event) -> str:
        return self.within(event.object)


class _Context(_Named):
    __slots__ = ()

    def read(self, event: Event) -> str:
        return self.within(event.context.value)


class _Param(Reader):
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, event: Event) -> str:
        return _text(event.params.get(self._name))


class _Uuid(Reader):
    __slots__ = ("_inner",)

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    def read(self, event: Event) -> str:
        text = self._inner.read(event)
        return text if text and is_uuid(text) else ""


class _Correlations(Reader):
    """The ids of the entries of cdata that have one of several types, which are looked for in one walk."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, type_: str) -> None:
        """Look for a type, too, after those that were added before."""
        self._numbers.setdefault(type_.casefold(), len(self._numbers))

    def read(self, event: Event) -> str:
        if not event.context.cdata:
            return ""
        ids = self.ids(event)
        return ids[0] if ids else ""

    def ids(self, event: Event) -> list[str]:
        """Return the id of the first entry of each type, in their order."""
        found: dict[int, str] = {}
        for entry in event.context.cdata:
            number = self._numbers.get(entry["type"].casefold())
            if number is not None and number not in found:
                found[number] = entry["id"]
        return [found[number] for number in sorted(found) if found[number]]


_PARTS: Final[dict[str, type[_Named]]] = {"edata": _Edata, "object": _Object, "context": _Context}
"""The parts of an event that are at hand; for any other the whole of it must be parsed."""


def reader(path: str) -> Reader:
    """Return what reads ``path``.

    A path is ``eid``, dotted names below the event (``edata.type``, ``context.pdata.pid``), ``cdata.<type>`` for the id
    of the correlation entry of that type in any case, ``params.<name>`` for a field of a LOG's params or an ACCESS's
    edata, or ``uuid(<path>)``, which is empty unless the text has the shape of a UUID.
    """
    if path.startswith("uuid(") and path.endswith(")"):
        return _Uuid(reader(path[5:-1]))
    head, _, rest = path.partition(".")
    if head == "cdata":
        correlations = _Correlations()
        correlations.add(rest)
        return correlations
    if head == "params":
        return _Param(rest)
    names = path.split(".")
    part = _PARTS.get(head)
    return part(names[1:]) if part is not None and rest else _Body(names)


class Readers:
    """Reads several paths: :meth:`first` of those that say something, or :meth:`all` that is said.

    The entries of cdata are looked at once for all paths that stand together, and not at all when there are none.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        """Keep ``paths`` in their order, each once."""
        self._steps: list[Reader] = []
        self.of_context = True
        """Whether all paths are of the event's context, so that events with one context say the same."""
        for path in dict.fromkeys(paths):
            head, _, rest = path.partition(".")
            self.of_context &= head in {"cdata", "context"}
            before = self._steps[-1] if self._steps else None
            if head == "cdata" and isinstance(before, _Correlations):
                before.add(rest)
            else:
                self._steps.append(reader(path))

    def first(self, event: Event) -> str:
        """Return the text of the first path that has one; empty if none has."""
        for step in self._steps:
            text = step.read(event)
            if text:
                return text
        return ""

    def all(self, event: Event) -> tuple[str, ...]:
        """Return what the paths say, each text once."""
        texts: list[str] = []
        for step in self._steps:
            if isinstance(step, _Correlations):
                texts += step.ids(event)
            elif text := step.read(event):
                texts.append(text)
        return tuple(dict.fromkeys(texts)) if len(texts) > 1 else tuple(texts)
