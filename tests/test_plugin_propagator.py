"""The headers of Sunbird clients: read, refused, turned into the trace of the client's events, and passed on."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bridging import run
from events import MOBILE, T0, Client
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import DefaultGetter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sunbird_otel import names
from sunbird_otel.errors import ConfigError
from sunbird_otel.plugin import JoinedAttributes, SunbirdIdGenerator, SunbirdPropagator
from sunbird_otel.plugin._id_generator import next_ids
from sunbird_otel.plugin._propagator import MAX_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

HOUR_NS = 3600 * 10**9
T0_NS = T0 * 10**6
MIDNIGHT_NS = T0_NS - 6 * HOUR_NS
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FOREIGN_TRACE = 0x0AF7651916CD43DD8448EB211C80319C


def headers_of(client: Client, **more: str) -> dict[str, str]:
    """Return the headers with which a client sends its requests."""
    return {"X-Session-ID": client.sid, "X-Device-ID": client.did, "X-Channel-ID": client.channel, **more}


def client_trace(client: Client) -> int:
    """Return the trace that the bridge derives for what the client does at the time 0."""
    return int.from_bytes(run([client.start(0, "session"), client.end(60, "session")]).spans[0].trace_id)


def propagator(
    time_ns: int = T0_NS, *, trace_scope: str = "session", derived_ids: bool | None = None
) -> SunbirdPropagator:
    return SunbirdPropagator(trace_scope=trace_scope, derived_ids=derived_ids, clock=lambda: time_ns)


def remote_trace(context: Context) -> int:
    return trace.get_current_span(context).get_span_context().trace_id


class Service:
    """A service under instrumentation: it extracts, attaches, and opens a server span with one span inside."""

    def __init__(self, time_ns: int = T0_NS, *, derived_ids: bool = True) -> None:
        self.propagator = propagator(time_ns, derived_ids=derived_ids)
        self.textmap = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator(), self.propagator])
        self.exported = InMemorySpanExporter()
        self.provider = TracerProvider(id_generator=SunbirdIdGenerator() if derived_ids else None)
        self.provider.add_span_processor(JoinedAttributes())
        self.provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.tracer = self.provider.get_tracer("service")

    def request(self, headers: Mapping[str, str], *, attach: bool = True) -> ReadableSpan:
        """Return the server span of a request."""
        context = self.textmap.extract(headers)
        token = contexts.attach(context) if attach else None
        try:
            with self.tracer.start_as_current_span("GET", context=context, kind=trace.SpanKind.SERVER):
                self.tracer.start_span("inside").end()
        finally:
            if token is not None:
                contexts.detach(token)
        inside, server = self.exported.get_finished_spans()[-2:]
        assert inside.name == "inside"
        assert inside.attributes == {}
        assert inside.links == ()
        return server


def links(span: ReadableSpan) -> dict[Any, int]:
    """Return where the span's links lead, by their type."""
    return {(link.attributes or {})[names.LINK_TYPE]: link.context.trace_id for link in span.links}


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


# --- Which trace -------------------------------------------------------------------------------------------------

