"""The rows as a picture: how far each ratio is above or below what it has to come to."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tests.bench.row import Reach, Row

_REACHED, _MISSED = "#2f7d5b", "#b3412f"
_INCHES_A_ROW = 0.3


def margin(ratio: float, reach: Reach) -> float:
    """By which factor the reach is exceeded: 1 is just reached, 0.5 misses it by half, whatever its direction."""
    return reach.bound / ratio if reach.at_most else ratio / reach.bound


def write_plot(rows: Sequence[Row], path: Path) -> None:
    """As SVG, byte for byte the same for the same rows; without those that have no reach."""
    judged = [(row, margin(row.ratio, row.reach)) for row in rows if row.reach is not None]
    figure = Figure(figsize=(10, 1.2 + _INCHES_A_ROW * len(judged)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        range(len(judged)),
        [factor - 1 for _, factor in judged],
        left=1,
        color=[_REACHED if row.ok else _MISSED for row, _ in judged],
    )
    axes.set_yticks(range(len(judged)), [f"{row.line}\nagainst {row.against}" for row, _ in judged], fontsize=6)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times what it has to come to (1: just reached)")
    FigureCanvasSVG(figure)
    with rc_context({"svg.hashsalt": "opora", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
