"""Jaeger as a running program, and its query API, which is what its own page asks."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, ClassVar

from backends.processes import HOST, OtelProcess, wait_until
from backends.programs import CONFIGURATIONS, jaeger
from backends.spans import SeenSpan, seen_in

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 30
_NOT_FOUND = 404
_WINDOW = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
"""All of the time that sunbird-otel reads."""


class Jaeger(OtelProcess):
    """A Jaeger with an empty store, which it keeps in memory: what was in it is gone when it stops."""

    listens: ClassVar = ("http", "grpc", "query", "query_grpc", "health")

    def __init__(self, *, folder: Path, name: str = "jaeger") -> None:
        super().__init__(name, jaeger().find(), CONFIGURATIONS / "jaeger.yaml", folder=folder)

    @property
    def http(self) -> str:
        """The base URL of its OTLP receiver over HTTP."""
        return f"http://{HOST}:{self.ports['http']}"

    @property
    def grpc(self) -> str:
        """The URL of its OTLP receiver over gRPC."""
        return f"http://{HOST}:{self.ports['grpc']}"

    @property
    def grpc_target(self) -> str:
        """The same as host and port, as a Collector's exporter wants it."""
        return f"{HOST}:{self.ports['grpc']}"

    @property
    def query(self) -> str:
        """The base URL of its page and of its query API."""
        return f"http://{HOST}:{self.ports['query']}"

    @property
    def settings(self) -> dict[str, Any]:
        """Its own ports."""
        at = {name: {"endpoint": f"{HOST}:{port}"} for name, port in self.ports.items()}
        return {
            "receivers": {"otlp": {"protocols": {"http": at["http"], "grpc": at["grpc"]}}},
            "extensions": {
                "healthcheckv2": {"http": at["health"]},
                "jaeger_query": {"http": at["query"], "grpc": at["query_grpc"]},
            },
        }

    def stop(self) -> None:
        """End it at once: asked politely it takes ten seconds, and what it holds is gone in either case."""
        self.kill()

    # --- What the query API answers ----------------------------------------------------------------------------

    def services(self) -> list[str]:
        """Return the names of all services, sorted."""
        return sorted(self._get("/api/services")["data"] or [])

    def operations(self, service: str) -> list[str]:
        """Return the names of the spans of a service, sorted."""
        return sorted(self._get(f"/api/services/{urllib.parse.quote(service)}/operations")["data"] or [])

    def search(
        self,
        service: str,
        *,
        operation: str = "",
        tags: dict[str, str] | None = None,
        start_ns: int = 0,
        end_ns: int = 0,
        min_duration: str = "",
        max_duration: str = "",
        limit: int = 1000,
    ) -> list[dict[str, Any]]:
        """Search as Jaeger's page does, and return whole traces, in its own form.

        A trace is found by one of its spans: of that service, with that name, all those tags (in the span, its events
        or its resource), a start between the two times, and a duration between those two. Without times everything
        is looked at, and not the last two days.
        """
        asked = {
            "service": service,
            "operation": operation,
            "tags": json.dumps(tags) if tags else "",
            "start": str(start_ns // 1000),
            "end": str((end_ns or 4_102_444_800_000_000_000) // 1000),
            "minDuration": min_duration,
            "maxDuration": max_duration,
            "limit": str(limit),
        }
        return list(self._get("/api/traces", {name: text for name, text in asked.items() if text})["data"])

    def find(self, service: str, **search: Any) -> list[str]:
        """Search as :meth:`search` does, and return the ids of the traces, sorted."""
        return sorted(trace["traceID"] for trace in self.search(service, **search))

    def page(self, trace_id: str) -> dict[str, Any]:
        """Return one trace in the form that Jaeger's page shows: warnings, processes, times in microseconds."""
        return dict(self._get(f"/api/traces/{trace_id}")["data"][0])

    def trace(self, trace_id: str) -> list[SeenSpan]:
        """Return the spans of one trace, exact to the nanosecond; an empty list when there is none."""
        try:
            return seen_in([self._get(f"/api/v3/traces/{trace_id}")["result"]])
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return []
            raise

    def spans(self) -> list[SeenSpan]:
        """Return everything that it holds."""
        found: dict[str, list[SeenSpan]] = {}
        for service in self.services():
            for trace_id in self.find(service, limit=100_000):
                found.setdefault(trace_id, [])
        for trace_id in found:
            found[trace_id] = self.trace(trace_id)
        return [span for spans in found.values() for span in spans]

    def wait_for(self, spans: int, seconds: float = _SECONDS) -> list[SeenSpan]:
        """Return everything that it holds when that many spans have come, or what is there when the time is up."""
        wait_until(lambda: len(self.spans()) >= spans, seconds)
        return self.spans()

    def _get(self, path: str, query: dict[str, str] | None = None) -> Any:
        url = f"{self.query}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - the URL is our own
            return json.load(answer)
