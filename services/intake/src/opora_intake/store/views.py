"""Lists of tickets that agents keep."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.store.rows import Reader

_COLUMNS = "id, name, query, owner, shared, position, changed_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A list that somebody keeps: what it asks for, whose it is, and where it stands among others."""

    id: UUID
    name: str
    query: dict[str, Any]
    owner: str
    shared: bool
    position: int
    changed_at: datetime


class ViewNameTakenError(Exception):
    """The owner has another view of this name."""


async def save_view(tx: Transaction, view: SavedView) -> None:
    """Insert or overwrite. Raises ViewNameTakenError; names differ by more than letter case."""
    try:
        await tx.execute(
            f"insert into views ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set"
            " name = excluded.name, query = excluded.query, shared = excluded.shared, position = excluded.position,"
            " changed_at = excluded.changed_at",
            view.id,
            view.name,
            view.query,
            view.owner,
            view.shared,
            view.position,
            view.changed_at,
        )
    except asyncpg.UniqueViolationError as error:
        raise ViewNameTakenError(view.name) from error


async def views_count(tx: Transaction, owner: str) -> int:
    """How many views somebody has."""
    return int(await tx.fetchval("select count(*) from views where owner = $1", owner))


async def remove_view(tx: Transaction, view_id: UUID) -> None:
    """Forget a view."""
    await tx.execute("delete from views where id = $1", view_id)


async def lock_view(tx: Transaction, view_id: UUID) -> SavedView | None:
    """One view, locked until the transaction ends."""
    row = await tx.fetchrow(f"select {_COLUMNS} from views where id = $1 for update", view_id)
    return None if row is None else SavedView(**row)


async def find_view(reader: Reader, view_id: UUID, actor: str) -> SavedView | None:
    """One view, if it is the actor's or shared."""
    row = await reader.fetchrow(
        f"select {_COLUMNS} from views where id = $1 and (shared or owner = $2)", view_id, actor
    )
    return None if row is None else SavedView(**row)


async def list_views(reader: Reader, actor: str) -> list[SavedView]:
    """The actor's own views and the shared ones, at most 200, in their order. Plan: views_once and views_shared."""
    rows = await reader.fetch(
        f"select {_COLUMNS} from views where shared or owner = $1 order by position, lower(name), id limit 200", actor
    )
    return [SavedView(**row) for row in rows]