CLIENTS = {
    "session": MOBILE,
    "session without a device": replace(MOBILE, did=""),
    "device": replace(MOBILE, sid=""),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_request_is_in_the_trace_of_its_clients_events(client: Client) -> None:
    assert remote_trace(propagator().extract(headers_of(client))) == client_trace(client)
    assert trace_of(Service().request(headers_of(client))) == client_trace(client)


def test_a_request_without_session_and_device_is_in_the_trace_of_its_id() -> None:
    backend = replace(MOBILE, did="", sid="")
    rid = "4f8a1c52-0d8e-4d2c-9b1f-3a5f6b7c8d9e"
    expected = int.from_bytes(run([backend.api_access(0, rid=rid)]).spans[0].trace_id)
    assert remote_trace(propagator().extract({"x-request-id": rid})) == expected


def test_a_request_that_says_nothing_begins_a_trace_of_its_own() -> None:
    service = Service()
    first, second = (trace_of(service.request({"X-App-ID": "portal", "X-Channel-ID": "c"})) for _ in range(2))
    assert first != second
    assert service.propagator.stats.joined == 0


def test_with_trace_scope_run_a_session_has_no_trace_to_join() -> None:
    headers = headers_of(MOBILE)
    per_run = propagator(trace_scope="run")
    assert remote_trace(per_run.extract(headers)) == trace.INVALID_TRACE_ID
    assert remote_trace(per_run.extract({**headers, "X-Request-ID": "r1"})) == remote_trace(
        propagator().extract({"X-Request-ID": "r1"})
    )


def test_an_unknown_trace_scope_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected session or run; found 'day'"):
        SunbirdPropagator(trace_scope="day")


def test_the_trace_scope_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNBIRD_OTEL_TRACE_SCOPE", "run")
    assert remote_trace(SunbirdPropagator().extract(headers_of(MOBILE))) == trace.INVALID_TRACE_ID


def test_a_wrong_setting_does_not_stop_a_service(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry makes propagators while it is imported: an exception would end the process."""
    monkeypatch.setenv("SUNBIRD_OTEL_TRACE_SCOPE", "day")
    assert remote_trace(SunbirdPropagator().extract(headers_of(MOBILE))) != trace.INVALID_TRACE_ID
    assert "SUNBIRD_OTEL_TRACE_SCOPE: expected session or run; found 'day'" in caplog.text


@pytest.mark.parametrize(("hours", "early"), [(0, True), (3.99, True), (4, False), (23.99, False)], ids=str)
def test_in_the_first_hours_of_a_day_the_day_before_is_linked(hours: float, early: bool) -> None:
    yesterday = remote_trace(propagator(MIDNIGHT_NS - HOUR_NS).extract(headers_of(MOBILE)))
    span = Service(MIDNIGHT_NS + round(hours * HOUR_NS)).request(headers_of(MOBILE))
    assert trace_of(span) == client_trace(MOBILE) != yesterday
    assert links(span) == ({"previous_day": yesterday} if early else {})


# --- Joining -----------------------------------------------------------------------------------------------------


def test_with_our_ids_the_server_span_is_a_root() -> None:
    assert Service().request(headers_of(MOBILE)).parent is None


def test_without_our_ids_a_remote_parent_carries_the_trace() -> None:
    service = Service(derived_ids=False)
    spans = [service.request(headers_of(MOBILE)) for _ in range(2)]
    assert {trace_of(span) for span in spans} == {client_trace(MOBILE)}
    parent, again = (span.parent for span in spans)
    assert parent == again
    assert parent is not None
    assert parent.is_remote
    assert parent.trace_flags.sampled


def test_the_global_provider_says_whether_ids_are_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", Service().provider.__class__)
    assert remote_trace(propagator().extract(headers_of(MOBILE))) == client_trace(MOBILE)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: Service().provider)
    assert remote_trace(propagator().extract(headers_of(MOBILE))) == trace.INVALID_TRACE_ID


def test_a_traceparent_is_kept_and_the_session_linked() -> None:
    service = Service()
    span = service.request(headers_of(MOBILE, traceparent=TRACEPARENT))
    assert trace_of(span) == FOREIGN_TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == TRACEPARENT.split("-")[2]
    assert links(span) == {"session": client_trace(MOBILE)}
    assert (service.propagator.stats.joined, service.propagator.stats.linked) == (1, 1)


def test_the_order_of_propagators_does_not_matter() -> None:
    service = Service(derived_ids=False)
    service.textmap = CompositePropagator([service.propagator, TraceContextTextMapPropagator()])
    span = service.request(headers_of(MOBILE, traceparent=TRACEPARENT))
    assert trace_of(span) == FOREIGN_TRACE
    assert links(span) == {"session": client_trace(MOBILE)}


def test_an_invalid_traceparent_is_none() -> None:
    span = Service().request(headers_of(MOBILE, traceparent="00-" + "0" * 32 + "-b7ad6b7169203331-01"))
    assert trace_of(span) == client_trace(MOBILE)
    assert links(span) == {}


def test_a_traceparent_within_the_sessions_trace_needs_no_link() -> None:
    service = Service()
    own = f"00-{client_trace(MOBILE):032x}-b7ad6b7169203331-01"
    assert links(service.request(headers_of(MOBILE, traceparent=own))) == {}
    assert service.propagator.stats.linked == 0


def test_where_the_id_generator_cannot_see_the_request_the_session_is_linked() -> None:
    """Some instrumentations hand the context on without making it the current one."""
    span = Service().request(headers_of(MOBILE), attach=False)
    assert trace_of(span) != client_trace(MOBILE)
    assert links(span) == {"session": client_trace(MOBILE)}


def test_two_set_ups_write_one_link() -> None:
    service = Service()
    service.provider.add_span_processor(JoinedAttributes())
    assert len(service.request(headers_of(MOBILE, traceparent=TRACEPARENT)).links) == 1


def test_entry_spans_say_who_the_client_is() -> None:
    headers = headers_of(MOBILE, **{"X-Request-ID": "r1", "X-App-ID": "portal"})
    assert Service().request(headers).attributes == {
        names.SESSION_ID: MOBILE.sid,
        names.DEVICE_ID: MOBILE.did,
        names.CHANNEL: MOBILE.channel,
        names.REQUEST_ID: "r1",
    }


def test_a_span_after_the_request_is_in_no_session() -> None:
    service = Service()
    service.request(headers_of(MOBILE))
    with service.tracer.start_as_current_span("later") as span:
        assert span.get_span_context().trace_id != client_trace(MOBILE)
    assert service.exported.get_finished_spans()[-1].attributes == {}


# --- Ids ---------------------------------------------------------------------------------------------------------


def test_ids_that_are_named_are_given_to_one_span() -> None:
    tracer = TracerProvider(id_generator=SunbirdIdGenerator()).get_tracer("emitter")
    with next_ids(trace_id=7, span_id=8):
        first = tracer.start_span("first", context=Context())
        second = tracer.start_span("second", context=Context())
    third = tracer.start_span("third", context=Context())
    contexts_ = [span.get_span_context() for span in (first, second, third)]
    assert (contexts_[0].trace_id, contexts_[0].span_id) == (7, 8)
    assert len({(context.trace_id, context.span_id) for context in contexts_}) == 3


def test_a_named_trace_is_not_kept_for_later_when_there_is_a_parent() -> None:
    tracer = TracerProvider(id_generator=SunbirdIdGenerator()).get_tracer("emitter")
    parent = tracer.start_span("parent")
    with next_ids(trace_id=7, span_id=8):
        child = tracer.start_span("child", context=trace.set_span_in_context(parent))
    assert child.get_span_context().trace_id == parent.get_span_context().trace_id
    assert child.get_span_context().span_id == 8
    assert tracer.start_span("later").get_span_context().trace_id != 7


def test_derived_ids_are_not_called_random() -> None:
    assert not SunbirdIdGenerator().is_trace_id_random()
    span = TracerProvider(id_generator=SunbirdIdGenerator()).get_tracer("t").start_span("s")
    assert span.get_span_context().trace_flags == trace.TraceFlags.SAMPLED


# --- Reading -----------------------------------------------------------------------------------------------------


def underscores(name: str) -> str:
    return name.replace("-", "_")


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, underscores])
def test_headers_are_read_in_any_case(spell: Callable[[str], str]) -> None:
    headers = {spell(name): value for name, value in headers_of(MOBILE).items()}
    assert remote_trace(propagator().extract(headers)) == client_trace(MOBILE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("s" * (MAX_CHARS + 1), "too_long"),
        ("s\x00", "not_printable_ascii"),
        ("s\r\nX-Injected: 1", "not_printable_ascii"),
        ("s\x7f", "not_printable_ascii"),
        ("sitzung-ü", "not_printable_ascii"),
        ("s1, s2", "several_values"),
        (["s1", "s2"], "several_values"),
    ],
)
def test_hostile_values_are_dropped_and_counted(value: object, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    read = propagator()
    carrier: Any = {**headers_of(MOBILE), "X-Session-ID": value}
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert remote_trace(read.extract(carrier)) == client_trace(replace(MOBILE, sid=""))
    assert read.stats.dropped == {reason: 3}
    (message,) = caplog.messages
    assert "X-Session-ID" in message
    assert "s1" not in message
    assert "\x00" not in message


def test_the_longest_value_is_used() -> None:
    client = replace(MOBILE, sid="s" * MAX_CHARS)
    assert remote_trace(propagator().extract(headers_of(client))) == client_trace(client)


def test_blanks_around_a_value_and_empty_values_are_nothing() -> None:
    read = propagator()
    carrier = {"X-Session-ID": "", "X-Device-ID": f" {MOBILE.did}\t", "X-Channel-ID": "  "}
    assert remote_trace(read.extract(carrier)) == client_trace(replace(MOBILE, sid=""))
    assert read.stats.dropped == {}


class Failing(DefaultGetter):
    """A getter of a framework that cannot decode what it was sent."""

    def __init__(self, where: str) -> None:
        self.where = where

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        if self.where == key:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return super().get(carrier, key)

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        if self.where == "keys":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return super().keys(carrier)


@pytest.mark.parametrize("where", ["keys", "X-Session-ID"])
def test_a_framework_that_fails_to_decode_fails_no_request(where: str) -> None:
    read = propagator()
    context = read.extract(headers_of(MOBILE), getter=Failing(where))
    assert remote_trace(context) == (client_trace(replace(MOBILE, sid="")) if where != "keys" else 0)
    assert read.stats.dropped == {"unreadable": 1}


@given(
    st.dictionaries(
        st.sampled_from(["x-session-id", "X-Device-ID", "x-channel-id", "X-APP-ID", "x-request-id", "other"]),
        st.one_of(st.text(), st.lists(st.text()), st.none(), st.integers(), st.binary()),
    )
)
def test_no_header_raises_and_what_is_passed_on_is_harmless(carrier: Any) -> None:
    read = propagator()
    out: dict[str, str] = {}
    read.inject(out, read.extract(carrier))
    assert all(value.isascii() and value.isprintable() and 0 < len(value) <= MAX_CHARS for value in out.values())


# --- Passing on --------------------------------------------------------------------------------------------------


def test_headers_are_passed_on() -> None:
    passing = propagator()
    headers = headers_of(MOBILE, **{"X-Request-ID": "r1", "X-App-ID": "portal"})
    out: dict[str, str] = {}
    passing.inject(out, passing.extract({name.lower(): value for name, value in headers.items()}))
    assert out == headers
    assert set(out) == passing.fields


def test_what_the_caller_wrote_stays() -> None:
    passing = propagator()
    out = {"x-request-id": "of the caller"}
    passing.inject(out, passing.extract({"X-Request-ID": "r1", "X-Device-ID": "d1"}))
    assert out == {"x-request-id": "of the caller", "X-Device-ID": "d1"}


def test_without_a_request_nothing_is_written() -> None:
    out: dict[str, str] = {}
    propagator().inject(out)
    assert out == {}
