"""Macros by their names."""

from collections.abc import Sequence

import asyncpg
from pydantic import TypeAdapter

from opora_chassis.database import Transaction
from opora_intake.domain.macros import Macro, Operation
from opora_intake.store.rows import Reader

_MACRO = "name, description, operations, version, changed_at, changed_by"
_WRITERS = 7_310_004
"""The advisory lock of those who add, change or remove macros: rare, so that their number is kept exactly."""
_OPERATIONS = TypeAdapter(tuple[Operation, ...])


async def lock_macros(tx: Transaction) -> int:
    """How many macros there are; nobody else writes one before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _WRITERS)
    return int(await tx.fetchval("select count(*) from macros"))


async def find_macro(reader: Reader, name: str) -> Macro | None:
    """One macro."""
    row = await reader.fetchrow(f"select {_MACRO} from macros where name = $1", name)
    return None if row is None else _macro_of(row)


async def list_macros(reader: Reader, *, after: str | None, limit: int) -> Sequence[Macro]:
    """The macros after this name, in the order of their names."""
    rows = await reader.fetch(
        f"select {_MACRO} from macros where $1::text is null or name > $1 order by name limit $2", after, limit
    )
    return [_macro_of(row) for row in rows]


async def save_macro(tx: Transaction, macro: Macro) -> None:
    """Insert or overwrite; the macros must be locked by this transaction."""
    await tx.execute(
        f"insert into macros ({_MACRO}) values ($1, $2, $3, $4, $5, $6) on conflict (name) do update set"
        " description = excluded.description, operations = excluded.operations, version = excluded.version,"
        " changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        macro.name,
        macro.description,
        _OPERATIONS.dump_python(macro.operations, mode="json"),
        macro.version,
        macro.changed_at,
        macro.changed_by,
    )


async def remove_macro(tx: Transaction, name: str) -> bool:
    """Forget a macro; whether it was there."""
    return await tx.fetchval("delete from macros where name = $1 returning true", name) is not None


def _macro_of(row: asyncpg.Record) -> Macro:
    fields = dict(row)
    return Macro(**{**fields, "operations": _OPERATIONS.validate_python(fields["operations"])})
