"""Loops of the role `timers` that go over the database again and again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from opora_chassis.errors import is_transient
from opora_chassis.resting import rest

log = structlog.get_logger()


async def keep_at(stop: asyncio.Event, work: Callable[[], Awaitable[bool]], *, rest_seconds: float, waits: str) -> None:
    """Until told to stop, do a round of the work; rest unless it says that there is more to do at once.

    An outage is told as the log's event `waits` and tried again; any other failure is raised.
    """
    while not stop.is_set():
        has_more = False
        try:
            has_more = await work()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning(waits, error=repr(error))
        if not has_more:
            await rest(stop, rest_seconds)
