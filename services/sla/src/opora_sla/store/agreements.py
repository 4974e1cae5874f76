"""Agreements in their versions. A version is never changed once it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_sla.agreement import Agreement, AgreementDocument, read_agreement
from opora_sla.calendar.document import NamedCalendar
from opora_sla.store.calendars import lock_writing, pinned_calendars

Reader = Database | Transaction


async def newest_agreements(reader: Reader) -> list[Agreement]:
    """The newest version of every agreement."""
    # Plan: one pass over the primary key; agreements are few.
    rows = await reader.fetch(f"select distinct on (id) {_COLUMNS} from agreements order by id, version desc")
    return await _agreements(reader, rows)


async def pinned_agreements(reader: Reader, pins: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], Agreement]:
    """These versions; those unknown are left out."""
    wanted = sorted(set(pins))
    rows = await reader.fetch(
        f"select {_COLUMNS} from agreements where (id, version) in (select * from unnest($1::uuid[], $2::integer[]))",
        [agreement_id for agreement_id, _ in wanted],
        [version for _, version in wanted],
    )
    return {(each.id, each.version): each for each in await _agreements(reader, rows)}


async def find_agreement(reader: Reader, agreement_id: UUID, version: int | None = None) -> Agreement | None:
    """This version of an agreement, or its newest; None when there is none."""
    row = await reader.fetchrow(
        f"select {_COLUMNS} from agreements where id = $1 and version = coalesce($2, version)"
        " order by version desc limit 1",
        agreement_id,
        version,
    )
    return None if row is None else (await _agreements(reader, [row]))[0]


async def list_agreements(reader: Reader, after_id: UUID | None, limit: int) -> Sequence[Agreement]:
    """The newest versions of agreements in the order of their ids, from behind `after_id` on."""
    rows = await reader.fetch(
        f"select distinct on (id) {_COLUMNS} from agreements where $1::uuid is null or id > $1"
        " order by id, version desc limit $2",
        after_id,
        limit,
    )
    return await _agreements(reader, rows)


async def find_same_document(tx: Transaction, document: AgreementDocument) -> Agreement | None:
    """The oldest agreement whose newest version says just this. Until the transaction ends nobody else writes one."""
    await lock_writing(tx)
    row = await tx.fetchrow(
        f"select * from (select distinct on (id) {_COLUMNS} from agreements order by id, version desc) as newest"
        " where document = $1::jsonb order by id limit 1",
        document.as_json(),
    )
    return None if row is None else (await _agreements(tx, [row]))[0]


async def lock_newest_version(tx: Transaction, agreement_id: UUID) -> Agreement | None:
    """The newest version, or None; until the transaction ends nobody else can write one."""
    await lock_writing(tx)
    return await find_agreement(tx, agreement_id)


async def naming(tx: Transaction, calendar_id: UUID) -> Sequence[Agreement]:
    """The newest versions of those agreements whose newest version names this calendar."""
    rows = await tx.fetch(
        f"select * from (select distinct on (id) {_COLUMNS} from agreements order by id, version desc) as newest"
        " where calendar_id = $1 order by id",
        calendar_id,
    )
    return await _agreements(tx, rows)


async def add_version(
    tx: Transaction, agreement_id: UUID, version: int, document: AgreementDocument, named: NamedCalendar | None = None
) -> Agreement:
    """Write a version, which pins that of the calendar it names. Raises asyncpg.UniqueViolationError when it exists."""
    agreement = read_agreement(agreement_id, version, document, tx.now, named)
    await tx.execute(
        "insert into agreements (id, version, document, created_at, calendar_id, calendar_version)"
        " values ($1, $2, $3, $4, $5, $6)",
        agreement_id,
        version,
        document.as_json(),
        tx.now,
        named.id if named else None,
        named.version if named else None,
    )
    return agreement


_COLUMNS = "id, version, document, created_at, calendar_id, calendar_version"


async def _agreements(reader: Reader, rows: Sequence[Any]) -> list[Agreement]:
    pins = {(row["calendar_id"], row["calendar_version"]) for row in rows if row["calendar_id"] is not None}
    calendars = await pinned_calendars(reader, pins) if pins else {}
    return [
        read_agreement(
            row["id"],
            row["version"],
            AgreementDocument.model_validate(row["document"]),
            row["created_at"],
            calendars.get((row["calendar_id"], row["calendar_version"])),
        )
        for row in rows
    ]
