"""The dashboards for Grafana, as far as can be known without Grafana: whole, in order, and asking for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bridge_run import run
from command_line import write
from grammar import parse
from span_tree import nodes
from traceql import Traces
from views_telemetry import long_flow, telemetry

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
GRAFANA = ROOT / "collector_config" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
SOURCES = {"tempo", "prometheus"}
LABELS = {"sunbird_page_id": "home", "error_type": "NETWORK"}
"""What a user may have clicked at, by label."""


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


PANELS = {f"{name}: {panel['title']}": panel for name, board in BOARDS.items() for panel in panels(board)}


def filled(query: str) -> str:
    """Fill in Grafana's variables, as it does before it asks."""
    query = re.sub(r"\$\{(workflow|kind):pipe\}", ".*", query)
    for label, value in LABELS.items():
        query = query.replace(f"${{__field.labels.{label}}}", value)
    return query.replace("$__rate_interval", "5m").replace("$__range", "1h")


def targets(source: str) -> Iterator[tuple[str, str]]:
    for name, panel in PANELS.items():
        for target in panel["targets"]:
            if target["datasource"]["uid"] == source:
                yield f"{name} {target['refId']}", filled(target["query" if source == "tempo" else "expr"])


def links() -> Iterator[tuple[str, str]]:
    """Yield the TraceQL query to which a click on a panel leads."""
    for name, panel in PANELS.items():
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            url: str = link["url"]
            (panes,) = urllib.parse.parse_qs(url.partition("?")[2])["panes"]
            (pane,) = json.loads(panes).values()
            assert pane["datasource"] in SOURCES
            assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
            (query,) = pane["queries"]
            yield f"{name} link", filled(query["query"])


TRACEQL = dict([*targets("tempo"), *links()])
PROMQL = dict(targets("prometheus"))


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
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] in SOURCES
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(references) == len(set(references))
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


@pytest.mark.parametrize("name", [name for name in PANELS if not name.startswith("health: ")])
def test_a_panel_leads_to_traces(name: str) -> None:
    panel = PANELS[name]
    a_table_of_spans = panel["type"] == "table" and panel["targets"][0]["tableType"] == "spans"
    exemplars = any(target.get("exemplars") or target.get("exemplar") for target in panel["targets"])
    assert a_table_of_spans or exemplars or f"{name} link" in TRACEQL or name == "learning: Answers that pass"


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
