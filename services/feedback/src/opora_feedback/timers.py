"""What happens by the clock alone: surveys that nobody answered come to their end."""

import asyncio

import structlog

from opora_chassis.database import Database
from opora_chassis.resting import rest
from opora_feedback import store

_BATCH_SURVEYS = 500
log = structlog.get_logger()


async def expire_surveys(stop: asyncio.Event, *, database: Database, poll_seconds: float) -> None:
    """Mark surveys past their end until told to stop. It tells no fact: a survey's end already refuses answers."""
    while not stop.is_set():
        async with database.transaction() as tx:
            expired = await store.expire_surveys(tx, tx.now, _BATCH_SURVEYS)
        if expired:
            log.info("surveys_expired", count=expired)
        if expired < _BATCH_SURVEYS:
            await rest(stop, poll_seconds)
