"""The relay: a full outbox drained, against its own loop without the broker and against a loop of single sends."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_chassis.relay import Relay
from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from opora_contracts.topics import TICKETS
from opora_intake.settings import IntakeSettings
from opora_intake.store.imports import import_watermarks
from tests.bench.ground import Ground, ServiceDatabase
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_ROWS = 100_000
_ALL_ROWS = 200_000
_LOOK_SECONDS = 0.01
_DRAIN_SECONDS = 120.0
_VALUE_BYTES = 640
"""Of a ticket.created."""


async def measure(ground: Ground) -> list[Row]:
    """The rate at which rows leave the outbox."""
    rows = _ALL_ROWS if ground.full else _ROWS
    database = await ground.database("intake")
    await create_topics(ground.kafka.bootstrap)
    contenders: dict[str, Callable[[], Awaitable[None]]] = {
        "ours": partial(run_relay, ground, database, Relay),
        "mute": partial(run_relay, ground, database, _MuteRelay),
        "send": partial(_send_singly, ground, database),
    }

    async def drain(work: Callable[[], Awaitable[None]]) -> float:
        await fill(database, rows)
        began = time.perf_counter()
        await work()
        return rows / (time.perf_counter() - began)

    figures = await alternate({name: partial(drain, work) for name, work in contenders.items()}, ground.rounds)
    line = f"relay drain of {rows:,} rows"
    return [
        Row(
            line,
            per_second(figures["ours"]),
            "the same loop without publishing",
            per_second(figures["mute"]),
            ratio(figures["ours"], figures["mute"]),
            Reach(0.35),
        ),
        Row(
            line,
            per_second(figures["ours"]),
            "a loop with producer.send",
            per_second(figures["send"]),
            ratio(figures["ours"], figures["send"]),
            Reach(2),
        ),
    ]


class _MuteRelay(Relay):
    """Reads, groups, fills batches and deletes as the relay does, and sends nothing."""

    async def _flush(self, batch: Any, topic: str, partition: int) -> None:  # noqa: ARG002  as the relay's
        batch.close()


async def run_relay(ground: Ground, database: ServiceDatabase, kind: type[Relay] = Relay) -> None:
    """Let a relay drain the outbox in this process; returns when it is empty."""
    settings = IntakeSettings(database_dsn=database.dsn, kafka_bootstrap=ground.kafka.bootstrap)
    opened = await Database.open(database.dsn, service="intake", clock=Clock(), pool_size=2)
    stop = asyncio.Event()
    relay = kind(Platform("intake", settings, opened, Clock()), import_watermarks if kind is Relay else None)
    running = asyncio.create_task(relay.run(stop))
    try:
        drained = partial(opened.fetchval, "select not exists (select from outbox)")
        if not await came_true(drained, _DRAIN_SECONDS, look_seconds=_LOOK_SECONDS):
            raise TimeoutError(f"the outbox is not empty after {_DRAIN_SECONDS:.0f} s")
    finally:
        stop.set()
        await running
        await opened.close()


async def _send_singly(ground: Ground, database: ServiceDatabase) -> None:
    """The loop that one would write first: read a thousand, send each, wait for all, delete them."""
    connection = await asyncpg.connect(database.dsn)
    async with AIOKafkaProducer(
        bootstrap_servers=ground.kafka.bootstrap, acks="all", enable_idempotence=False, max_batch_size=1_000_000
    ) as producer:
        while rows := await connection.fetch(
            "select id, topic, partition, key, value, headers from outbox order by id limit 1000"
        ):
            sent = [
                await producer.send(
                    row["topic"],
                    row["value"],
                    row["key"],
                    row["partition"],
                    headers=[(name, value.encode()) for name, value in json.loads(row["headers"])],
                )
                for row in rows
            ]
            await asyncio.gather(*sent)
            await connection.execute("delete from outbox where id = any($1::bigint[])", [row["id"] for row in rows])
    await connection.close()


async def fill(database: ServiceDatabase, rows: int) -> None:
    """Let the outbox hold so many rows, spread over all partitions, and nothing else."""
    connection = await asyncpg.connect(database.dsn)
    headers = (
        '[["ce_specversion", "1.0"], ["ce_id", "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003"], ["ce_source", "/opora/intake"],'
        ' ["ce_type", "ticket.created"], ["ce_time", "2026-03-01T12:00:00Z"], ["ce_sequence", "1"],'
        ' ["content-type", "application/json"]]'
    )
    try:
        async with connection.transaction():  # relays that run already see all of it or nothing
            await connection.execute("truncate outbox")
            await connection.execute(
                "insert into outbox (topic, partition, key, value, headers)"
                " select $1, number % $2, convert_to(number::text, 'UTF8'), convert_to(repeat('x', $3), 'UTF8'), $4"
                " from generate_series(1, $5) as number",
                TICKETS.name,
                TICKETS.partitions,
                _VALUE_BYTES,
                headers,
                rows,
            )
        await connection.execute("vacuum analyze outbox")
    finally:
        await connection.close()
