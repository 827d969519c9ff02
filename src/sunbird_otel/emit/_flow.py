"""A flow in the hands of the code that tells it: from its START, which it keeps, to its END, which it never forgets."""

# ruff: noqa: A002 - the names are Sunbird's

from __future__ import annotations

import traceback
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from sunbird_otel.emit._context import correlation
from sunbird_otel.emit._fork import generation
from sunbird_otel.emit._services import FAILED, JOB, SUCCESS, ServiceEvents

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from contextvars import Token
    from typing import Self

    from opentelemetry.trace import Span

    from sunbird_otel._rules import FlowRule
    from sunbird_otel.emit._context import Fields, Scope
    from sunbird_otel.emit._desk import Desk
    from sunbird_otel.emit._track import Track
    from sunbird_otel.schema import Actor, Context, Dspec, Object, Uaspec

_SECOND: Final = 1_000_000_000
_TRACE_CHARS: Final = 16_384
_MESSAGE_CHARS: Final = 1_000


class Flow(ServiceEvents):
    """An open flow. ``telemetry.start(...)`` makes one, and has emitted its START when it returns.

    As a context manager, also with ``async with``, it is the flow around whatever happens inside, and ends with the
    block; an exception that leaves the block is told as an ERROR before. Without a block, call :meth:`end`. Events go
    to it by its own methods or, inside the block, by those of the client; object, user and correlation data are the
    flow's unless a call says otherwise.

    Attributes:
        type: ``edata.type`` of its START.
        mode: ``edata.mode`` of its START.
        mid: The message id of its START.
        span: Its OpenTelemetry span.
    """

    def __init__(
        self,
        desk: Desk,
        scope: Scope,
        track: Track | None,
        *,
        type: str,
        mode: str | None,
        mid: str,
        pageid: str | None,
        begun_ns: int,
    ) -> None:
        """Take over a START that has been emitted; use ``telemetry.start``."""
        self.type: Final = type
        self.mode: Final = mode
        self.mid: Final = mid
        self.span: Final[Span] = INVALID_SPAN if track is None else track.span
        self._desk = desk
        self._scope = scope
        self._track = track
        self._pageid = pageid
        self._begun_ns = begun_ns
        self._generation = generation()
        self._lock = Lock()
        self._ended = False
        self._entered: list[tuple[Token[Scope], Token[otel.Context] | None]] = []
        if track is not None:
            track.holder = self

    @property
    def sid(self) -> str:
        """Return the session id of its events; a flow without device and session has got one of its own."""
        return str(self._scope.context.get("sid", ""))

    @property
    def play_session(self) -> str:
        """Return the id of this play, by which START and END of a player pair; empty for other flows."""
        return self._scope.correlated("PlaySession")

    @property
    def is_open(self) -> bool:
        """Tell whether its END is still to come."""
        return not self._ended

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
    ) -> Flow:
        """Emit the START of a flow inside this one."""
        scope = self._desk.derive("START", self._here(), context=context, actor=actor, object=object, tags=tags)
        edata = start_edata(type=type, mode=mode, pageid=pageid, duration=duration, loc=loc, dspec=dspec, uaspec=uaspec)
        return open_flow(self._desk, scope, edata, inside=self._track)

    def end(
        self,
        *,
        pageid: str | None = None,
        duration: float | None = None,
        summary: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Emit the END, once: a further call does nothing, nor does one in a process forked off meanwhile.

        Args:
            pageid: The page on which it ended; as in START by default.
            duration: Seconds; as measured by default.
            summary: Figures of the flow.

        Raises:
            TelemetryError: The schemas refuse what is given, in the mode ``raise``; the flow is still open then.
        """
        if self._generation != generation():
            return
        with self._lock:
            if self._ended:
                return
            self._ended = True
        if duration is None:
            duration = round((self._desk.writer.clock.monotonic_ns() - self._begun_ns) / _SECOND, 3)
        edata = {
            "type": self.type,
            "mode": self.mode,
            "pageid": self._pageid if pageid is None else pageid,
            "duration": duration,
            "summary": summary,
        }
        try:
            event = self._desk.writer.write("END", edata, self._scope)
        except BaseException:
            self._ended = False
            raise
        if event is None:
            return
        if self._track is not None:
            self._desk.spans.close(self._track, event)
        else:
            self._desk.spans.tell(event, self._scope.track)

    def job_end(self, *, status: str = SUCCESS, message: str = "", data: Mapping[str, Any] | None = None) -> None:
        """Emit the END of a job; status, message and what ``data`` holds make up its summary.

        A status other than SUCCESS is told as an ERROR before, so that it is seen on the span.
        """
        if status.upper() != SUCCESS and self.is_open:
            self.error(err=message or status, errtype=f"job {status}")
        summary = {"status": status, **({"message": message} if message else {}), **(data or {})}
        self.end(summary=[summary])

    @contextmanager
    def current(self) -> Generator[Self]:
        """Be the flow around what happens inside the block, and stay open after it."""
        self._enter()
        try:
            yield self
        finally:
            self._leave()

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, exc_type: object, exc: BaseException | None, tb: object) -> None:
        self._leave()
        if isinstance(exc, Exception):
            self._report(exc)
        try:
            if self.type == JOB:
                self.end(summary=[{"status": FAILED if exc is not None else SUCCESS}])
            else:
                self.end()
        except Exception as error:  # noqa: BLE001 - the block's own exception must go on as it is
            self._desk.faults.swallowed("flow", error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, exc_type: object, exc: BaseException | None, tb: object) -> None:
        self.__exit__(exc_type, exc, tb)

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
        scope = self._here()
        if object is not None or context is not None or actor is not None:
            scope = self._desk.derive(eid, scope, context=context, actor=actor, object=object)
        self._desk.tell(eid, edata, scope, span)

    def _here(self) -> Scope:
        """Return the flow's scope; inside its block with what ``telemetry.context`` says there."""
        now = self._desk.scopes.get()
        return now if self._track is not None and now.track is self._track else self._scope

    def _enter(self) -> None:
        token = self._desk.scopes.set(self._scope)
        attached = None if self._track is None else otel.attach(set_span_in_context(self.span))
        self._entered.append((token, attached))

    def _leave(self) -> None:
        if not self._entered:
            return
        token, attached = self._entered.pop()
        try:
            self._desk.scopes.reset(token)
        except ValueError:
            return  # left in another context than entered, as a cancelled async generator is: nothing to restore
        if attached is not None:
            otel.detach(attached)

    def _report(self, error: Exception) -> None:
        """Tell an exception that leaves the block; what has left an inner flow of this client has been told there."""
        mark = f"_sunbird_told_{id(self._desk)}"
        try:
            if getattr(error, mark, False):
                return
            error.__dict__[mark] = True
            trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS:]
            kind = error.__class__
            name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
            self.error(err=_text(str(error)[:_MESSAGE_CHARS] or name), errtype=_text(name), stacktrace=_text(trace))
        except Exception as fault:  # noqa: BLE001 - the block's own exception must go on as it is
            self._desk.faults.swallowed("flow", fault)


