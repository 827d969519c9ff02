"""Sessions larger than a trace, and flows that are still open, as Jaeger shows them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from backends.processes import wait_until
from backends.replaying import replay, replay_to_file
from backends.spans import difference
from command_line import lines, write
from events import MOBILE, PLAYER, content, correlation
from test_backends_replay import sent_by, tree
from test_backends_sessions import session
from test_cli_follow import append, following, stop

from sunbird_otel import names

if TYPE_CHECKING:
    from pathlib import Path

    from backends.collector import Collector
    from backends.jaeger import Jaeger
    from backends.spans import SeenSpan

PLAY = correlation(PlaySession="p1")
P1 = content("do_1")
STORY = [
    MOBILE.start(0, "session"),
    PLAYER.start(2, "content", object=P1, cdata=PLAY),
    PLAYER.interact(3, object=P1, cdata=PLAY),
    PLAYER.end(60, "content", object=P1, cdata=PLAY),
    MOBILE.end(63, "session"),
]
LIVE = ("--follow", "--pending", "--pending-after", "0s", "--lateness", "1s")


@pytest.mark.parametrize(
    ("protocol", "through"),
    [
        ("http/protobuf", "jaeger"),
        pytest.param("grpc", "jaeger", marks=pytest.mark.slow),
        pytest.param("http/protobuf", "collector", marks=pytest.mark.slow),
        pytest.param("grpc", "collector", marks=pytest.mark.slow),
    ],
)
def test_ten_thousand_events_of_one_session_are_all_there(
    protocol: str, through: str, collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    told = session(10_000, 6)
    path = write(tmp_path / "long.jsonl", told)
    receiver = jaeger_server if through == "jaeger" else collector_to_jaeger
    endpoint = receiver.grpc if protocol == "grpc" else receiver.http
    done = replay([path], "--endpoint", endpoint, "--protocol", protocol, folder=tmp_path)
    found = jaeger_server.wait_for(done.spans)
    assert difference(replay_to_file([path], tmp_path), found) == ""
    touched = [event.attributes[names.MID] for span in found for event in span.events]
    assert sorted(touched) == sorted(event["mid"] for event in told if event["eid"] == "INTERACT")
    # By the form that Jaeger's page reads, too: what is in the trace, and what in the one that it goes on in.
    [whole] = [span for span in found if span.name == "session"]
    traces = {span.trace_id for span in found}
    assert len(traces) == 2
    shown = {trace_id: jaeger_server.page(trace_id)["spans"] for trace_id in traces}
    assert sum(len(span["logs"]) for spans in shown.values() for span in spans) == 10_000
    further = next(spans for trace_id, spans in shown.items() if trace_id != whole.trace_id)
    for span in further:
        assert [(one["refType"], one["traceID"], one["spanID"]) for one in span["references"]] == [
            ("FOLLOWS_FROM", whole.trace_id, whole.span_id)
        ]
    # No trace comes near what Tempo drops.
    assert max(len(json.dumps(spans)) for spans in shown.values()) < 20_000_000


def pending(spans: list[SeenSpan]) -> list[SeenSpan]:
    return [span for span in spans if names.FLOW_PENDING in span.attributes]


def test_a_running_player_can_be_seen_and_afterwards_the_whole(jaeger_server: Jaeger, tmp_path: Path) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:3])
    to = ("--endpoint", jaeger_server.http)
    running = {"operation": "player", "tags": {names.FLOW_PENDING: "true"}}
    with following(path.name, *LIVE, *to, cwd=tmp_path) as process:
        assert wait_until(lambda: jaeger_server.find(MOBILE.pdata, **running))
        [trace_id] = jaeger_server.find(MOBILE.pdata, **running)
        early = jaeger_server.trace(trace_id)
        assert sorted(span.name for span in early) == ["player", "session"]
        assert pending(early) == early
        # The spans around them are still to come, and Jaeger says so.
        for span in jaeger_server.page(trace_id)["spans"]:
            assert any("invalid parent span IDs" in warning for warning in span["warnings"])
        append(path, lines(STORY[3:]))
        assert wait_until(lambda: len(jaeger_server.trace(trace_id)) >= 4)
        stop(process)
    whole = replay_to_file([path], tmp_path)
    found = jaeger_server.trace(trace_id)
    assert difference(whole, [span for span in found if span not in pending(found)]) == ""
    assert tree(found) == "session > (session, player > player)"
    # Asked for again, the player that has ended is still found by its pending span.
    assert jaeger_server.find(MOBILE.pdata, **running) == [trace_id]


def test_a_file_that_was_followed_twice_and_is_replayed_twice_shows_once(
    collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    path = write(tmp_path / "telemetry.log", STORY[:3])
    to = ("--endpoint", collector_to_jaeger.http)
    for spans in (2, 4):
        with following(path.name, *LIVE, *to, cwd=tmp_path):  # which is killed
            assert wait_until(partial(sent_by, collector_to_jaeger, spans))
    append(path, lines(STORY[3:]))
    for spans in (6, 8):
        replay([path], *to, folder=tmp_path)
        assert wait_until(partial(sent_by, collector_to_jaeger, spans))
    found = jaeger_server.spans()
    assert tree(found) == "session > (session, player > player)"
    assert difference(replay_to_file([path], tmp_path), [span for span in found if span not in pending(found)]) == ""


def test_looked_at_between_two_runs_a_pending_span_is_shown_twice(
    collector_to_jaeger: Collector, jaeger_server: Jaeger, tmp_path: Path
) -> None:
    """Jaeger 2.13 writes its warning into the span that it keeps in memory, which then is no longer like its copy."""
    path = write(tmp_path / "telemetry.log", STORY[:3])
    for spans in (2, 4):
        with following(path.name, *LIVE, "--endpoint", collector_to_jaeger.http, cwd=tmp_path):
            assert wait_until(partial(sent_by, collector_to_jaeger, spans))
        assert len(jaeger_server.wait_for(spans)) == spans


def test_a_run_that_was_stopped_has_told_what_was_open(jaeger_server: Jaeger, tmp_path: Path) -> None:
    """Replayed when it is complete, the file tells the same spans otherwise; Jaeger shows both."""
    path = write(tmp_path / "telemetry.log", STORY[:3])
    to = ("--endpoint", jaeger_server.http)
    with following(path.name, *LIVE, *to, cwd=tmp_path) as process:
        assert wait_until(jaeger_server.services)
        stop(process)
    append(path, lines(STORY[3:]))
    replay([path], *to, folder=tmp_path)
    [player, again] = [span for span in jaeger_server.spans() if span.name == "player" and span not in pending([span])]
    assert player.span_id == again.span_id
    assert {player.attributes[names.FLOW_END_REASON], again.attributes[names.FLOW_END_REASON]} == {"drain", "end"}
