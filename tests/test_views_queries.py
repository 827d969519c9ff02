"""docs/queries.md: the grammar takes each query, and each finds what it says in telemetry of all kinds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from bridge_run import run
from command_line import write
from grammar import parse
from traceql import Traces
from views_telemetry import DOCS, RECIPES, telemetry

from sunbird_otel import names

if TYPE_CHECKING:
    from pathlib import Path

    from grammar import Node as Query
    from span_tree import Node

FOUND = {
    "unfinished-players": {
        "ended-around-it: player": 1,
        "left-idle: player": 1,
        "never-closes: player": 1,
        "opened-again: player": 1,
        "still-open: player": 1,
    },
    "unfinished-flows": {
        "NeverEnds: job": 1,
        "ended-around-it: player": 1,
        "error-then-left: app": 1,
        "error-then-left: session": 1,
        "left-idle: app": 1,
        "left-idle: player": 1,
        "left-idle: session": 1,
        "never-closes: collection": 98,
        "never-closes: player": 1,
        "opened-again: player": 1,
        "save-fails: session": 1,
        "save-works: session": 1,
        "search-is-quick: session": 1,
        "search-is-slow: session": 1,
        "still-open: app": 1,
        "still-open: player": 1,
        "still-open: session": 1,
    },
    "violating-flows": {
        "NeverEnds: job": 1,
        "end-alone: sunbird.end": 1,
        "ended-around-it: player": 1,
        "error-then-left: app": 1,
        "error-then-left: session": 1,
        "left-idle: app": 1,
        "left-idle: player": 1,
        "left-idle: session": 1,
        "never-closes: collection": 98,
        "never-closes: player": 1,
        "no-session: player": 1,
        "opened-again: player": 1,
        "still-open: app": 1,
        "still-open: player": 1,
        "still-open: session": 1,
    },
    "players-outside-a-session": {"no-session: player": 1},
    "ends-without-a-start": {"end-alone: sunbird.end": 1},
    "ends-told-twice": {"end-twice: session": 1},
    "evicted-flows": {"never-closes: player": 1},
    "long-sessions": {"long: session": 1},
    "one-session": {"all-is-well: app": 1, "all-is-well: session": 1, "all-is-well: player": 1},
    "plays-left-at-once": {"left-at-once: player": 1},
    "plays-of-one-content": {"tried-three-times: player": 3, "tried-twice: player": 3},
    "wrong-answers": {"tried-three-times: player": 3},
    "low-scores": {"tried-three-times: player": 3, "tried-twice: player": 2},
    "low-scores-with-many-retries": {"tried-three-times: player": 3},
    "players-with-an-error": {"error-then-left: player": 1, "error-then-stayed: player": 1},
    "errors-of-one-class": {"error-outside: sunbird.error": 1, "error-then-left: player": 1},
    "failed-play-then-left": {"error-then-left: player": 1},
    "page-visits": {"asks-for-help: qr": 1},
    "searches-without-a-hit": {"finds-nothing: session": 1, "finds-nothing-outside: sunbird.search": 1},
    "bad-ratings": {"1-stars: session": 1, "2-stars: session": 1},
    "failed-saves": {
        "learning-service: PATCH /content/v3/update/{id}": 1,
        "content-service: PATCH /content/v3/update/{id}": 4,
    },
    "editor-sessions-with-a-failed-save": {"learning-service: PATCH /content/v3/update/{id}": 1},
    "slow-searches-inside-the-editor": {"learning-service: POST /v3/search": 1},
    "slow-searches": {"learning-service: POST /v3/search": 1, "content-service: POST /v3/search": 1},
    "failed-requests": {
        "learning-service: PATCH /content/v3/update/{id}": 1,
        "content-service: PATCH /content/v3/update/{id}": 4,
    },
    "one-request": {"content-service: POST /v3/search": 1},
    "requests-of-a-service-run": {
        "content-service: PATCH /content/v3/update/{id}": 6,
        "content-service: POST /v3/search": 2,
    },
    "failed-jobs": {"DeviceSummary: job": 1},
    "slow-jobs": {"WorkFlowSummarizer: job": 1},
}
"""What each recipe finds in the telemetry of ``views_telemetry``: case (or process) and span, and how many of them."""


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Node]:
    folder = tmp_path_factory.mktemp("views")
    return run(write(folder / "cases.jsonl", telemetry()), {}, folder).spans


@pytest.fixture(scope="module")
def queries() -> dict[str, Query]:
    return dict(zip(RECIPES, parse("traceql", [recipe["traceql"] for recipe in RECIPES.values()]), strict=True))


def generate(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, str(folder / "generate_queries.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_page_is_fresh() -> None:
    assert generate(DOCS, "--check") == (0, "")


def test_a_stale_page_is_noticed_and_written(tmp_path: Path) -> None:
    for name in ("generate_queries.py", "queries.toml"):
        (tmp_path / name).write_text((DOCS / name).read_text("utf-8"), "utf-8")
    assert generate(tmp_path, "--check") == (1, "docs/queries.md is stale; run make docs\n")
    assert generate(tmp_path) == (0, "docs/queries.md written\n")
    assert generate(tmp_path, "--check") == (0, "")
    assert (tmp_path / "queries.md").read_text("utf-8") == (DOCS / "queries.md").read_text("utf-8")


def test_every_recipe_is_expected_to_find_something() -> None:
    assert list(FOUND) == list(RECIPES)
    assert all(FOUND.values())
    assert len(RECIPES) >= 15


def test_a_recipe_has_a_search_for_jaeger_or_says_why_not() -> None:
    assert [name for name, recipe in RECIPES.items() if ("jaeger" in recipe) == ("instead" in recipe)] == []


@pytest.mark.parametrize("name", RECIPES)
def test_grafanas_grammar_takes_the_query(name: str, queries: dict[str, Query]) -> None:
    assert queries[name].fault() == ""


def test_the_grammar_refuses_what_is_no_query() -> None:
    broken, unknown = parse("traceql", ['{ span.sunbird.flow.type = "player" ', "{ nestedSetParent < 0 }"])
    assert broken.fault()
    assert unknown.fault() == "not understood from 2: 'nestedSetParent < 0 }'"


@pytest.mark.parametrize("name", RECIPES)
def test_the_query_finds_what_it_says(name: str, queries: dict[str, Query], spans: list[Node]) -> None:
    assert Counter(f"{case(span)}: {span.span['name']}" for span in Traces(spans).find(queries[name])) == FOUND[name]


def test_the_page_names_only_what_the_bridge_writes(queries: dict[str, Query], spans: list[Node]) -> None:
    written = {
        "span": {key for span in spans for key in span.attributes},
        "event": {key for span in spans for _, _, attributes in span.events for key in attributes},
        "link": {names.LINK_TYPE},
    }
    asked = [field.partition(".") for query in queries.values() for field in query.names("AttributeField")]
    assert [(scope, key) for scope, _, key in asked if key not in written[scope]] == []
    known = {name.key for name in names.TABLE}
    searched = {
        key for recipe in RECIPES.values() for search in recipe.get("jaeger", []) for key in search.get("tags", {})
    }
    assert searched - known == set()
    assert {key for _, _, key in asked} - known == set()


def test_tags_are_shown_as_jaegers_form_takes_them() -> None:
    page = (DOCS / "queries.md").read_text("utf-8")
    assert f"| `staging.sunbird.app` | `sunbird.flow.violations={json.dumps(json.dumps(['repeated_end']))}` |" in page
    assert "| `AnalyticsDataPipeline` | `job` | `sunbird.job_end.status=FAILED` |" in page


def case(span: Node) -> str:
    """Return what the telemetry calls the case that a span belongs to: its session, else the process that wrote it."""
    return str(span.attributes.get(names.SESSION_ID) or span.attributes[names.PDATA_PID])
