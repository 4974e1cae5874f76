"""What the lines about consumers share: a full topic, a group that begins at its start, a rate seen in the database."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from opora_chassis.outbox import partition_of
from opora_cli.waiting import came_true
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.topics import TICKETS
from tests.bench.ground import Ground
from tests.bench.row import Row, duration

_LOOK_SECONDS = 0.02
_CONSUMED_SECONDS = 300.0


async def produce(ground: Ground, topic: str, events: Iterable[Event[Any]]) -> None:
    """Put the events on the topic, in order per key."""
    async with AIOKafkaProducer(bootstrap_servers=ground.kafka.bootstrap, max_batch_size=1_000_000) as producer:
        sent = []
        for event in events:
            record = encode(event)
            partition = partition_of(record.key, TICKETS.partitions)
            sent.append(await producer.send(topic, record.value, record.key, partition, headers=list(record.headers)))
        await asyncio.gather(*sent)


Arrived = Callable[[], Awaitable[None]]
"""Waits until somebody waits for the table."""


@asynccontextmanager
async def held_back(dsn: str, table: str = "applied") -> AsyncIterator[Arrived]:
    """Meanwhile who works on this table waits for it, so that a backlog can gather; by default a consumer's guard."""
    connection = await asyncpg.connect(dsn)
    looking = await asyncpg.connect(dsn)

    async def arrived() -> None:
        waits = "select exists (select from pg_locks where relation = $1::text::regclass and not granted)"
        if not await came_true(partial(looking.fetchval, waits, table), _CONSUMED_SECONDS):
            raise TimeoutError(f"nobody has come to the table {table} within {_CONSUMED_SECONDS:.0f} s")

    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in access exclusive mode")
            yield arrived
    finally:
        await connection.close()
        await looking.close()


async def rate_of_program(
    ground: Ground,
    command: Sequence[str],
    settings: dict[str, str],
    *,
    table: str,
    count: str,
    whole: int,
    database_seconds: list[float] | None = None,
) -> float:
    """Items a second of a program that works off a backlog, from when it is let to its first item until the last.

    `database_seconds` is given the processor time that the database server spent on an item.
    """
    dsn = settings["OPORA_DATABASE_DSN"]
    async with AsyncExitStack() as stack:
        async with held_back(dsn, table) as arrived:
            await stack.enter_async_context(ground.processes([command], **settings))
            await arrived()
            before = ground.database_seconds()
        rate = await rate_of(dsn, count, whole)
        if database_seconds is not None:
            database_seconds.append((ground.database_seconds() - before) / whole)
        return rate


def database_row(line: str, database_seconds: Sequence[float], bare: Sequence[float]) -> Row:
    """What the database alone works on an item, against all of the bare loop: a bound for what ours can reach."""
    spent, whole = statistics.median(database_seconds), statistics.median(1 / rate for rate in bare)
    return Row(
        f"{line}: PostgreSQL's processor time an item",
        duration(spent),
        "the bare loop from end to end",
        duration(whole),
        spent / whole,
        None,
        f"a core that did only this, and nothing in Python, would bring {whole / spent:.2f} x of the bare loop's rate",
    )


async def rate_of(dsn: str, count: str, whole: int) -> float:
    """Items a second from now on until the query `count` says that all are done, none of which is yet."""
    connection = await asyncpg.connect(dsn)
    began = time.perf_counter()
    try:
        while (took := time.perf_counter() - began) < _CONSUMED_SECONDS:
            if await connection.fetchval(count) >= whole:
                return whole / took
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await connection.close()
    raise TimeoutError(f"not consumed within {_CONSUMED_SECONDS:.0f} s")
