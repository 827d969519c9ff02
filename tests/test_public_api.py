"""What users may lean on: the public names, and a wheel that holds all that it reads."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import sunbird_otel

SRC = Path(sunbird_otel.__file__).parent

PUBLIC_PACKAGES = (
    "sunbird_otel",
    *sorted(
        f"sunbird_otel.{module.name}"
        for module in pkgutil.iter_modules([str(SRC)])
        if module.ispkg and not module.name.startswith("_")
    ),
)


def visible_names(package: ModuleType) -> set[str]:
    """Return what a reader of `dir()` takes for public: no underscore, no submodule, no future import."""
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


def files(package: Path) -> set[str]:
    """Return the files of a package, as its own code would name them."""
    return {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("name", PUBLIC_PACKAGES)
def test_all_names_what_is_visible(name: str) -> None:
    package = importlib.import_module(name)
    # A name that is loaded on first use is in __all__ without being in the module yet.
    lazy = set(package.__all__) - set(vars(package)) if hasattr(package, "__getattr__") else set[str]()
    assert set(package.__all__) - {"__version__"} == visible_names(package) | lazy


@pytest.mark.parametrize("name", PUBLIC_PACKAGES)
def test_every_public_name_can_be_had_and_says_what_it_is(name: str) -> None:
    package = importlib.import_module(name)
    objects = {public: getattr(package, public) for public in package.__all__}
    undocumented = [public for public, value in objects.items() if callable(value) and not value.__doc__]
    assert undocumented == []


def test_wheel_holds_all_that_the_package_reads(tmp_path: Path, project: Path) -> None:
    """The rules, schemas and the type marker are data: a wheel without them imports well and fails later."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=project, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)

    assert files(installed / "sunbird_otel") == files(SRC)
    code = "import sunbird_otel; print(sunbird_otel.__file__, len(sunbird_otel.Rules.standard().flows) > 0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == [str(installed / "sunbird_otel" / "__init__.py"), "True"]


def test_version_is_the_one_that_is_installed() -> None:
    assert sunbird_otel.__version__ == importlib.metadata.version("sunbird-otel")
