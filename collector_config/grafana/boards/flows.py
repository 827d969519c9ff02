"""Flows: how many, how long, unfinished, out of place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.asking import CHOSEN, END_REASON, KIND, WORKFLOW, chosen, over_time, recipe
from boards.panels import FULL, SIXTH, Says, bars, board, choice, found, how_many, lines, spread
from sunbird_otel import Rules, names
from sunbird_otel._findings import VIOLATIONS

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

_FLOWS = f"{{ {CHOSEN} }}"
_UNFINISHED = chosen(recipe("unfinished-flows"))
_VIOLATING = recipe("violating-flows")
_WHOSE = f"span.{names.SESSION_ID}, span.{names.OBJECT_ID}"


def flows() -> Dashboard:
    """Return the dashboard of the flows."""
    rules = Rules.standard()
    return board(
        "sunbird-flows",
        "Sunbird: flows",
        "What learners, authors, services and jobs did, how long it took, and what did not end as it should.",
        {"At a glance": _at_a_glance(), "How many, and how long": _durations(), "What is wrong": _defects()},
        choice("workflow", "Workflow", [workflow.name for workflow in rules.workflows]),
        choice("kind", "Kind of flow", [flow.kind for flow in rules.flows]),
    )


def _at_a_glance() -> list[Builder[Panel]]:
    return [
        how_many(Says("Flows", "Flows that began in this time.", "short", SIXTH), _FLOWS),
        how_many(
            Says("Sessions", "Sessions of the workflows chosen.", "short", SIXTH),
            f'{{ {CHOSEN} && {KIND} = "session" }}',
        ),
        how_many(
            Says("Plays", "Contents that were opened in a player.", "short", SIXTH),
            f'{{ {CHOSEN} && {KIND} = "player" }}',
        ),
        how_many(
            Says(
                "Unfinished",
                "Flows without their END. Sessions of the portal are among them, which is no defect.",
                "short",
                SIXTH,
            ),
            _UNFINISHED,
            bad=True,
        ),
        how_many(
            Says("Broke a rule", "Flows and lone events that break a nesting rule, of all workflows.", "short", SIXTH),
            _VIOLATING,
            bad=True,
        ),
        how_many(
            Says("With an error", "Flows in which an ERROR came, or that failed.", "short", SIXTH),
            f"{{ {CHOSEN} && status = error }}",
            bad=True,
        ),
    ]


def _durations() -> list[Builder[Panel]]:
    return [
        bars(
            Says(
                "Flows by workflow",
                "By the time of their START: what an offline device sends late stands where it happened.",
                "short",
            ),
            over_time(f"{_FLOWS} | count_over_time() by ({WORKFLOW})"),
            opens=_FLOWS,
        ),
        bars(
            Says("Flows by kind", "By the time of their START.", "short"),
            over_time(f"{_FLOWS} | count_over_time() by ({KIND})"),
            opens=_FLOWS,
        ),
        lines(
            Says(
                "Durations by percentile",
                "From START to END, or to the last event where no END came. Choose one kind of flow: a session and a "
                "request have no percentile in common.",
                "s",
            ),
            over_time(f"{_FLOWS} | quantile_over_time(duration, 0.5, 0.9, 0.99)"),
            opens=_FLOWS,
        ),
        lines(
            Says("Durations by kind, 90th percentile", "Nine of ten flows of the kind were shorter.", "s"),
            over_time(f"{_FLOWS} | quantile_over_time(duration, 0.9) by ({KIND})"),
            opens=_FLOWS,
        ),
        spread(
            Says("How durations spread", "The darker, the more flows of that duration.", "s", FULL),
            over_time(f"{_FLOWS} | histogram_over_time(duration)"),
            opens=_FLOWS,
        ),
    ]


def _defects() -> list[Builder[Panel]]:
    return [
        bars(
            Says(
                "Unfinished flows by reason",
                "idle: nothing came for the idle gap; parent_end: what was around it ended; restart: the same began "
                "again; drain: the input was over; evicted: too many were open.",
                "short",
            ),
            over_time(f"{_UNFINISHED} | count_over_time() by ({END_REASON})"),
            opens=_UNFINISHED,
        ),
        bars(
            Says(
                "Broken rules by code",
                "Flows, and lone events, with the code on the span or on an event inside it; of all workflows.",
                "short",
            ),
            *(over_time(f"{_broken(code)} | count_over_time()", ref=code) for code in VIOLATIONS),
            opens=_VIOLATING,
        ),
        found(
            Says("Unfinished flows", "Some of them; the id opens the trace.", "none"),
            f"{_UNFINISHED} | select({END_REASON}, {_WHOSE})",
        ),
        found(
            Says("Flows that broke a rule", "Some of them, of all workflows; the id opens the trace.", "none"),
            f"{_VIOLATING} | select(span.{names.FLOW_VIOLATIONS}, {_WHOSE})",
        ),
    ]


def _broken(code: str) -> str:
    key = names.FLOW_VIOLATIONS
    return f'{{ span.{key} = "{code}" || event.{key} = "{code}" }}'
