"""Open tickets that go over to another version of their agreement, while other clocks fall due."""

import asyncio
import statistics
import time
from datetime import timedelta
from uuid import uuid4

import asyncpg
import httpx

from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from opora_sla.agreement import DEFAULT_AGREEMENT_ID
from tests.bench.clocks import LAYERED, STANDARD, Agreed, settle, standing_clocks
from tests.bench.ground import Ground, settings_of
from tests.bench.lines.due_clocks import lateness, watching
from tests.bench.row import Row, limited

_AGREEMENT = f"/v1/agreements/{DEFAULT_AGREEMENT_ID}"
_CLOCKS, _ALL_CLOCKS = 50_000, 1_000_000
_SECONDS_A_MILLION = 120.0
_DUE_A_SECOND, _LEAD = 100, timedelta(seconds=3)
_WINDOW, _WHOLE_WINDOW = timedelta(seconds=5), timedelta(minutes=1)
_WAIT_SECONDS = 600.0
_ROUNDS = 3


async def measure(ground: Ground) -> list[Row]:
    """Another resolution target for all open tickets, over HTTP until the last has gone over."""
    return [*await _change(ground, STANDARD, "open clocks"), *await _change(ground, LAYERED, "layered clocks")]


async def _change(ground: Ground, agreed: Agreed, kind: str) -> list[Row]:
    clocks, window = (_ALL_CLOCKS, _WHOLE_WINDOW) if ground.full else (_CLOCKS, _WINDOW)
    database = await standing_clocks(ground, clocks, agreed)
    intake = await ground.database("intake")
    prefix = f"change{kind.split(maxsplit=1)[0]}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    settings = settings_of(ground, database)
    seconds: list[float] = []
    late: list[list[float]] = []
    connection = await asyncpg.connect(database.dsn)
    try:
        async with (
            watching(ground, intake, database, prefix),
            ground.processes([["-m", "opora_sla", "timers"]], **settings),
            ground.processes([["-m", "opora_sla", "serve"]], **settings) as (address,),
            httpx.AsyncClient(
                base_url=address,
                headers={"Authorization": f"Bearer {database.token}"},
                timeout=60,
                trust_env=False,
            ) as client,
        ):
            for hours in range(100, 100 + (1 if ground.full else _ROUNDS)):
                count = round(window.total_seconds() * _DUE_A_SECOND)
                breaches = asyncio.create_task(lateness(connection, count, window, _LEAD + window / 3))
                seconds.append(await _go_over(client, agreed, hours))
                late.append(await breaches)
                await settle(connection)
    finally:
        await connection.close()
    line = f"agreement change, {clocks:,} {kind}"
    return [
        limited(
            f"{line} taken over",
            statistics.median(seconds),
            _SECONDS_A_MILLION * clocks / 1_000_000,
            "two processes of the timers, which give way to live clocks; each due date that moves is an event",
        ),
        limited(
            f"{line}, breaches meanwhile: p99 of due to commit",
            statistics.median(statistics.quantiles(each, n=100)[98] for each in late),
            1.0,
            f"{_DUE_A_SECOND} a second",
        ),
    ]


async def _go_over(client: httpx.AsyncClient, agreed: Agreed, hours: int) -> float:
    """Seconds from the request until every open ticket is to be resolved within so many hours."""
    document = agreed.document.as_json()
    document["metrics"]["resolution"]["targets"] = {
        priority: {"hours": hours} for priority in document["metrics"]["resolution"]["targets"]
    }
    answer = await client.put(_AGREEMENT, json=document, headers={"Idempotency-Key": uuid4().hex})
    answer.raise_for_status()
    began = time.perf_counter()
    answer = await client.post(f"{_AGREEMENT}/changes", json={}, headers={"Idempotency-Key": uuid4().hex})
    change_id = answer.json()["id"]

    async def finished() -> bool:
        return (await client.get(f"{_AGREEMENT}/changes/{change_id}")).json()["finished_at"] is not None

    if not await came_true(finished, _WAIT_SECONDS, look_seconds=0.05):
        raise TimeoutError(f"the change to {hours} h is not done within {_WAIT_SECONDS:.0f} s")
    return time.perf_counter() - began
