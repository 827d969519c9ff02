"""Fixtures: a Jaeger, Collectors in front of it, and their logs in the report of a test that fails."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from backends.collector import Collector
from backends.jaeger import Jaeger
from backends.processes import running, tail
from backends.programs import CannotBuildError, collector, jaeger

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path


class StartCollector(Protocol):
    """What the fixture ``start_collector`` gives."""

    def __call__(
        self,
        *configs: str | Path,
        variables: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Collector:
        """Start a Collector with these files; see :class:`Collector`."""
        ...


@pytest.fixture(scope="session")
def backends() -> None:
    """See that the programs are there; skip the test where they cannot be had, except in CI, where they must."""
    try:
        for program in (collector(), jaeger()):
            program.find()
    except CannotBuildError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def jaeger_server(backends: None, tmp_path: Path) -> Iterator[Jaeger]:
    """Run a Jaeger with an empty store."""
    with Jaeger(folder=tmp_path) as server:
        yield server


@pytest.fixture
def start_collector(backends: None, tmp_path: Path) -> Iterator[StartCollector]:
    """Return a function that starts a Collector; all are ended after the test."""
    with ExitStack() as stack:

        def start(
            *configs: str | Path,
            variables: Mapping[str, str] | None = None,
            settings: Mapping[str, Any] | None = None,
        ) -> Collector:
            started = Collector(*configs, folder=tmp_path, variables=variables, settings=settings)
            return stack.enter_context(started)

        yield start


@pytest.fixture
def collector_to_jaeger(start_collector: StartCollector, jaeger_server: Jaeger) -> Collector:
    """Run the Collector of ``collector-to-jaeger.yaml`` in front of ``jaeger_server``."""
    return start_collector("collector-to-jaeger.yaml", variables={"JAEGER_ENDPOINT": jaeger_server.grpc_target})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the programs have logged that still run when a test fails."""
    report = yield
    if report.failed:
        report.sections.extend((f"log of {program.name}", tail(program.log)) for program in running)
    return report
