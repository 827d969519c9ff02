"""Flows that are told while they are open."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from plugin_rig import POLICIES, RULES, Keeper, Rig, app_inside_its_session
from service_process import run_program

from sunbird_otel import ConfigError, names
from sunbird_otel.plugin import FlowNestingProcessor, SunbirdInstrumentor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

SOON = 0.05


def pending_of(rig: Rig) -> list[ReadableSpan]:
    return [span for span in rig.memory.get_finished_spans() if names.FLOW_PENDING in (span.attributes or {})]


def wait_for(done: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def thread_of(rig: Rig) -> threading.Thread | None:
    pending = rig.processor._pending
    return None if pending is None else pending._thread


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("after", [0, SOON])
def test_an_open_flow_is_told(policy: str, after: float) -> None:
    rig = Rig(policy, pending=True, pending_after=after)
    session = rig.start("session", attributes={"session.id": "s-1"}, kind=SpanKind.SERVER)
    session.add_event("sunbird.interact")
    wait_for(lambda: pending_of(rig))
    (told,) = pending_of(rig)
    assert (told.name, told.kind, told.events, told.links) == ("session", SpanKind.SERVER, (), ())
    assert dict(told.attributes or {}) == {
        names.FLOW_TYPE: "session",
        "session.id": "s-1",
        names.FLOW_PENDING: True,
    }
    assert told.start_time is not None
    assert told.end_time == told.start_time + 1
    session.end()
    written = rig.memory.get_finished_spans()[-1]
    assert written.start_time == told.start_time
    assert names.FLOW_PENDING not in (written.attributes or {})
    assert told.parent == written.context
    assert told.context is not None
    assert written.context is not None
    assert told.context.span_id != written.context.span_id
    assert told.context.trace_id == written.context.trace_id
    assert told.resource is written.resource
    assert told.instrumentation_scope == written.instrumentation_scope
    assert rig.tally.pending == rig.tally.report()["spans"]["pending"] == 1
    assert (rig.tally.opened, rig.tally.open, rig.tally.closed) == (1, 0, {"end": 1})


def test_the_id_is_one_that_a_retry_has_too() -> None:
    rig = Rig(pending=True, pending_after=0)
    session = rig.start("session")
    flow: Any = rig.processor._nesting.nodes[session.get_span_context().span_id]
    rig.processor._tell_pending(flow)
    first, second = pending_of(rig)
    assert first.context == second.context


def test_short_flows_are_not_told() -> None:
    rig = Rig(pending=True, pending_after=SOON)
    for _ in range(50):
        rig.start("session").end()
    long = rig.start("session", attributes={"which": "long"})
    wait_for(lambda: pending_of(rig))
    time.sleep(2 * SOON)
    assert [(span.attributes or {})["which"] for span in pending_of(rig)] == ["long"]
    long.end()


def test_each_is_told_when_its_time_has_come() -> None:
    rig = Rig(pending=True, pending_after=4 * SOON)
    first = rig.start("session")
    time.sleep(2 * SOON)
    second = rig.start("session")
    wait_for(lambda: pending_of(rig))
    assert len(pending_of(rig)) == 1
    wait_for(lambda: len(pending_of(rig)) == 2)
    third = rig.start("session")  # the thread has slept meanwhile
    wait_for(lambda: len(pending_of(rig)) == 3)
    thread = thread_of(rig)
    for span in (first, second, third):
        span.end()
    rig.provider.shutdown()
    assert thread is not None
    assert not thread.is_alive()


def test_usually_nothing_is_told_and_no_thread_runs() -> None:
    rig = Rig()
    rig.start("session")
    assert thread_of(rig) is None
    rig.provider.shutdown()
    assert [names.FLOW_PENDING in (span.attributes or {}) for span in rig.memory.get_finished_spans()] == [False]


@pytest.mark.parametrize("policy", ["annotate", "reject"])
def test_what_may_be_refused_is_not_told(policy: str) -> None:
    rig = Rig(policy, pending=True, pending_after=0)
    player = rig.start("player")
    page = rig.start("page", player)
    told = [span.name for span in pending_of(rig)]
    assert told == ([] if policy == "reject" else ["player", "page"])
    page.end()
    player.end()


def test_repair_tells_them_under_the_ids_that_they_will_have() -> None:
    rig = Rig("repair", pending=True, pending_after=0)
    app_inside_its_session(rig)
    written = {s.context.span_id: s for s in rig.memory.get_finished_spans() if s.context}
    for told in pending_of(rig):
        assert told.parent is not None
        assert written[told.parent.span_id].name == told.name


def test_long_values_are_cut() -> None:
    rig = Rig(pending=True, pending_after=0, attribute_bytes=3)
    rig.start("session", attributes={"long": "1234"})
    (told,) = pending_of(rig)
    attributes = told.attributes or {}
    assert (attributes["long"], attributes[names.TRUNCATED]) == ("123", ("long", names.FLOW_TYPE))


def test_drained_flows_are_not_told_again() -> None:
    rig = Rig(pending=True, pending_after=SOON)
    session = rig.start("session")
    rig.provider.shutdown()
    time.sleep(2 * SOON)
    assert pending_of(rig) == []
    session.end()
    rig.start("session")
    thread = thread_of(rig)
    assert thread is not None
    assert not thread.is_alive()


def test_a_downstream_that_raises_is_counted() -> None:
    class Broken(Keeper):
        def on_end(self, span: ReadableSpan) -> None:
            raise OSError(span.name)

    rig = Rig(downstream=Broken(), pending=True, pending_after=SOON)
    rig.start("session")
    wait_for(lambda: rig.tally.errors)
    assert rig.tally.errors == {"processor": 1}
    rig.start("session")
    wait_for(lambda: rig.tally.errors["processor"] == 2)
    rig.provider.shutdown()


def test_a_downstream_that_hangs_does_not_hold_up_the_service() -> None:
    let_go = threading.Event()

    class Slow(Keeper):
        def on_end(self, span: ReadableSpan) -> None:
            let_go.wait(30)
            super().on_end(span)

    rig = Rig(downstream=Slow(), pending=True, pending_after=SOON)
    rig.start("session")
    wait_for(lambda: rig.tally.pending)
    begin = time.monotonic()
    rig.start("session")
    assert time.monotonic() - begin < 1
    let_go.set()
    rig.provider.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_each_process_tells_its_own() -> None:
    rig = Rig(pending=True, pending_after=2 * SOON)
    mine = rig.start("session", attributes={"whose": "parent"})
    read, write = os.pipe()
    child = os.fork()
    if not child:
        rig.start("session", attributes={"whose": "child"})
        wait_for(lambda: pending_of(rig))
        time.sleep(4 * SOON)
        told = [str((span.attributes or {})["whose"]) for span in pending_of(rig)]
        os.write(write, " ".join(told).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "child"
    os.waitpid(child, 0)
    wait_for(lambda: pending_of(rig))
    assert [(span.attributes or {})["whose"] for span in pending_of(rig)] == ["parent"]
    mine.end()
    rig.provider.shutdown()


def test_a_processor_that_nobody_uses_goes() -> None:
    memory = InMemorySpanExporter()
    rig = Rig(downstream=SimpleSpanProcessor(memory), pending=True, pending_after=SOON)
    rig.start("session").end()
    gone = weakref.ref(rig.processor)
    thread = thread_of(rig)
    assert thread is not None
    del rig
    wait_for(lambda: (gc.collect(), gone())[1] is None)
    wait_for(lambda: not thread.is_alive())


def test_wrong_options_are_refused() -> None:
    options: dict[str, Any] = {"pending": True, "pending_after": -1}
    with pytest.raises(ConfigError, match="pending_after: expected 0 or more seconds; found -1"):
        FlowNestingProcessor(Keeper(), RULES, **options)


# --- By the instrumentor --------------------------------------------------------------------------------------------

FILE = """
file_format: "1.0"
tracer_provider:
  processors:
    - simple: {exporter: {otlp_http: {endpoint: "${TRACES}"}}}
