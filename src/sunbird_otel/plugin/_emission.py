"""Sunbird events for the HTTP requests that a service answers, told when their server spans end."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.semconv.attributes import (
    exception_attributes,
    http_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

# The stable name first, then the one that instrumentations write until OTEL_SEMCONV_STABILITY_OPT_IN says otherwise.
_METHOD: Final = (http_attributes.HTTP_REQUEST_METHOD, "http.method")
_STATUS: Final = (http_attributes.HTTP_RESPONSE_STATUS_CODE, "http.status_code")
_SCHEME: Final = (url_attributes.URL_SCHEME, "http.scheme")
_AGENT: Final = (user_agent_attributes.USER_AGENT_ORIGINAL, "http.user_agent")
_ROUTE: Final = (http_attributes.HTTP_ROUTE,)
_PATH: Final = (url_attributes.URL_PATH, "http.target")
_URL: Final = ("http.url",)

_OUR_POSTS: Final = "sunbird-otel/"
"""How the user agent of the emitter's own transport begins."""

_FAILED: Final = 500
_MESSAGE_CHARS: Final = 1000
_TRACE_CHARS: Final = 20_000

_emitting: Final[ContextVar[bool]] = ContextVar("sunbird-emitting", default=False)


class Emitter(Protocol):
    """What is used of :class:`sunbird_otel.emit.Telemetry`."""

    def access(
        self,
        *,
        method: str,
        url: str,
        status: int | str,
        duration: float,
        rid: str = ...,
        protocol: str | None = ...,
        title: str | None = ...,
        level: str = ...,
        span: Span | None = ...,
        context: Mapping[str, Any] | None = ...,
    ) -> None:
        """Tell an answered request."""

    def error(self, *, err: str, errtype: str, stacktrace: str = ..., context: Mapping[str, Any] | None = ...) -> None:
        """Tell an error."""


class RequestEvents(SpanProcessor):
    """Tells each HTTP server span that ends: ERROR for each exception on it, then LOG of type api_access.

    The span itself stays as it is. Not told are the spans of the emitter, those that the application has told itself
    with ``access(span=...)``, posts of the emitter's own transport to this service, and whatever a transport does
    while it takes an event; nothing is told twice or without end.
    """

    def __init__(self, telemetry: Emitter, *, access: bool, errors: bool) -> None:
        self._telemetry = telemetry
        self._access = access
        self._errors = errors
        self._lock = Lock()
        self._closed = False
        self.failed = 0
        """How many spans could not be told; the first is in the log."""

    def on_end(self, span: ReadableSpan) -> None:
        """Tell ``span`` if it is a request; it never raises."""
        if span.kind is not SpanKind.SERVER or self._closed or _emitting.get():
            return
        try:
            self._told(span)
        except Exception as error:
            with self._lock:
                self.failed += 1
                first = self.failed == 1
            if first:
                logger.warning(
                    "sunbird-otel: a request could not be told as a Sunbird event; further ones are only counted: %s",
                    error,
                    exc_info=True,
                )

    def shutdown(self) -> None:
        """Tell nothing any more. The telemetry stays open: it is its maker's."""
        self._closed = True

    def _told(self, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        method = _text(attributes, _METHOD)
        context = span.get_span_context()
        if not method or context is None or _is_ours(span, attributes):
            return
        standing = NonRecordingSpan(context)
        emitting = _emitting.set(True)
        # What finds no flow around it goes into the request's span.
        token = contexts.attach(trace.set_span_in_context(standing))
        try:
            if self._errors:
                self._tell_errors(span, attributes)
            if self._access:
                self._tell_access(span, attributes, method, standing)
        finally:
            contexts.detach(token)
            _emitting.reset(emitting)

    def _tell_access(self, span: ReadableSpan, attributes: Mapping[str, Any], method: str, standing: Span) -> None:
        status = next((value for key in _STATUS if isinstance(value := attributes.get(key), int)), None)
        failed = span.status.status_code is StatusCode.ERROR
        if status is None and failed:
            status = _FAILED
        route = _text(attributes, _ROUTE)
        self._telemetry.access(
            method=method,
            url=_path(attributes) or route or "/",
            # Not answered at all, when the caller has gone before.
            status="" if status is None else status,
            duration=round(((span.end_time or 0) - (span.start_time or 0)) / 1e6, 3),
            rid=_text(attributes, (names.REQUEST_ID,)),
            protocol=_text(attributes, _SCHEME) or None,
            title=route or None,
            level="ERROR" if failed or (status or 0) >= _FAILED else "INFO",
            span=standing,
            context=_context(attributes),
        )

    def _tell_errors(self, span: ReadableSpan, attributes: Mapping[str, Any]) -> None:
        context = _context(attributes)
        if rid := _text(attributes, (names.REQUEST_ID,)):
            context["cdata"] = [{"type": "Request", "id": rid}]
        for event in span.events:
            found = event.attributes or {}
            kind = _text(found, (exception_attributes.EXCEPTION_TYPE,))
            if kind:
                message = _text(found, (exception_attributes.EXCEPTION_MESSAGE,))[:_MESSAGE_CHARS]
                trace_back = _text(found, (exception_attributes.EXCEPTION_STACKTRACE,))[-_TRACE_CHARS:]
                self._telemetry.error(err=message or kind, errtype=kind, stacktrace=trace_back, context=context)


def _is_ours(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    scope = span.instrumentation_scope
    return (
        names.FLOW_TYPE in attributes
        or (scope is not None and scope.name == names.SCOPE)
        or _text(attributes, _AGENT).startswith(_OUR_POSTS)
    )


def _text(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the first of these attributes that is there, or an empty text."""
    return next((value for key in keys if isinstance(value := attributes.get(key), str) and value), "")


def _path(attributes: Mapping[str, Any]) -> str:
    """Return the path as called, without the query, which may hold what nobody should keep."""
    path = _text(attributes, _PATH).partition("?")[0]
    return path or urlsplit(_text(attributes, _URL)).path


def _context(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return whose request it was, by what the propagator found in its headers."""
    said = {"sid": names.SESSION_ID, "did": names.DEVICE_ID, "channel": names.CHANNEL}
    return {field: value for field, key in said.items() if (value := _text(attributes, (key,)))}
