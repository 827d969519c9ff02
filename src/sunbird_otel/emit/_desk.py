"""What a client and its flows share: one way from a call to the transport and to OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sunbird_otel._event import Event
from sunbird_otel._rules import Opens
from sunbird_otel.emit._refused import Unwritable
from sunbird_otel.schema import Refusal

if TYPE_CHECKING:
    from contextvars import ContextVar

    from opentelemetry.trace import Span

    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel.emit._context import Fields, Scope
    from sunbird_otel.emit._refused import Faults
    from sunbird_otel.emit._spans import Spans
    from sunbird_otel.emit._writer import Writer


class Desk:
    """The parts of one client.

    Args:
        scopes: The scope of the code that runs.
        rules: The flow rules.
        writer: Makes and sends events.
        spans: The OpenTelemetry side.
        faults: Counts what went wrong.
    """

    def __init__(self, scopes: ContextVar[Scope], rules: Rules, writer: Writer, spans: Spans, faults: Faults) -> None:
        self.scopes: Final = scopes
        self.rules: Final = rules
        self.writer: Final = writer
        self.spans: Final = spans
        self.faults: Final = faults

    def derive(self, eid: str, scope: Scope, **other: Any) -> Scope:
        """Return ``scope`` with other values; see :meth:`sunbird_otel.emit._context.Scope.derive`.

        Raises:
            TelemetryError: A value is none that JSON can hold, in the mode ``raise``.
        """
        try:
            return scope.derive(**other)
        except Unwritable as error:
            self.faults.unwritable(eid, Refusal("$", "values that JSON can hold", str(error)))
            return scope

    def tell(self, eid: str, edata: Fields, scope: Scope, span: Span | None = None) -> None:
        """Emit an event that is no START or END of a flow.

        Raises:
            TelemetryError: The schemas refuse it, in the mode ``raise``.
        """
        event = self.writer.write(eid, edata, scope)
        if event is not None:
            self.spans.tell(event, scope.track, request=span)

    def opened_by(self, edata: Fields, scope: Scope) -> FlowRule | None:
        """Return the rule of the flow that a START with this edata opens."""
        body = {"eid": "START", "mid": "", "actor": scope.actor, "context": scope.context, "edata": {**edata}}
        if scope.object is not None:
            body["object"] = scope.object
        role = self.rules.role(Event.of(body, 0))
        return role.rule if isinstance(role, Opens) and not role.rule.whole else None
