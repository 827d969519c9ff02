"""What the models are made of: open and closed objects, and field types that mean what JSON schema means.

The modules with models do without ``from __future__ import annotations``: their annotations are code, which pydantic
runs when it builds the models.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")

EXPECTED = "expected"
"""The pydantic error type of a field whose error text is ours, ready to be read."""


class Open(BaseModel):
    """A JSON object that may hold more than its fields; what is more is kept, not looked at."""

    model_config = ConfigDict(
        strict=True, extra="allow", frozen=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


class Closed(BaseModel):
    """A JSON object that may hold its fields only (``additionalProperties: false``)."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


@dataclass(frozen=True, slots=True)
class _Expected:
    """Annotation: whatever is wrong with the value, say once that this was expected."""

    text: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the value's own schema, whose many errors (one for each arm of a union) say less."""
        return core_schema.custom_error_schema(
            handler(source), custom_error_type=EXPECTED, custom_error_message=self.text
        )


@dataclass(frozen=True, slots=True)
class _NotNull:
    """Annotation: the field may be absent (None in Python), but null in JSON is refused."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of what may stand beside None."""
        return cast("core_schema.NullableSchema", handler(source))["schema"]


Maybe = Annotated[T | None, _NotNull()]
"""An optional field: leave it out rather than give None, which is null and is refused."""

Number = Annotated[int | float, _Expected("a number")]
"""A JSON number. A bool is none; neither are NaN and Infinity, which JSON cannot write."""

Measure = Annotated[int | float, Field(ge=-1), _Expected("a number, -1 or more")]
"""A JSON number of a device, where -1 stands for unknown."""

FilledText = Annotated[str, StringConstraints(min_length=1)]
"""A text of at least one character."""

JsonObject = dict[str, Any]
"""A JSON object of which the schema says no more."""
