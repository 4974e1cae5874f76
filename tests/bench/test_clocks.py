"""The clocks that the lines about sla begin with: just what sla itself would have written."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic_core import to_json

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.migrations import migrate
from opora_embedded.testing import PostgresServer
from opora_sla.app import SERVICE
from opora_sla.domain import fold, waypoint_to_json
from opora_sla.store.agreements import newest_agreements
from opora_sla.store.cases import lock_cases, with_history
from opora_sla.store.reports import list_clocks
from opora_sla.timers import judge_due
from tests.bench.clocks import (
    FRESH,
    LAYERED,
    STANDARD,
    WARNED,
    Agreed,
    add_tickets,
    complete_before,
    look,
    prepare,
    remove_tickets,
    settle,
)
from tests.bench.ground import ServiceDatabase

TICKETS = 24


@pytest.fixture(params=[STANDARD, LAYERED], ids=["standard", "layered"])
def agreed(request: pytest.FixtureRequest) -> Agreed:
    """What is promised about the tickets."""
    found: Agreed = request.param
    return found


@pytest.fixture
async def place(
    postgres: PostgresServer, agreed: Agreed
) -> AsyncIterator[tuple[ServiceDatabase, Database, Any, datetime]]:
    """An sla database with samples, opened as the service and as a client do, and the time."""
    dsn = postgres.create_database(f"bench_{uuid4().hex}")
    await migrate(dsn, SERVICE.all_migrations())
    place = ServiceDatabase("sla", dsn, token="")
    await prepare(place, agreed)
    database = await Database.open(dsn, service="sla", clock=Clock(), pool_size=1)
    connection = await asyncpg.connect(dsn)
    try:
        yield place, database, connection, await database.now()
    finally:
        await connection.close()
        await database.close()


async def test_copies_are_what_the_fold_of_their_facts_gives(
    place: tuple[ServiceDatabase, Database, Any, datetime], agreed: Agreed
) -> None:
    """Each clock, each case and each next instant is the one that sla computes from the copied facts."""
    _, database, connection, now = place
    await add_tickets(connection, FRESH, TICKETS, now + timedelta(hours=1), timedelta(hours=1))
    await add_tickets(connection, WARNED, TICKETS, now, timedelta(minutes=1))
    (agreement,) = await newest_agreements(database)
    listed = await list_clocks(database, "open", None, None, 1_000)
    assert len(listed) == 2 * agreed.clocks_of_a_ticket * TICKETS
    async with database.transaction() as tx:
        found = await lock_cases(tx, {clock.ticket_id for clock in listed})
        cases = await with_history(tx, found.values())
    assert {case.partition for case in cases.values()} == set(range(12))
    for case in cases.values():
        assert case.history is not None
        clocks = fold(case.history.facts, agreement, case.judged_at)
        assert (case.next_fire_at, case.open) == (clocks.next_fire_at, True)
        assert case.history.fired == {step.key for step in clocks.steps}
        assert case.waypoint is not None
        assert to_json(waypoint_to_json(case.waypoint)) == to_json(waypoint_to_json(clocks.waypoint))
    for saved in listed:
        history = cases[saved.ticket_id].history
        assert history is not None
        clocks = fold(history.facts, agreement, saved.judged_at)
        (clock,) = (each for each in clocks.clocks if each.key.metric == saved.metric)
        assert (saved.started_at, saved.due_at, saved.used_seconds) == (
            clock.started_at,
            clock.due_at,
            clock.used_seconds,
        )


async def test_overdue_copies_are_breached_once_and_others_left_alone(
    place: tuple[ServiceDatabase, Database, Any, datetime], agreed: Agreed
) -> None:
    """What the lines count is there to be declared; what they took out again is gone."""
    _, database, connection, now = place
    await add_tickets(connection, FRESH, TICKETS, now + timedelta(hours=1), timedelta(hours=1))
    first_id = await add_tickets(connection, WARNED, TICKETS, now - timedelta(minutes=1), timedelta(minutes=1))
    await complete_before(connection, now)
    judged = 1
    while judged:
        async with database.transaction() as tx:
            judged = await judge_due(tx, database.clock)
    types = await connection.fetch('select headers::jsonb @> \'[["ce_type", "sla.breached"]]\' as breached from outbox')
    assert sum(row["breached"] for row in types) == TICKETS
    assert len(types) == TICKETS * (1 if agreed is STANDARD else 2), (
        "a layered clock's first step comes with its breach"
    )
    await remove_tickets(connection, first_id)
    assert len(await list_clocks(database, None, None, None, 1_000)) == agreed.clocks_of_a_ticket * TICKETS


async def test_looks_are_counted_while_nothing_is_due(
    place: tuple[ServiceDatabase, Database, Any, datetime],
) -> None:
    """The loop of the timers ends by itself; what a look took is less than what the whole took."""
    service, _, connection, now = place
    await add_tickets(connection, FRESH, TICKETS, now + timedelta(hours=1), timedelta(hours=1))
    await settle(connection)
    await complete_before(connection, now)
    looks = await look(service)
    assert 0 < looks.median_seconds < 1
    assert looks.counting_seconds > 0
    assert await connection.fetchval("select count(*) from outbox") == 0
