"""The benchmarks run, their input is what they say it is, and both bridges do the work that is compared.

No time is asserted here: a test must not fail because the machine is busy.
"""

from __future__ import annotations

import importlib
import json
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sunbird_otel import Bridge

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
TINY = (
    *("--rounds", "1", "--events", "300", "--flows", "300", "--short", "300", "--long", "600"),
    *("--replay-events", "300", "--calls", "20", "--call-rounds", "1"),
)
EVENTS = 4_000


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the benchmarks, which are scripts that stand beside each other."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def run(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / "run.py"), *TINY, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def lines_of(module: Any, **sizes: Any) -> list[bytes]:
    workload = module("workload")
    return list(workload.lines(workload.Workload(**{"events": EVENTS, **sizes})))


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        ("throughput", {"naive", "parse"}),
        ("memory", {"memory"}),
        ("growth", {"growth"}),
        ("emit", set[str]()),
        ("plugin", set[str]()),
    ],
)
def test_each_table_is_measured(table: str, figures: set[str]) -> None:
    measured = json.loads(run("--only", table, "--json"))
    assert measured["form"] in ("interpreted", "compiled")
    assert set(measured["result"]["figures"]) == figures
    assert all(figure > 0 for figure in measured["result"]["figures"].values())
    assert bool(measured["result"]["rows"]) != bool(measured["result"]["text"])


@pytest.mark.parametrize(("table", "figure"), [("collector", "collector"), ("replay", "overlap")])
def test_tables_that_need_a_collector_are_measured(table: str, figure: str, backends: None) -> None:
    # A Collector's start is taken off its time, so that there must be something left.
    measured = json.loads(run("--only", table, "--json", "--events", "20000"))
    assert measured["result"]["figures"][figure] > 0


def test_the_entry_prints_tables_and_goals() -> None:
    printed = run("--only", "throughput", "growth")
    for words in ("orjson.loads", "ours, from a file", "naive over the SDK", "stage: batch", "Growth, 600 events"):
        assert words in printed
    assert "not measured" in printed


