"""A simulation's report for people."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from opora_sla.simulation import Comparison, MetricReport, Rate, Report

_MOST_GROUPS = 15
_HOUR_SECONDS, _MINUTE_SECONDS = 3_600, 60


def print_report(report: Report, out: Console) -> None:
    """All tables; of the groups those with the most tickets, the JSON has the others."""
    for metric in report.metrics:
        out.print(_rates(metric, compared=metric.changes is not None))
        if metric.changes is not None:
            out.print(
                f"newly breached: {metric.changes.newly_breached:,}; relieved: {metric.changes.relieved:,}"
                " (tickets that are decided both before and after)"
            )
        out.print(_used(metric))
        out.print(_targets(metric, report.met_by_percent))
        out.print()


def duration(seconds: int) -> str:
    """Working time in hours, minutes and seconds, without the parts that are nothing."""
    hours, rest = divmod(seconds, _HOUR_SECONDS)
    minutes, left = divmod(rest, _MINUTE_SECONDS)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{amount:,} {unit}" for amount, unit in parts if amount) or "0 s"


def _rates(metric: MetricReport, *, compared: bool) -> Table:
    table = Table(title=f"{metric.name}: breached, of the tickets that are decided", title_justify="left")
    table.add_column("")
    if compared:
        for heading in ("n before", "breached", "%"):
            table.add_column(heading, justify="right")
    for heading in ("n after" if compared else "n", "breached", "%", "open", "cancelled"):
        table.add_column(heading, justify="right")
    if compared:
        table.add_column("% points", justify="right")
    sections: tuple[Mapping[str, Comparison], ...] = (
        {"all": metric.all},
        metric.by_priority,
        _largest(metric.by_group),
        {f"{hour}:00": both for hour, both in metric.by_hour.items()},
    )
    for section in sections:
        for name, both in section.items():
            table.add_row(name or "no group", *_cells(both, compared=compared))
        table.add_section()
    left_out = len(metric.by_group) - _MOST_GROUPS
    if left_out > 0:
        table.caption = f"{left_out} more groups with fewer tickets: see --json"
        table.caption_justify = "left"
    return table


def _cells(both: Comparison, *, compared: bool) -> list[str]:
    after = [*_share(both.after), f"{both.after.open:,}", f"{both.after.cancelled:,}"]
    if not compared:
        return after
    change = ""
    if both.before.breach_percent is not None and both.after.breach_percent is not None:
        change = f"{both.after.breach_percent - both.before.breach_percent:+.1f}"
    return [*_share(both.before), *after, change]


def _share(rate: Rate) -> list[str]:
    percent = rate.breach_percent
    return [f"{rate.n:,}", f"{rate.breached:,}", "" if percent is None else f"{percent:.1f}"]


def _largest(groups: Mapping[str, Comparison]) -> dict[str, Comparison]:
    ordered = sorted(groups.items(), key=lambda item: (-max(item[1].after.n, item[1].before.n), item[0]))
    return dict(ordered[:_MOST_GROUPS])


def _used(metric: MetricReport) -> Table:
    table = Table(title=f"{metric.name}: working time used when it ended", title_justify="left")
    for heading in ("priority", "n", "50 %", "75 %", "90 %", "95 %", "99 %", "longest"):
        table.add_column(heading, justify="left" if heading == "priority" else "right")
    rows = dict(metric.used_seconds_by_priority)
    if metric.used_seconds is not None:
        rows["all"] = metric.used_seconds
    for name, used in rows.items():
        values = (used.p50, used.p75, used.p90, used.p95, used.p99, used.longest)
        table.add_row(name, f"{used.n:,}", *(duration(value) for value in values))
    return table


def _targets(metric: MetricReport, met_by_percent: int) -> Table:
    table = Table(title=f"{metric.name}: the smallest target that {met_by_percent} % met", title_justify="left")
    for heading in ("priority", "n", "target now", "smallest"):
        table.add_column(heading, justify="left" if heading == "priority" else "right")
    for found in metric.targets:
        now = "several" if found.target_seconds is None else duration(found.target_seconds)
        table.add_row(found.priority.value, f"{found.n:,}", now, duration(found.found_seconds))
    return table
