"""What an emitted event costs in process, beside a bare ``span.add_event`` plus the JSON encoding of the same event.

    python benchmarks/emit.py --events 1500 --rounds 15

Both sides write the same attributes on a recording span of the same SDK and encode the same event. The emitter also
makes the event, with its own message id, checks it by Sunbird's schemas, and hands it to a transport; it leaves out the
SDK's look at each attribute, which the bare call has. JSON is encoded as a service would, by the standard library, and
by orjson, which is what the emitter's own transports use; a ratio has the same encoder on both sides.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from rich.console import Console
from rich.table import Table

from sunbird_otel import Rules
from sunbird_otel.emit import MemoryTransport, Telemetry, TransportStats, provider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from opentelemetry.trace import TracerProvider as AnyProvider

    from sunbird_otel.emit._refused import Validation

    Encode: TypeAlias = Callable[[Mapping[str, Any]], object]
    Stage: TypeAlias = tuple[str, Callable[[], Callable[[], None]]]

PDATA = {"id": "prod.quiz.service", "ver": "1.0", "pid": "quiz"}
CONTENT = {"id": "do_31290", "type": "Content", "ver": "1"}
EDATA: dict[str, Any] = {"type": "TOUCH", "id": "next", "subtype": "button", "pageid": "question-3"}
RULES = Rules.standard()


class Encoding:
    """A transport that encodes each event at once and forgets it, which is what a file's or a queue's has to do."""

    def __init__(self, encode: Encode) -> None:
        self.encode = encode

    def send(self, event: Mapping[str, Any]) -> None:
        """Encode."""
        self.encode(event)

    def flush(self, timeout: float | None = None) -> bool:
        """Return True: nothing waits."""
        del timeout
        return True

    def close(self, timeout: float | None = None) -> None:
        """Do nothing."""

    @property
    def stats(self) -> TransportStats:
        """What was encoded is not counted."""
        return TransportStats()


def client(transport: Any, **options: Any) -> Telemetry:
    """Return a client whose metrics go nowhere, since the bare call has none."""
    return Telemetry(
        pdata=PDATA,
        channel="0126684405014528002",
        env="quiz",
        did="d-31",
        actor={"id": "u-77", "type": "User"},
        transport=transport,
        meter_provider=NoOpMeterProvider(),
        rules=RULES,
        **options,
    )


def sample() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an event as the emitter makes it, and the attributes of its span event."""
    memory = MemoryTransport()
    telemetry = client(memory, tracer_provider=provider(PDATA))
    with telemetry.start(type="session"), telemetry.start(type="player", object=CONTENT) as flow:
        flow.interact(**EDATA)
        events: Any = flow.span
        attributes = dict(events.events[0].attributes)
    return memory.events[2], attributes


def seconds(work: Callable[[], None], events: int) -> float:
    """Return the CPU time of ``events`` calls, without the collector's."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for _ in range(events):
        work()
    taken = time.process_time() - begun
    gc.enable()
    return taken


def bare(encode: Encode) -> Callable[[], None]:
    """Return the work of a bare call: a span event with its attributes, and the event's JSON."""
    event, attributes = sample()
    span = TracerProvider().get_tracer("bench").start_span("player")

    def work() -> None:
        span.add_event("interact", attributes, event["ets"] * 1_000_000)
        encode(event)

    return work


def emitted(encode: Encode, provider_: AnyProvider, validation: Validation = "raise") -> Callable[[], None]:
    """Return the work of the emitter's call inside a session and a play."""
    telemetry = client(Encoding(encode), tracer_provider=provider_, validation=validation)
    session = telemetry.start(type="session")
    flow = session.start(type="player", mode="play", object=CONTENT)

    def work() -> None:
        flow.interact(**EDATA)

    return work


def stages(name: str, encode: Encode) -> list[Stage]:
    """Return what is measured with one encoder; each round makes its span anew."""
    return [
        (f"bare add_event + {name}", lambda: bare(encode)),
        (f"emitted, encoded by {name}", lambda: emitted(encode, provider(PDATA))),
        ("  of that without a span", lambda: emitted(encode, NoOpTracerProvider())),
        ("  validation off", lambda: emitted(encode, provider(PDATA), "off")),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_500, help="a round; below the size of a segment")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    table = Table(title=f"one INTERACT in a play, {options.events:,} x {options.rounds}, {platform.python_version()}")
    table.add_column("what")
    for heading in ("us (least)", "us (median)", "ratio, least", "ratio, median"):
        table.add_column(heading, justify="right")
    for name, encode in (("json", json.dumps), ("orjson", orjson.dumps)):
        taken: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for stage, make in stages(name, encode):
                taken.setdefault(stage, []).append(seconds(make(), options.events))
        base = taken[f"bare add_event + {name}"]
        for stage, times in taken.items():
            scale = 1e6 / options.events
            least, median = min(times), statistics.median(times)
            cells = (least * scale, median * scale, least / min(base), median / statistics.median(base))
            table.add_row(stage, *(f"{cell:.2f}" for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    main()
