"""The fixtures as a user has them: each test runs a user's test file in a pytest of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from bridging import run as replay

from sunbird_otel import Rules
from sunbird_otel.testing import FixedClock, Recorder, TelemetryApi, assert_flow, flow_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sunbird_otel import Span

pytest_plugins = ["pytester"]

PLUGIN = "sunbird_otel.testing._plugin"

# From a source tree that is not installed anew the entry point may be missing; pytest does not load a plugin twice.
INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
ARGUMENTS = ("-p", "no:cacheprovider", "-W", "error", "--strict-markers", *(() if INSTALLED else ("-p", PLUGIN)))

OBJECT = '{"id": "do_31290", "type": "Content"}'


def run(pytester: pytest.Pytester, code: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(code)
    return pytester.runpytest_subprocess(*ARGUMENTS, *arguments)


def event(eid: str, at: int, **edata: object) -> dict[str, object]:
    return {
        "eid": eid,
        "ets": 1_700_000_000_000 + at,
        "mid": f"{eid}:{at}",
        "context": {"did": "d1", "sid": "s1"},
        "edata": edata,
    }


SESSION = [
    event("START", 0, type="session"),
    event("IMPRESSION", 1),
    event("START", 2, type="editor"),
    event("INTERACT", 3),
    event("INTERACT", 4),
    event("END", 5, type="editor"),
    event("IMPRESSION", 6),
    event("END", 7, type="session"),
]
TREE = """\
session
  * impression
  editor
    * interact x2
  * impression"""


# --- The fixtures -----------------------------------------------------------------------------------------------------


def test_fixtures_work_together(pytester: pytest.Pytester) -> None:
    code = f"""
        from sunbird_otel.testing import assert_flow

        def test_all(sunbird_telemetry, sunbird_events, sunbird_spans, sunbird_clock):
            with sunbird_telemetry.start(type="session"):
                with sunbird_telemetry.start(type="player", mode="play", object={OBJECT}) as play:
                    sunbird_clock.tick(2.5)
                    play.interact(type="TOUCH", id="next")
                    with sunbird_spans.provider.get_tracer("mine").start_as_current_span("GET /quiz"):
                        pass
            tree = "session\\n  player\\n    * interact\\n    ~GET /quiz"
            assert_flow(sunbird_spans, tree)
            assert_flow(sunbird_events, "session\\n  player\\n    * interact")
            assert sunbird_events.eids == ["START", "START", "INTERACT", "END", "END"]
            assert sunbird_events.of("INTERACT")[0]["mid"] == "INTERACT:0003"
            assert [end["edata"]["duration"] for end in sunbird_events.of("END")] == [2.5, 2.5]
            assert [event["ets"] - 1767603600000 for event in sunbird_events] == [0, 1, 2502, 2503, 2504]
            assert len(sunbird_spans) == 3
            (play,) = sunbird_spans.named("player")
            assert play.attributes["sunbird.flow.type"] == "player"
            sunbird_spans.clear()
            assert sunbird_spans.tree() == ""

        def test_each_begins_anew(sunbird_telemetry, sunbird_events, sunbird_spans):
            assert sunbird_events.events == [] and sunbird_spans.finished == ()
            sunbird_telemetry.heartbeat()
            assert sunbird_events.events[0]["mid"] == "HEARTBEAT:0001"
    """
    run(pytester, code).assert_outcomes(passed=2)


def test_ids_are_the_same_in_each_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of OpenTelemetry."""
    code = f"""
        def test_told(sunbird_telemetry, sunbird_spans):
            with sunbird_spans.provider.get_tracer("mine").start_as_current_span("mine"):
                with sunbird_telemetry.start(type="player", mode="play", object={OBJECT}):
                    pass
            for span in sunbird_spans:
                print("id", span.name, hex(span.context.trace_id), hex(span.context.span_id))
    """

    def ids() -> list[str]:
        result = run(pytester, code, "-s")
        result.assert_outcomes(passed=1)
        return [found[1] for line in result.outlines if (found := re.search(r"id (\w+ 0x\w+ 0x\w+)", line))]

    first = ids()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert ids() == first
    assert first[-1] == "mine 0x1 0x1"
    assert len(first) == 2


