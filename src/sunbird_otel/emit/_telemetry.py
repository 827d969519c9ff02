"""The client: one for each application."""

# ruff: noqa: A002 - the names are Sunbird's

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from sunbird_otel._rules import Closes, Rules
from sunbird_otel.emit._context import REQUEST, Scope, correlation, fields, scope
from sunbird_otel.emit._desk import Desk
from sunbird_otel.emit._flow import Flow, open_flow, start_edata
from sunbird_otel.emit._refused import Faults, TelemetryError, Unwritable, Validation
from sunbird_otel.emit._services import JOB, SUCCESS, ServiceEvents
from sunbird_otel.emit._spans import Spans
from sunbird_otel.emit._track import open_around
from sunbird_otel.emit._writer import SYSTEM_CLOCK, Clock, Writer, new_mid
from sunbird_otel.errors import ConfigError
from sunbird_otel.schema import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Token
    from typing import Self

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from sunbird_otel.emit._context import Fields
    from sunbird_otel.emit.transports import Transport, TransportStats
    from sunbird_otel.schema import Actor, Cdata, Context, Dspec, Object, Pdata, Rollup, Uaspec

_SYSTEM = {"id": "", "type": "System"}


class Telemetry(ServiceEvents):
    """Emits Sunbird events, and tells the same to OpenTelemetry.

    Safe under threads, asyncio and fork. Nothing is raised into the calling code but what the schemas refuse, in the
    mode ``raise``.

    Args:
        pdata: The producer: ``id``, and for preference ``ver`` and ``pid``.
        channel: The tenant.
        env: The part of the product.
        transport: Takes the events.
        tracer_provider: Where spans go; ``None`` is the global one.
        meter_provider: Where metrics go; ``None`` is the global one.
        did: The device, where there is only one.
        sid: The session, where there is only one.
        actor: Who acts, unless ``context`` or a call says otherwise; the system by default.
        cdata: Correlation data of every event.
        rollup: The organisations, ``l1`` to ``l4``.
        tags: Dimension tags of every event.
        validation: What to do with an event that the pipeline's schemas refuse: ``raise``, ``warn`` or ``off``.
        clock: Tells the time; the module ``time`` by default.
        mids: Makes a message id from an eid.
        rules: The flow rules; the standard ones by default.

    Raises:
        ConfigError: The schemas refuse what every event would carry, or ``validation`` is no mode.
    """

    def __init__(
        self,
        *,
        pdata: Pdata | Fields,
        channel: str,
        env: str,
        transport: Transport,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        did: str = "",
        sid: str = "",
        actor: Actor | Fields | None = None,
        cdata: Sequence[Cdata | Fields] | None = None,
        rollup: Rollup | Fields | None = None,
        tags: Sequence[str] | None = None,
        validation: Validation = "raise",
        clock: Clock = SYSTEM_CLOCK,
        mids: Callable[[str], str] = new_mid,
        rules: Rules | None = None,
    ) -> None:
        faults = Faults(validation)
        given = {"channel": channel, "pdata": pdata, "env": env, "sid": sid or None, "did": did or None}
        shared = {**given, "cdata": cdata, "rollup": rollup}
        try:
            base = scope(actor=actor or _SYSTEM, context=shared, object=None, tags=tags)
        except Unwritable as error:
            raise ConfigError(f"Telemetry: {error}") from None
        if base.problems and validation != "off":
            lines = "\n".join(f"  {problem}" for problem in base.problems)
            raise ConfigError(f"Telemetry: Sunbird's pipeline would refuse every event:\n{lines}")
        rules = rules or Rules.standard()
        # One a client: a flow of one client is not around the events of another.
        scopes: ContextVar[Scope] = ContextVar("sunbird-scope", default=base)
        spans = Spans(rules, faults, lambda: scopes.get().track, tracer_provider, meter_provider)
        self._transport = transport
        self._desk = Desk(scopes, rules, Writer(transport, faults, clock, mids), spans, faults)
        self._drained = weakref.finalize(self, spans.drain)

    # --- Flows --------------------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        type: str,
        mode: str | None = None,
        pageid: str | None = None,
        duration: float | None = None,
        loc: str | None = None,
        dspec: Dspec | Fields | None = None,
        uaspec: Uaspec | Fields | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
        tags: Sequence[str] | None = None,
        parent: Flow | Literal["current"] | None = "current",
    ) -> Flow:
        """Emit START and return its flow, for ``with``, ``async with`` or :meth:`Flow.end`.

        Args:
            type: What begins: app, session, player, editor ...; the rules know more.
            mode: How: play, edit, preview ...
            pageid: The page.
            duration: Seconds spent on starting up.
            loc: Where.
            dspec: The device.
            uaspec: The browser.
            object: What is played, edited, read; the default of all events of the flow.
            context: Fields of the context that replace those around; ``cdata`` is added to what is there.
            actor: Who acts in this flow.
            tags: Dimension tags of the flow's events.
            parent: The flow around it: the current one, another one, or ``None`` for none.

        Raises:
            TelemetryError: The schemas refuse it, in the mode ``raise``; no flow has begun then.
        """
        edata = start_edata(type=type, mode=mode, pageid=pageid, duration=duration, loc=loc, dspec=dspec, uaspec=uaspec)
        if isinstance(parent, Flow):
            return parent.start(**edata, object=object, context=context, actor=actor, tags=tags)
        around = self._desk.scopes.get()
        if parent is None:
            around = around.without_flows.outermost()
        own = self._desk.derive("START", around, context=context, actor=actor, object=object, tags=tags)
        return open_flow(self._desk, own, edata, root=parent is None)

    def end(
        self,
        *,
        type: str,
        mode: str | None = None,
        pageid: str | None = None,
        duration: float | None = None,
        summary: Sequence[Mapping[str, Any]] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """Emit END of a flow by its type: of the innermost one around the call that has it.

        Where there is none, the END is emitted as it is given, for a flow that another process has begun. Prefer
        ``with`` and :meth:`Flow.end`, which know their START.
        """
        around = self._desk.scopes.get()
        own = self._desk.derive("END", around, context=context, actor=actor, object=object)
        if own is around:
            for track in open_around(around.track):
                holder = track.holder
                if holder is not None and holder.type.casefold() == type.casefold() and mode in {None, holder.mode}:
                    holder.end(pageid=pageid, duration=duration, summary=summary)
                    return
        edata = {"type": type, "mode": mode, "pageid": pageid, "duration": duration, "summary": summary}
        event = self._desk.writer.write("END", edata, own)
        if event is not None:
            closes = isinstance(self._desk.rules.role(event), Closes)
            self._desk.spans.tell(event, own.track, ("orphan_end",) if closes else ())

    def job_start(
        self,
        *,
        name: str = "",
        message: str = "",
        level: str = "INFO",
        data: Mapping[str, Any] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> Flow:
        """Emit START of a job and return its flow; overlapping runs are kept apart by a JobRun id in their cdata.

        Args:
            name: The job, which becomes ``pdata.pid`` of its events as in Sunbird's own jobs; the client's by default.
            message: What is to be done; with ``data`` it is told as a LOG of type job inside.
            level: The severity of that LOG.
            data: The configuration.
            object: What it works on.
            context: As everywhere.
            actor: As everywhere.
        """
        given: dict[str, Any] = dict(fields(context or {}))
        if name:
            given["pdata"] = {**fields(given.get("pdata") or {}), "pid": name}
        flow = self.start(type=JOB, object=object, context=given, actor=actor)
        if message or data:
            flow.job_log(message=message or "started", level=level, data=data)
        return flow

    def job_end(self, *, status: str = SUCCESS, message: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Emit END of the job around the call.

        Raises:
            TelemetryError: There is none.
        """
        for track in open_around(self._desk.scopes.get().track):
            if track.holder is not None and track.holder.type == JOB:
                track.holder.job_end(status=status, message=message, data=data)
                return
        expected = "a job that is open around the call; keep the flow that job_start returned, and use its job_end"
        raise TelemetryError("END", [Refusal("$.edata.type", expected, "none")])

    # --- Context ------------------------------------------------------------------------------------------------------

    def context(
        self,
        *,
        channel: str | None = None,
        env: str | None = None,
        did: str | None = None,
        sid: str | None = None,
        actor: Actor | Fields | None = None,
        object: Object | Fields | None = None,
        cdata: Sequence[Cdata | Fields] | None = None,
        rollup: Rollup | Fields | None = None,
        tags: Sequence[str] | None = None,
        request: str | None = None,
    ) -> Entered:
        """Say for a block (``with`` or ``async with``) who acts, where and on what: a web request's user, for example.

        What is not given stays as around; ``cdata`` is added to what is there. ``request`` is the id of the request
        that is being answered: it goes into the cdata of its events.

        Raises:
            TelemetryError: The schemas refuse it, in the mode ``raise``.
        """
        added = [*(cdata or ()), *(correlation(**{REQUEST: request}) if request else ())]
        named = {"channel": channel, "env": env, "did": did, "sid": sid, "rollup": rollup, "cdata": added or None}
        given = {name: value for name, value in named.items() if value is not None}
        around = self._desk.scopes.get()
        own = self._desk.derive("context", around, context=given or None, actor=actor, object=object, tags=tags)
        if own.problems and own is not around:
            self._desk.faults.refused("context", own.problems)
        return Entered(self._desk, own)

    # --- The rest -----------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> Mapping[str, int]:
        """Return how often something was refused, could not be written, or was swallowed; see the class ``Faults``."""
        return dict(self._desk.faults.counts)

    @property
    def stats(self) -> TransportStats:
        """Return the transport's counts."""
        return self._transport.stats

    def flush(self, timeout: float | None = None) -> bool:
        """Have the transport deliver what it holds, in at most ``timeout`` seconds; tell whether it has."""
        return self._transport.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, and close the transport, in at most ``timeout`` seconds. Open flows stay open."""
        self._drained()
        self._transport.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, exc: BaseException | None, tb: object) -> None:
        self.close()

    def _tell(
        self,
        eid: str,
        edata: Fields,
        *,
        object: Object | Fields | None,
        context: Context | Fields | None,
        actor: Actor | Fields | None,
        span: Span | None = None,
    ) -> None:
        own = self._desk.scopes.get()
        if object is not None or context is not None or actor is not None:
            own = self._desk.derive(eid, own, context=context, actor=actor, object=object)
        self._desk.tell(eid, edata, own, span)


class Entered:
    """What :meth:`Telemetry.context` returns: in force inside ``with`` or ``async with``."""

    def __init__(self, desk: Desk, own: Scope) -> None:
        self._desk = desk
        self._own = own
        self._tokens: list[Token[Scope]] = []

    def __enter__(self) -> None:
        self._tokens.append(self._desk.scopes.set(self._own))

    def __exit__(self, exc_type: object, exc: BaseException | None, tb: object) -> None:
        try:
            self._desk.scopes.reset(self._tokens.pop())
        except ValueError:
            return  # left in another context than entered: nothing to restore

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, exc_type: object, exc: BaseException | None, tb: object) -> None:
        self.__exit__(exc_type, exc, tb)
