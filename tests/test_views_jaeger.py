"""The searches of docs/queries.md, asked of a Jaeger: they find the traces that the TraceQL query beside them finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from backends.jaeger import Jaeger
from backends.replaying import replay
from bridge_run import run
from command_line import write
from grammar import parse
from traceql import Traces
from views_telemetry import RECIPES, telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from span_tree import Node

SEARCHES = {name: recipe["jaeger"] for name, recipe in RECIPES.items() if "jaeger" in recipe}


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Node]:
    folder = tmp_path_factory.mktemp("spans")
    return run(write(folder / "cases.jsonl", telemetry()), {}, folder).spans


@pytest.fixture(scope="module")
def jaeger(backends: None, spans: list[Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """Run a Jaeger that holds the telemetry."""
    folder = tmp_path_factory.mktemp("jaeger")
    with Jaeger(folder=folder) as server:
        cases = write(folder / "cases.jsonl", telemetry())
        assert replay([cases], "--endpoint", server.http, folder=folder).spans == len(spans)
        assert len(server.wait_for(len(spans))) == len(spans)
        yield server


def find(jaeger: Jaeger, search: dict[str, Any]) -> set[str]:
    return set(jaeger.find(search["service"], **{key: value for key, value in search.items() if key != "service"}))


@pytest.mark.parametrize("name", SEARCHES)
def test_jaeger_finds_what_tempo_would(name: str, jaeger: Jaeger, spans: list[Node]) -> None:
    (query,) = parse("traceql", [RECIPES[name]["traceql"]])
    wanted = {span.span["traceId"] for span in Traces(spans).find(query)}
    found = [find(jaeger, search) for search in SEARCHES[name]]
    assert all(found), "a search finds nothing"
    assert {trace for traces in found for trace in traces} == wanted


def test_errors_cannot_be_searched_in_the_memory_store(jaeger: Jaeger) -> None:
    """Else the recipes could say ``error=true``: the page says why they do not."""
    assert jaeger.find("staging.sunbird.app", operation="player", tags={"error": "true"}) == []
