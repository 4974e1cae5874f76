"""Who has a ticket open or writes on it at this moment."""

from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain.presence import MOST_PRESENT, Doing, Present
from opora_intake.store.rows import Reader

_PRUNED = 100
_COMERS = 7_310_005
"""The advisory lock, with a ticket's, of those who come to it: so that their number is kept exactly."""


async def lock_presence(tx: Transaction, ticket_id: UUID) -> None:
    """Nobody else says that they are on the ticket before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1, hashtext($2))", _COMERS, str(ticket_id))


async def present_on(reader: Reader, ticket_id: UUID, now: datetime) -> list[Present]:
    """Who is there, the first comer first, at most MOST_PRESENT. Plan: a range of the primary key."""
    rows = await reader.fetch(
        "select actor, doing, since, until from ticket_presence where ticket_id = $1 and until > $2"
        " order by since, actor limit $3",
        ticket_id,
        now,
        MOST_PRESENT,
    )
    return [Present(row["actor"], Doing(row["doing"]), row["since"], row["until"]) for row in rows]


async def say_present(tx: Transaction, ticket_id: UUID, actor: str, doing: Doing, until: datetime) -> None:
    """Somebody is there from now on, or still; `since` moves when they do something else or were gone."""
    await tx.execute(
        "insert into ticket_presence as known (ticket_id, actor, doing, since, until) values ($1, $2, $3, $4, $5)"
        " on conflict (ticket_id, actor) do update set doing = excluded.doing, until = excluded.until,"
        " since = case when known.doing = excluded.doing and known.until > $4 then known.since else $4 end",
        ticket_id,
        actor,
        doing,
        tx.now,
        until,
    )


async def say_gone(tx: Transaction, ticket_id: UUID, actor: str) -> None:
    """Somebody is there no more."""
    await tx.execute("delete from ticket_presence where ticket_id = $1 and actor = $2", ticket_id, actor)


async def forget_gone(tx: Transaction) -> None:
    """Take some rows away that say nothing any more; whoever says something does it, so that they never pile up.

    Plan: the beginning of ticket_presence_until.
    """
    await tx.execute(
        "delete from ticket_presence where (ticket_id, actor) in ("
        " select ticket_id, actor from ticket_presence where until < $1 order by until limit $2"
        " for update skip locked)",
        tx.now,
        _PRUNED,
    )
