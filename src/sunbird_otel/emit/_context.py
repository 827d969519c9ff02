"""Who acts, where and on what: the part of an event that many events share.

A scope is never changed. A flow, ``telemetry.context(...)`` and a single call derive one from the scope around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

import orjson
from pydantic import BaseModel

from sunbird_otel._json import integers, is_array, is_object
from sunbird_otel.emit._refused import Unwritable
from sunbird_otel.schema import Refusal, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sunbird_otel.emit._track import Track

Fields: TypeAlias = Mapping[str, Any]
"""An object as Sunbird writes it."""

REQUEST: Final = "Request"
"""The type of the correlation entry that ties the events of one request together."""

VERSION: Final = "3.0"
"""The ``ver`` of every event: the one that all copies of the schemas accept."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The shared part of events: JSON values that nobody changes, since events hold them as they are.

    ``track`` is the innermost flow around; ``outside`` the scope as it would be without any flow; ``problems`` is what
    the schemas refuse in it.
    """

    actor: dict[str, Any]
    context: dict[str, Any]
    object: dict[str, Any] | None
    tags: list[str] | None
    problems: tuple[Refusal, ...]
    track: Track | None = None
    outside: Scope | None = None

    @property
    def without_flows(self) -> Scope:
        """Return the scope as it would be with no flow open."""
        return self.outside or self

    def derive(
        self,
        *,
        context: Fields | BaseModel | None = None,
        actor: Fields | BaseModel | None = None,
        object: Fields | BaseModel | None = None,  # noqa: A002 - Sunbird's name
        tags: Sequence[str] | None = None,
    ) -> Scope:
        """Return this scope with other values.

        Fields of ``context`` replace those around, ``None`` takes one away; ``cdata`` is added to what is there.

        Raises:
            Unwritable: A value is none that JSON can hold.
        """
        if context is None and actor is None and object is None and tags is None:
            return self
        return scope(
            actor=self.actor if actor is None else actor,
            context=self.context if context is None else _merged(self.context, fields(context)),
            object=self.object if object is None else object,
            tags=self.tags if tags is None else tags,
            track=self.track,
            outside=self.outside and self.outside.derive(context=context, actor=actor, object=object, tags=tags),
        )

    def inside(self, track: Track | None, outside: Scope) -> Scope:
        """Return this scope for the events of a flow; ``track`` is ``None`` for one that no rule knows."""
        return Scope(
            actor=self.actor,
            context=self.context,
            object=self.object,
            tags=self.tags,
            problems=self.problems,
            track=track or self.track,
            outside=outside,
        )

    def outermost(self) -> Scope:
        """Return this scope as one that no flow is around."""
        return Scope(self.actor, self.context, self.object, self.tags, self.problems)

    def correlated(self, type_: str) -> str:
        """Return the id of the correlation entry ``type_`` (in any case), or an empty text."""
        entries = self.context.get("cdata")
        for entry in entries if is_array(entries) else ():
            if is_object(entry) and str(entry.get("type")).casefold() == type_.casefold():
                return str(entry.get("id", ""))
        return ""


def scope(
    *,
    actor: Fields | BaseModel,
    context: Fields,
    object: Fields | BaseModel | None,  # noqa: A002 - Sunbird's name
    tags: Sequence[str] | None,
    track: Track | None = None,
    outside: Scope | None = None,
) -> Scope:
    """Return a scope of its own copies of these values, with what the schemas refuse in them.

    Raises:
        Unwritable: A value is none that JSON can hold.
    """
    shared: dict[str, Any] = {"actor": actor, "context": {k: v for k, v in context.items() if v is not None}}
    if object is not None:
        shared["object"] = object
    if tags is not None:
        shared["tags"] = tags
    own = plain(shared)
    probe: dict[str, Any] = {"eid": "HEARTBEAT", "ets": 0, "ver": VERSION, "mid": "HEARTBEAT", "edata": {}, **own}
    return Scope(
        actor=own["actor"],
        context=own["context"],
        object=own.get("object"),
        tags=own.get("tags"),
        problems=tuple(validate(probe)),
        track=track,
        outside=outside,
    )


def plain(value: Any) -> Any:
    """Return a copy of ``value`` as JSON has it: keys in order, an integer for each number without a fraction.

    Raises:
        Unwritable: It holds something that JSON cannot.
    """
    try:
        return integers(orjson.loads(orjson.dumps(value, default=_as_json, option=orjson.OPT_SORT_KEYS)))
    except TypeError as error:
        raise Unwritable(str(error)) from None


def canonical(body: dict[str, Any]) -> bytes:
    """Return the canonical text of an event, from which ids are derived: as :mod:`sunbird_otel._decode` has it."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def fields(value: Fields | BaseModel) -> Fields:
    """Return the fields of an object, given as a mapping or as the schema's model of it."""
    return value.model_dump(exclude_unset=True, by_alias=True) if isinstance(value, BaseModel) else value


def correlation(**ids: str) -> list[dict[str, str]]:
    """Return ``cdata`` with one entry for each keyword.

    >>> correlation(Request="r1")
    [{'type': 'Request', 'id': 'r1'}]
    """
    return [{"type": type_, "id": id_} for type_, id_ in ids.items()]


def _as_json(value: Any) -> Any:
    """Return what orjson cannot write by itself in a form that it can: models, and mappings of any kind."""
    if _is_fields(value):
        return dict(fields(value))
    raise TypeError(f"a Python {type(value).__name__} is no JSON value")


def _is_fields(value: object) -> TypeGuard[Fields | BaseModel]:
    return isinstance(value, (BaseModel, Mapping))


def _merged(around: dict[str, Any], given: Fields) -> dict[str, Any]:
    merged = {**around, **given}
    pdata = given.get("pdata")
    if is_object(around.get("pdata")) and _is_fields(pdata):
        merged["pdata"] = {**around["pdata"], **fields(pdata)}
    added = given.get("cdata")
    if added is not None:
        before = around.get("cdata", [])
        entries = [fields(entry) for entry in added]
        merged["cdata"] = [*before, *(entry for entry in entries if entry not in before)]
    return merged
