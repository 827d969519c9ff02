"""The backend of a player: each call of a learner's device is a request of its own, a play lasts over many of them.

``python examples/emit/player_backend.py FILE`` answers the calls of two learners, who play at the same time, writes the
events to FILE, and prints the spans that OpenTelemetry got meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sunbird_otel.emit import FileTransport, Flow, Telemetry, provider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

PDATA = {"id": "prod.quiz.backend", "ver": "1.0", "pid": "quiz"}
RIGHT = "sunlight"
THINKING = 0.02
"""Seconds between two calls of a learner, who is quick; events have milliseconds."""


class Backend:
    """Keeps the open sessions and plays of its learners, by their session id."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Begin without any."""
        self.telemetry = telemetry
        self.sessions: dict[str, Flow] = {}
        self.plays: dict[str, Flow] = {}

    def login(self, headers: Mapping[str, str], user: str) -> None:
        """Begin a session; who acts in it is said once."""
        who = {"did": headers["X-Device-ID"], "sid": headers["X-Session-ID"]}
        actor = {"id": user, "type": "User"}
        self.sessions[who["sid"]] = self.telemetry.start(type="session", context=who, actor=actor)

    def open_content(self, headers: Mapping[str, str], content: str) -> None:
        """Begin a play in the learner's session."""
        sid = headers["X-Session-ID"]
        object_ = {"id": content, "type": "Content", "ver": "1"}
        self.plays[sid] = self.sessions[sid].start(type="player", mode="play", object=object_)

    async def answer(self, headers: Mapping[str, str], question: str, text: str) -> bool:
        """Mark an answer. Inside the block, whatever is told is told of the play."""
        with self.plays[headers["X-Session-ID"]].current():
            right = await self.mark(text)
            self.telemetry.assess(
                item={"id": question, "maxscore": 1}, pass_=right, score=int(right), resvalues=[{"1": text}], duration=4
            )
            return right

    async def mark(self, text: str) -> bool:
        """Compare the answer with the right one; knows nothing of plays, and need not."""
        await asyncio.sleep(THINKING)
        if not text:
            self.telemetry.error(err="NO_ANSWER", errtype="CONTENT")
        return text == RIGHT

    def logout(self, headers: Mapping[str, str]) -> None:
        """End the play and the session."""
        sid = headers["X-Session-ID"]
        self.plays.pop(sid).end(summary=[{"progress": 100}])
        self.sessions.pop(sid).end()


async def learn(backend: Backend, user: str, answers: Sequence[str]) -> None:
    """Do what a learner's device does."""
    headers = {"X-Device-ID": f"device-of-{user}", "X-Session-ID": f"session-of-{user}"}
    backend.login(headers, user)
    await asyncio.sleep(THINKING)
    backend.open_content(headers, "do_31290")
    for number, text in enumerate(answers):
        await asyncio.sleep(THINKING)
        await backend.answer(headers, f"q{number}", text)
    await asyncio.sleep(THINKING)
    backend.logout(headers)


async def serve(backend: Backend) -> None:
    """Answer two learners at once."""
    await asyncio.gather(learn(backend, "asha", ["sunlight", "water"]), learn(backend, "ravi", ["", "sunlight"]))


def main() -> None:
    """Serve, and show the spans."""
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(
        pdata=PDATA,
        channel="0126684405014528002",
        env="quiz",
        transport=FileTransport(sys.argv[1]),
        tracer_provider=provider(PDATA, SimpleSpanProcessor(exporter)),
    )
    with telemetry:
        asyncio.run(serve(Backend(telemetry)))
    spans = exporter.get_finished_spans()
    for session in sorted((span for span in spans if span.parent is None), key=user_of):
        print(user_of(session), session.name)
        for play in spans:
            if play.parent is not None and play.parent == session.get_span_context():
                print("  ", play.name, *(event.name for event in play.events))


def user_of(span: ReadableSpan) -> str:
    """Return the learner whose span it is."""
    return str((span.attributes or {}).get("user.id"))


if __name__ == "__main__":
    main()
