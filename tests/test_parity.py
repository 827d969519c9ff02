"""One story, told in process and told by a replay of what was emitted meanwhile: the same spans, the same ids."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from telling import CONTENT, FakeClock, Teller, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel.emit import Flow

USERS: tuple[dict[str, Any], ...] = (
    {"did": "d-1", "sid": "s-1", "actor": {"id": "u-1", "type": "User"}},
    {"did": "d-2", "actor": {"id": "u-2", "type": "User"}},
    {"sid": "s-3"},
    {"actor": {"id": "u-4", "type": "User"}},
    {},
)

# Types of flows by the kind that the rules give them: no kind may stand in itself, since that is a restart.
TYPES = {
    "app": "app",
    "session": "session",
    "sso": "session",
    "player": "player",
    "content": "player",
    "editor": "editor",
    "assessment": "assessment",
    "page": "page",
    "qr": "qr",
    "Resource": "resource",
    "workflow": "activity",
    "Course": "collection 1",
    "TextBookUnit": "collection 2",
}
TYPE_NAMES = sorted(TYPES)

EVENTS: tuple[Callable[[Any, int], None], ...] = (
    lambda to, n: to.impression(type="view", pageid=f"p{n}", uri="/p", visits=[{"objid": "do_1", "objtype": "Course"}]),
    lambda to, n: to.interact(type="TOUCH", id=f"b{n}", extra={"z": 1.0, "a": [n, None]}),
    lambda to, n: to.assess(item={"id": f"q{n}"}, pass_=n > 2, score=n / 2, resvalues=[{"1": "x"}], duration=3.0),
    lambda to, n: to.response(target={"id": "q", "ver": "1", "type": "mcq"}, type="CHOOSE", values=[{"b": n, "a": 1}]),
    lambda to, n: to.interrupt(type=f"t{n}"),
    lambda to, n: to.feedback(rating=float(n), comments=""),
    lambda to, n: to.share(items=[{"id": f"do_{n}", "type": "Content"}], dir="Out"),
    lambda to, n: to.audit(state="Draft", props=["name"], object={"id": f"do_{n}", "type": "Content"}),
    lambda to, n: to.error(err=f"E{n}", errtype="SYSTEM", stacktrace="at 1"),
    lambda to, n: to.heartbeat(edata={"z": n, "a": {"y": 1, "b": 2.0}}),
    lambda to, n: to.log(type="system", level="INFO", message="m", params=[{"z": 1, "a": n}]),
    lambda to, n: to.search(query="plants", size=n, topn=[{"identifier": "do_1"}], filters={"z": 1, "a": 2}),
    lambda to, n: to.summary(type="x", starttime=1, endtime=2, timespent=1.5, pageviews=1, interactions=n),
    lambda to, n: to.exdata(type="partner", data=f"{n}"),
    lambda to, n: to.metrics(system="quiz", subsystem="db", metrics={"size": n}),
    lambda to, n: to.metrics(system="quiz", subsystem=f"s{n}", metrics=[]),
    lambda to, n: to.interact(type="TOUCH", id=f"o{n}", context={"env": "other", "cdata": [{"type": "X", "id": "1"}]}),
    lambda to, n: to.interact(type="TOUCH", id=f"o{n}", actor={"id": "u-9", "type": "User"}, object={"id": "do_9"}),
    lambda to, n: to.job_log(message="step", data={"n": n}),
)


class Task:
    """The code of one user: a context of its own, and the flows that it is in."""

    def __init__(self, teller: Teller, user: dict[str, Any], running: set[str]) -> None:
        self.running = running
        self.telemetry = teller.telemetry
        self.context: Context = copy_context()
        self.context.run(self.telemetry.context(**user).__enter__)
        self.flows: list[tuple[str, Flow]] = []

    def start(self, number: int) -> None:
        type_ = TYPE_NAMES[number % len(TYPE_NAMES)]
        kind = TYPES[type_]
        if kind in {known for known, _ in self.flows} or len(self.flows) > 6:
            return
        object_ = {"id": f"do_{kind}", "type": type_} if number % 3 else None
        self.enter(kind, lambda: self.telemetry.start(type=type_, mode="play", object=object_, duration=1.0))

    def job(self, number: int) -> None:
        if "job" not in {known for known, _ in self.flows}:
            data = {"n": number} if number % 2 else None
            self.enter("job", lambda: self.telemetry.job_start(name=f"model-{number % 2}", data=data))

    def enter(self, kind: str, begin: Callable[[], Flow]) -> None:
        flow = self.context.run(begin)
        self.context.run(flow.__enter__)
        self.flows.append((kind, flow))

    def end(self, number: int) -> None:
        if self.flows:
            _, flow = self.flows.pop()
            error = ValueError(f"it broke {number}") if number % 4 == 0 else None
            self.context.run(flow.__exit__, type(error), error, None)

    def event(self, number: int) -> None:
        to: Any = self.flows[-1][1] if self.flows and number % 2 else self.telemetry
        tell = EVENTS[number % len(EVENTS)]
        self.context.run(tell, to, number % 5)

    def aside(self, number: int) -> None:
        """Open a flow from other code, in the innermost flow here, and end it there."""
        known = {kind for kind, _ in self.flows}
        if not known or "qr" in known or self.flows[-1][0] == "job":
            return
        parent = self.flows[-1][1]
        flow = Context().run(lambda: self.telemetry.start(type="qr", parent=parent))
        Context().run(EVENTS[number % 3], flow, number)
        Context().run(flow.end)

    def request(self, number: int) -> None:
        rid = f"00000000-0000-4000-8000-00000000000{number % 3}"
        if number % 5 < 3:
            with_rid = self.telemetry.context(request=rid)
            self.context.run(with_rid.__enter__)
            self.context.run(EVENTS[8 if number % 2 else 10], self.telemetry, number % 5)
            self.context.run(with_rid.__exit__, None, None, None)
        if number % 5 > 1:
            url, status = f"/content/v3/read/do_{10_000 + number}?x=1", 500 if number % 7 == 0 else 200
            duration = 0 if number % 4 == 0 else 12.5
            answer = self.telemetry.access
            self.context.run(lambda: answer(method="GET", url=url, status=status, duration=duration, rid=rid))

    def service(self, number: int) -> None:
        """Tell that an instance of the service runs, or no longer does; it may say the first twice."""
        if any(kind == "job" for kind, _ in self.flows):
            return  # a job is another producer
        instance = f"quiz-{number % 2}"
        state = "Stopped" if instance in self.running and number % 3 else "Ready"
        (self.running.discard if state == "Stopped" else self.running.add)(instance)
        self.context.run(lambda: self.telemetry.audit(state=state, object={"id": instance, "type": "Service"}))


ACTIONS = (Task.start, Task.start, Task.end, Task.event, Task.event, Task.event, Task.job, Task.request, Task.service)
STEPS = st.tuples(st.integers(0, len(USERS) - 1), st.sampled_from((*ACTIONS, Task.aside)), st.integers(0, 60))
STORIES = st.lists(STEPS, min_size=1, max_size=150)


def told(teller: Teller, story: list[tuple[int, Callable[[Task, int], None], int]]) -> None:
    running: set[str] = set()
    tasks = [Task(teller, user, running) for user in USERS]
    for user, action, number in story:
        action(tasks[user], number)
    for task in tasks:
        while task.flows:
            task.end(1)
    teller.telemetry.close()
    assert teller.telemetry.faults == {}


@given(STORIES, st.integers(1, 500))
def test_a_story_and_its_replay_are_the_same_spans(story: list[Any], step_ms: int) -> None:
    teller = Teller(clock=FakeClock(step_ms))
    told(teller, story)
    replayed = {row.span: row for row in teller.replayed()}
    emitted = {row.span: row for row in teller.rows}
    assert {s: r._asdict() for s, r in emitted.items()} == {s: r._asdict() for s, r in replayed.items()}


@given(STORIES)
def test_on_a_plain_provider_the_tree_is_the_same(story: list[Any]) -> None:
    """The ids are the SDK's own there."""
    teller = Teller(tracer_provider=TracerProvider())
    told(teller, story)
    assert sorted(tree(teller.rows)) == sorted(tree(teller.replayed()))


def test_tasks_of_many_users_at_once() -> None:
    """Each task is in its own flows, however they take turns."""
    teller = Teller()
    telemetry = teller.telemetry

    async def visit(number: int) -> None:
        user = telemetry.context(did=f"d-{number}", actor={"id": f"u-{number}", "type": "User"})
        async with user, telemetry.start(type="session"):
            await asyncio.sleep(0)
            async with telemetry.start(type="player", object=CONTENT) as play:
                for _ in range(3):
                    await asyncio.sleep(0)
                    telemetry.interact(type="TOUCH", id=f"{number}")
                assert play.is_open
            telemetry.impression(type="view", pageid="home", uri="/")

    async def main() -> None:
        await asyncio.gather(*(visit(number) for number in range(50)))

    asyncio.run(main())
    assert len(teller.rows) == 100
    assert teller.rows == teller.replayed()
