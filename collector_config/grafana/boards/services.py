"""Services and jobs: requests, runs, and what METRICS events tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.asking import KIND, METRICS_VALUE, label, measured, over_time, recipe
from boards.panels import FULL, QUARTER, Says, bars, board, found, how_many, lines
from sunbird_otel import names

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

_SERVICE = f"resource.{names.SERVICE_NAME}"
_JOB = f"span.{names.JOB_NAME}"
_STATUS = f"span.{names.HTTP_STATUS}"
_METRIC = label(names.METRIC_NAME)

_REQUESTS = "{ kind = server }"
_JOBS = f'{{ {KIND} = "job" }}'
_RUNS = f'{{ {KIND} = "service" }}'
_FAILED = "{ kind = server && status = error }"
_FAILED_JOBS = f'{{ {KIND} = "job" && status = error }}'


def services() -> Dashboard:
    """Return the dashboard of the services and jobs."""
    return board(
        "sunbird-services",
        "Sunbird: services and jobs",
        "Requests and runs of the backend's services, jobs of the analytics pipeline, and METRICS events.",
        {"Requests": _requests(), "Jobs": _jobs(), "What services measure": _measured()},
    )


def _requests() -> list[Builder[Panel]]:
    return [
        lines(
            Says("Requests by service", "LOG api_access and ACCESS events, by the time of the request.", "reqps"),
            over_time(f"{_REQUESTS} | rate() by ({_SERVICE})"),
            opens=_REQUESTS,
        ),
        lines(
            Says("Failed requests by route", "Those with status 5xx, or with an ERROR inside.", "reqps"),
            over_time(f"{_FAILED} | rate() by (name)"),
            opens=_FAILED,
        ),
        lines(
            Says("Duration by route, 95th percentile", "The ten slowest routes; 19 of 20 requests were quicker.", "s"),
            over_time(f"{_REQUESTS} | quantile_over_time(duration, 0.95) by (name) | topk(10)"),
            opens=_REQUESTS,
        ),
        bars(
            Says("Requests by status", "The HTTP status that the service wrote.", "short"),
            over_time(f"{_REQUESTS} | count_over_time() by ({_STATUS})"),
            opens=_REQUESTS,
        ),
        found(
            Says(
                "Failed requests", "Some of them; the id opens the trace, with the session where it is known.", "none"
            ),
            f"{_FAILED} | select({_STATUS}, span.{names.REQUEST_ID})",
        ),
        found(
            Says(
                "Slow searches inside the editor",
                "Searches that kept an author waiting for more than two seconds; the id opens the trace.",
                "none",
            ),
            recipe("slow-searches-inside-the-editor"),
        ),
        found(
            Says(
                "Failed saves in the editor",
                "Saves that failed in a session with an editor; the id opens the trace.",
                "none",
                FULL,
            ),
            recipe("editor-sessions-with-a-failed-save"),
        ),
    ]


def _jobs() -> list[Builder[Panel]]:
    return [
        how_many(Says("Jobs", "Jobs that began in this time.", "short", QUARTER), _JOBS),
        how_many(
            Says("Failed jobs", "Jobs that failed, or in which an ERROR came.", "short", QUARTER),
            _FAILED_JOBS,
            bad=True,
        ),
        how_many(
            Says("Jobs without an end", "Jobs of which no end came.", "short", QUARTER),
            f'{{ {KIND} = "job" && span.{names.FLOW_END_REASON} != "end" }}',
            bad=True,
        ),
        how_many(Says("Starts of services", "Runs that began with an AUDIT Ready.", "short", QUARTER), _RUNS),
        lines(
            Says("Duration of jobs", "The longest run of each job.", "s"),
            over_time(f"{_JOBS} | max_over_time(duration) by ({_JOB})"),
            opens=_JOBS,
        ),
        found(
            Says("Failed jobs, one by one", "Some of them; the id opens the trace, with the job's log.", "none"),
            f"{_FAILED_JOBS} | select({_JOB})",
        ),
    ]


def _measured() -> list[Builder[Panel]]:
    return [
        lines(
            Says(
                "METRICS events",
                "Each value at the time of its event, by service and measured name. All units share the axis: choose "
                "a name in the legend.",
                "none",
                FULL,
            ),
            measured(f"max by (job, {_METRIC}) ({METRICS_VALUE})", f"{{{{job}}}} {{{{{_METRIC}}}}}"),
        ),
    ]
