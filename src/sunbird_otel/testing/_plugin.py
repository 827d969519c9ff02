"""The fixtures, which pytest finds by its entry point.

pytest loads this in every run of everybody who has sunbird-otel installed, whether or not they use it: what costs time
is imported inside the fixtures. PYTEST_DONT_REWRITE: there is no assert here.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sunbird_otel.emit import Telemetry
    from sunbird_otel.testing import FixedClock, FlowSpans, Recorder, TelemetryApi


@pytest.fixture
def sunbird_options() -> dict[str, Any]:
    """Arguments of Telemetry that replace those of the fixture ``sunbird_telemetry``; redefine it to give some."""
    return {}


@pytest.fixture
def sunbird_clock() -> FixedClock:
    """A clock that begins at 2026-01-05 09:00 UTC and goes on by ``tick(seconds)``."""
    from sunbird_otel.testing._clock import FixedClock  # noqa: PLC0415

    return FixedClock()


@pytest.fixture
def sunbird_events() -> Iterator[Recorder]:
    """The emitted events; the test fails at its end when the pipeline's schemas refuse one of them."""
    from sunbird_otel.testing._recorder import Recorder  # noqa: PLC0415

    recorder = Recorder()
    yield recorder
    if recorder.strict and (complaint := recorder.complaint()):
        pytest.fail(complaint, pytrace=False)


@pytest.fixture
def sunbird_spans(sunbird_options: dict[str, Any]) -> Iterator[FlowSpans]:
    """The spans that have ended, with ``.tree()``, and the tracer ``.provider`` that they come from."""
    from sunbird_otel.testing._spans import FlowSpans  # noqa: PLC0415

    spans = FlowSpans(sunbird_options.get("pdata", _pdata()), sunbird_options.get("rules"))
    yield spans
    spans.provider.shutdown()


@pytest.fixture
def sunbird_telemetry(
    sunbird_events: Recorder, sunbird_spans: FlowSpans, sunbird_clock: FixedClock, sunbird_options: dict[str, Any]
) -> Iterator[Telemetry]:
    """A client that tells ``sunbird_events`` and ``sunbird_spans``, by ``sunbird_clock``, with counted message ids."""
    from opentelemetry.metrics import NoOpMeterProvider  # noqa: PLC0415

    from sunbird_otel.emit import Telemetry  # noqa: PLC0415

    numbers = count(1)

    def counted(eid: str) -> str:
        return f"{eid}:{next(numbers):04}"

    given: dict[str, Any] = {
        "pdata": _pdata(),
        "channel": "test-channel",
        "env": "test",
        "transport": sunbird_events,
        "tracer_provider": sunbird_spans.provider,
        "meter_provider": NoOpMeterProvider(),
        "clock": sunbird_clock,
        "mids": counted,
        **sunbird_options,
    }
    with Telemetry(**given) as telemetry:
        yield telemetry


@pytest.fixture
def sunbird_api() -> Iterator[TelemetryApi]:
    """A telemetry API in this process, which takes batches at ``.url``."""
    from sunbird_otel.testing._api import TelemetryApi  # noqa: PLC0415

    with TelemetryApi() as api:
        yield api


def _pdata() -> dict[str, str]:
    return {"id": "test.producer", "ver": "1.0", "pid": "test"}
