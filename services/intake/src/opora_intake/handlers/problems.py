"""Problems: workarounds, and announcements that go out behind the requests, in the role `timers`."""

import asyncio
from dataclasses import replace
from uuid import UUID

from prometheus_client import Counter

from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import RuleBroken, Ticket, TooMany, VersionConflict
from opora_intake.domain.problems import (
    MOST_ANNOUNCEMENTS,
    Announced,
    Announcement,
    AnnouncementDraft,
    AnnouncementOver,
    KnownError,
    Outcome,
    require_problem,
    tell,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.errors import Unknown
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.rounds import keep_at
from opora_intake.handlers.tickets import join_history, locked_ticket
from opora_intake.store import problems as store

BATCH = 100
_REST_SECONDS = 1.0
_TOLD = frozenset({Outcome.TOLD, Outcome.RESOLVED, Outcome.NOT_RESOLVED})
ANNOUNCED = Counter("opora_incidents_announced_total", "Incidents to which an announcement came", ["outcome"])


async def put_known_error(
    tx: Transaction, reference: UUID | int, workaround: str, *, expected_version: int | None, actor: str
) -> tuple[Ticket, KnownError]:
    """The problem and its workaround from now on. Raises Unknown, NoProblem or VersionConflict."""
    ticket = await locked_ticket(tx, reference)
    require_problem(ticket)
    present = await store.find_known_error(tx, ticket.id)
    version = 0 if present is None else present.version
    if expected_version not in {None, version}:
        raise VersionConflict(expected_version or 0, version, what="known error is")
    if present is not None and present.workaround == workaround:
        return ticket, present
    known = KnownError(
        ticket_id=ticket.id, workaround=workaround, version=version + 1, changed_at=tx.now, changed_by=actor
    )
    await store.save_known_error(tx, known)
    return ticket, known


async def remove_known_error(tx: Transaction, reference: UUID | int) -> None:
    """The problem has no workaround any more. Raises Unknown."""
    ticket = await locked_ticket(tx, reference)
    if not await store.remove_known_error(tx, ticket.id):
        raise Unknown("known error of", ticket.label)


async def announce(tx: Transaction, reference: UUID | int, draft: AnnouncementDraft, actor: str) -> Announcement:
    """An announcement that goes out behind this request. Raises Unknown, NoProblem or TooMany."""
    ticket = await locked_ticket(tx, reference)
    require_problem(ticket)
    if await store.count_announcements(tx, ticket.id) >= MOST_ANNOUNCEMENTS:
        raise TooMany("announcements", MOST_ANNOUNCEMENTS, of="A problem")
    announcement = Announcement(
        id=new_id(),
        problem_id=ticket.id,
        body=draft.body,
        after=draft.after,
        resolves=draft.resolves,
        resolution_code=draft.resolution_code,
        asked_at=tx.now,
        asked_by=actor,
    )
    await store.add_announcement(tx, announcement)
    return announcement


async def withdraw(tx: Transaction, reference: UUID | int, announcement_id: UUID) -> Announcement:
    """The announcement, which goes out no more. Raises Unknown, or AnnouncementOver once it has begun."""
    ticket = await locked_ticket(tx, reference)
    found = await store.find_announcement(tx, ticket.id, announcement_id)
    if found is None:
        raise Unknown("announcement", announcement_id)
    if not await store.withdraw(tx, found.id, tx.now):
        raise AnnouncementOver
    return replace(found, withdrawn_at=tx.now)


async def tell_batch(tx: Transaction, rules: RulesInForce, limit: int = BATCH) -> bool:
    """Tell the next incidents of the oldest announcement that is due; False when there is nothing to do.

    Each incident is told once: what is written there and how far the announcement has come is one transaction.
    """
    announcement = await store.claim_announcement(tx)
    if announcement is None:
        return False
    in_force = await rules.current(tx)
    incidents = await store.lock_incidents(tx, announcement, limit)
    announced: list[Announced] = []
    changes: list[Change] = []
    for incident in incidents:
        try:
            joined = await join_history(tx, incident)
            outcome, decisions = tell(joined.ticket, announcement, tx.now, message_id=new_id(), rules=in_force)
        except RuleBroken as refusal:
            announced.append(Announced(incident.id, Outcome.PASSED_OVER, str(refusal)[:500]))
            continue
        announced.append(outcome)
        if decisions:
            changes += [Change(each, announcement.asked_by) for each in (joined, *decisions)]
    await record_changes(tx, changes)
    is_last = len(incidents) < limit
    await store.save_progress(
        tx,
        replace(
            announcement,
            position=incidents[-1].id if incidents else announcement.position,
            told=announcement.told + sum(one.outcome in _TOLD for one in announced),
            resolved=announcement.resolved + sum(one.outcome is Outcome.RESOLVED for one in announced),
            passed_over=announcement.passed_over + sum(one.outcome is Outcome.PASSED_OVER for one in announced),
            finished_at=tx.now if is_last else None,
        ),
        announced,
    )
    tx.after_commit(lambda: _count(announced))
    return True


def _count(announced: list[Announced]) -> None:
    for one in announced:
        ANNOUNCED.labels(one.outcome).inc()


async def keep_announcing(stop: asyncio.Event, *, database: Database, rules: RulesInForce) -> None:
    """Until told to stop, let announcements go out, each batch in a transaction of its own."""

    async def work() -> bool:
        async with database.transaction() as tx:
            return await tell_batch(tx, rules)

    await keep_at(stop, work, rest_seconds=_REST_SECONDS, waits="announcements_wait")
