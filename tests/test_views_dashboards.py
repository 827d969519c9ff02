"""The dashboards for Grafana, as far as can be known without Grafana: whole, in order, and asking for what there is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from bridge_run import run
from command_line import write
from grafana_boards import BOARDS, GRAFANA, PANELS, PROMQL, ROOT, SOURCES, TRACEQL, panels
from grafana_foundation_sdk.models import units
from grammar import parse
from span_tree import nodes
from traceql import Traces
from views_telemetry import long_flow, telemetry

from sunbird_otel import names

if TYPE_CHECKING:
    from pathlib import Path


UNITS = {unit for name, unit in vars(units).items() if name[0].isupper()}
"""Those that Grafana knows."""


def generate(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    command = [sys.executable, str(folder / "generate.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_the_dashboards_are_fresh() -> None:
    assert generate(GRAFANA, "--check") == (0, [])


def test_stale_dashboards_are_noticed_and_written(tmp_path: Path) -> None:
    copy = tmp_path / "collector_config" / "grafana"
    shutil.copytree(GRAFANA, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "queries.toml", tmp_path / "docs")
    (copy / "dashboards" / "flows.json").write_text("{}", "utf-8")
    where = "collector_config/grafana/dashboards/flows.json"
    assert generate(copy, "--check") == (1, [f"{where} is stale; run make docs"])
    assert generate(copy) == (0, [f"{where} written"])
    assert generate(copy, "--check") == (0, [])


def test_no_file_is_left_over() -> None:
    assert set(BOARDS) == {"flows", "learning", "services", "health"}


def test_dashboards_have_names_of_their_own() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    assert len(PANELS) == sum(len(panels(board)) for board in BOARDS.values())


@pytest.mark.parametrize("name", BOARDS)
def test_panels_fill_the_grid_and_none_covers_another(name: str) -> None:
    taken: dict[tuple[int, int], int] = {}
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for cell in (
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} covers another panel"
            taken[cell] = panel["id"]
    depth = 1 + max(y for _, y in taken)
    assert len(taken) == 24 * depth, "there is a hole"
    ids = [panel["id"] for panel in BOARDS[name]["panels"]]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_says_what_it_shows(name: str) -> None:
    panel = PANELS[name]
    assert panel["description"].endswith(".")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit in UNITS or unit.startswith("suffix:")
    assert SOURCES[panel["datasource"]["uid"]] == panel["datasource"]["type"]
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(references) == len(set(references))
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_leads_to_traces(name: str) -> None:
    """Unless it shows what has none: METRICS events, and the Collector's counts of itself."""
    panel = PANELS[name]
    a_table_of_spans = panel["type"] == "table" and panel["targets"][0]["tableType"] == "spans"
    of_spans = panel["datasource"]["uid"] == "tempo" or "span_metrics" in panel["targets"][0]["expr"]
    assert (a_table_of_spans or f"{name} link" in TRACEQL) == of_spans
    assert any(target.get("exemplar") or target.get("exemplars") for target in panel["targets"]) <= of_spans


def test_grafanas_grammar_takes_every_traceql_query() -> None:
    faults = {name: tree.fault() for name, tree in zip(TRACEQL, parse("traceql", list(TRACEQL.values())), strict=True)}
    assert {name: fault for name, fault in faults.items() if fault} == {}


def test_prometheus_grammar_takes_every_promql_query() -> None:
    faults = {name: tree.fault() for name, tree in zip(PROMQL, parse("promql", list(PROMQL.values())), strict=True)}
    assert {name: fault for name, fault in faults.items() if fault} == {}
    (broken,) = parse("promql", ["sum by (rate(x[5m])"])
    assert broken.fault()


def test_panels_name_only_what_the_bridge_writes() -> None:
    known = {name.key for name in names.TABLE}
    trees = parse("traceql", list(TRACEQL.values()))
    asked = {field.partition(".")[2] for tree in trees for field in tree.names("AttributeField")}
    assert asked - known == set()


def test_every_traceql_query_finds_something(tmp_path: Path) -> None:
    """In the cases that the recipes are tried on, the examples, and what the golden files hold."""
    written = [write(tmp_path / "cases.jsonl", telemetry()), write(tmp_path / "long.jsonl", long_flow())]
    inputs = [*written, *sorted((ROOT / "examples" / "telemetry").iterdir())]
    spans = [run(path, {}, tmp_path).spans for path in inputs]
    golden = sorted((ROOT / "tests" / "golden").glob("*/traces.jsonl"))
    spans += [nodes([json.loads(line) for line in path.read_text("utf-8").splitlines()]) for path in golden]
    asked = [Traces(found) for found in spans]
    trees = zip(TRACEQL, parse("traceql", list(TRACEQL.values())), strict=True)
    assert [name for name, tree in trees if not any(traces.find(tree) for traces in asked)] == []
