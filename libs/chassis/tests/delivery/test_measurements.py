"""What a process tells of itself holds when it counts: while a batch hangs, a server is away, a pool is empty."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import REGISTRY

from opora_chassis import database as database_module
from opora_chassis.clock import Clock
from opora_chassis.consume import Consumers, consumers
from opora_chassis.consume.consumers import LAG, group_of
from opora_chassis.database import Database
from opora_chassis.relay import Relay
from opora_chassis.service import Parts, Service
from opora_chassis.settings import ServiceSettings
from opora_chassis.testing import running_service
from opora_contracts import NewEvent
from opora_contracts.tickets import TicketNoted
from opora_contracts.topics import TICKETS

from .conftest import Cell, noted, wait_until


def told(name: str, **labels: str) -> float | None:
    """The present value of a metric of the cell."""
    return REGISTRY.get_sample_value(name, {"service": "cell", **labels})


def told_lag() -> dict[str, float]:
    """The lag by partition, of the partitions that are told of."""
    return {
        sample.labels["partition"]: sample.value
        for metric in LAG.collect()
        for sample in metric.samples
        if sample.labels["service"] == "cell"
    }


@asynccontextmanager
async def watched(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Consumers]:
    """Consumption with its watch, which looks at the broker each fifth of a second."""
    monkeypatch.setattr(consumers, "_CARE_SECONDS", 0.2)
    stop = asyncio.Event()
    async with cell.consuming() as running:
        watch = asyncio.create_task(running.run(stop))
        try:
            yield running
        finally:
            stop.set()
            await watch


async def test_lag_is_told_while_the_first_batch_hangs(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that come meanwhile are counted too, though the process fetches none of them."""
    ticket, released = uuid4(), asyncio.Event()

    async def hang(_event: Any) -> None:
        await released.wait()

    cell.before = hang
    await cell.send(*(noted(ticket, n) for n in (1, 2, 3)))
    async with watched(cell, monkeypatch):
        await wait_until(lambda: lag_is(3), "three records wait")
        await cell.send(*(noted(ticket, n) for n in (4, 5)))
        await wait_until(lambda: lag_is(5), "five records wait")
        released.set()
        await cell.wait_seen(ticket, [1, 2, 3, 4, 5])
        await wait_until(lambda: lag_is(0), "nothing waits")


async def test_a_partition_that_went_is_told_of_no_more(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a partition that another consumer took over, no old lag stays behind."""
    topic = cell.prefix + TICKETS.name
    async with watched(cell, monkeypatch):
        await wait_until(lambda: partitions_are(TICKETS.partitions), "every partition is told of")
        other = AIOKafkaConsumer(topic, bootstrap_servers=cell.bootstrap, group_id=group_of("cell", topic))
        await other.start()
        try:
            await wait_until(lambda: partitions_are(TICKETS.partitions // 2), "half of the partitions are told of")
        finally:
            await other.stop()
    assert told_lag() == {}


async def test_a_position_of_before_a_rebalance_is_not_kept(cell: Cell) -> None:
    """What is asked between partitions going and coming may be another consumer's by then, so it is asked anew."""
    async with cell.consuming() as running:
        (stream,) = running._streams
        await wait_until(lambda: position_known(stream), "a position is known")
        rebalance = consumers._OnRebalance(stream.forget)
        await rebalance.on_partitions_revoked(set())
        assert await stream.position_of(0) is not None, "the old assignment can still be asked for"
        assert stream._positions
        await rebalance.on_partitions_assigned(set())
        assert stream._positions == {}


async def test_facts_are_counted_when_they_are_durable(cell: Cell) -> None:
    """By type, and apart for history; a rolled-back transaction counts nothing."""
    ticket = uuid4()

    def fact(sequence: int, import_id: str | None = None) -> NewEvent:
        data = TicketNoted(ticket_id=ticket, message_id=uuid4())
        return NewEvent(data=data, subject=str(ticket), sequence=sequence, time=now, import_id=import_id)

    counts = {
        origin: told("opora_emitted_events_total", type="ticket.noted", origin=origin) or 0
        for origin in ("live", "import")
    }
    with suppress(ZeroDivisionError):
        async with cell.database.transaction() as tx:
            now = tx.now
            tx.emit(fact(1))
            await tx.flush()
            raise ZeroDivisionError
    async with cell.database.transaction() as tx:
        tx.emit(fact(1), fact(2), fact(3, import_id="old-desk"))
    assert told("opora_emitted_events_total", type="ticket.noted", origin="live") == counts["live"] + 2
    assert told("opora_emitted_events_total", type="ticket.noted", origin="import") == counts["import"] + 1


async def test_an_empty_pool_is_told(cell: Cell, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many connections are in use, of how many, and how often nobody got one in time."""
    small = await Database.open(database, service="cell", clock=Clock(), pool_size=2)
    try:
        timeouts = told("opora_database_pool_timeouts_total") or 0
        async with small.transaction(), small.transaction():
            assert told("opora_database_pool_in_use") == 2
            assert told("opora_database_pool_limit") == 2
            monkeypatch.setattr(database_module, "_ACQUIRE_SECONDS", 0.1)
            with pytest.raises(TimeoutError):
                await small.fetchval("select 1")
        assert told("opora_database_pool_timeouts_total") == timeouts + 1
        assert told("opora_database_pool_in_use") == 0
    finally:
        await small.close()


async def test_the_outbox_is_told_while_the_broker_is_away(cell: Cell) -> None:
    """A relay that cannot reach the broker tells how much waits, and for how long it has done nothing."""
    await cell.emit(uuid4(), 1, 2)
    nowhere = cell.platform.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    relay, stop = Relay(replace(cell.platform, settings=nowhere)), asyncio.Event()
    relaying = asyncio.create_task(relay.run(stop))

    async def two_wait() -> bool:
        stalled, oldest = told("opora_relay_stalled_seconds") or 0, told("opora_outbox_oldest_seconds") or 0
        return told("opora_outbox_rows") == 2 and stalled > 0.2 and oldest > 0.2

    try:
        await wait_until(two_wait, "the outbox is told of")
    finally:
        stop.set()
        await relaying


async def test_failed_checks_are_told(kafka: Any, database: str) -> None:
    """Each check of readiness is a series: 1 while it is well, 0 while it is not."""
    service = Service("sample", ServiceSettings, Path(__file__).parent / "none", lambda _platform: Parts())
    async with running_service(service, kafka, database) as sample:
        metrics = (await sample.client.get("/metrics")).text
        assert 'opora_check_ok{check="database",service="sample"} 1.0' in metrics
        assert 'opora_check_ok{check="relay",service="sample"} 1.0' in metrics
        sample.database.pool.terminate()
        metrics = (await sample.client.get("/metrics")).text
        assert 'opora_check_ok{check="database",service="sample"} 0.0' in metrics


async def lag_is(records: int) -> bool:
    """Whether so many records are told to wait."""
    lag = told_lag()
    return bool(lag) and sum(lag.values()) == records


async def position_known(stream: Any) -> bool:
    """Whether the first partition's position can be told."""
    return await stream.position_of(0) is not None


async def partitions_are(count: int) -> bool:
    """Whether so many partitions are told of."""
    return len(told_lag()) == count
