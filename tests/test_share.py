"""Several bridges that share one input write together what one bridge would write, and count the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bridging import POLICIES
from events import JOB, MOBILE, PLATFORM, PLAYER, PORTAL, Event, correlation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing import Feed, Sharing, alone, check_same, shared
from strategies import cut, worn

from sunbird_otel import Rules
from sunbird_otel._document import Lines
from sunbird_otel._findings import Finding
from sunbird_otel._kin import KinReader
from sunbird_otel._limits import Limits
from sunbird_otel._line import LineReader
from sunbird_otel.sources import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from sunbird_otel._pipeline import Pipeline

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*/input.*"))
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").rglob("*.json*"))


def text(event: object) -> bytes:
    """Return ``event`` as clients and the pipeline write it: without blanks."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def as_lines(events: list[Any]) -> Feed:
    def feed(bridge: Pipeline[Any], take: Any) -> None:
        take(bridge.feed_lines(Lines("events.jsonl", 1, [text(event) for event in events])))

    return feed


def as_documents(documents: list[bytes]) -> Feed:
    def feed(bridge: Pipeline[Any], take: Any) -> None:
        for document in documents:
            take(bridge.feed(document))

    return feed


def as_file(path: Path) -> Feed:
    def feed(bridge: Pipeline[Any], take: Any) -> None:
        for item in files.read(str(path), limits=Limits()):
            if isinstance(item, Lines):
                take(bridge.feed_lines(item))
            elif isinstance(item, Finding):
                bridge.refuse(item)
            else:
                take(bridge.feed(item.data, item.position, parsed=item.value))

    return feed


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worn(), st.sampled_from(POLICIES), st.integers(1, 3))
def test_any_lines_shared_are_the_same(told: list[Any], policy: str, processes: int) -> None:
    feed = as_lines(told)
    check_same(alone(feed, policy=policy), shared(feed, processes, policy=policy))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), worn(), st.sampled_from(POLICIES))
def test_any_documents_shared_are_the_same(data: st.DataObject, told: list[Any], policy: str) -> None:
    feed = as_documents(data.draw(cut(told)))
    check_same(alone(feed, policy=policy), shared(feed, 2, policy=policy))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worn(), st.integers(2, 3))
