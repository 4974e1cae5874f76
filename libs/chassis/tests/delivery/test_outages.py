"""Outages of the surroundings: services wait, nothing is lost, nothing happens twice, and nobody has to help."""

import asyncio
from uuid import uuid4

from opora_embedded import Kafka, Postgres
from opora_embedded.testing import KafkaServer

from .conftest import noted, open_cell, wait_until


async def test_a_killed_database_is_waited_for(kafka: KafkaServer) -> None:
    """PostgreSQL killed and back: relay and consumer go on by themselves, each fact takes effect once."""
    with Postgres() as postgres:
        async with open_cell(kafka.bootstrap, postgres.create_database("cell")) as cell:
            before, meanwhile, after = uuid4(), uuid4(), uuid4()
            async with cell.relaying(), cell.consuming():
                await cell.emit(before, 1)
                await cell.wait_seen_without_dead_letter(before)
                postgres.kill()
                await cell.send(noted(meanwhile, 1), noted(meanwhile, 2))
                await asyncio.to_thread(postgres.start)
                await cell.emit(after, 1, 2)
                await cell.wait_seen(meanwhile, [1, 2])
                await cell.wait_seen_without_dead_letter(after, 1, 2)


async def test_a_killed_broker_is_waited_for(database: str) -> None:
    """Kafka killed and back: what was committed meanwhile stays in the outbox and is published afterwards, in order."""
    with Kafka() as kafka:
        async with open_cell(kafka.bootstrap, database) as cell:
            before, meanwhile = uuid4(), uuid4()
            async with cell.relaying(), cell.consuming():
                await cell.emit(before, 1)
                await cell.wait_seen_without_dead_letter(before)
                kafka.kill()
                await cell.emit(meanwhile, 1)
                await cell.emit(meanwhile, 2, 3)
                assert await cell.database.fetchval("select count(*) from outbox") == 3
                await asyncio.to_thread(kafka.start)

                async def drained() -> bool:
                    return bool(await cell.database.fetchval("select count(*) = 0 from outbox"))

                await wait_until(drained, "the outbox is drained after the broker's return", seconds=60)
                await cell.wait_seen_without_dead_letter(meanwhile, 1, 2, 3)
