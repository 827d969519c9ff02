"""The programs: built once from their Go modules, into the user's cache, and found there from then on.

What is built is pinned here (Jaeger) and in ``collector_config/builder-manifest.yaml`` (the Collector), nowhere else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIGURATIONS = Path(__file__).resolve().parents[2] / "collector_config"
MANIFEST = CONFIGURATIONS / "builder-manifest.yaml"

JAEGER_VERSION = "2.13.0"
_JAEGER_MODULE = "github.com/jaegertracing/jaeger"
_JAEGER_MODULE_VERSION = "v1.76.0"
"""The Go module of Jaeger 2.13.0, which still carries the number of the first line."""

_JAEGER_GO_MOD = f"""\
module jaeger-for-tests

go 1.25

tool {_JAEGER_MODULE}/cmd/jaeger

require {_JAEGER_MODULE} {_JAEGER_MODULE_VERSION}
"""

_STEP_SECONDS = 3000
"""A step of a build that takes longer hangs; the longest took ten minutes on two busy cores."""


class CannotBuildError(Exception):
    """A program cannot be had on this machine; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its recipe: ``build`` works in an empty folder and returns the path of what it made."""

    name: str
    version: str
    recipe: str
    """Everything that decides what comes out; a change of it is another place in the cache."""
    takes: str
    build: Callable[[Path], Path]

    @property
    def path(self) -> Path:
        """Where the program stands in the cache, or will."""
        digest = hashlib.sha256(self.recipe.encode()).hexdigest()[:12]
        return cache_folder() / f"{self.name}-{self.version}-{digest}" / self.name

    def find(self) -> Path:
        """Return the program; build it when it is not in the cache.

        Raises:
            CannotBuildError: There is no Go here, or the build failed.
        """
        place = self.path
        if place.exists():
            return place
        if reason := _no_go():
            raise CannotBuildError(f"{self.name} {self.version} is built with Go 1.25 or newer; {reason}")
        place.parent.parent.mkdir(parents=True, exist_ok=True)
        with place.parent.with_name(f"{place.parent.name}.lock").open("w", encoding="utf-8") as lock:
            # Several test processes may want it at once: one builds, the others wait for it.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                self._build(place)
        return place

    def _build(self, place: Path) -> None:
        _say(f"building {self.name} {self.version} once, which takes about {self.takes} ...")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=place.parent.parent) as scratch:
            built = self.build(Path(scratch))
            finished = Path(scratch) / "finished"
            finished.mkdir()
            built.rename(finished / self.name)
            finished.rename(place.parent)
        _say(f"built {place} in {time.monotonic() - began:.0f} s")


def cache_folder() -> Path:
    """Return where programs are kept between runs, outside of the project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sunbird-otel"


def collector() -> Program:
    """Return the Collector of ``builder-manifest.yaml``, which names its components and their versions."""
    # Only here: the tests on the oldest OpenTelemetry load the fixtures in an environment without it.
    import yaml

    text = MANIFEST.read_text("utf-8")
    manifest = yaml.safe_load(text)
    version, recipe = str(manifest["dist"]["version"]), json.dumps(manifest, sort_keys=True)
    return Program("otelcol", version, recipe, "3 minutes", lambda folder: _build_collector(folder, manifest, text))


def jaeger() -> Program:
    """Return Jaeger with everything in it: receiver, memory store and query API."""
    return Program("jaeger", JAEGER_VERSION, _JAEGER_GO_MOD, "10 minutes", _build_jaeger)


def _no_go() -> str:
    """Say why nothing can be built here; empty when it can."""
    if not shutil.which("go"):
        return "there is no go on the PATH"
    version = _run(Path.cwd(), "go", "env", "GOVERSION").strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    # From 1.21 on, Go fetches a newer one when a module asks for it.
    if numbers and (int(numbers[1]), int(numbers[2])) < (1, 21):
        return f"the go on the PATH is {version}"
    return ""


def _build_collector(folder: Path, manifest: dict[str, Any], text: str) -> Path:
    dist = manifest["dist"]
    _go(folder, "install", f"go.opentelemetry.io/collector/cmd/builder@v{dist['version']}")
    (folder / "manifest.yaml").write_text(text, "utf-8")
    _run(folder, str(folder / "builder"), "--config", "manifest.yaml")
    return folder / str(dist["output_path"]) / str(dist["name"])


def _build_jaeger(folder: Path) -> Path:
    (folder / "go.mod").write_text(_JAEGER_GO_MOD, "utf-8")
    # The sums that Jaeger was released with: the public checksum database lacks a few of them.
    module = json.loads(_go(folder, "mod", "download", "-json", f"{_JAEGER_MODULE}@{_JAEGER_MODULE_VERSION}"))
    shutil.copyfile(Path(module["Dir"]) / "go.sum", folder / "go.sum")
    (folder / "go.sum").chmod(0o644)
    command = f"{_JAEGER_MODULE}/cmd/jaeger"
    _go(folder, "get", "-tool", f"{command}@{_JAEGER_MODULE_VERSION}")
    _go(folder, "build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "-o", "jaeger", command)
    return folder / "jaeger"


def _go(folder: Path, *arguments: str) -> str:
    return _run(folder, "go", *arguments)


def _run(folder: Path, *command: str) -> str:
    # Nice: who waits for it may want to work meanwhile.
    done = subprocess.run(
        ["nice", *command],
        cwd=folder,
        env={**os.environ, "GOBIN": str(folder), "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_STEP_SECONDS,
    )
    if done.returncode:
        raise CannotBuildError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def _say(text: str) -> None:
    """Tell people that it goes on: a build of minutes must not look like a hang."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
