"""From a ticket's acceptance over HTTP until its clocks run in sla, through every process between."""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from tests.bench.ground import Ground, settings_of
from tests.bench.http_load import Requests, pour, press
from tests.bench.lines.intake_http import openings
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_RATE = 500
_WARM_UP_TICKETS = 500
_STEADY_SECONDS, _ALL_STEADY_SECONDS = 5, 20
_SATURATED_SECONDS = 3.0
_CLIENTS = 64
_P99_SECONDS = 0.25
_HELD = 0.98
"""Of the rate: what is less was not held."""
_LOOK_SECONDS = 0.005
_SETTLED_SECONDS = 60.0


@dataclass(slots=True)
class _Chain:
    """intake's `serve` and `relay` and sla's `consume`, each a process of its own, with nothing in hand."""

    address: str
    next_request: Requests
    intake: Any
    sla: Any
    waiting: dict[UUID, float] = field(default_factory=dict)
    """When tickets were accepted whose clocks are not seen to run yet."""
    took: list[float] = field(default_factory=list)
    """Seconds from acceptance to clock."""

    def accept(self, body: bytes) -> None:
        self.waiting[UUID(json.loads(body)["id"])] = time.perf_counter()

    async def watch(self) -> None:
        """Look for the clocks of what is accepted, until cancelled."""
        while True:
            rows = await self.sla.fetch(
                "select ticket_id from clocks"
                " where ticket_id = any($1::uuid[]) and metric = 'resolution' and state = 'running'",
                list(self.waiting),
            )
            at = time.perf_counter()
            self.took += [at - self.waiting.pop(row["ticket_id"]) for row in rows]
            await asyncio.sleep(_LOOK_SECONDS)


async def measure(ground: Ground) -> list[Row]:
    """The latency at a steady rate, and the rate at which the whole chain goes at its limit."""
    alone = await ground.database("intake")
    steady: list[tuple[float, list[float]]] = []
    prefixes = iter(f"chain{number}." for number in range(ground.rounds))

    async def whole() -> float:
        async with _running_chain(ground, next(prefixes)) as chain:
            steady.append(await _steady(chain, _ALL_STEADY_SECONDS if ground.full else _STEADY_SECONDS))
            return await _saturated(chain)

    async with ground.processes([["-m", "opora_intake", "serve"]], **settings_of(ground, alone)) as addresses:
        pressed = partial(
            press, addresses, openings(alone.token), clients=_CLIENTS, seconds=_SATURATED_SECONDS, warm_up_seconds=1
        )

        async def first_part() -> float:
            return (await pressed()).per_second

        figures = await alternate({"ours": whole, "alone": first_part}, ground.rounds)
    held = statistics.median(rate for rate, _ in steady)
    p50 = statistics.median(quantiles[49] for _, quantiles in steady)
    p99 = statistics.median(quantiles[98] for _, quantiles in steady)
    return [
        Row(
            f"accepted to clock running, {_RATE} tickets/s: p99",
            f"{p99 * 1000:.0f} ms, p50 {p50 * 1000:.0f} ms",
            "the bound",
            f"{_P99_SECONDS * 1000:.0f} ms",
            p99 / _P99_SECONDS,
            Reach(1, at_most=True),
            "" if held >= _HELD * _RATE else f"{os.cpu_count()} cores with everything on them held {held:.0f}/s",
        ),
        Row(
            f"accepted to clock running, {_CLIENTS} clients",
            per_second(figures["ours"]),
            "intake's HTTP alone",
            per_second(figures["alone"]),
            ratio(figures["ours"], figures["alone"]),
            Reach(0.5),
        ),
    ]


@asynccontextmanager
async def _running_chain(ground: Ground, prefix: str) -> AsyncIterator[_Chain]:
    """A chain of its own, through which the first tickets have gone."""
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    intake, sla = await asyncio.gather(ground.database("intake"), ground.database("sla"))
    first, second = await asyncio.gather(asyncpg.connect(intake.dsn), asyncpg.connect(sla.dsn))
    try:
        async with (
            ground.processes(
                [["-m", "opora_intake", "serve"], ["-m", "opora_intake", "relay"]],
                **settings_of(ground, intake),
                OPORA_TOPIC_PREFIX=prefix,
            ) as addresses,
            ground.processes([["-m", "opora_sla", "consume"]], **settings_of(ground, sla), OPORA_TOPIC_PREFIX=prefix),
        ):
            chain = _Chain(addresses[0], openings(intake.token), first, second)
            await _pour(chain, _WARM_UP_TICKETS)
            yield chain
    finally:
        await asyncio.gather(first.close(), second.close())


async def _steady(chain: _Chain, seconds: int) -> tuple[float, list[float]]:
    """The rate that was held, and the percentiles of the latency in seconds."""
    chain.took.clear()
    rate = await _pour(chain, seconds * _RATE)
    return rate, statistics.quantiles(chain.took, n=100)


async def _pour(chain: _Chain, tickets: int) -> float:
    """Open tickets at the rate and wait until all their clocks run; returns the rate that was held."""
    watching = asyncio.create_task(chain.watch())
    try:
        held = await pour(
            chain.address,
            chain.next_request,
            clients=_CLIENTS,
            per_second=_RATE,
            count=tickets,
            answered=chain.accept,
        )
        await _settle(lambda: not chain.waiting)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return held


async def _saturated(chain: _Chain) -> float:
    """Tickets a second, from the first request until the last clock runs."""
    clocks = "select count(*) from clocks where metric = 'resolution' and state = 'running'"
    before = await chain.sla.fetchval(clocks)
    began = time.perf_counter()
    await press([chain.address], chain.next_request, clients=_CLIENTS, seconds=_SATURATED_SECONDS, warm_up_seconds=1)
    accepted = await chain.intake.fetchval("select count(*) from tickets")

    async def all_run() -> bool:
        return bool(await chain.sla.fetchval(clocks) == accepted)

    await _settle(all_run)
    return float((accepted - before) / (time.perf_counter() - began))


async def _settle(condition: Any) -> None:
    if not await came_true(condition, _SETTLED_SECONDS, look_seconds=4 * _LOOK_SECONDS):
        raise TimeoutError(f"clocks are missing {_SETTLED_SECONDS:.0f} s after their tickets")
