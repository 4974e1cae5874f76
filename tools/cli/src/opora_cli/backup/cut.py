"""One instant of the whole platform: four databases and a log that agree, taken while it works.

For a moment nothing that publishes facts may commit: a SHARE lock on every outbox. Then, and only then, each
database's snapshot is taken and the ends of the topics are read. So

* what a database had committed stands in its outbox or on its topic below the end: nothing is lost between them;
* what stands on a topic below the end was committed in its owner's snapshot: no log runs ahead of its owner;
* what a consumer had applied stands below the end: no consumer knows of a fact that the log has not.

The consumers' positions are read before the snapshots: each snapshot has everything below them, and what was handled
since comes again after a restore, where the guards drop it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from opora_chassis.consume.consumers import group_of
from opora_cli.backup import store
from opora_cli.errors import CommandError
from opora_cli.store import database_time
from opora_contracts import TOPICS
from opora_contracts.topics import PROGRESS, Topic

KEPT_TOPICS: tuple[Topic, ...] = tuple(topic for topic in TOPICS if topic is not PROGRESS)
"""Progress marks are kept an hour and are worth nothing after a restore: the relay tells new ones at once."""
_PATIENCE_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0)
"""How long each attempt waits for the transactions under way. While it waits, later ones queue behind it: the first
attempts are short, because most succeed at once."""
_BETWEEN_ATTEMPTS_SECONDS = 0.3
_ENDS_SECONDS = 5.0

Positions = dict[str, dict[str, dict[int, int]]]
"""By service, topic and partition."""


class BusyWritersError(CommandError):
    """A transaction that publishes facts did not end in time."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"a transaction in {service}'s database has been open for too long: the platform's instant cannot be taken."
            " Nothing was changed; take the backup again when it has ended (an import under way, a psql session?)",
            next_command="opora doctor",
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """The instant, as pg_dump and the reader of the log need it. Its snapshots hold while the block runs."""

    taken_at: datetime
    snapshots: Mapping[str, str]
    """By service."""
    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    positions: Positions
    stood_still_seconds: float


@asynccontextmanager
async def consistent_cut(bootstrap: str, dsns: Mapping[str, str]) -> AsyncIterator[Cut]:
    """Take the instant; the snapshots are held until the block ends.

    Writers stand still for about as long as the shortest of their transactions takes, and never for more than 3 s at a
    time. Raises BusyWritersError, or whatever the servers answer.
    """
    async with AsyncExitStack() as cleanup:
        positions = await committed_positions(bootstrap)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
        cleanup.push_async_callback(consumer.stop)
        await consumer.start()
        partitions = [TopicPartition(topic.name, number) for topic in KEPT_TOPICS for number in range(topic.partitions)]
        begins = await consumer.beginning_offsets(partitions)
        holders = {service: await _session(cleanup, dsn) for service, dsn in dsns.items()}
        readers = {service: await _session(cleanup, dsn) for service, dsn in dsns.items()}
        for reader in readers.values():
            await cleanup.enter_async_context(reader.transaction(isolation="repeatable_read", readonly=True))
        async with _held_writers(holders) as held_at:
            # The time first: what was acknowledged before it is in every snapshot.
            taken_at = min(await asyncio.gather(*(database_time(holder) for holder in holders.values())))
            taken = await asyncio.gather(*(store.export_snapshot(reader) for reader in readers.values()))
            async with asyncio.timeout(_ENDS_SECONDS):
                ends = await consumer.end_offsets(partitions)
        stood_still_seconds = time.monotonic() - held_at
        yield Cut(
            taken_at=taken_at,
            snapshots=dict(zip(readers, taken, strict=True)),
            begins=begins,
            ends=ends,
            positions=positions,
            stood_still_seconds=stood_still_seconds,
        )


async def committed_positions(bootstrap: str) -> Positions:
    """How far each service has acknowledged each topic that it consumes. What it never acknowledged is left out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        positions: Positions = {}
        for topic in KEPT_TOPICS:
            for service in topic.consumers:
                committed = await admin.list_consumer_group_offsets(group_of(service, topic.name))
                of_topic = {
                    partition.partition: position.offset
                    for partition, position in committed.items()
                    if partition.topic == topic.name and position.offset >= 0
                }
                positions.setdefault(service, {})[topic.name] = of_topic
        return positions
    finally:
        await admin.close()


async def _session(cleanup: AsyncExitStack, dsn: str) -> asyncpg.Connection:
    connection = await store.connect(dsn)
    cleanup.push_async_callback(connection.close, timeout=5)
    return connection


@asynccontextmanager
async def _held_writers(holders: Mapping[str, Any]) -> AsyncIterator[float]:
    """Hold all writers at once, or none; gives the monotonic time since when the first of them may have waited."""
    busy: list[str] = []
    for patience in _PATIENCE_SECONDS:
        began = time.monotonic()
        async with AsyncExitStack() as held:
            for holder in holders.values():
                await held.enter_async_context(holder.transaction())
            busy = await _try_to_hold(holders, patience)
            if not busy:
                yield began
                return
        await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
    raise BusyWritersError(busy[0])


async def _try_to_hold(holders: Mapping[str, Any], patience_seconds: float) -> list[str]:
    """The services whose writers could not be held."""
    outcomes = await asyncio.gather(
        *(store.hold_writers(holder, patience_seconds) for holder in holders.values()), return_exceptions=True
    )
    busy = []
    for service, outcome in zip(holders, outcomes, strict=True):
        if isinstance(outcome, asyncpg.LockNotAvailableError):
            busy.append(service)
        elif isinstance(outcome, BaseException):
            raise outcome
    return busy
