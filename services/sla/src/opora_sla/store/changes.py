"""Requests to judge open tickets by a newer version of their agreement, and how far each has come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_sla.domain import Case
from opora_sla.store.cases import case_of_row

Reader = Database | Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementChange:
    """One request and its progress."""

    id: UUID
    agreement_id: UUID
    to_version: int
    created_from: datetime | None
    """Only tickets that were created from then on; None for all that are open."""
    requested_at: datetime
    requested_by: str
    position: UUID | None = None
    """Tickets up to this id are done."""
    examined: int = 0
    migrated: int = 0
    """Of those examined, the tickets that went over."""
    effects: Mapping[str, int]
    finished_at: datetime | None = None


async def add_change(tx: Transaction, change: AgreementChange) -> None:
    """Write a request that nobody has begun."""
    await tx.execute(
        "insert into agreement_changes (id, agreement_id, to_version, created_from, requested_at, requested_by)"
        " values ($1, $2, $3, $4, $5, $6)",
        change.id,
        change.agreement_id,
        change.to_version,
        change.created_from,
        change.requested_at,
        change.requested_by,
    )


async def find_change(reader: Reader, agreement_id: UUID, change_id: UUID) -> AgreementChange | None:
    """A request about this agreement, or None."""
    row = await reader.fetchrow(
        "select * from agreement_changes where id = $1 and agreement_id = $2", change_id, agreement_id
    )
    return None if row is None else AgreementChange(**row)


async def list_changes(reader: Reader, agreement_id: UUID, after_id: UUID | None, limit: int) -> list[AgreementChange]:
    """The requests about an agreement in the order in which they were made, from behind `after_id` on."""
    # Plan: a range of agreement_changes_of_agreement.
    rows = await reader.fetch(
        "select * from agreement_changes where agreement_id = $1 and ($2::uuid is null or id > $2)"
        " order by id limit $3",
        agreement_id,
        after_id,
        limit,
    )
    return [AgreementChange(**row) for row in rows]


async def claim_unfinished(tx: Transaction) -> AgreementChange | None:
    """The oldest request that is not done and that no other process is at work on, locked; None when there is none."""
    # Plan: agreement_changes_unfinished, which is empty nearly always.
    row = await tx.fetchrow(
        "select * from agreement_changes where finished_at is null order by requested_at limit 1 for update skip locked"
    )
    return None if row is None else AgreementChange(**row)


async def save_progress(tx: Transaction, change: AgreementChange) -> None:
    """How far a claimed request has come."""
    await tx.execute(
        "update agreement_changes set position = $2, examined = $3, migrated = $4, effects = $5::jsonb,"
        " finished_at = $6 where id = $1",
        change.id,
        change.position,
        change.examined,
        change.migrated,
        dict(change.effects),
        change.finished_at,
    )


async def lock_open_cases(
    tx: Transaction, agreement_id: UUID, before_version: int, after_id: UUID | None, limit: int
) -> list[Case]:
    """Open tickets under an older version, in the order of their ids, locked, without their history."""
    # Plan: a range of the primary key; a whole pass reads every ticket once, which a change of an agreement may cost.
    rows = await tx.fetch(
        "select * from cases where open and agreement_id = $1 and agreement_version < $2"
        " and ($3::uuid is null or ticket_id > $3) order by ticket_id limit $4 for update",
        agreement_id,
        before_version,
        after_id,
        limit,
    )
    return [case_of_row(row) for row in rows]


async def find_open_cases(reader: Reader, agreement_id: UUID, after_id: UUID | None, limit: int) -> list[Case]:
    """Open tickets under any version of the agreement, in the order of their ids, without their history."""
    # Plan: as in lock_open_cases.
    rows = await reader.fetch(
        "select * from cases where open and agreement_id = $1 and ($2::uuid is null or ticket_id > $2)"
        " order by ticket_id limit $3",
        agreement_id,
        after_id,
        limit,
    )
    return [case_of_row(row) for row in rows]


async def pin_version(tx: Transaction, ticket_ids: Collection[UUID], version: int) -> None:
    """These locked tickets go by this version of their agreement from now on."""
    await tx.execute(
        "update cases set agreement_version = $2 where ticket_id = any($1::uuid[])", list(ticket_ids), version
    )


def effects_added(effects: Mapping[str, int], more: Collection[Any]) -> dict[str, int]:
    """The counts with those of these effects."""
    counts = dict(effects)
    for effect in more:
        counts[effect] = counts.get(effect, 0) + 1
    return counts
