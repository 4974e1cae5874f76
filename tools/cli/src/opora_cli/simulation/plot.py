"""A simulation's report as a picture: breach rates before and after, by priority and by hour of creation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_sla.simulation import Comparison, MetricReport, Report

FORMATS = (".png", ".svg")
_BEFORE, _AFTER = "#9aa5b1", "#2f6f9f"
_WIDTH = 0.4


def write_plot(report: Report, path: Path) -> None:
    """Two panels a metric; the same report gives the same SVG. Raises CommandError where matplotlib is missing."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CommandError(
            "--plot needs matplotlib", next_command="pip install 'opora-cli[plot]'", exit_code=UNUSABLE_INPUT
        ) from error
    rows = max(1, len(report.metrics))
    figure = Figure(figsize=(11, 0.6 + 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2, squeeze=False, width_ratios=(1, 2))
    for (left, right), metric in zip(panels, report.metrics, strict=False):
        _bars(left, metric, metric.by_priority, "priority")
        _bars(right, metric, metric.by_hour, "hour of creation")
    with rc_context({"svg.hashsalt": "opora", "svg.fonttype": "none"}):
        metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
        figure.savefig(path, format=path.suffix.removeprefix("."), metadata=metadata)


def _bars(axes: Any, metric: MetricReport, sections: Mapping[str, Comparison], label: str) -> None:
    names = list(sections)
    compared = metric.changes is not None
    sides = [("before", _BEFORE), ("after", _AFTER)] if compared else [("after", _AFTER)]
    for number, (side, color) in enumerate(sides):
        rates = [getattr(sections[name], side) for name in names]
        shift = (number - (len(sides) - 1) / 2) * _WIDTH
        axes.bar(
            [position + shift for position in range(len(names))],
            [rate.breach_percent or 0 for rate in rates],
            width=_WIDTH,
            color=color,
            label=f"{side} (n = {sum(rate.n for rate in rates):,})",
        )
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel(label)
    axes.set_ylabel("breached, %")
    axes.set_title(metric.name, loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
