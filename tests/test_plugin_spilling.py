"""Full parts of flows leave while these go on: on a thread of their own, in time, and all of them."""

from __future__ import annotations

import threading
import time
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from plugin_rig import Keeper, Rig, count, in_order, numbers

from sunbird_otel.plugin._flow_events import SDK_EVENTS, FlowEvents, Watch
from sunbird_otel.plugin._spilling import Spilling


def test_full_spans_leave_while_the_flow_is_open() -> None:
    rig = Rig(span_events=500)
    session = rig.start("session")
    count(session, 5_000)
    assert rig.provider.force_flush()
    written = in_order(rig.memory.get_finished_spans())
    assert [len(span.events) for span in written] == [500] * 9  # the SDK holds 128 of the others
    assert [number for span in written for number in numbers(span)] == list(range(4_500))
    session.end()
    assert sum(len(span.events) for span in rig.memory.get_finished_spans()) == 5_000
    kept: Any = session
    assert isinstance(kept._events, FlowEvents)
    assert kept._events.take_aside() == []


def test_an_exporter_that_touches_the_span_holds_up_nothing() -> None:
    """The SDK holds the span's lock while an event is added; whoever exports there and touches it waits for ever."""
    touched: list[str] = []

    class Touching(Keeper):
        def on_end(self, span: ReadableSpan) -> None:
            session.add_event("sunbird.log", {"n": -1})
            session.set_attribute("seen", span.name)
            touched.append(span.name)

    rig = Rig(downstream=Touching(), span_events=200)
    session = rig.start("session")
    count(session, 1_000)
    assert rig.provider.force_flush(10_000)
    assert touched == ["session segment"] * 4
    rig.provider.shutdown()
    assert rig.tally.errors == {}


def test_what_was_taken_with_one_part_counts_for_the_next() -> None:
    class Adding(Keeper):
        def on_end(self, span: ReadableSpan) -> None:
            super().on_end(span)
            if len(self.ended) == 1:
                count(session, 150)  # of these, 100 leave at once and 50 wait

    rig = Rig(downstream=(adding := Adding()), span_events=100)
    session = rig.start("session")
    count(session, SDK_EVENTS + 100)
    assert rig.provider.force_flush()
    assert len(adding.ended) == 2
    count(session, 50)
    assert rig.provider.force_flush()
    assert [len(span.events) for span in adding.ended] == [100, 100, 100]


def test_what_comes_while_a_part_is_taken_counts_for_the_next() -> None:
    told: list[FlowEvents] = []
    span = Rig().start("any", plain=True)
    assert isinstance(span, ReadableSpan)
    events = Watch(100, told.append).over(span, 1)
    assert events is not None
    count(span, SDK_EVENTS + 150)
    assert (told, len(events.take_aside())) == ([events], 150)
    count(span, 50)
    events.leave(49)
    assert told == [events]
    events.leave(50)
    assert told == [events, events]


def test_a_shutdown_writes_what_waits_behind_a_slow_exporter() -> None:
    class Slow(Keeper):
        def on_end(self, span: ReadableSpan) -> None:
            time.sleep(0.05)
            super().on_end(span)

    rig = Rig(downstream=(slow := Slow()), span_events=100)
    sessions = [rig.start("session") for _ in range(4)]
    begin = time.monotonic()
    for session in sessions:
        count(session, 300)
    assert time.monotonic() - begin < 2
    rig.provider.shutdown()
    assert sum(len(span.events) for span in slow.ended) == 1_200
    assert slow.calls[-1] == "shutdown"


def test_events_from_many_threads() -> None:
    rig = Rig(span_events=100)
    session = rig.start("session")
    threads = [threading.Thread(target=count, args=(session, 1_000), kwargs={"who": f"{n}"}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.end()
    rig.provider.shutdown()
    spans = in_order(rig.memory.get_finished_spans())
    assert [len(span.events) for span in spans] == [100] * 80 + [0]
    for who in range(8):
        found = [
            e.attributes for span in spans for e in span.events if e.attributes and e.attributes["who"] == f"{who}"
        ]
        assert [attributes["n"] for attributes in found] == list(range(1_000))
    assert rig.tally.errors == {}


def test_a_flush_ends_when_its_time_is_over() -> None:
    events = FlowEvents(0)
    written: list[FlowEvents] = []

    def write(full: FlowEvents) -> bool:
        written.append(full)
        if len(written) < 1_000:
            spilling.note(full)
        return True

    spilling = Spilling(write)
    spilling.close()  # so that no thread takes turns with the flush
    spilling.note(events)
    assert not spilling.drain(0.0)
    assert len(written) == 1
    assert spilling.drain(10.0)
    assert len(written) == 1_000
