"""Imports of customers: how far each has come, and which rows were refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain.customer_files import FileFormat, Place, RefusedRow
from opora_intake.store.rows import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerImport:
    """An import as it stands."""

    id: UUID
    name: str
    format: FileFormat
    state: str
    problem: str | None
    received_bytes: int
    place: Place
    rows: int
    registered: int
    changed: int
    unchanged: int
    refused: int
    opened_at: datetime
    finished_at: datetime | None


async def open_import(
    tx: Transaction, import_id: UUID, name: str, file_format: FileFormat, actor: str | None
) -> CustomerImport:
    """A new import, or the one of this name, locked."""
    await tx.execute(
        "insert into customer_imports (id, name, format, opened_at, opened_by) values ($1, $2, $3, $4, $5)"
        " on conflict (name) do nothing",
        import_id,
        name,
        file_format,
        tx.now,
        actor,
    )
    row = await tx.fetchrow("select * from customer_imports where name = $1 for update", name)
    return _import(row)


async def lock_import(tx: Transaction, import_id: UUID) -> CustomerImport | None:
    """The import, locked until the transaction ends."""
    row = await tx.fetchrow("select * from customer_imports where id = $1 for update", import_id)
    return None if row is None else _import(row)


async def find_import(reader: Reader, import_id: UUID) -> CustomerImport | None:
    """The import as it stands."""
    row = await reader.fetchrow("select * from customer_imports where id = $1", import_id)
    return None if row is None else _import(row)


async def save_import(tx: Transaction, one: CustomerImport) -> None:
    """Overwrite an import that this transaction has locked."""
    await tx.execute(
        "update customer_imports set state = $2, problem = $3, received_bytes = $4, next_line = $5, header = $6,"
        " carried = $7, skipping = $8, rows = $9, registered = $10, changed = $11, unchanged = $12, refused = $13,"
        " finished_at = $14 where id = $1",
        one.id,
        one.state,
        one.problem,
        one.received_bytes,
        one.place.line,
        None if one.place.header is None else list(one.place.header),
        one.place.carried,
        one.place.skipping,
        one.rows,
        one.registered,
        one.changed,
        one.unchanged,
        one.refused,
        one.finished_at,
    )


async def add_refusals(tx: Transaction, import_id: UUID, refusals: Sequence[RefusedRow]) -> None:
    """Keep why rows were refused."""
    await tx.executemany(
        "insert into customer_import_refusals (import_id, line, field, reason, instead) values ($1, $2, $3, $4, $5)",
        [(import_id, one.line, one.field, one.reason, one.instead) for one in refusals],
    )


async def refusals_of(reader: Reader, import_id: UUID, *, limit: int, after: int = 0) -> list[RefusedRow]:
    """Refused rows in the order of their lines."""
    rows = await reader.fetch(
        "select line, field, reason, instead from customer_import_refusals where import_id = $1 and line > $2"
        " order by line limit $3",
        import_id,
        after,
        limit,
    )
    return [RefusedRow(**row) for row in rows]


def _import(row: Any) -> CustomerImport:
    header = None if row["header"] is None else tuple(row["header"])
    plain = set(CustomerImport.__dataclass_fields__) - {"format", "place"}
    return CustomerImport(
        format=FileFormat(row["format"]),
        place=Place(row["next_line"], header, row["carried"], row["skipping"]),
        **{name: row[name] for name in plain},
    )
