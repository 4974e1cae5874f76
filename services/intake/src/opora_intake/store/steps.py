"""What each step of a ticket left behind."""

from collections.abc import Iterable
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts.vocabulary import Step
from opora_intake.domain import StepRecord
from opora_intake.store.rows import Reader, rows_json

_RECORD = "ticket_id, sequence, cycle, step, time, actor, content"


async def add_records(tx: Transaction, records: Iterable[StepRecord]) -> None:
    """Keep the records."""
    await tx.execute(
        f"insert into step_records ({_RECORD}) select {_RECORD} from json_to_recordset($1::text::json) as record"
        " (ticket_id uuid, sequence bigint, cycle integer, step text, time timestamptz, actor text, content jsonb)",
        rows_json(records),
    )


async def records_of(reader: Reader, ticket_id: UUID, *, after: int, limit: int) -> list[StepRecord]:
    """The ticket's records after this sequence, in order. Plan: range scan of the primary key."""
    rows = await reader.fetch(
        f"select {_RECORD} from step_records where ticket_id = $1 and sequence > $2 order by sequence limit $3",
        ticket_id,
        after,
        limit,
    )
    return [StepRecord(**{**row, "step": Step(row["step"])}) for row in rows]
