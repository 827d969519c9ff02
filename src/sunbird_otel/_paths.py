"""The paths of the rule files: how a field of an event is named and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sunbird_otel._json import is_object

if TYPE_CHECKING:
    from sunbird_otel._event import Event

Getter: TypeAlias = Callable[["Event"], str]
"""Reads one field of an event as text; empty when it is absent or not a text or number."""

_UUID_LENGTH: Final = 36
_UUID_DIGITS: Final = 32


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # the pipeline's spelling of an integer
    return ""


def getter(path: str) -> Getter:
    """Return the function that reads ``path``.

    A path is ``eid``, dotted names below the event (``edata.type``, ``context.pdata.pid``), ``cdata.<type>`` for the id
    of the correlation entry of that type in any case, ``params.<name>`` for a field of a LOG's params or an ACCESS's
    edata, or ``uuid(<path>)``, which is empty unless the text has the shape of a UUID.
    """
    if path.startswith("uuid(") and path.endswith(")"):
        inner = getter(path[5:-1])

        def uuid_only(event: Event) -> str:
            text = inner(event)
            return text if is_uuid(text) else ""

        return uuid_only
    head, _, rest = path.partition(".")
    if head == "cdata":
        return _correlation(rest)
    if head == "params":
        return lambda event: _text(event.params.get(rest))
    shortcut = _SHORTCUTS.get(path)
    return shortcut or _nested(path.split("."))


def is_uuid(text: str) -> bool:
    """Tell whether ``text`` has the shape of a UUID, with or without its hyphens."""
    if len(text) == _UUID_LENGTH:
        if text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
            return False
        text = text.replace("-", "")
    if len(text) != _UUID_DIGITS or not text.isalnum():
        return False
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True


class Readers:
    """Reads several paths: :meth:`first` of those that say something, or :meth:`all` that is said.

    The entries of cdata are looked at once for all paths that stand together, and not at all when there are none.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        """Keep ``paths`` in their order, each once."""
        self._steps: list[tuple[dict[str, int] | None, Getter | None]] = []
        self.of_context = True
        """Whether all paths are of the event's context, so that events with one context say the same."""
        types: dict[str, int] = {}
        for path in dict.fromkeys(paths):
            head, _, type_ = path.partition(".")
            self.of_context &= head in {"cdata", "context"}
            if head == "cdata":
                if not types:
                    self._steps.append((types, None))
                types.setdefault(type_.casefold(), len(types))
            else:
                types = {}
                self._steps.append((None, getter(path)))

    def first(self, event: Event) -> str:
        """Return the text of the first path that has one; empty if none has."""
        for types, read in self._steps:
            if types is not None:
                if event.context.cdata and (found := _correlations(event, types)):
                    return found[0]
            elif read is not None and (text := read(event)):
                return text
        return ""

    def all(self, event: Event) -> tuple[str, ...]:
        """Return what the paths say, each text once."""
        texts: list[str] = []
        for types, read in self._steps:
            if types is not None:
                if event.context.cdata:
                    texts += _correlations(event, types)
            elif read is not None and (text := read(event)):
                texts.append(text)
        return tuple(dict.fromkeys(texts)) if len(texts) > 1 else tuple(texts)


def _correlations(event: Event, types: dict[str, int]) -> list[str]:
    """Return the id of the first entry of each of ``types``, in their order."""
    found: dict[int, str] = {}
    for entry in event.context.cdata:
        number = types.get(entry["type"].casefold())
        if number is not None and number not in found:
            found[number] = entry["id"]
    return [found[number] for number in sorted(found) if found[number]]


def _correlation(type_: str) -> Getter:
    wanted = type_.casefold()

    def correlation(event: Event) -> str:
        for entry in event.context.cdata:
            if entry["type"].casefold() == wanted:
                return str(entry["id"])
        return ""

    return correlation


def _nested(names: list[str]) -> Getter:
    return lambda event: text_at(event.body, names)


def text_at(value: Any, names: Iterable[str]) -> str:
    """Return the text that stands below ``value`` under ``names``, one inside the other; empty if there is none."""
    for name in names:
        if not is_object(value):
            return ""
        value = value.get(name)
    return _text(value)


_SHORTCUTS: Final[dict[str, Getter]] = {
    "edata.type": lambda event: _text(event.edata.get("type")),
    "object.id": lambda event: _text(event.object.get("id")),
    "context.sid": lambda event: event.context.sid,
}
"""Paths that are read for nearly every event, without the walk."""
