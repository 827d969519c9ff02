"""Span events whose attributes are as OpenTelemetry wants them already, added without looking at each of them again.

``add_event`` of the SDK copies the attributes into a record of its own and looks at every value, which takes longer
than all else that is done for an event. Where the SDK keeps spans as it has from 1.39 to 1.45, what it does after that
is called; any other span gets the public call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.trace import Span as SdkSpan

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

    from sunbird_otel._signals import Attributes

    Adder: TypeAlias = Callable[[str, Attributes, int], None]
    """Adds an event: its name, its attributes, which become the span's, and its time."""

_LIMITS: Final = "_limits"
_ADD: Final = "_add_event"


def adder(span: Span) -> Adder:
    """Return what adds events to ``span``."""
    limits: Any = getattr(span, _LIMITS, None)
    add: Callable[[Event], None] | None = getattr(span, _ADD, None)
    if not isinstance(span, SdkSpan) or add is None or getattr(limits, "max_attribute_length", 0) is not None:
        return span.add_event
    found: int | None = getattr(limits, "max_event_attributes", 0)
    most = _MANY if found is None else found

    def add_clean(name: str, attributes: Attributes, time_ns: int) -> None:
        if len(attributes) > most:
            span.add_event(name, attributes, time_ns)
            return
        if list in map(type, attributes.values()):
            attributes = {key: tuple(v) if isinstance(v, list) else v for key, v in attributes.items()}  # type: ignore[misc]
        add(Event(name, attributes, time_ns))

    return add_clean


_MANY: Final = 1 << 30
