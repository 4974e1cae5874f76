"""Tickets that are done and that nothing happens to any more."""

from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts.vocabulary import Kind
from opora_intake.domain import Ticket
from opora_intake.store.rows import ticket_of
from opora_intake.store.tickets import COLUMNS


async def lock_silent(
    tx: Transaction, kind: Kind, *, since: datetime, after: tuple[datetime, UUID] | None, limit: int
) -> list[Ticket]:
    """Live tickets of the kind that may be closed where they stand and that nothing has happened to after `since`, the
    longest silent first, locked. One that somebody else is at is passed over: something happens to it.

    Plan: range scan of tickets_silent.
    """
    rows = await tx.fetch(
        f"select {COLUMNS} from tickets where step in ('resolved', 'verified') and import_id is null"
        " and (step = 'verified' or profile = 'light' or resolution_code in ('cancelled', 'duplicate'))"
        " and kind = $1 and last_time <= $2"
        " and ($3::timestamptz is null or (last_time, id) > ($3, $4)) order by last_time, id limit $5"
        " for update skip locked",
        kind,
        since,
        *(after or (None, None)),
        limit,
    )
    return [ticket_of(row) for row in rows]
