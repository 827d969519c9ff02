"""What every test may lean on: hypothesis profiles, recorded telemetry, a browser, and the switch for golden files.

The Collector and Jaeger come from ``backends.fixtures``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["backends.fixtures"]

IN_CI = bool(os.environ.get("CI"))

# "dev" is quick and looks at new cases each time. "ci" tries more and always the same ones, so that a red build is
# red again on the next machine. Neither has a deadline: a loaded machine is no defect.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=500,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        default=False,
        help="write the golden files anew instead of comparing with them",
    )


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    """Tell whether the golden files are to be written instead of compared."""
    return bool(pytestconfig.getoption("--update-golden"))


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the root of the project."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of recorded telemetry, which is not part of the project; skip without it."""
    name = os.environ.get("SUNBIRD_OTEL_CORPUS")
    if not name:
        pytest.skip("needs recorded telemetry: set SUNBIRD_OTEL_CORPUS to a folder of Sunbird .jsonl files")
    folder = Path(name)
    if not any(folder.glob("*.jsonl")):
        pytest.fail(f"SUNBIRD_OTEL_CORPUS is {name!r}, where there is no .jsonl file; correct or unset it")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium; skip without one, except in CI, where it must be there."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    reason = "needs Chromium on the PATH (Debian: apt-get install chromium)"
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)
