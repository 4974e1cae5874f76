"""What tickets are found by is written behind them, in batches, by one process at a time."""

import asyncio

from prometheus_client import Gauge

from opora_chassis.database import Database
from opora_intake.handlers.rounds import keep_at
from opora_intake.handlers.search import tallied
from opora_intake.store import search as store

BATCH = 500
_POLL_SECONDS = 0.5
_WATCH_ROUNDS = 20

WAITING = Gauge("opora_search_waiting", "Changes of tickets and customers that cannot be found yet, up to 100,000")


async def index_batch(database: Database, limit: int = BATCH) -> int:
    """Let what changed be found as it is now; how many changes were done, 0 when none waits or another is at it.

    One transaction: a change leaves the queue when it can be found, and not before.
    """
    async with database.transaction() as tx:
        claimed = await store.claim_queued(tx, limit)
        if claimed is None:
            return 0
        tickets, customers, changes = claimed
        if tickets:
            await store.count_words(tx, tallied(await store.new_title_words(tx, tickets)))
            await store.index_tickets(tx, tickets)
        if customers:
            await store.index_customers(tx, customers)
        return changes


async def keep_searchable(stop: asyncio.Event, *, database: Database) -> None:
    """Until told to stop, let changes be found, half a second later at most while there are few."""
    rounds = 0

    async def work() -> bool:
        nonlocal rounds
        changes = await index_batch(database)
        if rounds % _WATCH_ROUNDS == 0:
            WAITING.set(await store.queued(database))
        rounds += 1
        return changes >= BATCH

    await keep_at(stop, work, rest_seconds=_POLL_SECONDS, waits="search_waits")
