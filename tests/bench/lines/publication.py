"""How long a committed fact takes to its topic, at a steady rate."""

import asyncio
import json
import statistics
import time
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer

from opora_chassis.topics import create_topics
from opora_contracts.topics import TICKETS
from tests.bench.ground import Ground, settings_of
from tests.bench.row import Row, limited

_RATES = (1_000, 5_000)
_SECONDS = 4.0
_WARM_UP_SECONDS = 1.0
_TURN_SECONDS = 0.01
"""A transaction a hundredth of a second, as a busy group commit makes them."""
_P50_SECONDS, _P99_SECONDS = 0.010, 0.050
_FILLER = "x" * 600


async def measure(ground: Ground) -> list[Row]:
    """From after the COMMIT until a consumer of the topic has it, with a relay in a process of its own."""
    await create_topics(ground.kafka.bootstrap)
    rows: list[Row] = []
    for rate in _RATES:
        rounds = [await _publish(ground, rate) for _ in range(ground.rounds)]
        p50 = statistics.median(quantiles[49] for quantiles in rounds)
        p99 = statistics.median(quantiles[98] for quantiles in rounds)
        line = f"commit to topic at {rate:,} events/s"
        rows += [limited(f"{line}: p50", p50, _P50_SECONDS), limited(f"{line}: p99", p99, _P99_SECONDS)]
    return rows


async def _publish(ground: Ground, rate: int) -> list[float]:
    """The percentiles of one round, in seconds."""
    database = await ground.database("intake")
    settings = settings_of(ground, database)
    committed: dict[int, float] = {}
    arrived: dict[int, float] = {}
    async with (
        ground.processes([["-m", "opora_intake", "relay"]], **settings),
        AIOKafkaConsumer(
            TICKETS.name, bootstrap_servers=ground.kafka.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=20
        ) as consumer,
    ):
        await consumer.seek_to_end()
        connection = await asyncpg.connect(database.dsn)
        run = UUID(database.dsn.rpartition("_")[2].zfill(32)).bytes
        reading = asyncio.create_task(_read(consumer, run, arrived))
        try:
            await _write(connection, rate, run, committed)
            async with asyncio.timeout(30):
                while len(arrived) < len(committed):  # noqa: ASYNC110  the reader tells nobody
                    await asyncio.sleep(_TURN_SECONDS)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await connection.close()
    counted = list(committed)[int(rate * _WARM_UP_SECONDS) :]
    return statistics.quantiles((max(0.0, arrived[number] - committed[number]) for number in counted), n=100)


async def _write(connection: Any, rate: int, run: bytes, committed: dict[int, float]) -> None:
    number, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < _SECONDS + _WARM_UP_SECONDS:
        due = range(number, int(passed * rate))
        if due:
            await connection.execute(
                "insert into outbox (topic, partition, key, value, headers)"
                " select $1, each % $2, convert_to(each::text, 'UTF8'), $3 || convert_to($4, 'UTF8'), $5"
                " from unnest($6::integer[]) as each",
                TICKETS.name,
                TICKETS.partitions,
                run,
                _FILLER,
                json.dumps([["ce_type", "ticket.created"]]),
                list(due),
            )
            at = time.perf_counter()
            committed.update(dict.fromkeys(due, at))
            number = due.stop
        await asyncio.sleep(_TURN_SECONDS)


async def _read(consumer: AIOKafkaConsumer, run: bytes, arrived: dict[int, float]) -> None:
    while True:
        records = await consumer.getmany(timeout_ms=1000, max_records=2000)
        at = time.perf_counter()
        for some in records.values():
            arrived.update({int(record.key): at for record in some if record.value.startswith(run)})
