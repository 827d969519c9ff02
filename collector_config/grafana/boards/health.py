"""The bridge's own health: what leaves it, what it had to give up, and the Collector on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.asking import measured, over_time, recipe
from boards.panels import QUARTER, Says, board, found, how_many, lines
from sunbird_otel import names

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

    from boards.asking import Question

_OURS = f'instrumentation:name = "{names.SCOPE}"'
_LATE = f"{{ span.{names.LATE} = true || event.{names.LATE} = true }}"
_EVICTED = recipe("evicted-flows")


def health() -> Dashboard:
    """Return the dashboard of the bridge itself."""
    return board(
        "sunbird-bridge",
        "Sunbird: health of the bridge",
        "Whether everything that the bridge translates arrives, and what it had to do on the way.",
        {"The bridge": _bridge(), "The Collector": _collector()},
    )


def _bridge() -> list[Builder[Panel]]:
    return [
        how_many(
            Says(
                "Late", "Flows and lone events with an event that came after its place in the order.", "short", QUARTER
            ),
            _LATE,
            bad=True,
        ),
        how_many(
            Says("Evicted", "Flows that were closed because too many were open.", "short", QUARTER), _EVICTED, bad=True
        ),
        how_many(
            Says("Repaired", "Flows that --policy repair moved or made.", "short", QUARTER),
            f"{{ span.{names.FLOW_REPAIR} != nil }}",
        ),
        how_many(
            Says("Long flows in parts", "Parts of flows with too many events for one span.", "short", QUARTER),
            f"{{ span.{names.FLOW_SEGMENT} != nil }}",
        ),
        lines(
            Says(
                "Spans by version of the bridge",
                "By the time of the span. Two versions at once: an upgrade that has not reached every process.",
                "suffix:spans/s",
            ),
            over_time(f"{{ {_OURS} }} | rate() by (instrumentation:version)"),
            opens=f"{{ {_OURS} }}",
        ),
        found(
            Says(
                "Evicted flows", "Some of them; the id opens the trace, and shows what its client never closes.", "none"
            ),
            f"{_EVICTED} | select(span.{names.FLOW_TYPE}, span.{names.DEVICE_ID})",
        ),
    ]


def _collector() -> list[Builder[Panel]]:
    def rate(what: str, legend: str, ref: str) -> Question:
        return measured(f"sum(rate({what}[$__rate_interval]))", legend, ref=ref)

    by_exporter = "{{exporter}}"
    return [
        lines(
            Says(
                "Spans received",
                "What the bridge and other senders bring. Refused ones are sent again.",
                "suffix:spans/s",
            ),
            rate("otelcol_receiver_accepted_spans", "accepted", "A"),
            rate("otelcol_receiver_refused_spans", "refused", "B"),
            rate("otelcol_receiver_failed_spans", "failed", "C"),
        ),
        lines(
            Says(
                "Spans sent",
                "What goes to each backend; failed ones are lost when sending is given up.",
                "suffix:spans/s",
            ),
            measured(
                "sum by (exporter) (rate(otelcol_exporter_sent_spans[$__rate_interval]))", f"sent to {by_exporter}"
            ),
            measured(
                "sum by (exporter) (rate(otelcol_exporter_send_failed_spans[$__rate_interval]))",
                f"failed to {by_exporter}",
                ref="B",
            ),
        ),
        lines(
            Says("Queues", "How full each exporter's queue is. A full one asks the bridge to wait.", "percentunit"),
            measured("otelcol_exporter_queue_size / otelcol_exporter_queue_capacity", by_exporter),
        ),
        lines(
            Says("Points of METRICS events received", "By the Collector, for Prometheus.", "suffix:points/s"),
            rate("otelcol_receiver_accepted_metric_points", "accepted", "A"),
            rate("otelcol_receiver_refused_metric_points", "refused", "B"),
        ),
        lines(
            Says(
                "Memory", "Of the Collector. Its memory_limiter refuses above a limit, and the bridge waits.", "bytes"
            ),
            measured("otelcol_process_memory_rss", "resident"),
        ),
        lines(
            Says("Time since the start", "A step to zero is a restart: what waited in memory was lost.", "s"),
            measured("otelcol_process_uptime", "up"),
        ),
    ]
