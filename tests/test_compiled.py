"""The compiled form of the package: that it is complete, can be imported, and writes what the interpreted form writes.

The tests of what is compiled run anywhere; the others where the compiled form is installed, by `make test-compiled`.
There the interpreted form is the sources of the project, which come first when they are on the path.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest
from test_architecture import CORE

from sunbird_otel import _bridge

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
WRITTEN_BY = {f"sunbird_otel/sinks/otlp/{name}.py" for name in ("batch", "encode", "json", "text", "written")}

IS_COMPILED = str(_bridge.__file__).endswith(tuple(EXTENSION_SUFFIXES))
needs_compiled = pytest.mark.skipif(not IS_COMPILED, reason="needs the compiled form: make test-compiled")

EXAMPLES = sorted(str(path) for path in (ROOT / "examples" / "telemetry").iterdir())

WHICH = "import sunbird_otel._bridge as b; print(b.__file__)"
REPLAY = "from sunbird_otel.cli import main; main()"

REQUESTS = """
import hashlib, sys
from sunbird_otel._pipeline import Pipeline
from sunbird_otel._document import Lines
from sunbird_otel.sinks.otlp.batch import Batcher
from sunbird_otel.sinks.otlp.encode import ProtobufForm

form = ProtobufForm()
pipeline, batcher, full = Pipeline(form), Batcher(form), []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        full += batcher.add(pipeline.feed_lines(Lines(path, 1, file.read().splitlines())))
for signals in pipeline.drain_steps():
    full += batcher.add(signals)
for kind, body, count in full + batcher.rest():
    print(kind, hashlib.sha256(body).hexdigest(), len(body), count)
"""

INTERRUPTED = """
import signal, sys
from sunbird_otel import Bridge
from sunbird_otel._document import Lines

with open(sys.argv[1], "rb") as file:
    lines = file.read().splitlines() * 400
Bridge()  # what is imported when the first rules are read is not ours to interrupt
signal.signal(signal.SIGALRM, signal.default_int_handler)
for ms in range(1, 41):
    signal.setitimer(signal.ITIMER_REAL, ms / 1000)
    try:
        while True:
            Bridge().feed_lines(Lines("x", 1, lines))
    except KeyboardInterrupt:
        print(ms)
"""


DURATIONS = """
import signal
from sunbird_otel._duration import parse_duration

signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(500):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        while True:
            parse_duration("36000h")
    except KeyboardInterrupt:
        pass
"""


def settings() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    hook: dict[str, Any] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
    return hook


def compiled_files() -> list[str]:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return list(hook.modules(SRC, settings()))


def compiled_modules() -> list[str]:
    return [path.removesuffix(".py").replace("/", ".") for path in compiled_files()]


def python(code: str, *arguments: str, path: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SUNBIRD_OTEL_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_what_is_compiled_is_the_core_and_what_writes_it() -> None:
    """A module that is new in the core is compiled unless `pyproject.toml` says why not."""
    core = {f"sunbird_otel/{name}.py" for name in CORE}
    left_out = set(settings()["but"])
    assert left_out <= core | {"sunbird_otel/__init__.py"}
    assert set(compiled_files()) == core - left_out | WRITTEN_BY


def test_no_library_lies_among_the_sources() -> None:
    """It would be imported in place of the source, and go stale."""
    assert list(SRC.rglob("*.so")) == []


@needs_compiled
@pytest.mark.parametrize("module", compiled_modules())
def test_every_compiled_module_can_be_imported_first(module: str) -> None:
    """A class that an annotation needs and that is imported for types alone ends the process, not the import."""
    done = python(f"import {module} as module; print(module.__file__)")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith(tuple(EXTENSION_SUFFIXES))


@needs_compiled
def test_an_interrupt_is_raised_from_wherever_it_comes() -> None:
    """Compiled arithmetic of large integers ends the process instead."""
    done = python(INTERRUPTED, EXAMPLES[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 40


@needs_compiled
def test_an_interrupt_is_raised_from_a_length_of_time() -> None:
    done = python(DURATIONS)
    assert (done.returncode, done.stderr) == (0, "")


def replayed(folder: Path, path: str, *arguments: str) -> tuple[dict[str, bytes], str]:
    """Return what `replay` writes, and from where it was imported."""
    folder.mkdir()
    which = python(WHICH, path=path).stdout.strip()
    output = ("--output", "out", "--report", "out.report.json")
    done = python(REPLAY, "replay", *arguments, *output, path=path, cwd=folder)
    assert done.returncode in {0, 1, 3}, done.stderr
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}, which


def same(tmp_path: Path, *arguments: str) -> dict[str, bytes]:
    compiled, library = replayed(tmp_path / "compiled", "", *arguments)
    interpreted, source = replayed(tmp_path / "interpreted", str(SRC), *arguments)
    assert (Path(library).suffix, Path(source)) == (".so", SRC / "sunbird_otel" / "_bridge.py")
    assert compiled.keys() == interpreted.keys()
    assert [name for name in compiled if compiled[name] != interpreted[name]] == []
    return compiled


@needs_compiled
@pytest.mark.parametrize("policy", ["annotate", "repair", "reject"])
def test_both_forms_write_the_same_of_the_examples(tmp_path: Path, policy: str) -> None:
    written = same(tmp_path, *EXAMPLES, "--policy", policy)
    assert len(written["out/traces.jsonl"]) > 10_000


@needs_compiled
def test_both_forms_make_the_same_requests(corpus: Path) -> None:
    files = [*EXAMPLES, *(str(path) for path in sorted(corpus.glob("*.jsonl")))]
    compiled, interpreted = python(REQUESTS, *files), python(REQUESTS, *files, path=str(SRC))
    assert (compiled.returncode, interpreted.returncode) == (0, 0), compiled.stderr + interpreted.stderr
    assert compiled.stdout == interpreted.stdout
    assert compiled.stdout.count("\n") > 1


@needs_compiled
@pytest.mark.parametrize("policy", ["annotate", "repair", "reject"])
@pytest.mark.parametrize("live", [(), ("--lateness", "5s", "--idle-gap", "10m")])
def test_both_forms_write_the_same_of_real_telemetry(
    tmp_path: Path, corpus: Path, policy: str, live: tuple[str, ...]
) -> None:
    files = [str(path) for path in sorted(corpus.glob("*.jsonl"))]
    written = same(tmp_path, *files, "--policy", policy, *live)
    assert len(written["out/traces.jsonl"]) > 100_000