def test_a_wrong_tree_fails_with_the_difference(pytester: pytest.Pytester) -> None:
    code = f"""
        from sunbird_otel.testing import assert_flow

        def test_play(sunbird_telemetry, sunbird_spans):
            with sunbird_telemetry.start(type="session"):
                try:
                    with sunbird_telemetry.start(type="player", mode="play", object={OBJECT}) as play:
                        play.impression(type="view", pageid="q1", uri="/q1")
                        raise ValueError("no such question")
                except ValueError:
                    pass
            assert_flow(sunbird_spans, '''
                session
                  player
                    * impression
                    * interact x2
            ''')
    """
    result = run(pytester, code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*The flows are not as expected (- expected, + found):",
            "E       ",
            "E         session",
            "E       -   player",
            "E       +   player ERROR",
            "E             ? impression",
            "E       -     ? interact x2",
            "E       +     ? error",
        ],
        consecutive=True,
    )
    # The test's own line is shown, not ours.
    assert "_assert.py" not in result.stdout.str()


def test_a_refused_event_fails_the_test_at_its_end(pytester: pytest.Pytester) -> None:
    code = """
        import pytest

        @pytest.fixture
        def sunbird_options():
            return {"validation": "off"}

        def tell(telemetry):
            telemetry.interact(type="TOUCH", id="next", target={"id": "b1", "type": "Button"})

        def test_left_behind(sunbird_telemetry):
            tell(sunbird_telemetry)

        def test_meant(sunbird_telemetry, sunbird_events):
            sunbird_events.strict = False
            tell(sunbird_telemetry)
            assert "INTERACT:0001" in sunbird_events.complaint()
    """
    result = run(pytester, code)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "Sunbird's pipeline would refuse 1 of 1 emitted events:",
            "  INTERACT INTERACT:0001",
            "    $.edata.target.ver: expected present, found absent",
        ],
        consecutive=True,
    )


def test_broken_nesting_is_marked(pytester: pytest.Pytester) -> None:
    code = """
        def test_orphan(sunbird_telemetry, sunbird_spans):
            sunbird_telemetry.end(type="editor")
            assert sunbird_spans.tree() == "~sunbird.end !orphan_end"

        def test_without_flow_attributes(sunbird_spans):
            tracer = sunbird_spans.provider.get_tracer("mine")
            with tracer.start_as_current_span("a", attributes={"sunbird.flow.type": "player"}):
                with tracer.start_as_current_span("b", attributes={"sunbird.flow.type": "app"}):
                    pass
            assert sunbird_spans.tree() == "player !missing_parent\\n  app !wrong_parent"
    """
    run(pytester, code).assert_outcomes(passed=2)


