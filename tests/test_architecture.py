"""The plan of the house, held by its import lines: who may lean on whom, and what is written only once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from sunbird_otel import names

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "sunbird_otel"

CORE = (
    "_version",
    "errors",
    "_limits",
    "names",
    "_findings",
    "_tally",
    "_json",
    "_context",
    "_event",
    "_signals",
    "_document",
    "_scan",
    "_wreck",
    "_frame",
    "_apart",
    "_decode",
    "_envelope",
    "_line",
    "_measure",
    "_order",
    "_duration",
    "_paths",
    "_rules",
    "_ids",
    "_volume",
    "_flow",
    "_pairing",
    "_ties",
    "_open",
    "_parked",
    "_repair",
    "_told",
    "_making",
    "_placing",
    "_flows",
    "_form",
    "_values",
    "_fields",
    "_translate",
    "_pipeline",
    "_bridge",
    "_kin",
    "_divide",
    "_share",
)
"""The pure core in its reading order: a module imports only what stands above it."""

# What would make the core depend on when and where it runs.
IMPURE = frozenset(
    [
        "asyncio",
        "concurrent",
        "logging",
        "multiprocessing",
        "os",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "warnings",
    ]
)
CLOCK_CALLS = {"now", "today", "utcnow"}

EDGES: dict[str, tuple[set[str], set[str]]] = {
    # edge: (packages from outside, edges of our own that it may use)
    "_rules_file": ({"pydantic", "pydantic_core"}, set()),
    "schema": ({"pydantic", "pydantic_core"}, set()),
    "sources": ({"orjson"}, set()),
    "sinks": ({"google", "grpc", "opentelemetry", "orjson", "urllib3"}, set()),
    "view": ({"rich"}, set()),
    "cli": ({"orjson", "rich", "typer"}, {"schema", "sinks", "sources", "view"}),
    # The settings are the commands': the same words, read by the same code.
    "plugin": ({"opentelemetry"}, {"cli"}),
    # The plugin's id generator, so that a service's spans have the ids that a replay of its events derives.
    "emit": (
        {"confluent_kafka", "opentelemetry", "orjson", "pydantic", "pydantic_core", "urllib3"},
        {"plugin", "schema", "sinks"},
    ),
    # The fixtures hold an emitter, enforce nesting as the plugin does, and mark spans as the pictures do.
    "testing": ({"opentelemetry", "pytest"}, {"emit", "plugin", "schema", "view"}),
}

# The one step outward: `Rules.load` is where users look for it, and reads its files when it is called.
ON_CALL = {("_rules", "_rules_file")}

CORE_PACKAGES = {"msgspec", "orjson"}

# `import sunbird_otel` must stay light: a service pays for what it uses.
HEAVY = ("click", "google", "grpc", "opentelemetry", "pydantic", "requests", "rich", "typer", "urllib3")

MODULES = sorted(SRC.rglob("*.py"))
MAX_LINES = 400


class Import(NamedTuple):
    """One imported module: the first part of a foreign name, or the place inside our package."""

    package: str
    place: str
    line: int


def place_of(path: Path) -> str:
    """Return the top-level module or package of ours that a file belongs to."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path: Path) -> list[Import]:
    """Return all imports of a file, also those inside functions and for types alone: both tie modules together."""
    package = ("sunbird_otel", *path.relative_to(SRC).parent.parts)
    found: list[Import] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            # `from sunbird_otel import names` names the module last.
            targets = [f"{base}.{alias.name}" for alias in node.names] if base == "sunbird_otel" else [base]
        else:
            continue
        for target in targets:
            first, _, rest = target.partition(".")
            found.append(Import(first, rest.partition(".")[0] if first == "sunbird_otel" else "", node.lineno))
    return found


def foreign(path: Path) -> list[Import]:
    """Return the imports that are neither ours nor the standard library's."""
    return [i for i in imports(path) if i.package != "sunbird_otel" and i.package not in sys.stdlib_module_names]


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def modules_of(place: str) -> list[Path]:
    return [path for path in MODULES if place_of(path) == place]


def test_every_module_has_its_place() -> None:
    """Each module stands in the reading order or is a declared edge; else a rule here would miss it."""
    assert {place_of(path) for path in MODULES} - {"__init__", "__main__"} == {*CORE, *EDGES}


@pytest.mark.parametrize("place", CORE)
def test_core_imports_only_what_stands_above(place: str) -> None:
    allowed = {place, *CORE[: CORE.index(place)], *(target for source, target in ON_CALL if source == place)}
    wrong = [
        f"{where(path, i.line)} imports {i.place}"
        for path in modules_of(place)
        for i in imports(path)
        if i.place and i.place not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("place", CORE)
def test_core_is_pure(place: str) -> None:
    """No clock, chance, lock, logger or network: the same input gives the same output anywhere, at any time."""
    wrong: list[str] = []
    for path in modules_of(place):
        wrong += [f"{where(path, i.line)} imports {i.package}" for i in imports(path) if i.package in IMPURE]
        wrong += [f"{where(path, i.line)} imports {i.package}" for i in foreign(path) if i.package not in CORE_PACKAGES]
        wrong += [
            f"{where(path, node.lineno)} reads the clock"
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
        ]
    assert not wrong


@pytest.mark.parametrize("edge", EDGES)
def test_edges_import_only_their_own(edge: str) -> None:
    """OpenTelemetry, HTTP and the terminal each stay in the edge that is there for them."""
    packages, friends = EDGES[edge]
    wrong: list[str] = []
    for path in modules_of(edge):
        wrong += [f"{where(path, i.line)} imports {i.package}" for i in foreign(path) if i.package not in packages]
        wrong += [
            f"{where(path, i.line)} imports sunbird_otel.{i.place}"
            for i in imports(path)
            if i.place in EDGES and i.place not in {edge, *friends}
        ]
    assert not wrong


def test_package_is_light_to_import() -> None:
    code = f"import sys, sunbird_otel; print(*sorted({{m.partition('.')[0] for m in sys.modules}} & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_files_are_short() -> None:
    sizes = {str(path.relative_to(SRC)): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_LINES} == {}


def test_no_drawer_for_odds_and_ends() -> None:
    words = {"common", "helper", "helpers", "misc", "util", "utils"}
    assert [str(path.relative_to(ROOT)) for path in MODULES if words & set(path.stem.strip("_").split("_"))] == []


def test_attribute_keys_are_typed_once() -> None:
    """A key stands in names.py; every other module takes it from there."""
    keys = {row.key for row in names.TABLE if "." in row.key}
    wrong = [
        f"{where(path, node.lineno)} types {node.value!r}"
        for path in MODULES
        if path != SRC / "names.py"
        for node in string_constants(ast.parse(path.read_text("utf-8")))
        if node.value in keys or node.value.startswith(names.EVENT_PREFIX)
    ]
    assert not wrong


class StringConstant(NamedTuple):
    """A string that the program uses, with the line it stands on."""

    value: str
    lineno: int


def string_constants(tree: ast.Module) -> list[StringConstant]:
    """Return the strings that a module uses; docstrings, which are statements of their own, are prose."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        StringConstant(node.value, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]
