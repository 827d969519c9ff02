"""The dashboards for Grafana as they are shipped, and what they ask."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
GRAFANA = ROOT / "collector_config" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
SOURCES: dict[str, str] = {
    source["uid"]: source["type"]
    for path in sorted((GRAFANA / "provisioning" / "datasources").glob("*.yaml"))
    for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]
}
"""The data sources that are provisioned: uid and type."""

LABELS = {"sunbird_page_id": "home", "error_type": "NETWORK"}
"""What a user may have clicked at, by label."""


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


PANELS = {f"{name}: {panel['title']}": panel for name, board in BOARDS.items() for panel in panels(board)}


def filled(query: str) -> str:
    """Fill in Grafana's variables, as it does before it asks."""
    query = re.sub(r"\$\{(workflow|kind):pipe\}", ".*", query)
    for label, value in LABELS.items():
        query = query.replace(f"${{__field.labels.{label}}}", value)
    return query.replace("$__rate_interval", "5m").replace("$__range", "1h")


def targets(source: str) -> Iterator[tuple[str, str]]:
    for name, panel in PANELS.items():
        for target in panel["targets"]:
            if target["datasource"]["uid"] == source:
                yield f"{name} {target['refId']}", filled(target["query" if source == "tempo" else "expr"])


def links() -> Iterator[tuple[str, str]]:
    """Yield the TraceQL query to which a click on a panel leads."""
    for name, panel in PANELS.items():
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            url: str = link["url"]
            (panes,) = urllib.parse.parse_qs(url.partition("?")[2])["panes"]
            (pane,) = json.loads(panes).values()
            assert pane["datasource"] in SOURCES
            assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
            (query,) = pane["queries"]
            yield f"{name} link", filled(query["query"])


TRACEQL = dict([*targets("tempo"), *links()])
PROMQL = dict(targets("prometheus"))
