"""A service that tells flows of all five workflows, live, to Sunbird and to OpenTelemetry at once.

``python live_flows.py FILE`` appends its Sunbird events to FILE; the spans pass the plugin on their way to the OTLP
receiver that the standard variables name.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sunbird_otel.emit import FileTransport, Telemetry, provider
from sunbird_otel.plugin import FlowNestingProcessor

PDATA = {"id": "prod.quiz.backend", "ver": "1.0", "pid": "quiz"}
LESSON = {"id": "do_31290", "type": "Content", "ver": "1"}
BOOK = {"id": "do_31000", "type": "TextBook", "ver": "2"}


def pause() -> None:
    """Events have milliseconds; what shares one has no order of its own in a replay."""
    time.sleep(0.003)


def learn(telemetry: Telemetry) -> None:
    """Tell of a pupil on a phone, who reads a lesson and meets an error."""
    pupil = telemetry.context(did="device-1", sid="session-1", actor={"id": "asha", "type": "User"})
    with pupil, telemetry.start(type="app"):
        pause()
        with telemetry.start(type="session"):
            pause()
            with telemetry.start(type="TextBook", object=BOOK):
                pause()
                play(telemetry)
                pause()
            pause()
            with telemetry.start(type="qr"):
                pause()
                telemetry.impression(type="view", pageid="qr", uri="/qr")
                pause()
            pause()
        pause()


def play(telemetry: Telemetry) -> None:
    """Tell of one play, with an answer and an error."""
    with telemetry.start(type="player", mode="play", object=LESSON):
        pause()
        telemetry.assess(item={"id": "q1", "maxscore": 1}, pass_=True, score=1, resvalues=[{"1": "a"}], duration=4)
        pause()
        telemetry.error(err="NO_AUDIO", errtype="CONTENT", stacktrace="at play")
        pause()


def write(telemetry: Telemetry) -> None:
    """Tell of an author, who looks at a preview in the editor."""
    author = telemetry.context(did="device-2", sid="session-2", actor={"id": "ravi", "type": "User"})
    with author, telemetry.start(type="session"):
        pause()
        with telemetry.start(type="editor", mode="edit", object=LESSON):
            pause()
            telemetry.interact(type="TOUCH", id="preview", pageid="editor")
            pause()
            with telemetry.start(type="player", mode="preview", object=LESSON):
                pause()
            pause()
        pause()


def answer(telemetry: Telemetry) -> None:
    """Tell of the service's run, and of a request in it that fails."""
    run: dict[str, Any] = {"id": "quiz-1", "type": "Service"}
    telemetry.audit(state="Ready", object=run)
    pause()
    rid = "5f2a7d1e-3c44-4b0a-9d1c-1f6a2b3c4d5e"
    with telemetry.context(request=rid, actor={"id": "gateway", "type": "System"}):
        telemetry.log(type="system", level="INFO", message="looking for the content")
        pause()
    telemetry.access(method="GET", url="/content/v3/read/do_31290", status=500, duration=2.0, rid=rid)
    pause()
    telemetry.audit(state="Stopped", object=run)
    pause()


def summarise(telemetry: Telemetry) -> None:
    """Tell of a job, which fails."""
    with telemetry.job_start(name="play-summary") as job:
        pause()
        job.job_log(message="plays counted", data={"inputEvents": 12})
        pause()
        job.job_end(status="FAILED", message="the output folder is not there")


def main() -> None:
    """Tell all of it."""
    grpc = os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    exporter = OverGrpc() if grpc else OverHttp()
    provided = provider(PDATA, FlowNestingProcessor(BatchSpanProcessor(exporter)))
    telemetry = Telemetry(
        pdata=PDATA,
        channel="0126684405014528002",
        env="quiz",
        transport=FileTransport(sys.argv[1]),
        tracer_provider=provided,
        meter_provider=NoOpMeterProvider(),
    )
    with telemetry:
        for tell in (learn, write, answer, summarise):
            tell(telemetry)
    provided.shutdown()
    if telemetry.faults:
        sys.exit(f"something went wrong: {telemetry.faults}")


if __name__ == "__main__":
    main()
