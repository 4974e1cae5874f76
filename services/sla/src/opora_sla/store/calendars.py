"""Calendars in their versions, and when what they take from elsewhere is read again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_sla.calendar.document import CalendarDocument, CalendarVersion, Closures, NamedCalendar
from opora_sla.calendar.public_holidays import KEPT

Reader = Database | Transaction
_MOST_KEPT = 1_000
_kept: dict[tuple[UUID, int], NamedCalendar] = {}
"""Versions that were read before. They never change, and a calendar's holidays of forty years take a while to read."""


@dataclass(frozen=True, slots=True)
class Source:
    """How the reading of a calendar's public holidays and feed goes."""

    read_at: datetime | None
    failing_since: datetime | None
    problem: str | None


async def lock_writing(tx: Transaction) -> None:
    """Until the transaction ends nobody else writes an agreement or a calendar: one pins the other."""
    await tx.execute("lock table agreements in share row exclusive mode")


async def find_calendar(reader: Reader, calendar_id: UUID, version: int | None = None) -> CalendarVersion | None:
    """This version of a calendar, or its newest; None when there is none."""
    row = await reader.fetchrow(
        f"select {_COLUMNS} from calendars where id = $1 and version = coalesce($2, version)"
        " order by version desc limit 1",
        calendar_id,
        version,
    )
    return None if row is None else _calendar(row)


async def find_by_name(reader: Reader, name: str) -> CalendarVersion | None:
    """The newest version of the calendar of this name, or None."""
    row = await reader.fetchrow(
        f"select {_COLUMNS} from calendars"
        " where id = (select id from calendars where name = $1 and version = 1) order by version desc limit 1",
        name,
    )
    return None if row is None else _calendar(row)


async def names(reader: Reader) -> list[str]:
    """Of all calendars, in order."""
    rows = await reader.fetch("select name from calendars where version = 1 order by name")
    return [row["name"] for row in rows]


async def list_calendars(reader: Reader, after_id: UUID | None, limit: int) -> Sequence[CalendarVersion]:
    """The newest versions of calendars in the order of their ids, from behind `after_id` on."""
    rows = await reader.fetch(
        f"select distinct on (id) {_COLUMNS} from calendars where $1::uuid is null or id > $1"
        " order by id, version desc limit $2",
        after_id,
        limit,
    )
    return [_calendar(row) for row in rows]


async def pinned_calendars(reader: Reader, pins: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], NamedCalendar]:
    """These versions, ready for clocks. Only for pins that were committed: what was read is kept in this process."""
    found = {pin: _kept[pin] for pin in set(pins) if pin in _kept}
    missing = sorted(set(pins) - found.keys())
    if missing:
        rows = await reader.fetch(
            f"select {_COLUMNS} from calendars"
            " where (id, version) in (select * from unnest($1::uuid[], $2::integer[]))",
            [calendar_id for calendar_id, _ in missing],
            [version for _, version in missing],
        )
        read = {(row["id"], row["version"]): _calendar(row).named() for row in rows}
        if len(_kept) + len(read) > _MOST_KEPT:
            _kept.clear()
        _kept.update(read)
        found |= read
    return found


async def add_version(
    tx: Transaction, calendar_id: UUID, version: int, document: CalendarDocument, closures: Closures
) -> CalendarVersion:
    """Write a version. Raises asyncpg.UniqueViolationError when it exists, or the name of a new calendar does."""
    await tx.execute(
        "insert into calendars (id, version, name, document, closures, created_at) values ($1, $2, $3, $4, $5, $6)",
        calendar_id,
        version,
        document.name,
        document.as_json(),
        closures.as_json(),
        tx.now,
    )
    return CalendarVersion(calendar_id, version, tx.now, document, closures)


async def read_from_now(tx: Transaction, calendar_id: UUID, *, has_sources: bool) -> None:
    """Let what the calendar takes from elsewhere be read at once, or never more."""
    if not has_sources:
        await tx.execute("delete from calendar_sources where calendar_id = $1", calendar_id)
        return
    await tx.execute(
        "insert into calendar_sources (calendar_id, next_refresh_at) values ($1, $2)"
        " on conflict (calendar_id) do update set next_refresh_at = excluded.next_refresh_at",
        calendar_id,
        tx.now,
    )


async def claim_due_source(tx: Transaction, busy_until: datetime) -> UUID | None:
    """A calendar whose sources are due, which nobody else claims before `busy_until`; None when there is none."""
    # Plan: the first row of calendar_sources_due; calendars are few.
    calendar_id: UUID | None = await tx.fetchval(
        "update calendar_sources set next_refresh_at = $2 where calendar_id ="
        " (select calendar_id from calendar_sources where next_refresh_at <= $1"
        " order by next_refresh_at limit 1 for update skip locked) returning calendar_id",
        tx.now,
        busy_until,
    )
    return calendar_id


async def save_source(tx: Transaction, calendar_id: UUID, problem: str | None, next_refresh_at: datetime) -> None:
    """How the reading went. One that is due again already, after an edit, stays due."""
    await tx.execute(
        "update calendar_sources set"
        " next_refresh_at = case when next_refresh_at <= $2 then next_refresh_at else $3 end,"
        " read_at = case when $4::text is null then $2 else read_at end, problem = $4,"
        " failing_since = case when $4::text is null then null else coalesce(failing_since, $2) end"
        " where calendar_id = $1",
        calendar_id,
        tx.now,
        next_refresh_at,
        problem,
    )


async def sources_of(reader: Reader, calendar_ids: Collection[UUID]) -> dict[UUID, Source]:
    """How the reading goes of those calendars that take something from elsewhere."""
    rows = await reader.fetch(
        "select calendar_id, read_at, failing_since, problem from calendar_sources where calendar_id = any($1::uuid[])",
        list(calendar_ids),
    )
    return {row["calendar_id"]: Source(row["read_at"], row["failing_since"], row["problem"]) for row in rows}


async def failing_sources(reader: Reader) -> int:
    """Of how many calendars the last reading failed."""
    return int(await reader.fetchval("select count(*) from calendar_sources where failing_since is not null") or 0)


_COLUMNS = "id, version, document, closures, created_at"


def _calendar(row: Any) -> CalendarVersion:
    document = CalendarDocument.model_validate(row["document"], context=KEPT)
    return CalendarVersion(row["id"], row["version"], row["created_at"], document, Closures.from_json(row["closures"]))
