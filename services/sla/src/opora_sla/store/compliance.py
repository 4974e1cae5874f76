"""What became of clocks, counted and measured by the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from opora_chassis.database import Database

Dimension = Literal["agreement", "organization", "group", "party", "assignee", "priority", "metric", "month"]

_KEYS: Mapping[Dimension, str] = {
    "agreement": "cases.agreement_id::text",
    "organization": "cases.organization_id::text",
    # What a group owes counts for that group, whoever has the ticket now.
    "group": "case when clocks.metric = 'operational' then clocks.party else cases.\"group\" end",
    "party": "clocks.party",
    "assignee": "cases.assignee",
    "priority": "clocks.priority",
    "metric": "clocks.metric",
    "month": "to_char(clocks.started_at at time zone 'UTC', 'YYYY-MM')",
}
_OF_CASES: frozenset[Dimension] = frozenset({"agreement", "organization", "group", "assignee"})


@dataclass(frozen=True, slots=True)
class Window:
    """Instants in [from, to); None is without end."""

    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """Clocks of one metric under one key."""

    key: str | None
    metric: str
    met: int
    breached: int
    open: int
    cancelled: int
    ended: int
    """Clocks that were met or breached and have stopped: on these the percentiles rest."""
    used_seconds: Sequence[int]
    """Percentiles 50, 90, 95 and 99 of the working time used: values that occurred. Empty when none ended."""
    used_share: Sequence[float]
    """The same of the working time used as a share of the target."""


@dataclass(frozen=True, slots=True)
class ComplianceTable:
    """Rows, and how many there would be without the limit."""

    rows: Sequence[Compliance]
    keys: int


async def compliance(
    database: Database, by: Dimension, window: Window, metric: str | None, limit: int
) -> ComplianceTable:
    """Clocks that started in the window, by key and metric; of more than `limit` rows those with the most clocks."""
    join = "join cases using (ticket_id)" if by in _OF_CASES else ""
    ended = "filter (where state = 'stopped' and outcome in ('met', 'breached'))"
    percentiles = "percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group"
    # Plan: one pass over clocks (with a dimension of cases, a hash join with them), then a sort by key and metric for
    # the percentiles. There is no index by started_at, which every new clock would have to pay for: a report is asked
    # for by people. A minute at most: then the pool gives up, and the answer is 503.
    rows = await database.fetch(
        "select *, count(*) over () as keys from ("
        "  select key, metric, count(*) as n,"
        "   count(*) filter (where outcome = 'met') as met,"
        "   count(*) filter (where outcome = 'breached') as breached,"
        "   count(*) filter (where outcome = 'open') as open,"
        "   count(*) filter (where outcome = 'cancelled') as cancelled,"
        f"  count(*) {ended} as ended,"
        f"  {percentiles} (order by used_seconds) {ended} as used_seconds,"
        f"  {percentiles} (order by used_seconds::double precision / greatest(target_seconds, 1)) {ended} as used_share"
        "  from ("
        f"   select {_KEYS[by]} as key, clocks.metric, clocks.outcome, clocks.state, clocks.used_seconds,"
        f"    clocks.target_seconds from clocks {join}"
        "    where ($1::timestamptz is null or clocks.started_at >= $1)"
        "    and ($2::timestamptz is null or clocks.started_at < $2)"
        "    and ($3::text is null or clocks.metric = $3)"
        "  ) as found group by key, metric"
        ") as counted order by n desc, key, metric limit $4",
        window.from_at,
        window.to_at,
        metric,
        limit,
    )
    return ComplianceTable(
        [
            Compliance(
                key=row["key"],
                metric=row["metric"],
                met=row["met"],
                breached=row["breached"],
                open=row["open"],
                cancelled=row["cancelled"],
                ended=row["ended"],
                used_seconds=row["used_seconds"] or (),
                used_share=row["used_share"] or (),
            )
            for row in rows
        ],
        rows[0]["keys"] if rows else 0,
    )


async def agreement_names(database: Database, agreement_ids: Sequence[str]) -> dict[str, str]:
    """The names of these agreements in their newest versions, by id."""
    # Plan: a range of the primary key per agreement.
    rows = await database.fetch(
        "select distinct on (id) id, document->>'name' as name from agreements where id = any($1::uuid[])"
        " order by id, version desc",
        [UUID(agreement_id) for agreement_id in agreement_ids],
    )
    return {str(row["id"]): row["name"] for row in rows}
