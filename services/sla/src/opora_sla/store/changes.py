"""Requests to judge open tickets by a newer version of their agreement, and how far each has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
    """Tickets up to this id are done, or stand in a stretch."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Tickets that one worker takes over: those above one id up to another."""

    change_id: UUID
    agreement_id: UUID
    to_version: int
    created_from: datetime | None
    after_id: UUID | None
    until_id: UUID


async def lock_unfinished(tx: Transaction) -> AgreementChange | None:
    """The oldest request that is not done, locked once no other worker has it; None when there is none."""
    # Plan: agreement_changes_unfinished, which is empty nearly always.
    row = await tx.fetchrow(
        "select * from agreement_changes where finished_at is null order by requested_at limit 1 for update"
    )
    return None if row is None else AgreementChange(**row)


async def set_stretch(tx: Transaction, change: AgreementChange, limit: int) -> bool:
    """Put the next `limit` open tickets behind a locked request's position on a stretch; False when there are none."""
    # Plan: a range of the primary key; a whole pass reads every ticket once, which a change of an agreement may cost.
    until_id = await tx.fetchval(
        "select ticket_id from ("
        "  select ticket_id from cases where open and agreement_id = $1 and agreement_version < $2"
        "  and ($3::uuid is null or ticket_id > $3) order by ticket_id limit $4"
        ") as next order by ticket_id desc limit 1",
        change.agreement_id,
        change.to_version,
        change.position,
        limit,
    )
    if until_id is None:
        return False
    await tx.execute(
        "with moved as (update agreement_changes set position = $3 where id = $1)"
        " insert into agreement_change_stretches (change_id, after_id, until_id) values ($1, $2, $3)",
        change.id,
        change.position,
        until_id,
    )
    return True


async def finish(tx: Transaction, change: AgreementChange) -> bool:
    """Say that a locked request is done, unless somebody is still at one of its stretches."""
    done = await tx.fetchval(
        "update agreement_changes set finished_at = $2 where id = $1"
        " and not exists (select from agreement_change_stretches where change_id = $1) returning true",
        change.id,
        tx.now,
    )
    return bool(done)


async def take_stretch(tx: Transaction) -> Stretch | None:
    """A stretch that nobody is at, which is done when the transaction commits; None when there is none."""
    row = await tx.fetchrow(
        "with taken as (delete from agreement_change_stretches where (change_id, until_id) = ("
        "  select change_id, until_id from agreement_change_stretches order by change_id, until_id limit 1"
        "  for update skip locked) returning change_id, after_id, until_id)"
        " select change_id, agreement_id, to_version, created_from, after_id, until_id"
        " from taken join agreement_changes on agreement_changes.id = taken.change_id"
    )
    return None if row is None else Stretch(**row)


async def add_progress(
    tx: Transaction, change_id: UUID, *, examined: int, migrated: int, effects: Mapping[str, int]
) -> None:
    """Count so many tickets more, and what became of their clocks."""
    await tx.execute(
        "update agreement_changes set examined = examined + $2, migrated = migrated + $3, effects = ("
        "  select coalesce(jsonb_object_agg(effect, number), '{}') from ("
        "    select effect, sum(count::bigint) as number from ("
        "      select * from jsonb_each_text(effects) union all select * from jsonb_each_text($4::jsonb)"
        "    ) as counted (effect, count) group by effect) as summed"
        ") where id = $1",
        change_id,
        examined,
        migrated,
        dict(effects),
    )


async def lock_open_cases(tx: Transaction, stretch: Stretch) -> list[Case]:
    """The open tickets of a stretch under an older version, in the order of their ids, locked, without history and
    waypoint.
    """
    # Plan: a range of the primary key.
    rows = await tx.fetch(
        "select * from cases where open and agreement_id = $1 and agreement_version < $2"
        " and ($3::uuid is null or ticket_id > $3) and ticket_id <= $4 order by ticket_id for update",
        stretch.agreement_id,
        stretch.to_version,
        stretch.after_id,
        stretch.until_id,
    )
    return [case_of_row(row, with_waypoint=False) for row in rows]


async def find_open_cases(reader: Reader, agreement_id: UUID, after_id: UUID | None, limit: int) -> list[Case]:
    """Open tickets under any version of the agreement, in the order of their ids, without history and waypoint."""
    # Plan: as in lock_open_cases.
    rows = await reader.fetch(
        "select * from cases where open and agreement_id = $1 and ($2::uuid is null or ticket_id > $2)"
        " order by ticket_id limit $3",
        agreement_id,
        after_id,
        limit,
    )
    return [case_of_row(row, with_waypoint=False) for row in rows]
