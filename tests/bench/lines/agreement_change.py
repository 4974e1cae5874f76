"""Open tickets that go over to another version of their agreement, while other clocks fall due."""

import asyncio
import statistics
import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, DEFAULT_DOCUMENT
from tests.bench.clocks import WARNED, add_tickets, remove_tickets, settle, standing_clocks
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.lines.due_clocks import watching
from tests.bench.row import Row, limited

_AGREEMENT = f"/v1/agreements/{DEFAULT_AGREEMENT_ID}"
_CLOCKS, _ALL_CLOCKS = 50_000, 1_000_000
_SECONDS_A_MILLION = 120.0
_DUE_A_SECOND, _LEAD = 100, timedelta(seconds=3)
_WINDOW, _WHOLE_WINDOW = timedelta(seconds=5), timedelta(minutes=1)
_WAIT_SECONDS, _LOOK_SECONDS = 600.0, 0.005
_ROUNDS = 3
_LATE = (
    "select id, extract(epoch from clock_timestamp() - (convert_from(value, 'UTF8')::jsonb->>'due_at')::timestamptz)"
    "::float8 as late from outbox where id > $1 and headers::text like '%sla.breached%' order by id"
)


async def measure(ground: Ground) -> list[Row]:
    """Another resolution target for all open tickets, over HTTP until the last has gone over."""
    clocks, window = (_ALL_CLOCKS, _WHOLE_WINDOW) if ground.full else (_CLOCKS, _WINDOW)
    database = await standing_clocks(ground, clocks)
    intake = await ground.database("intake")
    prefix = f"change{clocks}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    settings = settings_of(ground, database)
    seconds: list[float] = []
    late: list[list[float]] = []
    connection = await asyncpg.connect(database.dsn)
    try:
        async with (
            watching(ground, intake, database, prefix),
            ground.processes([["-m", "opora_sla", "serve"]], **settings) as (address,),
            httpx.AsyncClient(
                base_url=address,
                headers={"Authorization": f"Bearer {database.token}"},
                timeout=60,
                trust_env=False,
            ) as client,
        ):
            for version in range(2, 2 + (1 if ground.full else _ROUNDS)):
                breaches = asyncio.create_task(_lateness(database, window))
                seconds.append(await _go_over(client, version))
                late.append(await breaches)
                await settle(connection)
    finally:
        await connection.close()
    line = f"agreement change, {clocks:,} open clocks"
    return [
        limited(
            f"{line} taken over",
            statistics.median(seconds),
            _SECONDS_A_MILLION * clocks / 1_000_000,
            "one process of the timers, which gives way to live clocks; each due date that moves is an event",
        ),
        limited(
            f"{line}, breaches meanwhile: p99 of due to commit",
            statistics.median(statistics.quantiles(each, n=100)[98] for each in late),
            1.0,
            f"{_DUE_A_SECOND} a second",
        ),
    ]


async def _go_over(client: httpx.AsyncClient, version: int) -> float:
    """Seconds from the request until every open ticket goes by the new version."""
    document = DEFAULT_DOCUMENT.as_json()
    document["metrics"]["resolution"]["targets"] = {
        priority: {"hours": 100 + version} for priority in document["metrics"]["resolution"]["targets"]
    }
    answer = await client.put(_AGREEMENT, json=document, headers={"Idempotency-Key": uuid4().hex})
    assert answer.json()["version"] == version, answer.text
    began = time.perf_counter()
    answer = await client.post(f"{_AGREEMENT}/changes", json={}, headers={"Idempotency-Key": uuid4().hex})
    change_id = answer.json()["id"]

    async def finished() -> bool:
        return (await client.get(f"{_AGREEMENT}/changes/{change_id}")).json()["finished_at"] is not None

    if not await came_true(finished, _WAIT_SECONDS, look_seconds=0.05):
        raise TimeoutError(f"the change to version {version} is not done within {_WAIT_SECONDS:.0f} s")
    return time.perf_counter() - began


async def _lateness(database: ServiceDatabase, window: timedelta) -> list[float]:
    """The seconds from each due date within the window until its breach is there for a relay to read."""
    connection: Any = await asyncpg.connect(database.dsn)
    try:
        count = round(window.total_seconds() * _DUE_A_SECOND)
        await connection.execute("truncate outbox")
        first_due_at = await connection.fetchval("select clock_timestamp() + $1::interval", _LEAD)
        first_id = await add_tickets(connection, WARNED, count, first_due_at, window)
        late: list[float] = []
        rest = partial(connection.fetch, _LATE)
        last_row = 0
        async with asyncio.timeout((_LEAD + window).total_seconds() + 60):
            while len(late) < count:
                for row in await rest(last_row):
                    late.append(row["late"])
                    last_row = row["id"]
                await asyncio.sleep(_LOOK_SECONDS)
        await remove_tickets(connection, first_id)
        return late
    finally:
        await connection.close()
