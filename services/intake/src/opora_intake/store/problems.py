"""Problems: their incidents, what helps meanwhile, and what is announced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts.vocabulary import ResolutionCode, Step
from opora_intake.domain import Ticket
from opora_intake.domain.problems import After, Announced, Announcement, KnownError, Outcome
from opora_intake.store.rows import Reader, ticket_of
from opora_intake.store.tickets import COLUMNS

_KNOWN = "ticket_id, workaround, version, changed_at, changed_by"
_ANNOUNCEMENT = (
    "id, problem_id, body, after, resolves, resolution_code, asked_at, asked_by, position, told, resolved, passed_over,"
    " finished_at, withdrawn_at"
)

_CAUSES = """
with recursive causes (id) as (
    select $1::uuid
    union select tickets.id from causes join tickets on tickets.merged_into = causes.id
)
"""


@dataclass(frozen=True, slots=True)
class Incident:
    """A ticket that a problem causes."""

    ticket_id: UUID
    number: int
    title: str
    step: Step
    requester_id: UUID | None
    since: datetime


async def incidents_of(reader: Reader, problem_id: UUID, *, after: UUID | None, limit: int) -> list[Incident]:
    """Those that name the problem, or one that was merged into it, as their cause, by id.

    Plan: tickets_merged_into, ticket_links_to, and a probe of tickets each.
    """
    rows = await reader.fetch(
        f"{_CAUSES} select tickets.id as ticket_id, number, title, step, requester_id, min(since) as since"
        " from ticket_links join tickets on tickets.id = from_id"
        " where to_id in (select id from causes) and relation = 'caused_by'"
        " and ($2::uuid is null or tickets.id > $2) group by tickets.id order by tickets.id limit $3",
        problem_id,
        after,
        limit,
    )
    return [Incident(**{**dict(row), "step": Step(row["step"])}) for row in rows]


async def find_known_error(reader: Reader, ticket_id: UUID) -> KnownError | None:
    """The workaround of a problem."""
    row = await reader.fetchrow(f"select {_KNOWN} from known_errors where ticket_id = $1", ticket_id)
    return None if row is None else KnownError(**dict(row))


async def list_known_errors(
    reader: Reader, *, after: UUID | None, limit: int
) -> list[tuple[KnownError, int, str, Step, str | None]]:
    """The workarounds of problems that are not closed, newest problem first, with number, title, step and cause.

    Plan: a backward scan of the primary key, with a probe of tickets each; there are as many as problems.
    """
    rows = await reader.fetch(
        f"select {', '.join(f'known_errors.{name}' for name in _KNOWN.split(', '))}, number, title, step, cause"
        " from known_errors join tickets on tickets.id = ticket_id where step <> 'closed'"
        " and ($1::uuid is null or ticket_id < $1) order by ticket_id desc limit $2",
        after,
        limit,
    )
    return [
        (
            KnownError(**{name: row[name] for name in _KNOWN.split(", ")}),
            row["number"],
            row["title"],
            Step(row["step"]),
            row["cause"],
        )
        for row in rows
    ]


async def save_known_error(tx: Transaction, known: KnownError) -> None:
    """Keep the workaround; its ticket must be locked by this transaction."""
    await tx.execute(
        f"insert into known_errors ({_KNOWN}) values ($1, $2, $3, $4, $5) on conflict (ticket_id) do update set"
        " workaround = excluded.workaround, version = excluded.version, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by",
        known.ticket_id,
        known.workaround,
        known.version,
        known.changed_at,
        known.changed_by,
    )


async def remove_known_error(tx: Transaction, ticket_id: UUID) -> bool:
    """Forget the workaround; whether there was one."""
    return await tx.fetchval("delete from known_errors where ticket_id = $1 returning true", ticket_id) is not None


async def count_announcements(reader: Reader, problem_id: UUID) -> int:
    """How many announcements the problem has."""
    row = await reader.fetchrow("select count(*) as count from announcements where problem_id = $1", problem_id)
    return 0 if row is None else row["count"]


async def add_announcement(tx: Transaction, announcement: Announcement) -> None:
    """Keep an announcement that is to go out."""
    await tx.execute(
        "insert into announcements (id, problem_id, body, after, resolves, resolution_code, asked_at, asked_by)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        announcement.id,
        announcement.problem_id,
        announcement.body,
        announcement.after,
        announcement.resolves,
        announcement.resolution_code,
        announcement.asked_at,
        announcement.asked_by,
    )


async def list_announcements(reader: Reader, problem_id: UUID) -> list[Announcement]:
    """All announcements of a problem, oldest first. Plan: announcements_of_problem; they are few."""
    rows = await reader.fetch(
        f"select {_ANNOUNCEMENT} from announcements where problem_id = $1 order by id", problem_id
    )
    return [_announcement_of(row) for row in rows]


async def find_announcement(reader: Reader, problem_id: UUID, announcement_id: UUID) -> Announcement | None:
    """One announcement of a problem."""
    row = await reader.fetchrow(
        f"select {_ANNOUNCEMENT} from announcements where problem_id = $1 and id = $2", problem_id, announcement_id
    )
    return None if row is None else _announcement_of(row)


async def withdraw(tx: Transaction, announcement_id: UUID, now: datetime) -> bool:
    """Take an announcement back that has not begun to go out; False when it has."""
    taken = await tx.fetchval(
        "update announcements set withdrawn_at = $2 where id = $1 and position is null and finished_at is null"
        " and withdrawn_at is null returning true",
        announcement_id,
        now,
    )
    return taken is not None


async def claim_announcement(tx: Transaction) -> Announcement | None:
    """The oldest announcement that is due and that nobody is at, locked; None when there is none."""
    # Plan: announcements_unfinished, which is nearly empty, with a probe of tickets each.
    row = await tx.fetchrow(
        f"select {_ANNOUNCEMENT} from announcements where finished_at is null and withdrawn_at is null"
        " and (after = 'now' or exists (select from tickets where tickets.id = problem_id"
        "  and step in ('resolved', 'verified', 'closed')"
        "  and coalesce(resolution_code not in ('cancelled', 'duplicate'), true)))"
        " order by id limit 1 for update skip locked"
    )
    return None if row is None else _announcement_of(row)


async def lock_incidents(tx: Transaction, announcement: Announcement, limit: int) -> list[Ticket]:
    """The next incidents behind the announcement's position, locked in the order of their ids."""
    rows = await tx.fetch(
        f"{_CAUSES} select {COLUMNS} from tickets where id in ("
        " select distinct from_id from ticket_links where to_id in (select id from causes) and relation = 'caused_by'"
        " and ($2::uuid is null or from_id > $2) order by from_id limit $3) order by id for update",
        announcement.problem_id,
        announcement.position,
        limit,
    )
    return [ticket_of(row) for row in rows]