def test_a_python_that_measures_the_same_form_again_is_refused() -> None:
    command = [sys.executable, "benchmarks/run.py", *TINY, "--only", "growth", "--interpreter", *2 * [sys.executable]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 1
    assert "expected another form of the package" in done.stderr


# --- The workload ------------------------------------------------------------------------------------------------


def test_a_workload_is_made_from_its_seed(module: Any) -> None:
    lines = lines_of(module)
    assert len(lines) == EVENTS
    assert lines == lines_of(module)
    assert lines != lines_of(module, seed=2)
    assert lines[:1000] == lines_of(module, events=1000)


def test_a_workload_has_the_mix_and_the_sizes_of_the_field(module: Any) -> None:
    lines = lines_of(module, events=20_000)
    mix = Counter(orjson.loads(line)["eid"] for line in lines)
    for eid, share in module("workload").MIX.items():
        assert mix[eid] / len(lines) * 100 == pytest.approx(share, rel=0.1, abs=0.2), eid
    assert 670 <= statistics.median(map(len, lines)) <= 820


def test_a_workload_comes_late_and_twice_as_asked(module: Any) -> None:
    lines = lines_of(module, duplicates=0.05, delayed=0.2)
    assert 1 - len(set(lines)) / len(lines) == pytest.approx(0.05, abs=0.02)
    times = [orjson.loads(line)["ets"] for line in lines]
    assert sum(later < earlier for earlier, later in pairwise(times)) > EVENTS * 0.1
    lines = lines_of(module, duplicates=0, delayed=0)
    times = [orjson.loads(line)["ets"] for line in lines]
    assert times == sorted(times)
    assert len(set(lines)) == len(lines)


def test_the_bridge_reads_all_of_a_workload_in_order(module: Any) -> None:
    bridge = Bridge(lateness=module("ours").LATENESS_NS)
    for line in lines_of(module, events=20_000, lanes=5, delayed=0.3):
        bridge.feed(line)
    bridge.drain()
    assert (bridge.tally.rejected, bridge.tally.late) == (0, 0)
    assert bridge.tally.duplicate > 100
    assert bridge.tally.paired > 50
    closed = bridge.tally.report()["flows"]["closed"]
    assert {reason for reason, number in closed.items() if number} >= {"end", "idle"}


# --- What is compared --------------------------------------------------------------------------------------------


def test_the_stages_together_make_what_the_whole_makes(module: Any) -> None:
    lines = lines_of(module)
    value: Any = b"\n".join(lines) + b"\n"
    for stage in module("stages").STAGES.values():
        value = stage(value)
    assert value == list(module("ours").requests(lines))


def test_a_file_makes_what_its_lines_make(module: Any, tmp_path: Path) -> None:
    lines = lines_of(module)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    ours = module("ours")
    assert list(ours.requests_of_file(path)) == list(ours.requests(lines))


def test_the_naive_bridge_does_what_it_is_compared_for(module: Any) -> None:
    lines = lines_of(module, duplicates=0, delayed=0)
    spans = [
        span
        for body in module("naive").requests(lines)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    events = [orjson.loads(line) for line in lines]
    requests = [event for event in events if event["eid"] == "LOG" and event["edata"]["type"].lower() == "api_access"]
    starts = [event for event in events if event["eid"] == "START"]
    servers = [span for span in spans if span.kind == span.SPAN_KIND_SERVER]
    assert len(servers) == len(requests)
    assert sum(span.end_time_unix_nano > span.start_time_unix_nano for span in servers) > len(servers) / 4
    named = [span for span in spans if span.name in {event["edata"]["type"] for event in starts}]
    assert len(named) == len(starts)
    assert sum(len(span.events) for span in named) > 0
    assert all(attribute.value.WhichOneof("value") for span in spans for attribute in span.attributes)


def test_what_is_sent_to_nothing_is_all_that_was_read(module: Any, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines_of(module, events=500)) + b"\n")
    command = [sys.executable, str(BENCHMARKS / "to_nothing.py"), "replay", str(path), "--report", "report.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "delivered" in done.stderr + done.stdout
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["events"]["received"] == 500
    assert not list(tmp_path.glob("sunbird-otel.*"))


# --- The record --------------------------------------------------------------------------------------------------


def test_the_page_tells_what_was_kept(module: Any) -> None:
    """``python benchmarks/record.py`` writes it anew."""
    record = module("record")
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert page == record.rewritten(page, record.load())


def test_new_results_replace_those_of_their_table_and_form(module: Any, tmp_path: Path) -> None:
    record, figures = module("record"), module("figures")
    results, page = tmp_path / "results.json", tmp_path / "performance.md"
    shutil.copy(ROOT / "docs" / "performance.md", page)

    def measured(form: str, parse: float) -> Any:
        rows = [["ours", f"{parse:.2f}"]]
        result = figures.Result(title="Throughput", headings=["", "x parse"], rows=rows, figures={"parse": parse})
        return record.Measured(form=form, machine="a machine", date="2026-11-25", result=result)

    record.keep({"throughput": [measured("interpreted", 9.0)]}, results, page)
    record.keep({"throughput": [measured("compiled", 4.0)]}, results, page)
    record.keep({"throughput": [measured("interpreted", 2.5)]}, results, page)
    text = page.read_text("utf-8")
    assert "| ours | 9.00 |" not in text
    goal = "| ours against the bare orjson parse, time an event | 4.5x | 3x | 2.50x, goal met | 4.00x, least met |"
    assert goal in text
    assert text.index("## Throughput, interpreted") < text.index("## Throughput, compiled")
    assert "Measured on 2026-11-25: a machine." in text


@pytest.mark.parametrize(
    ("key", "measured", "word"),
    [
        ("parse", 3.0, "goal met"),
        ("parse", 4.0, "least met"),
        ("parse", 4.6, "missed"),
        ("naive", 10.0, "goal met"),
        ("naive", 6.0, "least met"),
        ("naive", 5.9, "missed"),
    ],
)
def test_a_figure_is_held_against_its_goal(module: Any, key: str, measured: float, word: str) -> None:
    assert module("record").verdict(key, {key: measured}) == f"{measured:.2f}x, {word}"
