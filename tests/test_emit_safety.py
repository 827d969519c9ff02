"""Nothing that the emitter does breaks its host: broken transports, threads, forks, blocks left elsewhere."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from telling import CONTENT, PDATA, Teller

from sunbird_otel.emit import MemoryTransport, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def teller() -> Teller:
    return Teller()


class BrokenTransport(MemoryTransport):
    def send(self, event: Any) -> None:
        raise OSError(f"no route for {len(event) > 0}")


def test_a_transport_that_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    teller = Teller(transport=BrokenTransport())
    with teller.telemetry.start(type="session"):
        teller.telemetry.interact(type="TOUCH", id="b")
    assert teller.telemetry.faults == {"transport": 3}
    assert len(caplog.records) == 1
    assert "no route" in caplog.text
    assert [row.name for row in teller.rows] == ["session"]


def test_blocks_left_in_another_context_than_entered(teller: Teller, caplog: pytest.LogCaptureFixture) -> None:
    """As async generators do: frameworks finish their dependencies in a context of their own."""
    flow = teller.telemetry.start(type="session")
    entered = teller.telemetry.context(did="d")
    contextvars.copy_context().run(flow.__enter__)
    contextvars.copy_context().run(entered.__enter__)
    flow.__exit__(None, None, None)
    entered.__exit__(None, None, None)
    assert teller.eids == ["START", "END"]
    assert caplog.text == ""


def test_threads_end_a_flow_once() -> None:
    teller = Teller()
    flows = [teller.telemetry.start(type="session") for _ in range(200)]

    def end_all() -> None:
        for flow in flows:
            flow.end()

    threads = [threading.Thread(target=end_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert teller.eids.count("END") == 200
    assert len(teller.rows) == 200


def test_threads_each_in_their_own_flows() -> None:
    teller = Teller()

    def work(number: int) -> None:
        with teller.telemetry.context(did=f"d-{number}"), teller.telemetry.start(type="session"):
            for _ in range(20):
                with teller.telemetry.start(type="player", object=CONTENT) as play:
                    play.interact(type="TOUCH", id="b")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(teller.rows) == 16 * 21
    assert teller.telemetry.faults == {}
    players = [row for row in teller.rows if row.name == "player"]
    assert all(len(row.events) == 1 for row in players)
    parents = {row.span: row.attributes["device.id"] for row in teller.rows if row.name == "session"}
    assert all(parents[row.parent] == row.attributes["device.id"] for row in players)


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a fork of this process, and return how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_flow() -> None:
    """The child says what it does, but the flow is its parent's to end; locks that were held are new."""
    teller = Teller()
    telemetry = teller.telemetry

    def child() -> None:
        flow.interact(type="TOUCH", id="b")
        with telemetry.start(type="player", object=CONTENT):
            telemetry.log(type="system", level="INFO", message="m")
        flow.end()
        assert teller.eids == ["START", "INTERACT", "START", "LOG", "END"]
        assert [row.name for row in teller.rows] == ["sunbird.interact", "player"]
        assert teller.rows[0].parent == teller.rows[1].parent == flow.span.get_span_context().span_id

    with telemetry.start(type="session") as flow:
        held = telemetry._desk.spans._requests._lock
        with held:
            assert in_child(child) == 0
    assert teller.eids == ["START", "END"]


def test_a_client_as_a_block_closes_its_transport(teller: Teller) -> None:
    with teller.telemetry as telemetry:
        telemetry.interrupt(type="resume")
        assert telemetry.flush(1)
        assert telemetry.stats.sent == 1
    assert teller.transport.closed


def test_the_system_s_clock_is_the_default() -> None:
    memory = MemoryTransport()
    before = time.time_ns() // 1_000_000
    Telemetry(pdata=PDATA, channel="c", env="e", transport=memory).interrupt(type="resume")
    assert before <= memory.events[0]["ets"] <= time.time_ns() // 1_000_000
    assert type(memory.events[0]["ets"]) is int