async def save_progress(tx: Transaction, announcement: Announcement, announced: Sequence[Announced]) -> None:
    """Note how far a claimed announcement has come, and what became of these incidents."""
    await tx.execute(
        "update announcements set position = $2, told = $3, resolved = $4, passed_over = $5, finished_at = $6"
        " where id = $1",
        announcement.id,
        announcement.position,
        announcement.told,
        announcement.resolved,
        announcement.passed_over,
        announcement.finished_at,
    )
    await tx.executemany(
        "insert into announced_incidents (announcement_id, ticket_id, outcome, reason) values ($1, $2, $3, $4)",
        [(announcement.id, one.ticket_id, one.outcome, one.reason) for one in announced],
    )


async def announced_to(
    reader: Reader, announcement_id: UUID, *, after: UUID | None, limit: int
) -> list[tuple[Announced, int]]:
    """What became of each incident, by id, with its number. Plan: a range of the primary key."""
    rows = await reader.fetch(
        "select ticket_id, outcome, reason, number from announced_incidents join tickets on tickets.id = ticket_id"
        " where announcement_id = $1 and ($2::uuid is null or ticket_id > $2) order by ticket_id limit $3",
        announcement_id,
        after,
        limit,
    )
    return [(Announced(row["ticket_id"], Outcome(row["outcome"]), row["reason"]), row["number"]) for row in rows]


def _announcement_of(row: Any) -> Announcement:
    fields = dict(row)
    return Announcement(
        **{
            **fields,
            "after": After(fields["after"]),
            "resolution_code": ResolutionCode(fields["resolution_code"]),
        }
    )
