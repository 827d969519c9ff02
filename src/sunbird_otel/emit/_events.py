"""One method for each event of the specification; keywords are the fields of its edata, as Sunbird names them.

What a field means, and where specification and schema part ways, stands with the models in
:mod:`sunbird_otel.schema`. Every method also takes ``object``, ``context`` and ``actor``, which replace for this one
event what :class:`sunbird_otel.emit.Telemetry` or the flow says otherwise.
"""

# ruff: noqa: A002 - the names are Sunbird's

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from sunbird_otel.emit._context import Fields
    from sunbird_otel.schema import (
        Actor,
        Context,
        InlineObject,
        Metric,
        Object,
        Plugin,
        Question,
        ShareItem,
        SummaryExtra,
        Target,
        Visit,
    )


class Events(ABC):
    """The events that are neither START nor END."""

    @abstractmethod
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
        """Emit one event; fields of ``edata`` that are ``None`` are left out. ``span`` is that of a request."""

    def impression(
        self,
        *,
        type: str,
        pageid: str,
        uri: str,
        subtype: str | None = None,
        duration: float | None = None,
        visits: Sequence[Visit | Fields] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """IMPRESSION: a page was shown. ``duration`` is seconds."""
        edata = {
            "type": type,
            "subtype": subtype,
            "pageid": pageid,
            "uri": uri,
            "duration": duration,
            "visits": visits,
        }
        self._tell("IMPRESSION", edata, object=object, context=context, actor=actor)

    def interact(
        self,
        *,
        type: str,
        id: str,
        subtype: str | None = None,
        pageid: str | None = None,
        target: Target | Fields | None = None,
        plugin: Plugin | Fields | None = None,
        extra: Fields | None = None,
        duration: float | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """INTERACT: the user did something. ``duration`` is seconds."""
        edata = {
            "type": type,
            "subtype": subtype,
            "id": id,
            "pageid": pageid,
            "target": target,
            "plugin": plugin,
            "extra": extra,
            "duration": duration,
        }
        self._tell("INTERACT", edata, object=object, context=context, actor=actor)

    def assess(
        self,
        *,
        item: Question | Fields,
        pass_: bool | str,
        score: float,
        resvalues: Sequence[Fields],
        duration: float,
        index: int | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """ASSESS: an answer was marked. ``pass_`` becomes the text Yes or No; ``duration`` is seconds."""
        passed = pass_ if isinstance(pass_, str) else "Yes" if pass_ else "No"
        edata = {
            "item": item,
            "index": index,
            "pass": passed,
            "score": score,
            "resvalues": resvalues,
            "duration": duration,
        }
        self._tell("ASSESS", edata, object=object, context=context, actor=actor)

    def response(
        self,
        *,
        target: Target | Fields,
        type: str,
        values: Sequence[Fields],
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """RESPONSE: the user answered."""
        self._tell(
            "RESPONSE", {"target": target, "type": type, "values": values}, object=object, context=context, actor=actor
        )

    def interrupt(
        self,
        *,
        type: str,
        pageid: str | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """INTERRUPT: background, resume."""
        self._tell("INTERRUPT", {"type": type, "pageid": pageid}, object=object, context=context, actor=actor)

    def feedback(
        self,
        *,
        rating: float | None = None,
        comments: str | None = None,
        commentid: str | None = None,
        commenttxt: str | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """FEEDBACK: a rating or a comment."""
        edata = {"rating": rating, "comments": comments, "commentid": commentid, "commenttxt": commenttxt}
        self._tell("FEEDBACK", edata, object=object, context=context, actor=actor)

    def share(
        self,
        *,
        items: Sequence[ShareItem | Fields],
        dir: str | None = None,
        type: str | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """SHARE: content went in or out."""
        self._tell("SHARE", {"dir": dir, "type": type, "items": items}, object=object, context=context, actor=actor)

    def audit(
        self,
        *,
        props: Sequence[str] | None = None,
        state: str | None = None,
        prevstate: str | None = None,
        type: str | None = None,
        duration: float | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """AUDIT: an object changed. ``duration`` is the seconds that it spent in ``prevstate``.

        With an object of type Service the states Ready and Stopped open and close the run of a service.
        """
        edata = {"type": type, "props": props, "state": state, "prevstate": prevstate, "duration": duration}
        self._tell("AUDIT", edata, object=object, context=context, actor=actor)

    def error(
        self,
        *,
        err: str,
        errtype: str,
        stacktrace: str = "",
        pageid: str | None = None,
        plugin: Plugin | Fields | None = None,
        inline: InlineObject | Fields | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """ERROR: something went wrong. ``inline`` is the ``object`` inside the edata, where it arose."""
        edata = {
            "err": err,
            "errtype": errtype,
            "stacktrace": stacktrace,
            "pageid": pageid,
            "object": inline,
            "plugin": plugin,
        }
        self._tell("ERROR", edata, object=object, context=context, actor=actor)

    def heartbeat(
        self,
        *,
        edata: Fields | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """HEARTBEAT: still alive; its ``edata`` may hold anything."""
        self._tell("HEARTBEAT", dict(sorted((edata or {}).items())), object=object, context=context, actor=actor)

    def log(
        self,
        *,
        type: str,
        level: str,
        message: str,
        pageid: str | None = None,
        params: Sequence[Fields] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """LOG: a line of a log."""
        edata = {"type": type, "level": level, "message": message, "pageid": pageid, "params": params}
        self._tell("LOG", edata, object=object, context=context, actor=actor)

    def search(
        self,
        *,
        query: str,
        size: float,
        topn: Sequence[Fields],
        type: str | None = None,
        filters: Fields | None = None,
        sort: Fields | None = None,
        correlationid: str | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """SEARCH: a search with its results; ``size`` is the number of all, ``topn`` the first of them."""
        edata = {
            "type": type,
            "query": query,
            "filters": filters,
            "sort": sort,
            "correlationid": correlationid,
            "size": size,
            "topn": topn,
        }
        self._tell("SEARCH", edata, object=object, context=context, actor=actor)

    def metrics(
        self,
        *,
        system: str,
        subsystem: str,
        metrics: Mapping[str, float] | Sequence[Metric | Fields],
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """METRICS: figures of a service; a mapping of names to numbers becomes the list that the schema asks for."""
        listed: Any = metrics
        if isinstance(metrics, Mapping):
            listed = [{"metric": name, "value": value} for name, value in metrics.items()]
        edata = {"system": system, "subsystem": subsystem, "metrics": listed}
        self._tell("METRICS", edata, object=object, context=context, actor=actor)

    def summary(
        self,
        *,
        type: str,
        starttime: float,
        endtime: float,
        timespent: float,
        pageviews: float,
        interactions: float,
        mode: str | None = None,
        extra: Sequence[SummaryExtra | Fields] | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """SUMMARY: the figures of a session or a play. The times are ms since 1970, ``timespent`` is seconds."""
        edata = {
            "type": type,
            "mode": mode,
            "starttime": starttime,
            "endtime": endtime,
            "timespent": timespent,
            "pageviews": pageviews,
            "interactions": interactions,
            "extra": extra,
        }
        self._tell("SUMMARY", edata, object=object, context=context, actor=actor)

    def exdata(
        self,
        *,
        type: str | None = None,
        data: str | None = None,
        object: Object | Fields | None = None,
        context: Context | Fields | None = None,
        actor: Actor | Fields | None = None,
    ) -> None:
        """EXDATA: data of a partner, packed into a text."""
        self._tell("EXDATA", {"type": type, "data": data}, object=object, context=context, actor=actor)
