"""The page about the backends is run, with real programs.

A command that starts `jaeger` or `otelcol` is started beside the others and ends with the page. Both listen on ports of
their own here: addresses are exchanged in the commands, and back in what they write.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import test_docs
from backends.collector import Collector
from backends.jaeger import Jaeger
from grammar import parse
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = re.compile(r"(?P<variables>(?:\w+=\S+ )*)(?P<program>jaeger|otelcol)(?P<configs>(?: --config \S+)+)$")


class Stage:
    """Where the commands of a page run, and what they have started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[str] = []
        self._here: dict[str, str] = {}
        self._running = ExitStack()

    def run(self, example: Example) -> str | None:
        [first, *_] = test_docs.commands(str(example.parsed))
        if server := SERVER.match(first.text):
            self.start(server)
            return None
        return test_docs.run_console(example)

    def start(self, server: re.Match[str]) -> None:
        variables = dict(pair.split("=", 1) for pair in self.here(server["variables"]).split())
        configs = [Path(config) for config in server["configs"].split() if config != "--config"]
        folder = self.folder / f"{len(self.started)}"
        folder.mkdir()
        if server["program"] == "jaeger":
            assert configs == [Path("collector_config/jaeger.yaml")]
            ports = self._running.enter_context(Jaeger(folder=folder)).ports
            host, numbers = "localhost", {4318: "http", 4317: "grpc", 16686: "query"}
        else:
            ports = self._running.enter_context(Collector(*configs, folder=folder, variables=variables)).ports
            host, numbers = variables["LISTEN_HOST"], {4318: "http", 4317: "grpc"}
            self._here.setdefault("localhost:8888", f"127.0.0.1:{ports['telemetry']}")
        self._here |= {f"{host}:{number}": f"127.0.0.1:{ports[name]}" for number, name in numbers.items()}
        self.started.append(server["program"])

    def here(self, text: str) -> str:
        """Put the addresses here into a command."""
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text

    def there(self, text: str) -> str:
        """Put the addresses of the page into what a command wrote."""
        for there, here in self._here.items():
            text = text.replace(here, there)
        return text

    def end(self) -> None:
        self._running.close()


@pytest.fixture
def stage(backends: None, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a stage in a folder with what the page names."""
    place = tmp_path / "sunbird-otel"
    place.mkdir()
    for name in ("examples", "collector_config"):
        (place / name).symlink_to(project / name)
    monkeypatch.chdir(place)
    stage = Stage(tmp_path)
    shell = test_docs.shell

    def shell_here(script: str) -> str:
        return stage.there(shell(stage.here(script)))

    monkeypatch.setattr(test_docs, "shell", shell_here)
    yield stage
    stage.end()


def test_the_page_about_the_backends_runs(project: Path, stage: Stage) -> None:
    page = Sybil(parsers=[CodeBlockParser("console", stage.run), SkipParser()]).parse(project / "docs" / "backends.md")
    assert test_docs.run(page) == 10
    assert stage.started == ["jaeger", "otelcol", "otelcol"]


def test_grafanas_grammar_takes_every_query_for_tempo_on_the_page() -> None:
    page = (test_docs.ROOT / "docs" / "backends.md").read_text("utf-8")
    queries = [text.replace(r"\|", "|") for text in re.findall(r"`(\{ .*?\})`", page)]
    assert len(queries) >= 6
    assert [fault for tree in parse("traceql", queries) if (fault := tree.fault())] == []
