"""Who has a ticket open or writes on it: said again and again, and told to whoever says it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain.presence import MOST_PRESENT, Doing, Present, TooManyPresent
from opora_intake.handlers.tickets import seen_ticket
from opora_intake.store import presence as store


async def say_present(
    tx: Transaction, reference: UUID | int, actor: str, doing: Doing, lease: timedelta
) -> Sequence[Present]:
    """Everybody who is there, the caller included. Raises Unknown or TooManyPresent."""
    ticket = await seen_ticket(tx, reference)
    await store.lock_presence(tx, ticket.id)
    await store.forget_gone(tx)
    there = await store.present_on(tx, ticket.id, tx.now)
    if len(there) >= MOST_PRESENT and actor not in {one.actor for one in there}:
        raise TooManyPresent
    await store.say_present(tx, ticket.id, actor, doing, tx.now + lease)
    return await store.present_on(tx, ticket.id, tx.now)


async def say_gone(tx: Transaction, reference: UUID | int, actor: str) -> None:
    """The caller is there no more. Raises Unknown."""
    await store.say_gone(tx, (await seen_ticket(tx, reference)).id, actor)