instrumentation/development:
  python:
    sunbird: {pending: true, pending_after: 0, span_events: 100, attribute_bytes: 1024}
"""


def test_one_call_in_code() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    instrumentor = SunbirdInstrumentor()
    instrumentor.instrument(tracer_provider=provider, pending=True, pending_after=0, span_events=10)
    try:
        span = provider.get_tracer("x").start_span("session", attributes={names.FLOW_TYPE: "session"})
        for _ in range(25):
            span.add_event("sunbird.interact")
        span.end()
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
    told, *written = memory.get_finished_spans()
    assert names.FLOW_PENDING in (told.attributes or {})
    assert [len(span.events) for span in written] == [10, 10, 5]


def test_a_flow_that_is_open_when_it_is_taken_out_comes_once() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    instrumentor = SunbirdInstrumentor()
    instrumentor.instrument(tracer_provider=provider, span_events=10)
    span = provider.get_tracer("x").start_span("session", attributes={names.FLOW_TYPE: "session"})
    for _ in range(25):
        span.add_event("sunbird.interact")
    instrumentor.uninstrument()
    span.end()
    provider.shutdown()
    assert [(span.name, len(span.events)) for span in memory.get_finished_spans()] == [("session", 25)]


def test_a_configuration_file(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="it came with the SDK 1.44")
    config = tmp_path / "config.yaml"
    config.write_text(FILE)
    done = run_program("long_flow.py", OTEL_CONFIG_FILE=str(config))
    found = [(span.name, len(span.events), names.FLOW_PENDING in span.attributes) for span in done.every]
    parts = [("session segment", 100, False), ("session segment", 100, False), ("session", 50, False)]
    assert found == [("session", 0, True), *parts]
    assert done.every[-1].attributes[names.TRUNCATED] == ["text"]
