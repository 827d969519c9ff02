"""How it is drawn: panels of few kinds that look alike on every dashboard, and the dashboard around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    FieldColorModeId,
    VariableOption,
)

from boards.asking import at_once, explore, traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.variants import Dataquery
    from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardLink, DataSourceRef, Panel, VariableModel

    from boards.asking import Question

TAG: Final = "sunbird"
FULL, HALF, THIRD, QUARTER, SIXTH = 24, 12, 8, 6, 4
"""Widths, of the 24 columns that Grafana has."""

_TALL, _LOW = 8, 4


@dataclass(frozen=True, slots=True)
class Says:
    """What a panel says of itself: its title, what one must know to read it, its unit, and its width."""

    title: str
    description: str
    unit: str
    width: int = HALF


class _Drawn(Protocol):
    """What all of the SDK's builders of panels can do, and we need."""

    def build(self) -> Panel: ...
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def with_target(self, target: Builder[Dataquery]) -> Self: ...
    def data_links(self, links: list[Builder[DashboardLink]]) -> Self: ...


_P = TypeVar("_P", bound=_Drawn)


def lines(says: Says, *asked: Question, opens: str = "") -> Builder[Panel]:
    """Return lines over time; ``opens`` is the TraceQL search to which a click leads."""
    return _common(_timeseries(), says, asked, opens=opens)


def bars(says: Says, *asked: Question, opens: str = "") -> Builder[Panel]:
    """Return counts over time, stacked."""
    drawn = (
        _timeseries()
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(70)
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    )
    return _common(drawn, says, asked, opens=opens)


def spread(says: Says, *asked: Question, opens: str = "") -> Builder[Panel]:
    """Return how values spread, over time, as a heat map."""
    drawn = heatmap.Panel().calculate(calculate=False).y_axis(heatmap.YAxisConfig().unit(says.unit))
    return _common(drawn, says, asked, opens=opens)


def number(says: Says, asked: Question, *, opens: str = "", bad: bool = False, none: str = "-") -> Builder[Panel]:
    """Return one number for the whole time; ``bad`` ones are drawn as such, ``none`` when there is no answer."""
    shade = build.FieldColor().mode(FieldColorModeId.FIXED).fixed_color("orange" if bad else "blue")
    drawn = (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(_last())
        .color_scheme(shade)
        .no_value(none)
    )
    return _common(drawn, says, [asked], opens=opens, height=_LOW)


def how_many(says: Says, query: str, *, bad: bool = False) -> Builder[Panel]:
    """Return how many spans a TraceQL filter finds in the whole time; a click shows them."""
    return number(says, at_once(f"{query} | count_over_time()"), opens=query, bad=bad, none="0")


def ranking(says: Says, *asked: Question, opens: str = "") -> Builder[Panel]:
    """Return one bar for each of the first of many."""
    drawn = (
        bargauge.Panel()
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .orientation(common.VizOrientation.HORIZONTAL)
        .reduce_options(_last())
        .color_scheme(build.FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
        .min(0)
    )
    return _common(drawn, says, asked, opens=opens)


def found(says: Says, query: str) -> Builder[Panel]:
    """Return the newest spans that a TraceQL search finds, as a table with a link to each trace."""
    return _common(table.Panel().filterable(filterable=True), says, [traces(query)])


def _timeseries() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .show_points(common.VisibilityMode.AUTO)
        .axis_soft_min(0)
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )


def _last() -> Builder[common.ReduceDataOptions]:
    return common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _common(drawn: _P, says: Says, asked: Sequence[Question], *, opens: str = "", height: int = _TALL) -> _P:
    drawn.title(says.title).description(says.description).unit(says.unit).span(says.width).height(height)
    drawn.datasource(asked[0].source)
    for question in asked:
        drawn.with_target(question.query)
    if opens:
        drawn.data_links([build.DashboardLink("Show the traces").type(DashboardLinkType.LINK).url(explore(opens))])
    return drawn


def board(
    uid: str, title: str, description: str, rows: dict[str, list[Builder[Panel]]], *choices: Builder[VariableModel]
) -> Dashboard:
    """Return a dashboard of rows, each a heading and its panels."""
    drawn = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("Sunbird")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .keep_time(keep_time=True)
        )
        .variables(list(choices))
    )
    for heading, panels in rows.items():
        drawn.with_row(build.Row(heading))
        for panel in panels:
            drawn.with_panel(panel)
    finished = drawn.build()
    # Grafana would number them anew each time, and a link to one of them would then lead to another.
    for id_, placed in enumerate(finished.panels or [], start=1):
        placed.id_val = id_
    return finished


def choice(name: str, title: str, values: Sequence[str]) -> Builder[VariableModel]:
    """Return a list at the head of the dashboard, of which the user chooses; all of it at first."""
    return (
        build.CustomVariable(name)
        .label(title)
        .values(",".join(values))
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
