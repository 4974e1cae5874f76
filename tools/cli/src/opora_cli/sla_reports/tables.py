"""Reports for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from opora_cli.simulation.tables import duration

_RIGHT, _LEFT = "right", "left"


def print_compliance(report: Mapping[str, Any], out: Console) -> None:
    """A row for each key and metric; percentiles are of the working time used."""
    table = Table(
        title=f"compliance by {report['by']}: clocks that were met, of those that are decided", title_justify="left"
    )
    _columns(table, *dict.fromkeys((report["by"], "metric")))
    _columns(table, "n", "met", "breached", "open", "cancelled", "met %", "95 % interval", justify=_RIGHT)
    _columns(table, "50 %", "90 %", "95 %", "99 %", "95 % of target", justify=_RIGHT)
    for row in report["rows"]:
        used, share = row["used_seconds"], row["used_share"]["p95"]
        table.add_row(
            *([] if report["by"] == "metric" else [row["name"] or row["key"] or "none"]),
            row["metric"],
            *(f"{row[name]:,}" for name in ("n", "met", "breached", "open", "cancelled")),
            _percent(row["compliance"]),
            ""
            if row["compliance"] is None
            else f"{_percent(row['compliance_low'])}–{_percent(row['compliance_high'])}",
            *("" if used[name] is None else duration(used[name]) for name in ("p50", "p90", "p95", "p99")),
            "" if share is None else f"{share:.2f}",
        )
    out.print(table)
    if report["left_out"]:
        out.print(f"{report['left_out']:,} more rows, with fewer clocks: give a larger --limit")


def print_breaches(report: Mapping[str, Any], out: Console) -> None:
    """The causes by metric, with what they rest on."""
    table = Table(title=f"time until the breach, by {report['by']}", title_justify="left")
    _columns(table, "metric", report["by"])
    _columns(table, "clocks", "largest cause of", "time", "share %", justify=_RIGHT)
    for row in report["rows"]:
        table.add_row(
            row["metric"],
            (row["cause"] or "none").replace("_", " "),
            f"{row['n']:,}",
            f"{row['largest_in']:,}",
            duration(row["spent_seconds"]),
            _percent(row["share"]),
        )
    out.print(table)
    for each in report["metrics"]:
        sampled = "" if each["examined"] == each["breached"] else " (a sample: give a larger --limit)"
        out.print(f"{each['metric']}: {each['breached']:,} breached, {each['examined']:,} of them looked at{sampled}")


def print_times(report: Mapping[str, Any], out: Console) -> None:
    """By the wall and in hand, with what they rest on."""
    table = Table(title=f"time of tickets by {report['by']}, where they have gone on", title_justify="left")
    _columns(table, report["by"])
    _columns(table, "tickets", "by the wall: 50 %", "90 %", "95 %", "99 %", justify=_RIGHT)
    _columns(table, "in hand: 50 %", "90 %", "95 %", "99 %", "sum", justify=_RIGHT)
    for row in report["rows"]:
        table.add_row(
            row["key"] or "none",
            f"{row['n']:,}",
            *(duration(seconds) for seconds in row["elapsed_seconds"].values()),
            *(duration(seconds) for seconds in row["handled_seconds"].values()),
            duration(row["handled_seconds_sum"]),
        )
    out.print(table)
    sampled = "" if report["examined"] == report["tickets"] else " (a sample: give a larger --limit)"
    out.print(f"{report['tickets']:,} tickets, {report['examined']:,} of them looked at{sampled}")


def print_pauses(pauses: Sequence[Mapping[str, Any]], shortly_before_seconds: int, out: Console, *, more: bool) -> None:
    """A line per pause; `!` marks those that began when little was left."""
    table = Table(title="pauses of clocks; seconds are working time", title_justify="left")
    _columns(table, "", "ticket", "metric", "waiting for", "from", "to", "who")
    _columns(table, "not counted", "left", justify=_RIGHT)
    _columns(table, "event")
    for pause in pauses:
        table.add_row(
            "!" if pause["shortly_before"] else "",
            pause["number"],
            f"{pause['metric']} {pause['cycle']}" + (f" of {pause['party']}" if pause.get("party") else ""),
            pause["waiting_on"].replace("_", " "),
            moment(pause["from_at"]),
            moment(pause["to_at"]) if pause["to_at"] else "lasts",
            pause["actor"] or "",
            duration(pause["working_seconds"]),
            "breached" if pause["breached_before"] else duration(pause["remaining_seconds"]),
            pause["hold_event"],
        )
    out.print(table)
    flagged = sum(pause["shortly_before"] for pause in pauses)
    out.print(
        f"{len(pauses):,} pauses{' and more: give a larger --limit' if more else ''};"
        f" {flagged:,} began with at most {duration(shortly_before_seconds)} left (!)"
    )


def moment(text: str) -> str:
    """An RFC 3339 time in UTC, to the second, as people read it."""
    return text[:19].replace("T", " ")


def _columns(table: Table, *headings: str, justify: Any = _LEFT) -> None:
    for heading in headings:
        table.add_column(heading, justify=justify)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
