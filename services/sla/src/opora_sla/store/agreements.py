"""Agreements in their versions. A version is never changed once it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement

Reader = Database | Transaction


async def newest_agreements(reader: Reader) -> list[Agreement]:
    """The newest version of every agreement."""
    # Plan: one pass over the primary key; agreements are few.
    rows = await reader.fetch(f"select distinct on (id) {_COLUMNS} from agreements order by id, version desc")
    return [_agreement(row) for row in rows]


async def pinned_agreements(reader: Reader, pins: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], Agreement]:
    """These versions; those unknown are left out."""
    wanted = sorted(set(pins))
    rows = await reader.fetch(
        f"select {_COLUMNS} from agreements where (id, version) in (select * from unnest($1::uuid[], $2::integer[]))",
        [agreement_id for agreement_id, _ in wanted],
        [version for _, version in wanted],
    )
    return {(row["id"], row["version"]): _agreement(row) for row in rows}


async def find_agreement(reader: Reader, agreement_id: UUID, version: int | None = None) -> Agreement | None:
    """This version of an agreement, or its newest; None when there is none."""
    row = await reader.fetchrow(
        f"select {_COLUMNS} from agreements where id = $1 and version = coalesce($2, version)"
        " order by version desc limit 1",
        agreement_id,
        version,
    )
    return None if row is None else _agreement(row)


async def list_agreements(reader: Reader, after_id: UUID | None, limit: int) -> Sequence[Agreement]:
    """The newest versions of agreements in the order of their ids, from behind `after_id` on."""
    rows = await reader.fetch(
        f"select distinct on (id) {_COLUMNS} from agreements where $1::uuid is null or id > $1"
        " order by id, version desc limit $2",
        after_id,
        limit,
    )
    return [_agreement(row) for row in rows]


async def find_same_document(tx: Transaction, document: AgreementDocument) -> Agreement | None:
    """The oldest agreement whose newest version says just this. Until the transaction ends nobody else writes one."""
    await tx.execute("lock table agreements in share row exclusive mode")
    row = await tx.fetchrow(
        f"select * from (select distinct on (id) {_COLUMNS} from agreements order by id, version desc) as newest"
        " where document = $1::jsonb order by id limit 1",
        document.as_json(),
    )
    return None if row is None else _agreement(row)


async def lock_newest_version(tx: Transaction, agreement_id: UUID) -> Agreement | None:
    """The newest version, or None; until the transaction ends nobody else can write one."""
    await tx.execute("lock table agreements in share row exclusive mode")
    return await find_agreement(tx, agreement_id)


async def add_version(tx: Transaction, agreement_id: UUID, version: int, document: AgreementDocument) -> Agreement:
    """Write a version. Raises asyncpg.UniqueViolationError when it exists."""
    await tx.execute(
        "insert into agreements (id, version, document, created_at) values ($1, $2, $3, $4)",
        agreement_id,
        version,
        document.as_json(),
        tx.now,
    )
    return read_agreement(agreement_id, version, document, tx.now)


_COLUMNS = "id, version, document, created_at"


def _agreement(row: Any) -> Agreement:
    document = AgreementDocument.model_validate(row["document"])
    return read_agreement(row["id"], row["version"], document, row["created_at"])
