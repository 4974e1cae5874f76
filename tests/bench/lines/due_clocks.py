"""sla's timers: what a look costs while nothing is due, how fast breaches are declared, how late they are."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from opora_contracts.topics import TICKETS
from tests.bench.clocks import (
    LAYERED,
    WARNED,
    Looks,
    add_tickets,
    complete_before,
    look,
    remove_tickets,
    settle,
    standing_clocks,
)
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.row import Reach, Row, alternate, duration, limited, per_second, ratio

_SIZES, _ALL_SIZES = (10_000, 100_000), (10_000, 100_000, 1_000_000, 5_000_000)
_LARGE, _LARGE_ROUNDS = 1_000_000, 3
_OVERDUE, _ALL_OVERDUE = 6_000, 20_000
_WINDOW, _WHOLE_WINDOW = timedelta(seconds=3), timedelta(minutes=1)
_DUE_A_SECOND = 20_000 / 60
_LEAD = timedelta(seconds=2)
"""Before the first of a window is due, and a third of the window more: writing the tickets takes less."""
_CLAIM_LIMIT = 200
_LOOK_SECONDS, _COUNT_SECONDS = 0.005, 0.02
_WAIT_SECONDS = 120.0
_LATE = (
    "select id, extract(epoch from clock_timestamp() - (convert_from(value, 'UTF8')::jsonb->>'due_at')::timestamptz)"
    "::float8 as late from outbox where id > $1 and headers::text like '%sla.breached%' order by id"
)
_CLAIM = (
    "with due as ("
    "  select due.ticket_id from watermarks cross join lateral ("
    "    select ticket_id from cases"
    "    where cases.partition = watermarks.partition and cases.domain = watermarks.domain"
    "    and cases.next_fire_at < watermarks.complete_before"
    "    order by cases.next_fire_at limit $1 for update skip locked"
    "  ) as due"
    ") update cases set next_fire_at = null from due where cases.ticket_id = due.ticket_id returning cases.ticket_id"
)


async def measure_layered(ground: Ground) -> list[Row]:
    """The same clocks with ladders, periodic updates and what groups owe: breaches as they fall due."""
    size = _LARGE if ground.full else _SIZES[-1]
    return await _detect_breaches(ground, size, await standing_clocks(ground, size, LAYERED), "layered clocks")


async def measure(ground: Ground) -> list[Row]:
    """At each size the look of an idle loop; at the larger ones the breaches too."""
    sizes = _ALL_SIZES if ground.full else _SIZES
    databases = {size: await standing_clocks(ground, size) for size in sizes}
    rows = await _idle(ground, databases)
    for size in sizes if ground.full else sizes[-1:]:
        rows += await _detect_breaches(ground, size, databases[size])
        rows.append(await _declare_breaches(ground, size, databases[size]))
    return rows


async def _idle(ground: Ground, databases: dict[int, ServiceDatabase]) -> list[Row]:
    counting: dict[int, list[float]] = {size: [] for size in databases}

    async def idle(size: int) -> float:
        looks: Looks = await look(databases[size])
        counting[size].append(looks.counting_seconds)
        return looks.median_seconds

    rounds = min(_rounds(ground, size) for size in databases)
    figures = await alternate({str(size): partial(idle, size) for size in databases}, rounds)
    rows = [
        limited(
            f"due clocks, {size:,} open: idle look p50",
            statistics.median(figures[str(size)]),
            0.000_5,
            f"the look that every ten seconds counts the open clocks for the metrics took"
            f" {duration(statistics.median(counting[size]))}",
        )
        for size in databases
    ]
    smallest, largest = min(databases), max(databases)
    ours, others = figures[str(largest)], figures[str(smallest)]
    flat = Row(
        f"due clocks, {largest:,} open: idle look p50",
        duration(statistics.median(ours)),
        f"{smallest:,} open",
        duration(statistics.median(others)),
        ratio(ours, others),
        Reach(1.3, at_most=True),
    )
    return [*rows, flat]


async def _declare_breaches(ground: Ground, size: int, database: ServiceDatabase) -> Row:
    count = _ALL_OVERDUE if size >= _LARGE else _OVERDUE
    connection = await asyncpg.connect(database.dsn)
    try:
        figures = await alternate(
            {
                "ours": partial(_timers, ground, database, connection, count),
                "claim": partial(_claim, connection, count),
            },
            _rounds(ground, size),
        )
    finally:
        await connection.close()
    return Row(
        f"due clocks, {size:,} open: {count:,} breaches overdue at once",
        per_second(figures["ours"]),
        "claiming the rows and nothing else",
        per_second(figures["claim"]),
        ratio(figures["ours"], figures["claim"]),
        None,
        "how long a storm takes; ours also goes on with each ticket's clocks, records the steps, saves the clocks"
        " and writes the outbox",
    )


async def _timers(ground: Ground, database: ServiceDatabase, connection: Any, count: int) -> float:
    """Breaches a second, from when the watermarks show that they are due until all are in the outbox."""
    async with overdue(connection, count):
        await connection.execute("delete from watermarks")
        settings = settings_of(ground, database)
        async with ground.processes([["-m", "opora_sla", "timers"]], **settings):
            began = time.perf_counter()
            await complete_before(connection, await connection.fetchval("select clock_timestamp()"))
            declared = partial(connection.fetchval, "select count(*) >= $1 from outbox", count)
            if not await came_true(declared, _WAIT_SECONDS, look_seconds=_COUNT_SECONDS):
                raise TimeoutError(f"{count} breaches are not declared within {_WAIT_SECONDS:.0f} s")
            return count / (time.perf_counter() - began)


async def _claim(connection: Any, count: int) -> float:
    """The same rows claimed by one statement after the other, each committed."""
    async with overdue(connection, count):
        await complete_before(connection, await connection.fetchval("select clock_timestamp()"))
        claimed, began = 0, time.perf_counter()
        while rows := await connection.fetch(_CLAIM, _CLAIM_LIMIT):
            claimed += len(rows)
        assert claimed == count
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def overdue(connection: Any, count: int) -> AsyncIterator[None]:
    """So many tickets whose first response was due within the last minute."""
    await connection.execute("truncate outbox")
    now = await connection.fetchval("select clock_timestamp()")
    first_id = await add_tickets(connection, WARNED, count, now - _WHOLE_WINDOW, _WHOLE_WINDOW)
    await settle(connection)
    try:
        yield
    finally:
        await remove_tickets(connection, first_id)


async def _detect_breaches(
    ground: Ground, size: int, database: ServiceDatabase, clocks: str = "due clocks"
) -> list[Row]:
    """As they fall due: how many a second, and how late."""
    window = _WHOLE_WINDOW if size >= _LARGE else _WINDOW
    count = round(window.total_seconds() * _DUE_A_SECOND)
    intake = await ground.database("intake")
    prefix = f"{clocks.split(maxsplit=1)[0]}{size}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    late: list[list[float]] = []
    connection = await asyncpg.connect(database.dsn)

    async def ours() -> float:
        async with watching(ground, intake, database, prefix):
            late.append(await lateness(connection, count, window, _LEAD + window / 3))
        return count / (window.total_seconds() + late[-1][-1])

    try:
        figures = await alternate({"ours": ours, "claim": partial(_claim_as_due, connection)}, _rounds(ground, size))
    finally:
        await connection.close()
    line = f"{clocks}, {size:,} open: {count:,} fall due within {window.total_seconds():.0f} s"
    return [
        Row(
            line,
            per_second(figures["ours"]),
            "claiming the rows and nothing else",
            per_second(figures["claim"]),
            ratio(figures["ours"], figures["claim"]),
            Reach(0.6),
        ),
        limited(
            f"{line}, p99 of due to commit",
            statistics.median(statistics.quantiles(each, n=100)[98] for each in late),
            1.0,
            "with intake's marks, four a second, which say what is complete",
        ),
    ]


@asynccontextmanager
async def watching(ground: Ground, intake: ServiceDatabase, sla: ServiceDatabase, prefix: str) -> AsyncIterator[None]:
    """The whole way of the evidence, at work: intake's relay marks, sla's consumer follows, sla's timers judge."""
    shared = {"OPORA_KAFKA_BOOTSTRAP": ground.kafka.bootstrap, "OPORA_TOPIC_PREFIX": prefix}
    commands = [["-m", "opora_sla", "consume"], ["-m", "opora_sla", "timers"]]
    connection = await asyncpg.connect(sla.dsn)
    try:
        async with (
            ground.processes([["-m", "opora_intake", "relay"]], OPORA_DATABASE_DSN=intake.dsn, **shared),
            ground.processes(commands, OPORA_DATABASE_DSN=sla.dsn, **shared),
        ):
            fresh = partial(
                connection.fetchval,
                "select count(*) = $1 from watermarks where complete_before > clock_timestamp() - interval '1 second'",
                TICKETS.partitions,
            )
            if not await came_true(fresh, _WAIT_SECONDS):
                raise TimeoutError(f"the watermarks do not move: see the logs in {ground.directory}")
            yield
    finally:
        await connection.close()


