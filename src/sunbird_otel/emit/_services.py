"""Events that services and jobs write, as the specification's events that the pipeline accepts.

ACCESS, JOB_START, JOB_LOG and JOB_END are names of older clients and have no schema, so that the pipeline would refuse
them. What is emitted instead says the same: LOG of type ``api_access``; START and END of type ``job`` and LOG of type
``job`` between them.
"""

# ruff: noqa: A002 - the names are Sunbird's

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sunbird_otel.emit._context import REQUEST, correlation, fields
from sunbird_otel.emit._events import Events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from sunbird_otel.emit._context import Fields
    from sunbird_otel.schema import Actor, Context, Object

JOB: Final = "job"
"""The type of a job's START, END and LOG."""

FAILED: Final = "FAILED"
"""The status of a job that did not do its work."""

SUCCESS: Final = "SUCCESS"
"""The status of a job that did its work."""


class ServiceEvents(Events):
    """The events of the specification, and those of services and jobs."""

    def access(
        self,
        *,
        method: str,
        url: str,
        status: int | str,
        duration: float,
        rid: str = "",
        size: float | None = None,
        protocol: str | None = None,
        uip: str | None = None,
        title: str | None = None,
        category: str | None = None,
        message: str = "",
        level: str = "INFO",
        span: Span | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """LOG of type api_access: an API request has been answered.

        Args:
            method: The HTTP method.
            url: The path, with or without a query.
            status: The HTTP status.
            duration: Milliseconds that it took.
            rid: The id of the request; LOG, ERROR, SEARCH, AUDIT and HEARTBEAT of that id are held in its span.
            size: Bytes of the answer.
            protocol: ``http`` or ``https``.
            uip: The caller's address.
            title: What it is called.
            category: Its kind.
            message: Free text.
            level: The severity.
            span: The span that stands for this request already (an HTTP instrumentation's), so that none is made.
            object: As everywhere.
            context: As everywhere.
            actor: As everywhere.
        """
        values: dict[str, Any] = {
            "rid": rid or None,
            "title": title,
            "category": category,
            "method": method,
            "url": url,
            "status": status,
            "duration": duration,
            "size": size,
            "protocol": protocol,
            "uip": uip,
        }
        edata = {"type": "api_access", "level": level, "message": message, "params": listed(values)}
        if rid:
            given = fields(context or {})
            context = {**given, "cdata": [*(given.get("cdata") or ()), *correlation(**{REQUEST: rid})]}
        self._tell("LOG", edata, object=object, context=context, actor=actor, span=span)

    def job_log(
        self,
        *,
        message: str,
        level: str = "INFO",
        data: Mapping[str, Any] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """LOG of type job: a step of a job; what ``data`` holds goes into its params."""
        edata = {"type": JOB, "level": level, "message": message, "params": listed(data or {}) or None}
        self._tell("LOG", edata, object=object, context=context, actor=actor)


def listed(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``params`` as Sunbird's services write them: one object a field, none for what is ``None``."""
    return [{name: value} for name, value in values.items() if value is not None]
