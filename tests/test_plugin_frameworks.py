"""Services that know nothing of us, in processes of their own, with OpenTelemetry's instrumentation and one variable.

Their server spans are in the traces that the bridge derives from what the clients tell of themselves.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bridging import run
from events import MOBILE, T0, Client
from service_process import FOLDER, Service, Upstream

from sunbird_otel import names

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAMEWORKS = ("fastapi", "starlette", "flask", "django", "django_asgi")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FOREIGN_TRACE = 0x0AF7651916CD43DD8448EB211C80319C


@pytest.fixture(scope="module", params=FRAMEWORKS)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    program = f"{request.param}_service"
    django = {"DJANGO_SETTINGS_MODULE": program} if "django" in program else {}
    with Service(FOLDER / f"{program}.py", **django) as running:
        yield running


@pytest.fixture(scope="module")
def fastapi() -> Iterator[Service]:
    with Service(FOLDER / "fastapi_service.py") as running:
        yield running


def headers_of(client: Client) -> dict[str, str]:
    known = {"X-Session-ID": client.sid, "X-Device-ID": client.did, "X-Channel-ID": client.channel}
    return {name: value for name, value in known.items() if value}


def client_traces(client: Client) -> set[int]:
    """Return the trace that `replay` gives to what the client does now; two while midnight passes."""
    now = time.time() - T0 / 1000
    return {
        int.from_bytes(run([client.start(at, "session"), client.end(at, "session")]).spans[0].trace_id)
        for at in (now - 10, now)
    }


def test_a_request_is_in_the_trace_of_the_clients_session(service: Service) -> None:
    span = service.get("/content/session", headers_of(MOBILE))
    assert span.trace_id in client_traces(MOBILE)
    assert span.parent == ""
    assert span.attributes[names.SESSION_ID] == MOBILE.sid
    assert span.attributes[names.DEVICE_ID] == MOBILE.did
    assert span.attributes[names.CHANNEL] == MOBILE.channel


def test_with_the_device_alone_it_is_in_the_devices_trace_of_the_day(service: Service) -> None:
    client = replace(MOBILE, sid="", did="device-alone")
    span = service.get("/content/device", {"x-device-id": client.did})
    assert span.trace_id in client_traces(client)
    assert names.SESSION_ID not in span.attributes


def test_a_traceparent_is_kept_and_the_session_linked(service: Service) -> None:
    client = replace(MOBILE, sid="with-traceparent")
    span = service.get("/content/linked", {**headers_of(client), "traceparent": TRACEPARENT})
    assert span.trace_id == FOREIGN_TRACE
    assert span.parent == TRACEPARENT.split("-")[2]
    assert span.links["session"] in client_traces(client)
    assert span.attributes[names.SESSION_ID] == "with-traceparent"


def test_hostile_headers_neither_fail_the_request_nor_count(service: Service) -> None:
    hostile = {"X-Session-ID": "ü" * 300, "X-Device-ID": "d\x01", "X-Channel-ID": "c" * 5000}
    span = service.get("/content/hostile", hostile)
    assert not {names.SESSION_ID, names.DEVICE_ID, names.CHANNEL} & set(span.attributes)
    assert "Traceback" not in service.errors


def test_requests_that_say_nothing_share_no_trace(service: Service) -> None:
    first, second = (service.get(f"/content/nobody-{number}", {}) for number in range(2))
    assert first.trace_id != second.trace_id
    assert first.links == second.links == {}


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_the_headers_go_on_to_the_next_service(fastapi: Service, library: str) -> None:
    headers = {**headers_of(MOBILE), "X-Request-ID": f"r-{library}", "X-App-ID": "portal"}
    with Upstream() as upstream:
        span = fastapi.get(f"/by-{library}/1?url={upstream.url}/{library}", headers)
        (arrived,) = upstream.headers[f"/{library}"]
    own = {"X-Request-ID": "of-the-service"} if library == "httpx" else {}
    assert {name: arrived.get(name.lower()) for name in headers} == {**headers, **own}
    assert arrived["traceparent"].split("-")[1] == f"{span.trace_id:032x}"


def test_a_blocking_view_of_an_asgi_service_is_a_request_like_any() -> None:
    with Service(FOLDER / "django_asgi_service.py", DJANGO_SETTINGS_MODULE="django_asgi_service") as running:
        span = running.get("/blocking/session", headers_of(MOBILE))
    assert span.trace_id in client_traces(MOBILE)
    assert span.attributes[names.SESSION_ID] == MOBILE.sid
