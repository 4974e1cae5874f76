"""Tickets that are done are closed after so much silence, in the role `timers`."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_contracts.vocabulary import Kind
from opora_intake.domain import RuleBroken, decide
from opora_intake.domain.commands import Close
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.rounds import keep_at
from opora_intake.store import silence as store

ACTOR = "system:closing"
BATCH = 200
_REST_SECONDS = 5.0
_HOUR = timedelta(hours=1)
CLOSED = Counter("opora_tickets_closed_after_silence_total", "Tickets that were closed since nothing happened to them")
log = structlog.get_logger()

Place = tuple[datetime, UUID]


async def close_batch(
    tx: Transaction, kind: Kind, *, after: Place | None, rules: RulesInForce, limit: int = BATCH
) -> Place | None:
    """Close the next silent tickets of the kind; the place to go on from, None when there are no more.

    Each is closed once, whoever else is at it: it is locked, and no longer done when it is closed or reopened.
    """
    in_force = await rules.current(tx)
    silence = in_force.close_after.get(kind)
    if silence is None:
        return None
    silent = await store.lock_silent(tx, kind, since=tx.now - silence, after=after, limit=limit)
    command = Close(note=f"Nothing happened for {silence // _HOUR} hours.")
    changes: list[Change] = []
    for ticket in silent:
        try:
            decision = decide(ticket, command, tx.now, message_id=new_id(), actor=ACTOR, rules=in_force)
        except RuleBroken as refusal:
            log.warning("ticket_not_closed", ticket=ticket.label, reason=str(refusal))
            continue
        changes.append(Change(decision, ACTOR))
    await record_changes(tx, changes)
    tx.after_commit(lambda: CLOSED.inc(len(changes)))
    return (silent[-1].last_time, silent[-1].id) if len(silent) == limit else None


async def close_round(database: Database, rules: RulesInForce) -> None:
    """Close every ticket that has been silent for long enough, each batch in a transaction of its own."""
    for kind in (await rules.current(database)).close_after:
        after: Place | None = None
        while True:
            async with database.transaction() as tx:
                after = await close_batch(tx, kind, after=after, rules=rules)
            if after is None:
                break


async def keep_closing(stop: asyncio.Event, *, database: Database, rules: RulesInForce) -> None:
    """Until told to stop, close what has been silent for long enough: within some seconds of the due instant."""

    async def work() -> bool:
        await close_round(database, rules)
        return False

    await keep_at(stop, work, rest_seconds=_REST_SECONDS, waits="closing_waits")
