"""An agreement edited while tickets are open that it applies to."""

import statistics
import time
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from opora_sla.agreement import DEFAULT_AGREEMENT_ID, DEFAULT_DOCUMENT
from tests.bench.clocks import settle, standing_clocks
from tests.bench.ground import Ground, settings_of
from tests.bench.row import Reach, Row, alternate, duration, ratio

_CLOCKS, _ALL_CLOCKS = 100_000, 1_000_000
_ANSWER_SECONDS = 120.0
_MORE_SECONDS = 3_600


async def measure(ground: Ground) -> list[Row]:
    """Other targets and another calendar over HTTP, against an UPDATE of the clocks that run by the agreement."""
    clocks = _ALL_CLOCKS if ground.full else _CLOCKS
    database = await standing_clocks(ground, clocks)
    settings = settings_of(ground, database)
    connection = await asyncpg.connect(database.dsn)
    rewritten: list[int] = []
    try:
        async with (
            ground.processes([["-m", "opora_sla", "serve"]], **settings) as (address,),
            httpx.AsyncClient(
                base_url=address,
                headers={"Authorization": f"Bearer {database.token}"},
                timeout=_ANSWER_SECONDS,
                trust_env=False,
            ) as client,
        ):
            await _edit(client, connection, [])
            figures = await alternate(
                {
                    "ours": partial(_edit, client, connection, rewritten),
                    "plain": partial(_update, connection, clocks),
                },
                ground.rounds,
            )
    finally:
        await connection.close()
    return [
        Row(
            f"agreement edit over HTTP, {clocks:,} open clocks",
            f"{duration(statistics.median(figures['ours']))}, {max(rewritten):,} rows rewritten",
            "an UPDATE of the clocks and of when they fire",
            duration(statistics.median(figures["plain"])),
            ratio(figures["ours"], figures["plain"]),
            Reach(1.6, at_most=True),
            "an edit is a new version for tickets that come; open ones keep theirs",
        )
    ]


async def _edit(client: httpx.AsyncClient, connection: Any, rewritten: list[int]) -> float:
    """Seconds until the answer; notes how many rows of tickets and clocks were written meanwhile."""
    before = await connection.fetchval("select pg_current_xact_id()::text::bigint")
    versions = await connection.fetchval("select count(*) from agreements")
    document = DEFAULT_DOCUMENT.as_json()
    document["holidays"] = [str(date(2027, 1, 1) + timedelta(days=versions))]
    document["metrics"]["resolution"]["targets"]["P3"] = {"hours": 24 + versions}
    began = time.perf_counter()
    answer = await client.put(
        f"/v1/agreements/{DEFAULT_AGREEMENT_ID}", json=document, headers={"Idempotency-Key": uuid4().hex}
    )
    seconds = time.perf_counter() - began
    assert answer.json()["version"] == versions + 1, answer.text
    rewritten.append(
        await connection.fetchval(
            "select (select count(*) from cases where xmin::text::bigint > $1)"
            " + (select count(*) from clocks where xmin::text::bigint > $1)",
            before,
        )
    )
    return seconds


async def _update(connection: Any, clocks: int) -> float:
    """Seconds that it takes to move every open clock, committed."""
    more = timedelta(seconds=_MORE_SECONDS)
    began = time.perf_counter()
    async with connection.transaction():
        tag = await connection.execute(
            "update clocks set due_at = due_at + $1, target_seconds = target_seconds + $2 where outcome = 'open'",
            more,
            _MORE_SECONDS,
        )
        await connection.execute("update cases set next_fire_at = next_fire_at + $1 where open", more)
    seconds = time.perf_counter() - began
    assert tag == f"UPDATE {clocks}"
    await settle(connection)
    return seconds
