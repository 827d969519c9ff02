"""The vocabulary of a rule file: its tables and words, and what each may be given.

Words that are left out keep the default of the record in :mod:`sunbird_otel._rules`, but for ``idle_gap`` and
``precedence``, whose defaults are here. ``docs/rules.md`` says what each word means.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sunbird_otel._duration import parse_duration

DEFAULT_IDLE_GAP: Final = "30m"
DEFAULT_PRECEDENCE: Final = 50
"""Above the shipped workflows: who writes a workflow of their own wants its flows to belong to it."""

_EID: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_PATH: Final = re.compile(
    r"eid|(?:edata|object|context|actor)(?:\.[^.()\s]+)+|(?:cdata|params)\.[^()\s]+",
)
HEADS: Final = ("eid", "edata", "object", "context", "actor", "cdata", "params", "uuid")
"""What a path to a field of an event may begin with."""


def duration_ns(text: str) -> int | None:
    """Return the nanoseconds of ``90s``, ``30m``, ``36h`` or ``7d``, never 0; None for ``never``.

    Raises:
        ValueError: The text is none of these.
    """
    if text == "never":
        return None
    length_ns = parse_duration(text)
    if not length_ns:
        raise ValueError(text)
    return length_ns


def _check_duration(text: str) -> str:
    try:
        duration_ns(text)
    except ValueError:
        raise _refusal(
            'a duration such as "90s", "30m", "36h" or "7d", or "never"', "write a whole number and one of s, m, h, d"
        ) from None
    return text


def _check_eid(text: str) -> str:
    if not _EID.fullmatch(text):
        advice = f'write "{text.upper()}"' if _EID.fullmatch(text.upper()) else "write it as the events do"
        raise _refusal("an eid in capital letters", advice)
    return text


def _check_eid_or_any(text: str) -> str:
    return text if text == "*" else _check_eid(text)


def _check_path(text: str) -> str:
    inner = text[5:-1] if text.startswith("uuid(") and text.endswith(")") else text
    if not _PATH.fullmatch(inner):
        raise PydanticCustomError("path", "path")
    return text


def _refusal(expected: str, advice: str) -> PydanticCustomError:
    return PydanticCustomError("refusal", "{expected}; {advice}", {"expected": expected, "advice": advice})


def _flat(table: Any) -> Any:
    """Write nested tables as dotted paths: ``edata.type = [...]`` and ``"edata.type" = [...]`` mean the same."""
    if not isinstance(table, dict):
        return table
    flat: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", table).items():
        below = _flat(value) if isinstance(value, dict) and value else None
        if below is None:
            flat[key] = value
        else:
            flat.update({f"{key}.{path}": inner for path, inner in below.items()})
    return flat


Duration = Annotated[str, AfterValidator(_check_duration)]
Eid = Annotated[str, AfterValidator(_check_eid)]
EidOrAny = Annotated[str, AfterValidator(_check_eid_or_any)]
FieldPath = Annotated[str, AfterValidator(_check_path)]
Values = Annotated[list[str], Field(min_length=1)]
Where = Annotated[dict[FieldPath, Values], BeforeValidator(_flat)]
_Entries = TypeVar("_Entries", list[Any], dict[str, Any])


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Pattern(_Table):
    """A pattern of events; in the file the conditions stand beside the eid."""

    eid: Eid
    where: dict[FieldPath, Values]

    @model_validator(mode="before")
    @classmethod
    def _conditions(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        conditions = dict(cast("dict[str, Any]", table))
        parts = {"eid": conditions.pop("eid")} if "eid" in conditions else {}
        return {**parts, "where": _flat(conditions)}


class _Lists(_Table):
    """The words of a flow that are lists, or a table of lists."""

    opens: list[Pattern] = []
    closes: list[Pattern] = []
    pair: list[Annotated[list[FieldPath], Field(min_length=1)]] = []
    same: list[FieldPath] = []
    parents: list[str] = []
    tolerates: list[str] = []
    holds: list[EidOrAny] = []
    excludes: list[Eid] = []
    may_stay_open: list[str] = []
    joins: list[FieldPath] = []
    gathers_by: list[FieldPath] = []
    fails: Where = {}


class FlowTable(_Lists):
    """The words of ``[flows.<name>]``, and of ``[adjust.<flow>]``, which needs none of them."""

    summary: str = ""
    whole: bool = False
    duration: FieldPath = ""
    overlaps: bool = False
    scope: Literal["lane", "producer"] = "lane"
    within: str = ""
    idle_gap: Duration = DEFAULT_IDLE_GAP
    member_of: str = ""
    members: Literal["", "link", "child"] = ""


class ExtendTable(_Lists):
    """The words of ``[extend.<flow>]``."""

    @field_validator("*")
    @classmethod
    def _adds_something(cls, entries: _Entries) -> _Entries:
        if not entries:
            raise _refusal("at least one entry", "fill it or leave the word out: only adjust takes entries away")
        return entries


class WorkflowTable(_Table):
    """The words of ``[workflow]``."""

    name: str = ""
    title: str = ""
    flows: list[str] = []
    marked_by_flows: list[str] = []
    marked_by_producers: list[str] = []
    precedence: int = DEFAULT_PRECEDENCE
    default: bool = False
    inside_only: list[Eid] = []


class FileTable(_Table):
    """A whole rule file."""

    workflow: WorkflowTable | None = None
    flows: dict[str, FlowTable] = Field(default_factory=dict)
    adjust: dict[str, FlowTable] = Field(default_factory=dict)
    extend: dict[str, ExtendTable] = Field(default_factory=dict)