def start_edata(
    *,
    type: str,
    mode: str | None,
    pageid: str | None,
    duration: float | None,
    loc: str | None,
    dspec: Dspec | Fields | None,
    uaspec: Uaspec | Fields | None,
) -> dict[str, Any]:
    """Return the edata of a START."""
    return {
        "type": type,
        "dspec": dspec,
        "uaspec": uaspec,
        "loc": loc,
        "mode": mode,
        "duration": duration,
        "pageid": pageid,
    }


def open_flow(
    desk: Desk, scope: Scope, edata: dict[str, Any], *, inside: Track | None = None, root: bool = False
) -> Flow:
    """Emit a START and return its flow.

    Args:
        desk: The client.
        scope: Who, where and on what.
        edata: The fields of the START.
        inside: The flow that it shall stand in, when the caller has named one.
        root: Whether it shall stand in nothing.

    Raises:
        TelemetryError: The schemas refuse the START, in the mode ``raise``.
    """
    outer = scope
    rule = desk.opened_by(edata, scope)
    mid = desk.writer.mids("START")
    if rule is not None:
        scope = _identified(desk, scope, rule, mid.rpartition(":")[2])
    begun_ns = desk.writer.clock.monotonic_ns()
    event = desk.writer.write("START", edata, scope, mid)
    track = None
    if event is not None and rule is not None:
        track = desk.spans.open(event, rule, scope.track, inside=inside, root=root)
    elif event is not None:
        desk.spans.tell(event, scope.track)
    own = scope.inside(track, outer.without_flows)
    pageid = edata["pageid"]
    return Flow(desk, own, track, type=edata["type"], mode=edata["mode"], mid=mid, pageid=pageid, begun_ns=begun_ns)


def _identified(desk: Desk, scope: Scope, rule: FlowRule, unique: str) -> Scope:
    """Return ``scope`` with the ids that let a reader of the events find this flow again.

    Where the rules pair a START with its END by a correlation entry first, there is one (a player's PlaySession). Where
    neither device nor session is known, the flow is a session of its own: else its events would have nothing in common.
    """
    added: dict[str, Any] = {}
    head, _, type_of_id = rule.pair[0][0].partition(".") if rule.pair else ("", "", "")
    if head == "cdata" and not scope.correlated(type_of_id):
        added["cdata"] = correlation(**{type_of_id: unique})
    if rule.scope == "lane" and not scope.context.get("did") and not scope.context.get("sid"):
        added["sid"] = unique
    return desk.derive("START", scope, context=added) if added else scope


def _text(text: str) -> str:
    """Return ``text`` without lone surrogates, which no schema takes."""
    return text.encode(errors="replace").decode()