def test_live_every_event_is_counted_once(told: list[Any], processes: int) -> None:
    """What was not known in time may be told otherwise, but nothing is lost, and nothing doubled."""
    feed = as_lines(told)
    one = alone(feed, lateness=10**9).report["events"]
    several = shared(feed, processes, lateness=10**9).report["events"]
    for number in ("received", "translated", "duplicate", "rejected", "held", "by_eid"):
        assert several[number] == one[number]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("path", [*GOLDEN, *EXAMPLES], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_examples_shared_are_the_same(path: Path, policy: str) -> None:
    feed = as_file(path)
    check_same(alone(feed, policy=policy), shared(feed, 3, policy=policy))


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_corpus_shared_is_the_same(corpus: Path, processes: int, policy: str) -> None:
    def feed(bridge: Pipeline[Any], take: Any) -> None:
        for path in sorted(corpus.glob("*.jsonl")):
            as_file(path)(bridge, take)

    check_same(alone(feed, policy=policy), shared(feed, processes, policy=policy))


def user(number: int) -> list[Event]:
    phone = replace(MOBILE, did=f"phone-{number}", sid=f"session-{number}", actor=f"user-{number}")
    player = replace(PLAYER, did=f"phone-{number}", sid=f"session-{number}", actor=f"user-{number}")
    at = number * 7
    return [phone.start(at, "session"), player.start(at + 1, "content"), player.end(at + 2, "content")]


def test_users_are_divided_evenly_and_a_user_is_not() -> None:
    users = [event for number in range(40) for event in user(number)]
    sharing = Sharing(2)
    as_lines(users)(sharing.divider, sharing.take)
    sharing.finish()
    assert sum(sharing.dealt) == len(users)
    assert abs(sharing.dealt[0] - sharing.dealt[1]) <= 6
    sharing = Sharing(2)
    as_lines(user(1))(sharing.divider, sharing.take)
    sharing.finish()
    assert sorted(sharing.dealt) == [0, 3]


def test_a_service_with_a_run_serves_users_of_all_processes() -> None:
    """The run is written once, and the requests of every process link to it."""
    requests = [replace(PLATFORM, sid=f"session-{number}").api_access(number + 1, 5, "") for number in range(10)]
    feed = as_lines([PLATFORM.ready(0), *requests, PLATFORM.stopped(60)])
    one, several = alone(feed), Sharing(2)
    feed(several.divider, several.take)
    check_same(one, several.finish())
    assert min(several.dealt) >= 2 + 4, "the requests are divided, the AUDITs are shown to both"
    assert sum("service_run" in signal for signal in one.signals.elements()) == 10


def test_where_runs_are_more_than_a_link_their_requests_stay_together() -> None:
    requests = [replace(PLATFORM, sid=f"session-{number}").api_access(number + 1, 5, "") for number in range(10)]
    feed = as_lines([PLATFORM.ready(0), *requests, PLATFORM.stopped(60)])
    several = Sharing(2, policy="repair")
    feed(several.divider, several.take)
    check_same(alone(feed, policy="repair"), several.finish())
    assert sorted(several.dealt) == [0, 12]


def test_a_job_and_its_logs_stay_together_though_the_start_comes_last() -> None:
    runs = [correlation(JobRun=f"run-{number}") for number in range(4)]
    logs = [JOB.job_log(10 + number, cdata=run) for number, run in enumerate(runs)]
    starts = [JOB.job_start(number, cdata=run) for number, run in enumerate(runs)]
    feed = as_lines([*logs, *starts])
    check_same(alone(feed), shared(feed, 3))


def test_events_that_share_their_name_by_chance_keep_their_ids() -> None:
    """Which of such twins is which decides their ids, and they may be of different users."""
    twins = [
        {**replace(PORTAL, did=f"device-{number}", sid=f"session-{number}").impression(5), "mid": "1"}
        for number in range(6)
    ]
    feed = as_lines(twins)
    several = Sharing(3)
    feed(several.divider, several.take)
    check_same(alone(feed), several.finish())
    assert all(several.dealt)


def test_families_that_meet_too_late_stay_apart_and_are_counted() -> None:
    one, other = (replace(MOBILE, did=f"phone-{number}", sid=f"session-{number}") for number in (1, 2))
    sharing = Sharing(2, lateness=10**9)
    first = [one.start(0, "session"), other.start(0, "session"), one.interact(10)]
    as_lines(first)(sharing.divider, sharing.take)
    as_lines([one.impression(20, cdata=correlation(session="session-2"))])(sharing.divider, sharing.take)
    assert sharing.divider.parted == 1
    assert sharing.finish().report["events"]["translated"] == 4


LAYOUTS: dict[str, Callable[[Event], Event]] = {
    "usual": lambda event: event,
    "keys sorted": lambda event: dict(sorted(event.items())),
    "keys reversed": lambda event: dict(reversed(event.items())),
    "the session in edata, too": lambda event: {**event, "edata": {**event["edata"], "sid": "x", "did": "y"}},
    "no context.sid, but one in edata": lambda event: {
        **event,
        "context": {key: value for key, value in event["context"].items() if key != "sid"},
        "edata": {**event["edata"], "sid": "x"},
    },
    "numbers": lambda event: {**event, "context": {**event["context"], "did": 5, "sid": None}},
    "texts that need escapes": lambda event: {
        **event,
        "context": {**event["context"], "did": 'a"b\\c', "sid": "\u00e4"},
    },
    "braces in texts": lambda event: {**event, "context": {**event["context"], "rollup": {"l1": "}]{["}}},
    "a request": lambda event: {**event, "edata": {**event["edata"], "params": [{"rid": "6f0b2f6e" * 4}, {"a": 1}]}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("client", [MOBILE, PORTAL, PLATFORM, JOB, replace(MOBILE, did="", sid="")])
def test_ids_read_from_the_text_hold_those_that_parsing_finds(layout: str, client: Any) -> None:
    """More may be taken for an id, which ties more; never less."""
    reader = KinReader(Rules.standard(), "annotate", Limits())
    event = LAYOUTS[layout](client.impression(1, cdata=correlation(Session="other", Request="r", PlaySession="p")))
    line = text(event)
    quick = reader._quick(line)
    parsed = next(iter(alone(as_lines([event])).signals))
    assert parsed
    if quick is not None:
        found = LineReader(Limits()).event(line, event["ets"] * 1_000_000)
        assert found is not None
        careful = reader._of_event(found)
        assert set(careful.keys) <= set(quick.keys)
        assert (careful.follows, careful.leads, careful.shown) == (quick.follows, quick.leads, quick.shown)


OTHER_PATHS = {
    "in the context": ["context.rollup.l1", "uuid(context.pdata.tenant)"],
    "the session": ["context.sid"],
    "in edata": ["edata.extra.call", "params.trace.id"],
    "elsewhere": ["object.id"],
    "two meanings": ["cdata.Session", "params.rid"],
}


@pytest.mark.parametrize("paths", OTHER_PATHS.values(), ids=OTHER_PATHS)
def test_ids_are_read_where_the_rules_say(tmp_path: Path, paths: list[str]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f"[adjust.request]\ngathers_by = {json.dumps(paths)}\n", "utf-8")
    reader = KinReader(Rules.load(path), "annotate", Limits())
    event = PORTAL.impression(1, cdata=correlation(Session="other"))
    event["context"]["rollup"] = {"l1": "a"}
    event["context"]["pdata"]["tenant"] = "6f0b2f6e" * 4
    event["object"] = {"id": "e", "type": "Content"}
    event["edata"] |= {"extra": {"call": "b"}, "params": [{"trace.id": "c"}, {"rid": "d"}]}
    found = LineReader(Limits()).event(text(event), event["ets"] * 1_000_000)
    assert found is not None
    careful = reader._of_event(found).keys
    assert any(key.startswith(b"r") for key in careful)
    assert set(careful) <= set(reader.read(text(event), found.ets_ns, "events.jsonl", 1).keys)


def test_usual_lines_are_not_parsed() -> None:
    reader = KinReader(Rules.standard(), "annotate", Limits())
    for event in (MOBILE.interact(1), PORTAL.impression(1), PLATFORM.log(1), PLATFORM.api_access(1, 5, "x")):
        assert reader._quick(text(event)) is not None