def test_blocks_of_the_documentation_pass(pytester: pytest.Pytester, project: Path) -> None:
    page = (project / "docs" / "testing.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "\ndef test_" in block]
    pytester.makepyfile(**{f"test_block_{number}": block for number, block in enumerate(blocks)})
    pytester.runpytest_subprocess(*ARGUMENTS).assert_outcomes(passed=len(blocks) or 1)


# --- Who pays ---------------------------------------------------------------------------------------------------------


def test_others_pay_nothing(pytester: pytest.Pytester) -> None:
    """A run in which nobody asks for a fixture loads neither OpenTelemetry nor pydantic."""
    code = """
        import sys

        def test_light():
            heavy = {"opentelemetry", "pydantic", "rich", "urllib3", "http.server"}
            assert heavy & set(sys.modules) == set()
    """
    run(pytester, code, "-p", "no:logfire", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", [(), ("-p", "sunbird_otel"), ("-p", "sunbird_otel.testing")])
def test_entry_point_brings_the_fixtures(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Also when the plugin is named on the command line besides."""
    declared = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    assert declared == {"sunbird_otel": PLUGIN}
    pytester.makepyfile("def test_tick(sunbird_clock): sunbird_clock.tick()")
    installed = pytester.mkdir("stands_for_an_installation")
    facts = installed / "stand_in-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[pytest11]\nsunbird_otel = {PLUGIN}\n")
    monkeypatch.setenv("PYTHONPATH", str(installed), prepend=os.pathsep)
    pytester.runpytest_subprocess("-W", "error", *arguments).assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-p", "no:sunbird_otel").assert_outcomes(errors=1)


def test_without_pytest_all_but_the_fixtures_is_there() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import sunbird_otel.testing as t\n"
        "print(*sorted(t.__all__), *(getattr(t, name).__name__ for name in sorted(t.__all__)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    told = done.stdout.split()
    assert told[: len(told) // 2] == told[len(told) // 2 :]


# --- Trees ------------------------------------------------------------------------------------------------------------


def test_a_tree_is_what_it_is_read_from() -> None:
    assert flow_tree(SESSION) == TREE
    assert flow_tree(SESSION, events=False, rules=Rules.field()) == "session\n  editor"
    assert_flow(SESSION, TREE)


@pytest.mark.parametrize(
    "same",
    [
        "session\n editor",
        "\n\n        session\n\n\t\t\t\teditor\n",
        TREE.replace("  ", "\t"),
        TREE.replace("* interact x2", "* interact\n    * interact"),
    ],
)
def test_a_tree_may_be_written_in_more_than_one_way(same: str) -> None:
    assert_flow(SESSION, same)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("session", "+   editor"),
        ("", "+ session"),
        ("session\neditor", "- editor"),
        ("session\n  editor\n    player", "-     player"),
        (TREE.replace("x2", "x3"), "-     * interact x3"),
        ("session\n  editor !wrong_parent", "-   editor !wrong_parent"),
    ],
)
def test_another_tree_is_refused(other: str, told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_flow(SESSION, other)
    assert told in str(caught.value).splitlines()


def test_nothing_is_nothing() -> None:
    assert_flow([], "")
    with pytest.raises(AssertionError, match="There are no spans; a flow becomes one when it ends"):
        assert_flow([], "session")


def test_an_unexpected_mark_is_explained() -> None:
    with pytest.raises(AssertionError, match=r"\n  !orphan_end: \w+"):
        assert_flow([event("END", 0, type="editor")], "~sunbird.end")


def test_a_long_tree_is_told_in_part() -> None:
    flows = [event(eid, 2 * n + (eid == "END"), type="editor") for n in range(200) for eid in ("START", "END")]
    with pytest.raises(AssertionError) as caught:
        assert_flow(flows, "editor !missing_parent\n" * 100 + "player\n" + "editor !missing_parent\n" * 99)
    lines = str(caught.value).splitlines()
    assert lines[2:4] == ["  ...", "  editor !missing_parent"]
    assert len(lines) < 40


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("session\n  * error\n    player", r"line 3: 'player' cannot stand below '\* error': an event holds nothing"),
        ("    session\n  player", "line 2: 'player' cannot stand below 'session': no flow above"),
    ],
)
def test_a_text_that_is_no_tree_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        assert_flow(SESSION, text)


def test_events_that_no_replay_takes_are_told() -> None:
    with pytest.raises(AssertionError, match=r"A replay refuses these events:\n  \w+ .*expected"):
        assert_flow([{"eid": "START", "ets": "never"}], "")


def test_spans_and_events_do_not_mix() -> None:
    spans_and_events: list[Span | Mapping[str, Any]] = [*SESSION, *replay(SESSION).spans]
    with pytest.raises(TypeError, match="compare one at a time"):
        assert_flow(spans_and_events, "")


# --- Without pytest ---------------------------------------------------------------------------------------------------


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="expected seconds >= 0, found -1"):
        FixedClock().tick(-1)


def test_many_refused_events_are_told_in_part() -> None:
    recorder = Recorder()
    assert recorder.complaint() == ""
    for number in range(30):
        recorder.send({"eid": "LEVEL_SET", "mid": f"m{number}"})
    assert "would refuse 30 of 30" in recorder.complaint()
    assert "... and 10 more" in recorder.complaint()


def test_api_answers_as_it_is_told() -> None:
    with TelemetryApi() as api:
        api.answer(503, times=2)
        assert [post(api, "b1"), post(api, "b1"), post(api, "b1"), post(api, "b1")] == [503, 503, 200, 200]
        assert post(api, "", b"[]") == 400
        api.answer(413, times=None, body=b"too large")
        assert [post(api, "b2"), post(api, "b2")] == [413, 413]
        api.answer(times=None)
        assert post(api, "b2") == 200
        assert [batch["params"]["msgid"] for batch in api.batches] == ["b1", "b2"]
        assert [event["mid"] for event in api.events] == ["of b1", "of b2"]
        assert [request.status for request in api.requests] == [503, 503, 200, 200, 400, 413, 413, 200]
        assert api.requests[0].headers["content-type"] == "application/json"


def test_api_ends_while_an_answer_is_held_back() -> None:
    with TelemetryApi() as api:
        api.answer(delay=60)
        with pytest.raises(TimeoutError):
            post(api, "b1", timeout=0.1)
        assert len(api.batches) == 1


def post(api: TelemetryApi, msgid: str, body: bytes = b"", timeout: float = 10) -> int:
    """Send a batch and return the status of the answer."""
    batch = body or json.dumps({"params": {"msgid": msgid}, "events": [{"mid": f"of {msgid}"}]}).encode()
    request = urllib.request.Request(api.url, batch, {"Content-Type": "application/json"})  # noqa: S310  our own URL
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
