"""Imports of history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.store.rows import Reader

_IMPORT = "id, name, watermark, tickets, facts, opened_at, closed_at, joined_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import of history. Entries are taken until `closed_at`."""

    id: UUID
    name: str
    watermark: datetime | None
    tickets: int
    facts: int
    opened_at: datetime
    closed_at: datetime | None
    joined_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it takes entries."""
        return self.closed_at is None


async def open_import(tx: Transaction, import_id: UUID, name: str) -> Import:
    """The import of this name, made with this id if there is none."""
    await tx.execute(
        "insert into imports (id, name, opened_at) values ($1, $2, $3) on conflict (name) do nothing",
        import_id,
        name,
        tx.now,
    )
    row = await tx.fetchrow(f"select {_IMPORT} from imports where name = $1", name)
    if row is None:
        raise LookupError(name)
    return Import(**row)


async def find_import(reader: Reader, import_id: UUID) -> Import | None:
    """The import."""
    row = await reader.fetchrow(f"select {_IMPORT} from imports where id = $1", import_id)
    return None if row is None else Import(**row)


async def lock_import(tx: Transaction, import_id: UUID) -> Import | None:
    """The import, locked until the transaction ends: its requests take turns."""
    row = await tx.fetchrow(f"select {_IMPORT} from imports where id = $1 for update", import_id)
    return None if row is None else Import(**row)


async def advance_import(
    tx: Transaction, import_id: UUID, *, tickets: int, facts: int, watermark: datetime | None
) -> Import:
    """Count what was added and move the watermark on; it never moves back."""
    row = await tx.fetchrow(
        "update imports set tickets = tickets + $2, facts = facts + $3, watermark = greatest(watermark, $4)"
        f" where id = $1 returning {_IMPORT}",
        import_id,
        tickets,
        facts,
        watermark,
    )
    if row is None:
        raise LookupError(import_id)
    return Import(**row)


async def close_import(tx: Transaction, import_id: UUID) -> None:
    """Take no more entries. Closing again changes nothing."""
    await tx.execute("update imports set closed_at = coalesce(closed_at, $2) where id = $1", import_id, tx.now)


async def import_joined(tx: Transaction, import_id: UUID) -> None:
    """Every open ticket lives by live time now. Saying so again changes nothing."""
    await tx.execute(
        "update imports set joined_at = coalesce(joined_at, $2) where id = $1",
        import_id,
        tx.now,
    )
    await tx.execute("insert into joined_imports (import_id) values ($1) on conflict do nothing", import_id)


async def import_watermarks(connection: Any) -> Sequence[tuple[str, datetime]]:
    """For progress marks: until when the history of each import is complete. See the view's comment."""
    rows = await connection.fetch("select import_id, complete_before from import_marks")
    return [(str(row["import_id"]), row["complete_before"]) for row in rows]