async def _claim_as_due(connection: Any) -> float:
    """Rows a second that fall due evenly, claimed as they do."""
    await connection.execute("truncate outbox")
    count = round(_WINDOW.total_seconds() * _DUE_A_SECOND)
    first_due_at = await connection.fetchval("select clock_timestamp() + $1::interval", _LEAD)
    first_id = await add_tickets(connection, WARNED, count, first_due_at, _WINDOW)
    claimed = 0
    async with asyncio.timeout((_LEAD + _WINDOW).total_seconds() + _WAIT_SECONDS):
        while claimed < count:
            now = await connection.fetchval("select clock_timestamp()")
            await complete_before(connection, now)
            claimed += len(await connection.fetch(_CLAIM, _CLAIM_LIMIT))
            await asyncio.sleep(_LOOK_SECONDS)
    took = (await connection.fetchval("select clock_timestamp()") - first_due_at).total_seconds()
    await remove_tickets(connection, first_id)
    return float(count / took)


async def lateness(connection: Any, count: int, window: timedelta, lead: timedelta) -> list[float]:
    """The seconds from each due date until the breach is there for a relay to read, in the order in which they came.

    The due dates lie evenly in a window that begins in `lead`. Raises TimeoutError if the tickets were not written by
    then, or if a breach is missing long after its due date.
    """
    await connection.execute("truncate outbox")
    first_due_at = await connection.fetchval("select clock_timestamp() + $1::interval", lead)
    first_id = await add_tickets(connection, WARNED, count, first_due_at, window)
    if await connection.fetchval("select clock_timestamp() > $1", first_due_at):
        raise TimeoutError(f"writing {count} tickets took longer than {lead}, so the first came too late")
    late: list[float] = []
    last_row = 0
    async with asyncio.timeout((lead + window).total_seconds() + _WAIT_SECONDS):
        while len(late) < count:
            rows = await connection.fetch(_LATE, last_row)
            late += [row["late"] for row in rows]
            last_row = rows[-1]["id"] if rows else last_row
            await asyncio.sleep(_LOOK_SECONDS)
    await remove_tickets(connection, first_id)
    return late


def _rounds(ground: Ground, size: int) -> int:
    return min(_LARGE_ROUNDS, ground.rounds) if size >= _LARGE else ground.rounds
