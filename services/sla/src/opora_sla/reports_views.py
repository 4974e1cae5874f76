"""The shapes in which reports answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts.vocabulary import Priority, WaitingOn
from opora_sla.metrics import ClockMetric
from opora_sla.report_reading import BreachCauses, LedgerLine
from opora_sla.reporting import Times, wilson_interval
from opora_sla.reporting.causes import By
from opora_sla.reporting.times import Place
from opora_sla.store.compliance import Compliance, ComplianceTable, Dimension, Window
from opora_sla.views import View

_SHARE_DIGITS = 4


class SecondsPercentiles(View):
    """Working time used by clocks that were met or breached and have stopped; each value occurred (nearest rank)."""

    n: int
    p50: int | None = None
    p90: int | None = None
    p95: int | None = None
    p99: int | None = None


class SharePercentiles(View):
    """The same as shares of the targets: 1 is a target used up."""

    n: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class ComplianceRow(View):
    """Clocks of one metric under one key."""

    key: str | None
    """An id, a name, a priority, a metric or a month; null for tickets without one."""
    name: str | None
    """An agreement's name in its newest version; otherwise null."""
    metric: ClockMetric
    n: int
    """Clocks that are decided, met or breached: compliance is a share of these."""
    met: int
    breached: int
    """Whether or not they go on."""
    open: int
    cancelled: int
    compliance: float | None
    """Met of n; null when nothing is decided."""
    compliance_low: float | None
    """The lower end of compliance's 95 % interval (Wilson)."""
    compliance_high: float | None
    used_seconds: SecondsPercentiles
    used_share: SharePercentiles


class ComplianceReport(View):
    """What became of the clocks that started in [from, to), as they were last judged."""

    by: Dimension
    metric: ClockMetric | None
    from_at: datetime | None
    to_at: datetime | None
    rows: list[ComplianceRow]
    """In the order of key and metric."""
    left_out: int
    """Rows beyond the limit: those with the fewest clocks."""


class Examined(View):
    """How many clocks of a metric were breached, and of how many the causes were looked at."""

    metric: ClockMetric
    breached: int
    examined: int


class CauseRow(View):
    """What one cause has to do with the breaches of one metric."""

    metric: ClockMetric
    cause: str | None
    """By waiting: customer, third_party, change, us_inside_hours, us_outside_hours. By step: the step. By group: its
    name, or null for none."""
    n: int
    """Examined clocks that spent any time under it before their breach."""
    largest_in: int
    """Examined clocks that spent more time under it than under any other."""
    spent_seconds: int
    """By the wall, nights included."""
    share: float
    """Of all the time that the metric's examined clocks took until their breach."""


class BreachReport(View):
    """Where the time went of the clocks that were breached in [from, to), from their start to their breach."""

    by: By
    metric: ClockMetric | None
    from_at: datetime | None
    to_at: datetime | None
    metrics: list[Examined]
    """Where fewer were examined than breached, the rows rest on a sample, drawn by a hash of the tickets' ids."""
    rows: list[CauseRow]
    """In the order of the metrics, the greatest share first."""


class Percentiles(View):
    """By nearest rank: each value occurred."""

    p50: int
    p90: int
    p95: int
    p99: int


class TimeRowView(View):
    """How long tickets were in one step, or with one group."""

    key: str | None
    """The step, or the group's name; null for no group."""
    n: int
    """Tickets that were there and have gone on."""
    elapsed_seconds: Percentiles
    """By the wall, nights and holds included."""
    handled_seconds: Percentiles
    """Working time by the tickets' calendars, without the time on hold."""
    handled_seconds_sum: int


class TimeReport(View):
    """How long tickets were where, of which a clock started in [from, to)."""

    by: Place
    from_at: datetime | None
    to_at: datetime | None
    tickets: int
    examined: int
    """Where these are fewer, the rows rest on a sample, drawn by a hash of the tickets' ids."""
    rows: list[TimeRowView]
    """By step in the order of the process, by group in that of the names."""


