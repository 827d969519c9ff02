"""What the nesting processor costs, as ratios measured side by side in one process.

``python benchmarks/plugin.py --spans 20000 --rounds 15`` sets the size. Spans are started and ended on one thread. They
go to a batch processor and an exporter that encodes them for OTLP and sends nothing, which is what a service pays at
least; and, for the cost of the processor alone, to one that does nothing. Each round measures every way once, by the
processor time of all threads, and the median ratio is told.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from rich.console import Console
from rich.table import Table

from sunbird_otel import names
from sunbird_otel._told import POLICIES
from sunbird_otel.plugin import FlowNestingProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

ATTRIBUTES: Final = {f"http.attribute{n}": f"value {n}" for n in range(10)}
SESSION: Final = {names.FLOW_TYPE: "session"}
# What the emitter writes on a flow when it starts.
FLOW: Final = {
    names.FLOW_TYPE: "player",
    names.START_MID: "START:6f1d2d6c-6c5b-4c53-a1b5-1a2f4e2c9c0e",
    names.SESSION_ID: "a9d1c6de-8fa4-43cd-a00f-d8d0b0b5a1c2",
    names.USER_ID: "b4d2c1e0-55f5-4ee4-9c7a-2d4b1f0a7e11",
    names.ACTOR_TYPE: "User",
    names.DEVICE_ID: "a49cc3a1-6ab6-4d2b-9a53-fb33a6b2b9a7",
    names.CHANNEL: "01285019302823526477",
    names.ENV: "contentplayer",
    names.PDATA_PID: "contentplayer",
    names.OBJECT_ID: "do_31290",
    names.OBJECT_TYPE: "Content",
    names.EDATA_TYPE: "player",
}
EVENT: Final = {names.MID: "INTERACT:6f1d2d6c-6c5b-4c53-a1b5-1a2f4e2c9c0e", names.PAGE_ID: "stage-2"}


def plain(tracer: Tracer, spans: int) -> None:
    """Start and end root spans that are no flows."""
    for _ in range(spans):
        tracer.start_span("GET /", attributes=ATTRIBUTES).end()


def plain_in_flow(tracer: Tracer, spans: int) -> None:
    """Start and end spans that are no flows, inside a flow."""
    with tracer.start_as_current_span("session", attributes=SESSION):
        for _ in range(spans):
            tracer.start_span("GET /", attributes=ATTRIBUTES).end()


def flows(tracer: Tracer, spans: int) -> None:
    """Start and end flows with five span events each, inside a flow."""
    with tracer.start_as_current_span("session", attributes=SESSION):
        for _ in range(spans):
            span = tracer.start_span("player", attributes=FLOW)
            for _ in range(5):
                span.add_event("sunbird.interact", EVENT)
            span.end()


def empty_flows(tracer: Tracer, spans: int) -> None:
    """Start and end flows in which nothing happens, inside a flow."""
    with tracer.start_as_current_span("session", attributes=SESSION):
        for _ in range(spans):
            tracer.start_span("player", attributes=FLOW).end()


CASES: Final[dict[str, tuple[Callable[[Tracer, int], None], str]]] = {
    "no flow": (plain, "<= 1.1"),
    "no flow, inside a flow": (plain_in_flow, "<= 1.1"),
    "flow with 5 events": (flows, "<= 1.3"),
    "flow without events": (empty_flows, "<= 1.3"),
}
"""What is measured, and the ratio that it may cost where spans are exported."""


class Encoder(SpanExporter):
    """Encodes spans as an exporter does, and sends nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode a batch."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def exporting() -> SpanProcessor:
    """Return the processor of a service that exports; its queue holds a whole round, so that nothing is dropped."""
    return BatchSpanProcessor(Encoder(), max_queue_size=1 << 17)


def tracer_with(processor: SpanProcessor) -> tuple[TracerProvider, Tracer]:
    """Return a tracer whose spans go to ``processor``, with its provider."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider, provider.get_tracer("benchmark")


def timed(case: Callable[[Tracer, int], None], provider: TracerProvider, tracer: Tracer, spans: int) -> float:
    """Return the seconds of processor time that ``case`` takes, until all is exported."""
    gc.collect()
    begin = time.process_time()
    case(tracer, spans)
    provider.force_flush()
    return time.process_time() - begin


def ratio(
    case: Callable[[Tracer, int], None], policy: str, downstream: Callable[[], SpanProcessor], spans: int, rounds: int
) -> tuple[float, float]:
    """Return how many times longer ``case`` takes with the processor, and the microseconds of a span without it."""
    without = tracer_with(downstream())
    beside = tracer_with(FlowNestingProcessor(downstream(), policy=policy))
    ratios: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(timed(case, *without, spans))
        ratios.append(timed(case, *beside, spans) / bare[-1])
    for provider, _ in (without, beside):
        provider.shutdown()
    return statistics.median(ratios), statistics.median(bare) / spans * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=5_000, help="spans a round")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    table = Table("span", "policy", "exported, us", "with : without", "goal", "alone, us", "with : without")
    for name, (case, goal) in CASES.items():
        for policy in POLICIES:
            row = [name, policy]
            for downstream, wanted in ((exporting, [goal]), (SpanProcessor, list[str]())):
                times, bare = ratio(case, policy, downstream, arguments.spans, arguments.rounds)
                row += [f"{bare:.1f}", f"{times:.2f}", *wanted]
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
