"""Redrive: handle dead letters again, after the data, the code or the surroundings were mended, in order per key."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opora_chassis.consume import dead_letters, guards
from opora_chassis.consume.batch import HANDLED, apply
from opora_chassis.consume.dead_letters import DeadLetter
from opora_chassis.consume.record import read
from opora_chassis.consume.subscription import Guard, Subscription
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_contracts.errors import UndecodableEvent


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """What a redrive did. `detail` has a line for each key that still fails."""

    redriven: int
    failed: int
    remaining: int
    detail: tuple[str, ...]


async def redrive(
    database: Database,
    subscriptions: Sequence[Subscription],
    *,
    key: str | None,
    dead_letter_id: UUID | None,
    most_letters: int | None = None,
) -> RedriveReport:
    """Handle the parked keys' letters under the same guard as ever; a key whose letter fails again stays parked.

    Each letter has a transaction of its own, so what succeeded stays done. Ends after `most_letters`, if given, though
    more wait. Raises transient errors.
    """
    by_consumer = {subscription.consumer: subscription for subscription in subscriptions}
    redriven, failures = 0, []
    for consumer, parked in await dead_letters.parked_with_letter(database, key=key, dead_letter_id=dead_letter_id):
        subscription = by_consumer.get(consumer)
        if subscription is None:
            failures.append(f"{consumer} {parked}: this service no longer consumes {consumer}; discard the letter")
            continue
        while most_letters is None or redriven < most_letters:
            done, failure = await _redrive_first(database, subscription, parked)
            redriven += done
            if failure is not None:
                failures.append(f"{consumer} {parked}: {failure}")
            if not done:
                break
    letters, _ = await dead_letters.counts(database)
    return RedriveReport(redriven, len(failures), letters, tuple(failures))


async def discard(database: Database, subscriptions: Sequence[Subscription], *, dead_letter_id: UUID) -> bool:
    """Give a letter up for good, in a transaction of its own; see `give_up`."""
    async with database.transaction() as tx:
        return await give_up(tx, subscriptions, dead_letter_id=dead_letter_id)


async def give_up(tx: Transaction, subscriptions: Sequence[Subscription], *, dead_letter_id: UUID) -> bool:
    """Drop a letter within the transaction; False when there is none with this id.

    The key is unparked when it was the last one. The sequence guard moves past a given-up fact, so that its successors
    are not taken for a gap.
    """
    by_consumer = {subscription.consumer: subscription for subscription in subscriptions}
    for consumer, key in await dead_letters.parked_with_letter(tx, key=None, dead_letter_id=dead_letter_id):
        for letter in await dead_letters.letters_of_key(tx, consumer, key):
            if letter.id == dead_letter_id:
                await _pass_over(tx, by_consumer.get(consumer), letter)
                await dead_letters.remove(tx, letter)
                await dead_letters.unpark_when_empty(tx, consumer, key)
                return True
    return False


async def _redrive_first(database: Database, subscription: Subscription, key: str) -> tuple[bool, str | None]:
    """Handle the key's first letter: (True, None) when it went well, (False, why) if not, (False, None) at the end."""
    letter: DeadLetter | None = None
    try:
        async with database.transaction() as tx:
            letters = await dead_letters.letters_of_key(tx, subscription.consumer, key)
            if not letters:
                await dead_letters.unpark_when_empty(tx, subscription.consumer, key)
                return False, None
            letter = letters[0]
            delivery = read(letter.record)
            (outcome,) = await apply(tx, subscription, [delivery], redriving=True)
            if outcome in HANDLED:
                await dead_letters.remove(tx, letter)
                await dead_letters.unpark_when_empty(tx, subscription.consumer, key)
                return True, None
            await dead_letters.keep_failing(tx, letter, letter.reason)
            return False, str(delivery.content) if isinstance(delivery.content, UndecodableEvent) else outcome
    except Exception as error:
        if letter is None or is_transient(error):
            raise
        async with database.transaction() as tx:
            await dead_letters.keep_failing(tx, letter, f"{type(error).__name__}: {error}")
        return False, str(error)


async def _pass_over(tx: Transaction, subscription: Subscription | None, letter: DeadLetter) -> None:
    content = read(letter.record).content
    if isinstance(content, UndecodableEvent) or subscription is None or subscription.guard is not Guard.SEQUENCE:
        return
    if content.sequence is None:
        return
    aggregate = (content.source, content.subject)
    applied = await guards.lock_applied(tx, subscription.consumer, {aggregate})
    if content.sequence == applied[aggregate] + 1:
        await guards.save_applied(tx, subscription.consumer, {aggregate: content.sequence})