class PauseView(View):
    """One pause of one clock. Seconds are working time under the agreement's calendar."""

    ticket_id: UUID
    number: str
    metric: ClockMetric
    cycle: int
    waiting_on: WaitingOn
    from_at: datetime
    to_at: datetime | None
    """Null while it lasts."""
    working_seconds: int
    """Working time that was not counted, so far."""
    priority: Priority
    group: str | None
    """Which group had the ticket when it began."""
    assignee: str | None
    target_seconds: int
    remaining_seconds: int
    """What was left of the target when it began; 0 after a breach."""
    breached_before: bool
    """Whether the clock was breached when it began."""
    shortly_before: bool
    """Whether it began within `shortly_before_seconds` before the due date of a clock that was not breached."""
    hold_event: str
    """The event that put the ticket on hold."""
    hold_sequence: int
    """The place of that event in the ticket's timeline at intake, which says who did it."""
    began_by: str
    """The event that began the pause: the hold, or the one that started a clock while on hold."""
    ended_by: str | None
    """The event that ended it, or gave it another reason; null while it lasts."""
    party: str | None = None
    """The group whose clock it is; null for the support side as a whole."""


def compliance_report(
    table: ComplianceTable, names: Mapping[str, str], by: Dimension, metric: ClockMetric | None, window: Window
) -> ComplianceReport:
    """The counted clocks for the wire."""
    order = list(ClockMetric)
    rows = [_compliance_row(row, names) for row in table.rows]
    rows.sort(key=lambda row: (row.key is None, row.key or "", order.index(row.metric)))
    return ComplianceReport(
        by=by,
        metric=metric,
        from_at=window.from_at,
        to_at=window.to_at,
        rows=rows,
        left_out=table.keys - len(rows),
    )


def breach_report(found: BreachCauses, by: By, metric: ClockMetric | None, window: Window) -> BreachReport:
    """The causes for the wire."""
    return BreachReport(
        by=by,
        metric=metric,
        from_at=window.from_at,
        to_at=window.to_at,
        metrics=[
            Examined(metric=each, breached=found.breached[each], examined=found.causes.examined.get(each, 0))
            for each in ClockMetric
            if each in found.breached
        ],
        rows=[
            CauseRow.model_validate(share._replace(share=round(share.share, _SHARE_DIGITS)))
            for share in found.causes.shares()
        ],
    )


def time_report(times: Times, tickets: int, by: Place, window: Window) -> TimeReport:
    """The stays for the wire."""
    return TimeReport(
        by=by,
        from_at=window.from_at,
        to_at=window.to_at,
        tickets=tickets,
        examined=times.tickets,
        rows=[
            TimeRowView(
                key=row.key,
                n=row.n,
                elapsed_seconds=Percentiles(**_named(row.elapsed_seconds)),
                handled_seconds=Percentiles(**_named(row.handled_seconds)),
                handled_seconds_sum=row.handled_seconds_sum,
            )
            for row in times.rows()
        ],
    )


def pause_view(line: LedgerLine) -> PauseView:
    """A pause for the wire."""
    key, *said = line.pause
    fields = dict(zip(line.pause._fields[1:], said, strict=True))
    return PauseView(ticket_id=line.ticket_id, number=line.number, metric=key.metric, cycle=key.cycle, **fields)


def _compliance_row(row: Compliance, names: Mapping[str, str]) -> ComplianceRow:
    n = row.met + row.breached
    interval = wilson_interval(row.met, n)
    return ComplianceRow(
        key=row.key,
        name=names.get(row.key or ""),
        metric=ClockMetric(row.metric),
        n=n,
        met=row.met,
        breached=row.breached,
        open=row.open,
        cancelled=row.cancelled,
        compliance=round(row.met / n, _SHARE_DIGITS) if n else None,
        compliance_low=round(interval[0], _SHARE_DIGITS) if interval else None,
        compliance_high=round(interval[1], _SHARE_DIGITS) if interval else None,
        used_seconds=SecondsPercentiles(n=row.ended, **_named(row.used_seconds)),
        used_share=SharePercentiles(n=row.ended, **_named([round(share, _SHARE_DIGITS) for share in row.used_share])),
    )


def _named(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("p50", "p90", "p95", "p99"), values, strict=False))
