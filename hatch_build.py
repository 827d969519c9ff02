"""The compiled form of the package: the core as native code, made by mypyc from the same source.

    SUNBIRD_OTEL_COMPILE=1 pip wheel .

Without the variable a wheel is pure Python, and what is installed in place (``pip install -e``) always is. Which
modules are compiled stands in ``pyproject.toml``. They are compiled in a folder that is thrown away: a library left
beside the sources would be imported in their stead, and go stale.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED_FOR: Final = "SUNBIRD_OTEL_COMPILE"

# All modules share one library, so that they call each other directly; each has beside it what the import finds. Nobody
# else calls into it, so that the compiler may put such calls' code in their place.
_SETUP: Final = """
import sys
from setuptools import setup
from mypyc.build import mypycify

libraries, objects, *arguments = sys.argv[1:]
extensions = mypycify(arguments, opt_level="3", debug_level="0", group_name="sunbird_otel._core", target_dir=objects)
if sys.platform != "win32":
    for extension in extensions:
        extension.extra_compile_args += ["-fvisibility=hidden", "-fno-semantic-interposition"]
setup(
    name="core",
    packages=[],
    ext_modules=extensions,
    script_args=["--quiet", "build_ext", "--build-lib", libraries, "--build-temp", objects],
)
"""


class CompiledCore(BuildHookInterface[Any]):
    """Compiles the modules that the hook's ``modules`` and ``but`` in ``pyproject.toml`` name, if that is asked for."""

    def dependencies(self) -> list[str]:
        """Return what compiling needs: the types of what the core imports decide which code is made."""
        if not _is_asked_for():
            return []
        runtime: list[str] = self.metadata.core.dependencies  # pyright: ignore[reportUnknownMemberType]  hatchling's
        return [*self.config["requires"], *runtime]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the libraries into the wheel."""
        if self.target_name != "wheel" or version != "standard" or not _is_asked_for():
            return
        self._made = TemporaryDirectory(prefix="sunbird-otel-")
        source, folder = Path(self.root, "src"), Path(self._made.name)
        libraries = _compile(source, modules(source, self.config), folder)
        files = [path for path in libraries.rglob("*") if path.is_file()]
        build_data["force_include"].update({str(path): str(path.relative_to(libraries)) for path in files})
        build_data.update(pure_python=False, infer_tag=True)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Throw away what was made on the way."""
        del version, build_data, artifact_path
        if hasattr(self, "_made"):
            self._made.cleanup()


def modules(source: Path, config: dict[str, Any]) -> list[str]:
    """Return the files below ``source`` that are compiled, as ``config`` says."""
    left_out = set(config["but"])
    found = {str(path.relative_to(source)) for pattern in config["modules"] for path in source.glob(pattern)}
    return sorted(found - left_out)


def _is_asked_for() -> bool:
    return os.environ.get(ASKED_FOR, "") not in {"", "0"}


def _compile(source: Path, paths: list[str], folder: Path) -> Path:
    """Compile ``paths`` below ``source``, and return where the libraries are, in ``folder``."""
    script, libraries, objects = folder / "make.py", folder / "libraries", folder / "objects"
    script.write_text(_SETUP, "utf-8")
    options = ["--config-file=", "--explicit-package-bases", f"--cache-dir={folder / 'cache'}"]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(script), str(libraries), str(objects), *options, *paths],
        cwd=source,
        env={**os.environ, "MYPYPATH": str(source)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{ASKED_FOR}: the core could not be compiled. It takes a C compiler and Python's headers "
            f"(Debian: apt-get install gcc libc6-dev python3-dev); without the variable the wheel is pure Python. "
            f"The compiler said:\n{done.stdout}"
        )
    return libraries
