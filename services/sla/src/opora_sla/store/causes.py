"""Which clocks and tickets the reports look at that need their facts."""

from __future__ import annotations

from uuid import UUID

from opora_chassis.database import Database
from opora_sla.domain import ClockKey
from opora_sla.metrics import ClockMetric
from opora_sla.store.compliance import Window


async def count_breached(database: Database, window: Window, metric: str | None) -> dict[ClockMetric, int]:
    """How many clocks of each metric were breached in the window."""
    # Plan: the breached part of clocks_by_outcome, and each of its rows for due_at.
    rows = await database.fetch(
        "select metric, count(*) from clocks where outcome = 'breached'"
        " and ($1::timestamptz is null or due_at >= $1) and ($2::timestamptz is null or due_at < $2)"
        " and ($3::text is null or metric = $3) group by metric",
        window.from_at,
        window.to_at,
        metric,
    )
    return {ClockMetric(row["metric"]): row["count"] for row in rows}


async def sample_breached(
    database: Database, window: Window, metric: str | None, limit: int
) -> dict[UUID, list[ClockKey]]:
    """Clocks that were breached in the window, by ticket: all, or as many as the limit, drawn by a hash of the ticket.

    The draw is the same each time and does not depend on when a ticket was made, as one in the order of ids would.
    """
    # Plan: the breached part of clocks_by_outcome, and a heap of `limit` rows; nothing is sorted whole.
    rows = await database.fetch(
        "select ticket_id, metric, cycle from clocks where outcome = 'breached'"
        " and ($1::timestamptz is null or due_at >= $1) and ($2::timestamptz is null or due_at < $2)"
        " and ($3::text is null or metric = $3)"
        " order by md5(ticket_id::text), ticket_id, metric, cycle limit $4",
        window.from_at,
        window.to_at,
        metric,
        limit,
    )
    drawn: dict[UUID, list[ClockKey]] = {}
    for row in rows:
        drawn.setdefault(row["ticket_id"], []).append(ClockKey(ClockMetric(row["metric"]), row["cycle"]))
    return drawn


async def sample_tickets(database: Database, window: Window, limit: int) -> tuple[list[UUID], int]:
    """Tickets of which a clock started in the window, all or as many as the limit, drawn as above; and how many."""
    # Plan: one pass over clocks, a hash of their tickets, and a heap of `limit` rows.
    rows = await database.fetch(
        "select ticket_id, count(*) over () as tickets from ("
        "  select distinct ticket_id from clocks"
        "  where ($1::timestamptz is null or started_at >= $1) and ($2::timestamptz is null or started_at < $2)"
        ") as started order by md5(ticket_id::text), ticket_id limit $3",
        window.from_at,
        window.to_at,
        limit,
    )
    return [row["ticket_id"] for row in rows], rows[0]["tickets"] if rows else 0


async def paused_tickets(
    database: Database, window: Window, from_id: UUID | None, after_id: UUID | None, limit: int
) -> list[UUID]:
    """Tickets of which a clock has paused and of which a fact happened in the window, in the order of their ids.

    Every pause begins by a fact of its ticket, so no ticket with a pause that began in the window is left out.
    """
    # Plan: cases by their primary key from the first id on, until the limit; each probes the primary keys of
    # fired_steps and case_facts with its id. Where few tickets have a fact in the window, that is a pass over all.
    rows = await database.fetch(
        "select ticket_id from cases"
        " where ($1::uuid is null or ticket_id >= $1) and ($2::uuid is null or ticket_id > $2)"
        " and exists (select from fired_steps where fired_steps.ticket_id = cases.ticket_id and step = 'paused')"
        " and exists (select from case_facts where case_facts.ticket_id = cases.ticket_id"
        "  and ($3::timestamptz is null or (fact->>'at')::timestamptz >= $3)"
        "  and ($4::timestamptz is null or (fact->>'at')::timestamptz < $4))"
        " order by ticket_id limit $5",
        from_id,
        after_id,
        window.from_at,
        window.to_at,
        limit,
    )
    return [row["ticket_id"] for row in rows]
