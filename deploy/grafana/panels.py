"""What a dashboard is made of here, and how Grafana's own builders make JSON of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import QueryEditorMode

SERVICE = '{service=~"$service"}'
"""The selector of what the reader has chosen at the top of the dashboard."""
TAG = "opora"
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

Unit = Literal["short", "s", "reqps", "cps", "percentunit", "bytes", "none"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the words for its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over time."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    width: int = 8
    limit: float | None = None
    """Where an alert draws its line; drawn in red."""


@dataclass(frozen=True, slots=True)
class Number:
    """The newest value, large; green, and red from `bad_from` on (or, with `bad_below`, below that)."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    width: int = 4
    bad_from: float | None = None
    bad_below: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together; their widths fill lines of 24."""

    title: str
    panels: tuple[Chart | Number, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. Its file is named by `name`."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    by_service: bool = False
    """Whether the reader may choose services; queries then carry the selector SERVICE."""
    tags: tuple[str, ...] = field(default=(TAG,))


def board_json(board: Board) -> str:
    """The dashboard as Grafana reads it; the same text for the same board."""
    built = (
        dashboard.Dashboard(f"Opora: {board.title}")
        .uid(f"opora-{board.name}")
        .description(board.description)
        .tags(list(board.tags))
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Opora")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)  # noqa: FBT003 - the builder's way
            .keep_time(True)  # noqa: FBT003
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    if board.by_service:
        built.with_variable(
            dashboard.QueryVariable("service")
            .label("service")
            .datasource(_SOURCE)
            .query("label_values(opora_check_ok, service)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)  # noqa: FBT003
            .include_all(True)  # noqa: FBT003
            .all_value(".+")
            .current(models.VariableOption(text="All", value="$__all", selected=True))
        )
    for row in board.rows:
        built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built.with_panel(_chart(panel) if isinstance(panel, Chart) else _number(panel))
    document = json.loads(JSONEncoder(sort_keys=True).encode(built.build()))
    for number, panel in enumerate(document["panels"], start=1):
        panel["id"] = number
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _chart(chart: Chart) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(chart.title)
        .description(chart.description)
        .datasource(_SOURCE)
        .unit(chart.unit)
        .span(chart.width)
        .height(8)
        .min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(values.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(values.LegendDisplayMode.TABLE)
            .placement(values.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(values.TooltipDisplayMode.MULTI).sort(values.SortOrder.DESCENDING))
    )
    if chart.limit is not None:
        panel.thresholds(_thresholds(chart.limit)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(values.GraphThresholdsStyleMode.DASHED)
        )
    for target in _targets(chart.queries):
        panel.with_target(target)
    return panel


def _number(number: Number) -> stat.Panel:
    panel = (
        stat.Panel()
        .title(number.title)
        .description(number.description)
        .datasource(_SOURCE)
        .unit(number.unit)
        .span(number.width)
        .height(4)
        .graph_mode(values.BigValueGraphMode.AREA)
        .color_mode(values.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if number.bad_from is not None:
        panel.thresholds(_thresholds(number.bad_from))
    elif number.bad_below is not None:
        panel.thresholds(_thresholds(number.bad_below, below="red", above="green"))
    for target in _targets(number.queries):
        panel.with_target(target)
    return panel


def _targets(queries: tuple[Query, ...]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + position))
        .datasource(_SOURCE)
        .editor_mode(QueryEditorMode.CODE)
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .range()
        for position, query in enumerate(queries)
    ]


def _thresholds(value: float, *, below: str = "green", above: str = "red") -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=None, color=below), models.Threshold(value=value, color=above)])
    )
