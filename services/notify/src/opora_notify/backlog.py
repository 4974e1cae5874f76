"""How much mail and how many webhooks wait to leave: shown at /metrics, decided by nothing."""

import asyncio

import structlog
from prometheus_client import Gauge

from opora_chassis.errors import is_transient
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_contracts.vocabulary import MessageChannel
from opora_notify import store

WAITING = Gauge("opora_notifications_waiting", "Messages that are neither delivered nor given up", ["channel"])
OVERDUE = Gauge(
    "opora_notifications_overdue_seconds", "Real seconds by which the most overdue attempt to send is late", ["channel"]
)
log = structlog.get_logger()

_LOOK_SECONDS = 10.0


async def watch_backlog(stop: asyncio.Event, *, platform: Platform) -> None:
    """Count what waits until told to stop; while the database is away, what was counted last stays."""
    while not stop.is_set():
        try:
            await _look(platform)
        except Exception as error:
            if not is_transient(error):
                raise
            log.debug("backlog_not_seen", error=repr(error))
        await rest(stop, _LOOK_SECONDS)


async def _look(platform: Platform) -> None:
    now = await platform.database.now()
    for channel in MessageChannel:
        waiting, due_at = await store.backlog(platform.database, channel)
        WAITING.labels(channel).set(waiting)
        OVERDUE.labels(channel).set(0 if due_at is None else max(0.0, platform.clock.real_seconds(now - due_at)))
