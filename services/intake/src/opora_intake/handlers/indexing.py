"""What tickets are found by is written behind them, in batches, by one process at a time."""

import asyncio

import structlog
from prometheus_client import Gauge

from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_chassis.resting import rest
from opora_intake.handlers.search import tallied
from opora_intake.store import search as store

BATCH = 500
_POLL_SECONDS = 0.5
_WATCH_ROUNDS = 20

WAITING = Gauge("opora_search_waiting", "Changes of tickets and customers that cannot be found yet, up to 100,000")
log = structlog.get_logger()


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
    while not stop.is_set():
        changes = 0
        try:
            changes = await index_batch(database)
            if rounds % _WATCH_ROUNDS == 0:
                WAITING.set(await store.queued(database))
            rounds += 1
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("search_waits", error=repr(error))
        if changes < BATCH:
            await rest(stop, _POLL_SECONDS)
