"""What panels ask: TraceQL of Tempo, PromQL of Prometheus. Attribute keys come from ``sunbird_otel.names``."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import prometheus, tempo
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.tempo import MetricsQueryType, SearchTableType

from sunbird_otel import names

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.variants import Dataquery

TEMPO: Final = DataSourceRef(type_val="tempo", uid="tempo")
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="prometheus")

WORKFLOW: Final = f"span.{names.WORKFLOW}"
KIND: Final = f"span.{names.FLOW_TYPE}"
END_REASON: Final = f"span.{names.FLOW_END_REASON}"
VIOLATIONS: Final = f"span.{names.FLOW_VIOLATIONS}"

CHOSEN: Final = f'{WORKFLOW} =~ "${{workflow:pipe}}" && {KIND} =~ "${{kind:pipe}}"'
"""The condition that a flow is one of those that the user has chosen at the head of the dashboard."""

CALLS: Final = "traces_span_metrics_calls_total"
EVENTS: Final = "traces_span_metrics_events_total"
METRICS_VALUE: Final = "sunbird_metrics_value_ratio"
"""``sunbird.metrics.value`` in Prometheus, which calls a gauge of unit 1 a ratio."""

_RECIPES: Final = Path(__file__).resolve().parents[3] / "docs" / "queries.toml"
_MOST_TRACES: Final = 50
_VARIABLE: Final = re.compile(r"(\$\{[^}]*\})")


@dataclass(frozen=True, slots=True)
class Question:
    """A query, and the data source that is asked."""

    source: DataSourceRef
    query: Builder[Dataquery]


def label(key: str) -> str:
    """Return an attribute's name as Prometheus has it."""
    return key.replace(".", "_")


def recipe(name: str) -> str:
    """Return the TraceQL query of a recipe of docs/queries.md."""
    with _RECIPES.open("rb") as file:
        rows: list[dict[str, str]] = tomllib.load(file)["recipe"]
    return next(row["traceql"] for row in rows if row["id"] == name)


def chosen(query: str) -> str:
    """Narrow a query of one filter to the flows that the user has chosen."""
    inner = query.removeprefix("{ ").removesuffix(" }")
    return f"{{ {CHOSEN} && {inner} }}"


def over_time(query: str, *, ref: str = "A") -> Question:
    """Return a TraceQL metrics query whose answer is a line; its exemplars lead to traces."""
    return Question(TEMPO, _tempo(query, ref).metrics_query_type(MetricsQueryType.RANGE).exemplars(20))


def at_once(query: str, *, ref: str = "A") -> Question:
    """Return a TraceQL metrics query whose answer is one number for the whole time."""
    return Question(TEMPO, _tempo(query, ref).metrics_query_type(MetricsQueryType.INSTANT))


def traces(query: str) -> Question:
    """Return a TraceQL search whose answer is a table of spans; the id of each leads to its trace."""
    return Question(TEMPO, _tempo(query, "A").table_type(SearchTableType.SPANS).limit(_MOST_TRACES))


def _tempo(query: str, ref: str) -> tempo.TempoQuery:
    return tempo.TempoQuery().ref_id(ref).datasource(TEMPO).query_type("traceql").query(query)


def counted(expression: str, legend: str, *, ref: str = "A") -> Question:
    """Return a PromQL query whose answer is a line for each legend; its exemplars lead to traces."""
    return Question(PROMETHEUS, _prometheus(expression, legend, ref).range().exemplar(exemplar=True))


def measured(expression: str, legend: str, *, ref: str = "A") -> Question:
    """Return a PromQL query about what has no traces behind it."""
    return Question(PROMETHEUS, _prometheus(expression, legend, ref).range())


def counted_at_once(expression: str, legend: str, *, ref: str = "A") -> Question:
    """Return a PromQL query whose answer is one number for each legend, for the whole time."""
    return Question(PROMETHEUS, _prometheus(expression, legend, ref).instant())


def _prometheus(expression: str, legend: str, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).datasource(PROMETHEUS).expr(expression).legend_format(legend)


def explore(query: str) -> str:
    """Return the address of Grafana's Explore with a TraceQL search over the dashboard's time."""
    pane = {
        "datasource": TEMPO.uid,
        "queries": [
            {
                "refId": "A",
                "datasource": TEMPO.to_json(),
                "queryType": "traceql",
                "query": query,
                "tableType": "spans",
                "limit": _MOST_TRACES,
            }
        ],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    # Grafana fills in its variables first, so they must not be escaped.
    parts = _VARIABLE.split(json.dumps({"traces": pane}))
    escaped = "".join(part if _VARIABLE.fullmatch(part) else quote(part, safe="") for part in parts)
    return f"/explore?schemaVersion=1&orgId=1&panes={escaped}"
