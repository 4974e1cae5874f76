"""What the API lists and counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedClock:
    """A clock as it was last saved."""

    ticket_id: UUID
    number: str
    metric: str
    cycle: int
    outcome: str
    state: str
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None
    used_seconds: int
    target_seconds: int
    priority: str
    judged_at: datetime
    party: str | None


async def list_clocks(
    database: Database,
    outcome: str | None,
    metric: str | None,
    after: tuple[UUID, str, int] | None,
    limit: int,
) -> list[ListedClock]:
    """Clocks in the order of (ticket, metric, cycle), from behind `after` on."""
    conditions: list[str] = ["true"]
    arguments: list[Any] = []
    for condition, value in (("outcome = {}", outcome), ("metric = {}", metric)):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    if after is not None:
        first = len(arguments) + 1
        arguments += after
        conditions.append(f"(ticket_id, metric, cycle) > (${first}::uuid, ${first + 1}::text, ${first + 2}::integer)")
    # Plan: with an outcome a range of clocks_by_outcome, else of the primary key; both deliver the order and stop at
    # the limit.
    rows = await database.fetch(
        "select clocks.*, cases.number from ("
        f"  select * from clocks where {' and '.join(conditions)}"
        f"  order by ticket_id, metric, cycle limit ${len(arguments) + 1}"
        ") as clocks join cases using (ticket_id) order by ticket_id, metric, cycle",
        *arguments,
        limit,
    )
    return [ListedClock(**row) for row in rows]


async def list_tickets(
    database: Database, external_source: str | None, after_id: UUID | None, limit: int
) -> list[UUID]:
    """Ids of tickets in their order, from behind `after_id` on; of one source, or all."""
    # Plan: a range of cases_of_source, or of the primary key when no source is given.
    condition = "true" if external_source is None else "external_source = $3"
    rows = await database.fetch(
        f"select ticket_id from cases where ($1::uuid is null or ticket_id > $1) and {condition}"
        " order by ticket_id limit $2",
        after_id,
        limit,
        *([] if external_source is None else [external_source]),
    )
    return [row["ticket_id"] for row in rows]


async def import_counts(database: Database, import_id: str) -> dict[str, Any]:
    """How many tickets and facts of an import were taken in, and how many of its tickets wait to be judged."""
    # Plan: cases_of_import; the waiting ones are those of the due index.
    row = await database.fetchrow(
        "select count(*) as cases, coalesce(sum(last_sequence), 0)::bigint as facts_applied,"
        " count(*) filter (where next_fire_at < watermarks.complete_before) as waiting_for_judgement,"
        " count(*) filter (where cases.domain <> '') as not_joined"
        " from cases left join watermarks"
        "  on watermarks.partition = cases.partition and watermarks.domain = cases.domain"
        " where import_id = $1",
        import_id,
    )
    return dict(row or {})


async def status_counts(database: Database) -> dict[str, Any]:
    """How many cases, open cases and facts there are, and how many live ones are due by their watermark."""
    # Plan: one pass over cases; an operator's question, not a program's loop.
    row = await database.fetchrow(
        "select count(*) as cases, count(*) filter (where open) as open_cases,"
        " coalesce(sum(last_sequence), 0)::bigint as facts_applied,"
        " count(*) filter (where next_fire_at < watermarks.complete_before) as waiting_for_judgement"
        " from cases left join watermarks"
        "  on watermarks.partition = cases.partition and watermarks.domain = cases.domain"
    )
    return dict(row or {})


async def clock_counts(database: Database) -> dict[str, dict[str, int]]:
    """Clocks by metric and outcome."""
    # Plan: one pass over clocks.
    counts: dict[str, dict[str, int]] = {}
    rows = await database.fetch("select metric, outcome, count(*) from clocks group by metric, outcome")
    for row in rows:
        counts.setdefault(row["metric"], {})[row["outcome"]] = row["count"]
    return counts
