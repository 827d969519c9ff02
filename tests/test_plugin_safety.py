"""The nesting processor: nothing that it does or meets reaches the code that uses spans."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from plugin_rig import (
    POLICIES,
    Keeper,
    Rig,
    names_of,
)

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import Span


T = TypeVar("T")

SECOND = 10**9
ASSESS = "sunbird.assess"


@pytest.mark.parametrize("policy", POLICIES)
def test_of_two_spans_with_one_id_none_is_lost(policy: str) -> None:
    class Same(RandomIdGenerator):
        def generate_span_id(self) -> int:
            return 7 if session else super().generate_span_id()

    session: Span | None = None
    rig = Rig(policy, provider=TracerProvider(id_generator=Same(), shutdown_on_exit=False))
    session = rig.start("session")
    pages = [rig.start(name, session, plain=True, attributes={names.FLOW_TYPE: "page"}) for name in "ab"]
    for span in (*pages, session):
        span.end()
    rig.provider.shutdown()
    assert sorted(span.name for span in rig.memory.get_finished_spans()) == ["a", "b", "session"]
    assert rig.tally.errors == {}


class Broken(SpanProcessor):
    """Raises whatever it is asked."""

    def on_start(self, span: SdkSpan, parent_context: contexts.Context | None = None) -> None:  # noqa: ARG002
        raise ValueError("start")

    def _on_ending(self, span: SdkSpan) -> None:  # noqa: ARG002
        raise ValueError("ending")

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002
        raise ValueError("end")

    def shutdown(self) -> None:
        raise ValueError("shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        raise ValueError("flush")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_processor_that_raises_is_counted(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(policy, downstream=Broken())
    sibling = Keeper()
    rig.provider.add_span_processor(sibling)
    session = rig.start("session")
    rig.start("work", session, plain=True).end()
    session.end()
    assert not rig.processor.force_flush()
    rig.provider.shutdown()
    assert names_of(sibling.ended) == ["work", "session"]
    assert rig.tally.errors.keys() == {"processor"}
    assert rig.tally.errors["processor"] >= 6
    assert len(caplog.records) == 1
    assert "the processor that spans are handed on to has raised" in caplog.text


class BrokenExporter(SpanExporter):
    """Raises, or says that it has failed."""

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return self._fail(SpanExportResult.FAILURE)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        return self._fail(False)

    def shutdown(self) -> None:
        self._fail(None)

    def _fail(self, result: T) -> T:
        if self._raises:
            raise ValueError("broken")
        return result


def test_an_exporter_that_raises_is_the_processors_to_bear(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(downstream=SimpleSpanProcessor(BrokenExporter(raises=True)))
    rig.start("player").end()
    assert rig.tally.closed == {"end": 1}
    assert "Exception while exporting Span." in caplog.text


@pytest.mark.parametrize("raises", [True, False])
def test_an_on_reject_that_fails_is_counted(raises: bool, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig("reject", on_reject=BrokenExporter(raises=raises))
    rig.start("player").end()
    rig.start("session").end()
    assert not rig.processor.force_flush()
    rig.provider.shutdown()
    assert rig.tally.errors["on_reject"] == (3 if raises else 1)
    assert names_of(rig.memory.get_finished_spans()) == ["session"]
    assert len(caplog.records) == 1


def test_an_on_reject_that_is_an_exporter_is_served_and_shut_down() -> None:
    memory = InMemorySpanExporter()
    rig = Rig("reject", on_reject=memory)
    rig.start("player").end()
    assert rig.processor.force_flush()
    assert names_of(memory.get_finished_spans()) == ["player"]
    rig.provider.shutdown()
    assert memory.export([]) is SpanExportResult.FAILURE  # it has been shut down


def test_reject_without_on_reject_counts() -> None:
    rig = Rig("reject", on_reject=None)
    rig.start("player").end()
    assert (rig.tally.refused, rig.finish()) == (1, {})


def test_what_on_reject_does_is_not_traced() -> None:
    seen: list[object] = []

    def look(_: list[ReadableSpan]) -> None:
        seen.append(contexts.get_value(contexts._SUPPRESS_INSTRUMENTATION_KEY))

    rig = Rig("reject", on_reject=look)
    rig.start("player").end()
    assert seen == [True]
    assert contexts.get_value(contexts._SUPPRESS_INSTRUMENTATION_KEY) is None


class Hanging(SpanExporter):
    """Exports nothing until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Event()
        self.exported: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.began.set()
        self.go_on.wait(30)
        self.exported += spans
        return SpanExportResult.SUCCESS


