"""From the fields of a call to an event that the pipeline accepts, and on to the transport."""

from __future__ import annotations

import time
from os import urandom
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from sunbird_otel._context import Context
from sunbird_otel._event import Event
from sunbird_otel._limits import Limits
from sunbird_otel.emit._context import VERSION, canonical, plain
from sunbird_otel.emit._refused import Unwritable
from sunbird_otel.schema import MODELS, Refusal, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import CoreConfig

    from sunbird_otel.emit._context import Scope
    from sunbird_otel.emit._refused import Faults
    from sunbird_otel.emit.transports import Transport

_MS: Final = 1_000_000
_LONG: Final = 10_000
"""Characters of a text from which on an event is weighed."""

_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that says what kind of UUID it is, for each random digit in its place."""


class Clock(Protocol):
    """Two clocks, as the module :mod:`time` has them; a test gives its own."""

    def time_ns(self) -> int:
        """Return nanoseconds since 1970."""
        ...

    def monotonic_ns(self) -> int:
        """Return nanoseconds since any moment; they never go back."""
        ...


SYSTEM_CLOCK: Final[Clock] = time


def new_mid(eid: str) -> str:
    """Return a message id that nobody else has: the eid and a random UUID.

    >>> len(new_mid("START"))
    42
    """
    # What uuid4 does, in a third of its time.
    digits = urandom(16).hex()
    return f"{eid}:{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def _edata_validators() -> dict[str, Callable[[Any], object]]:
    """Return for each eid the check of its edata alone: the rest of an event is checked once a scope."""
    validators: dict[str, Callable[[Any], object]] = {}
    for eid, model in MODELS.items():
        edata = model.model_fields["edata"].annotation
        if not isinstance(edata, type) or not issubclass(edata, BaseModel):  # pragma: no cover - they all are
            raise TypeError(f"the edata of {eid} is no model")
        validators[eid] = _check(edata)
    return validators


def _check(model: type[BaseModel]) -> Callable[[Any], object]:
    """Return what raises for values that ``model`` refuses, without making the model where that adds nothing."""
    schema: Any = model.__pydantic_core_schema__
    if schema["type"] == "model" and schema["schema"]["type"] == "model-fields" and not _EXTRAS & schema.keys():
        # By Sunbird's names alone: an event has no others.
        config = {**schema.get("config", {}), "validate_by_name": False}
        return SchemaValidator(schema["schema"], cast("CoreConfig", config)).validate_python
    return model.__pydantic_validator__.validate_python


_EXTRAS: Final = {"post_init", "strict", "frozen", "extra_behavior"}
"""What a model may have besides the rules of its fields."""


_CHECKS: Final = _edata_validators()


class Writer:
    """Makes events, looks at them, and sends them.

    Args:
        transport: Takes them.
        faults: Says what becomes of one that the schemas refuse.
        clock: Tells ``ets``.
        mids: Makes the message id of an event from its eid.
    """

    def __init__(self, transport: Transport, faults: Faults, clock: Clock, mids: Callable[[str], str]) -> None:
        self.clock: Final = clock
        self.mids: Final = mids
        self._transport = transport
        self._faults = faults
        self._checked = faults.validation != "off"
        self._most_bytes = Limits().event_bytes
        self._context = Context({})

    def write(self, eid: str, edata: Mapping[str, Any], scope: Scope, mid: str = "") -> Event | None:
        """Send one event, and return it; ``None`` when it cannot be written and that is not to be raised.

        Args:
            eid: What kind of event.
            edata: Its own fields; those that are ``None`` are left out.
            scope: The fields that it shares with others.
            mid: Its message id, if that is known already.

        Raises:
            TelemetryError: The schemas refuse it, in the mode ``raise``.
        """
        own, nested = _given(edata)
        if nested:
            try:
                own = plain(own)
            except Unwritable as error:
                self._faults.unwritable(eid, Refusal("$.edata", "values that JSON can hold", str(error)))
                return None
        ets = self.clock.time_ns() // _MS
        body: dict[str, Any] = {
            "eid": eid,
            "ets": ets,
            "ver": VERSION,
            "mid": mid or self.mids(eid),
            "actor": scope.actor,
            "context": scope.context,
        }
        if scope.object is not None:
            body["object"] = scope.object
        body["edata"] = own
        if scope.tags is not None:
            body["tags"] = scope.tags
        if self._checked and (scope.problems or not _is_valid(eid, own)):
            self._faults.refused(eid, validate(body))
        if nested and len(canonical(body)) > self._most_bytes:
            expected = f"at most {self._most_bytes} bytes, which the pipeline takes"
            self._faults.unwritable(eid, Refusal("$", expected, "more"))
            return None
        try:
            self._transport.send(body)
        except Exception as error:  # noqa: BLE001 - a transport's fault is not the caller's
            self._faults.swallowed("transport", error)
        context = self._context  # that of the event before: most come from one scope, whichever thread writes them
        if context.value is not scope.context:
            context = self._context = Context(scope.context)
        return Event.of(body, ets * _MS, context=context)


def _is_valid(eid: str, edata: dict[str, Any]) -> bool:
    try:
        _CHECKS[eid](edata)
    except ValidationError:
        return False
    return True


def _given(edata: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the fields that are there, and whether any needs a closer look: it holds others, or is a long text."""
    own = {field: value for field, value in edata.items() if value is not None}
    nested = False
    for field, value in own.items():
        kind: Any = value.__class__
        if kind is str:
            if len(value) > _LONG:
                nested = True
        elif kind is float:
            own[field] = int(value) if value.is_integer() else value
        elif kind is not int and kind is not bool:
            nested = True
    return own, nested
