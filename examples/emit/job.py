"""A data product that tells its runs: ``python examples/emit/job.py FILE`` writes the events of two runs to FILE.

JOB_START, JOB_LOG and JOB_END have no schema in Sunbird's pipeline; what is written instead (START, LOG and END of type
job) is accepted by it, and the bridge shows it as the same flow.
"""

from __future__ import annotations

import sys

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sunbird_otel.emit import FileTransport, Telemetry, provider

PDATA = {"id": "AnalyticsDataPipeline", "ver": "1.0", "pid": "jobs"}


def summarise(telemetry: Telemetry, day: str, lines: list[str]) -> None:
    """Count the plays of a day."""
    with telemetry.job_start(name="play-summary", data={"date": day}) as job:
        plays = [int(line) for line in lines]
        job.job_log(message="plays counted", data={"inputEvents": len(plays)})
        job.job_end(message="done", data={"outputEvents": 1, "timeSpent": sum(plays)})


def main() -> None:
    """Run it for two days, the second of which has a broken line."""
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(
        pdata=PDATA,
        channel="in.ekstep",
        env="analytics",
        transport=FileTransport(sys.argv[1]),
        tracer_provider=provider(PDATA, SimpleSpanProcessor(exporter)),
    )
    with telemetry:
        for day, lines in (("2026-11-19", ["30", "45"]), ("2026-11-20", ["12", "a minute"])):
            try:
                summarise(telemetry, day, lines)
            except ValueError as error:
                print(f"{day}: {error}")
    for span in exporter.get_finished_spans():
        print(span.name, span.status.status_code.name, *(event.name for event in span.events))


if __name__ == "__main__":
    main()
