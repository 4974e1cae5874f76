"""How many clocks are late or soon will be."""

from __future__ import annotations

from opora_sla.metrics import ClockMetric
from opora_sla.store.cases import Reader


async def at_risk_clocks(reader: Reader) -> dict[str, int]:
    """How many open clocks of each metric have had a warning, zeroes included."""
    # Plan: the open part of clocks_by_outcome, index only; each clock probes the primary key of fired_steps
    # (ticket_id, metric, cycle, step).
    rows = await reader.fetch(
        "select metric, count(*) as clocks from clocks where outcome = 'open' and exists ("
        " select from fired_steps where fired_steps.ticket_id = clocks.ticket_id"
        " and fired_steps.metric = clocks.metric and fired_steps.cycle = clocks.cycle and fired_steps.step = 'warning'"
        ") group by metric"
    )
    return _by_metric({row["metric"]: row["clocks"] for row in rows})


async def breached_open_clocks(reader: Reader) -> dict[str, int]:
    """How many clocks of each metric are breached and go on, zeroes included."""
    # Plan: the breached part of clocks_by_outcome, and each of its rows for the state: grows with all breaches ever,
    # which the pause between two counts allows for.
    rows = await reader.fetch(
        "select metric, count(*) as clocks from clocks"
        " where outcome = 'breached' and state <> 'stopped' group by metric"
    )
    return _by_metric({row["metric"]: row["clocks"] for row in rows})


def _by_metric(found: dict[str, int]) -> dict[str, int]:
    return {metric.value: 0 for metric in ClockMetric} | found
