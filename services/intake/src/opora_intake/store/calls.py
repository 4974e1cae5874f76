"""Telephone calls as they were logged."""

from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain.calls import Call, Direction
from opora_intake.store.rows import Reader

_COLUMNS = (
    "id, ticket_id, message_id, customer_id, direction, number, number_given, was_answered, started_at, ended_at,"
    " opened_ticket, logged_at, logged_by"
)


async def add_call(tx: Transaction, call: Call) -> None:
    """Keep a call."""
    await tx.execute(
        f"insert into calls ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        *(getattr(call, name.strip()) for name in _COLUMNS.split(",")),
    )


async def find_call(reader: Reader, call_id: UUID) -> Call | None:
    """One call."""
    row = await reader.fetchrow(f"select {_COLUMNS} from calls where id = $1", call_id)
    return None if row is None else _call(row)


async def list_calls(reader: Reader, *, limit: int, before: UUID | None = None, **filters: str | UUID) -> list[Call]:
    """Calls that match every filter (ticket_id, customer_id, number), the one logged last first.

    Plan: a backward scan of calls_of_ticket, calls_of_customer, calls_with_number or the primary key.
    """
    given = {name: value for name, value in {"before": before, **filters}.items() if value is not None}
    conditions = ["true", *(_CONDITIONS[name].format(place) for place, name in enumerate(given, start=1))]
    rows = await reader.fetch(
        f"select {_COLUMNS} from calls where {' and '.join(conditions)} order by id desc limit ${len(given) + 1}",
        *given.values(),
        limit,
    )
    return [_call(row) for row in rows]


_CONDITIONS = {
    "before": "id < ${}",
    "ticket_id": "ticket_id = ${}",
    "customer_id": "customer_id = ${}",
    "number": "number = ${}",
}


def _call(row: asyncpg.Record) -> Call:
    return Call(**{**row, "direction": Direction(row["direction"])})
