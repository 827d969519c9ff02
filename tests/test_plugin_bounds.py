"""How large what is written may be: batches that a receiver takes, values that are cut and marked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plugin_rig import POLICIES, RULES, Keeper, Rig, attribute

from sunbird_otel import ConfigError, names
from sunbird_otel.plugin import FlowNestingExporter, FlowNestingProcessor
from sunbird_otel.plugin._bounds import cut
from sunbird_otel.plugin._portions import InPortions, portions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

GRPC_MESSAGE = 4 << 20
INTERACT = "sunbird.interact"


def session_with(events: int, text: str = "") -> list[ReadableSpan]:
    """Return what is written of a session with so many events."""
    rig = Rig()
    session = rig.start("session")
    for number in range(events):
        session.add_event(INTERACT, {"n": number, "text": text})
    session.end()
    rig.provider.shutdown()
    return list(rig.memory.get_finished_spans())


# --- Large batches --------------------------------------------------------------------------------------------------


class Taker(SpanExporter):
    """Takes what a gRPC receiver would, and refuses what it would."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.sizes.append(encode_spans(spans).ByteSize())
        self.spans += len(spans)
        return SpanExportResult.SUCCESS if self.sizes[-1] < GRPC_MESSAGE else SpanExportResult.FAILURE


def test_a_large_batch_leaves_in_portions() -> None:
    spans = session_with(9_000, "x" * 600)
    assert encode_spans(spans).ByteSize() > GRPC_MESSAGE
    for exporter in (FlowNestingExporter(taker := Taker()), InPortions(taker)):
        taker.sizes, taker.spans = [], 0
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        assert taker.spans == len(spans)
        assert len(taker.sizes) == 3
    small = session_with(5) * 100
    assert [list(portion) for portion in portions(small)] == [small]


def test_a_portion_that_fails_makes_the_batch_fail_and_holds_up_none() -> None:
    class Fails(Taker):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            super().export(spans)
            return SpanExportResult.FAILURE if len(self.sizes) == 1 else SpanExportResult.SUCCESS

    spans = session_with(9_000, "x" * 600)
    assert InPortions(taker := Fails()).export(spans) is SpanExportResult.FAILURE
    assert taker.spans == len(spans)


# --- Long values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_long_values_are_cut_and_marked(policy: str) -> None:
    rig = Rig(policy, attribute_bytes=10)
    long: dict[str, Any] = {
        "text": "x" * 11,
        "hindi": "नमस्ते",  # 18 bytes: 3 of its characters fit
        "texts": ["aaaa", "bbbb", "cccc"],
        "figures": [1, 2],
        "fits": "x" * 10,
        "number": 10**15,
    }
    session = rig.start("session", attributes=long)
    session.add_event(INTERACT, long)
    session.add_event(INTERACT, {"fits": "x"})
    session.end()
    spans = rig.finish()
    cut = {
        "text": "x" * 10,
        "hindi": "नमस",
        "texts": ("aaaa", "bbbb"),
        "figures": (1,),  # eight bytes each
        "fits": "x" * 10,
        "number": 10**15,
    }
    written = dict(spans["session"].attributes or {})
    assert cut.items() <= written.items()
    assert attribute(spans["session"], names.TRUNCATED) == ["figures", "hindi", "text", "texts"]
    first, second = spans["session"].events
    assert dict(first.attributes or {}) == {**cut, names.TRUNCATED: ("figures", "hindi", "text", "texts")}
    assert dict(second.attributes or {}) == {"fits": "x"}


def test_what_is_deep_is_cut_as_text() -> None:
    deep = {"a": "x" * 20, "b": [1, {"c": 2}]}
    found = cut({"deep": deep, "flag": True, "figure": 1e300, "shallow": {"a": 1}, "list": ["a"]}, 45)
    assert found == {
        "deep": json.dumps(deep)[:45],
        "flag": True,
        "figure": 1e300,
        "shallow": {"a": 1},
        "list": ("a",),
        names.TRUNCATED: ("deep",),
    }


def test_a_value_may_be_as_long_as_a_stack_trace() -> None:
    rig = Rig()
    session = rig.start("session", attributes={"a": "x" * 65_536, "b": "y" * 65_537})
    session.end()
    attributes = rig.finish()["session"].attributes or {}
    assert [len(str(attributes[key])) for key in "ab"] == [65_536, 65_536]
    assert attributes[names.TRUNCATED] == ("b",)


def test_odd_values_do_no_harm() -> None:
    rig = Rig(attribute_bytes=10)
    session = rig.start("session", attributes={"lone": "\ud800" * 20, "deep": {"a": "x" * 20}})
    session.end()
    attributes = rig.finish()["session"].attributes or {}
    assert attributes["lone"] == "?" * 10
    assert rig.tally.errors == {}


@pytest.mark.parametrize("name", ["span_events", "span_bytes", "attribute_bytes"])
def test_wrong_bounds_are_refused(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=f"{name}: expected 1 or more; found 0."):
        FlowNestingProcessor(Keeper(), RULES, **options)
    with pytest.raises(ConfigError, match=f"{name}: expected 1 or more; found 0."):
        FlowNestingExporter(InMemorySpanExporter(), RULES, **options)
