"""The bridge as users meet it: the pipeline, writing records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sunbird_otel._form import Records
from sunbird_otel._pipeline import DEFAULT_MEMORY, DEFAULT_OPEN_FLOWS, Pipeline
from sunbird_otel._signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._findings import Finding, Position
    from sunbird_otel._limits import Limits
    from sunbird_otel._rules import Rules


class Bridge(Pipeline[Signal]):
    """Turns Sunbird telemetry into OpenTelemetry signals. Pure: no clock, no I/O, no OpenTelemetry import.

    Args:
        rules: The flow rules; the standard ones by default.
        policy: What to do about a violation: ``annotate``, ``repair`` or ``reject``.
        lateness: Nanoseconds by which an event may come behind the newest one and still be put in its place; ``None``
            waits for :meth:`drain` or :meth:`advance`, so that the order of arrival changes nothing.
        idle_gap: Nanoseconds without an event after which a flow is closed; ``None`` as the rules say.
        trace_scope: ``session`` for one trace a session and day, ``run`` for one trace a root flow.
        memory: Bytes that events waiting for their order may take; beyond them the oldest are let go early.
        max_open_flows: Beyond this the flow that has been idle longest is evicted.
        limits: What is refused, cut or continued elsewhere for its size.
        on_finding: Is called for each defect of the input, refused or not.
        on_event: Is called with the value and position of each event that could be read, as it came.

    Raises:
        ConfigError: An argument has a value that it may not have.
    """

    def __init__(
        self,
        *,
        rules: Rules | None = None,
        policy: str = "annotate",
        lateness: int | None = None,
        idle_gap: int | None = None,
        trace_scope: str = "session",
        memory: int = DEFAULT_MEMORY,
        max_open_flows: int = DEFAULT_OPEN_FLOWS,
        limits: Limits | None = None,
        on_finding: Callable[[Finding], None] | None = None,
        on_event: Callable[[dict[str, Any], Position | None], None] | None = None,
    ) -> None:
        """Start with nothing held."""
        super().__init__(
            Records(),
            rules=rules,
            policy=policy,
            lateness=lateness,
            idle_gap=idle_gap,
            trace_scope=trace_scope,
            memory=memory,
            max_open_flows=max_open_flows,
            limits=limits,
            on_finding=on_finding,
            on_event=on_event,
        )