def test_an_exporter_that_hangs_holds_up_nobody() -> None:
    hanging = Hanging()
    rig = Rig(downstream=BatchSpanProcessor(hanging, schedule_delay_millis=1))
    rig.start("player").end()
    assert hanging.began.wait(10)
    begin = time.monotonic()
    for _ in range(100):
        rig.start("player").end()
    assert not rig.processor.force_flush(100)
    assert time.monotonic() - begin < 5
    hanging.go_on.set()
    assert rig.processor.force_flush(10_000)
    rig.provider.shutdown()
    assert len(hanging.exported) == rig.tally.closed["end"] == 101


def test_a_defect_of_our_own_lets_spans_pass(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    rig = Rig("repair")
    with monkeypatch.context() as patch:
        patch.setattr(rig.processor._nesting, "start", defect)
        rig.start("player").end()
    with monkeypatch.context() as patch:
        patch.setattr("sunbird_otel.plugin._processor.rebuild", defect)
        rig.start("player").end()
    with monkeypatch.context() as patch:
        patch.setattr(rig.processor._nesting, "drain", defect)
        rig.provider.shutdown()
    spans = rig.memory.get_finished_spans()
    assert [dict(span.attributes or {}) for span in spans] == [{names.FLOW_TYPE: "player"}] * 2
    assert rig.tally.errors == {"own": 5}
    assert len(caplog.records) == 1


def test_spans_may_be_made_while_spans_are_handed_on() -> None:
    class Tracing(Keeper):
        def on_start(self, span: SdkSpan, parent_context: contexts.Context | None = None) -> None:  # noqa: ARG002
            if span.name == "session":
                rig.start("page", span).end()

        def on_end(self, span: ReadableSpan) -> None:
            super().on_end(span)
            if span.name == "session":
                rig.start("app").end()

    keeper = Tracing()
    rig = Rig("repair", downstream=keeper)
    rig.start("session").end()
    assert names_of(keeper.ended) == ["page", "session", "app"]
    assert rig.tally.errors == {}


def test_a_span_may_end_in_the_middle_of_our_own_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a finaliser or a signal handler might do on the same thread."""
    rig = Rig()
    session = rig.start("session")
    pages = [rig.start("page", session) for _ in range(3)]
    violation = rig.processor._nesting._violation

    def interrupted(*arguments: Any) -> None:
        while pages:
            pages.pop().end()
        violation(*arguments)

    monkeypatch.setattr(rig.processor._nesting, "_violation", interrupted)
    rig.start("player").end()
    session.end()
    assert rig.tally.closed == {"end": 5}
    assert rig.tally.violations == {"missing_parent": 1}
    assert sorted(names_of(rig.memory.get_finished_spans())) == ["page", "page", "page", "player", "session"]


FORKING = """
import json, os, sys
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plugin_rig import Rig, end_reason, violations

memory = InMemorySpanExporter()
rig = Rig(sys.argv[1], downstream=BatchSpanProcessor(memory))
session = rig.start("session")
plain = rig.start("plain", session, plain=True)
read, write = os.pipe()
child = os.fork()
if child:
    os.close(write)
    with os.fdopen(read) as lines:
        told = json.load(lines)
    assert os.waitpid(child, 0)[1] == 0
else:
    page = rig.start("page", session)
    rig.start("player", plain).end()
    rig.start("editor", page).end()
    page.end()
plain.end()
session.end()
rig.provider.shutdown()
mine = {
    "spans": sorted([s.name, *violations(s)] for s in memory.get_finished_spans()),
    "report": rig.processor.tally.report(),
}
if child:
    print(json.dumps({"parent": mine, "child": told}))
else:
    os.write(write, json.dumps(mine).encode())
    os._exit(0)
"""


@pytest.mark.parametrize("policy", POLICIES)
def test_a_fork_in_the_middle(policy: str) -> None:
    code = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, policy]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(code, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    parent, child = told["parent"], told["child"]
    assert parent["spans"] == [["plain"], ["session"]]
    assert parent["report"]["flows"]["opened"] == 1
    # The session is the parent's; spans that are no flows are not ours to keep back.
    assert child["spans"] == [["editor"], ["page"], ["plain"], ["player"]]
    assert child["report"]["spans"]["inherited"] == 1
    assert child["report"]["flows"] == parent["report"]["flows"] | {
        "opened": 3,
        "closed": {"end": 3, "parent_end": 0, "drain": 0, "evicted": 0},
    }
