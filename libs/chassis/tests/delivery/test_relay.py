"""The relay: every committed fact reaches its topic, in order per key, whatever dies in between."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from opora_chassis.marks import FollowMarks, Mark
from opora_chassis.relay import Relay, shard_share
from opora_contracts import NewEvent
from opora_contracts.tickets import TicketNoted
from opora_contracts.topics import TICKETS

from .conftest import Cell, wait_until


async def published(cell: Cell) -> dict[str, list[int]]:
    """Sequences per key on the ticket topic, in log order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cell.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(cell.prefix + TICKETS.name, p) for p in range(TICKETS.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[str, list[int]] = {}
        missing = sum(ends.values())
        while missing:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    sequence = int(dict(record.headers)["ce_sequence"])
                    found.setdefault(record.key.decode(), []).append(sequence)
                    missing -= 1
        return found
    finally:
        await consumer.stop()


def note_of(ticket: UUID, at: datetime) -> NewEvent:
    """The first fact of a ticket."""
    return NewEvent(data=TicketNoted(ticket_id=ticket, message_id=uuid4()), subject=str(ticket), sequence=1, time=at)


async def outbox_empty(cell: Cell) -> bool:
    """Whether every fact was acknowledged."""
    return bool(await cell.database.fetchval("select count(*) = 0 from outbox"))


async def test_facts_arrive_in_order_per_key(cell: Cell) -> None:
    """Facts of many transactions stand on the topic once each, each key in its order."""
    tickets = [uuid4() for _ in range(20)]
    async with cell.relaying():
        for sequence in (1, 2, 3):
            await asyncio.gather(*(cell.emit(ticket, sequence) for ticket in tickets))
        await wait_until(lambda: outbox_empty(cell), "the outbox is empty")
    assert await published(cell) == {str(ticket): [1, 2, 3] for ticket in tickets}


async def test_a_pass_of_many_batches_keeps_order_and_finds_what_was_committed_late(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts beyond one batch, and beyond one pass, are published once and in order; so is one with an earlier id."""
    monkeypatch.setattr("opora_chassis.relay._BATCH_ROWS", 4)
    tickets, late = [uuid4() for _ in range(9)], uuid4()
    async with AsyncExitStack() as stack:
        async with cell.database.transaction() as tx:
            tx.emit(note_of(late, tx.now))
            await tx.flush()  # its id is drawn
            for sequence in range(1, 13):
                await asyncio.gather(*(cell.emit(ticket, sequence) for ticket in tickets))
            await stack.enter_async_context(cell.relaying())
            await wait_until(lambda: outbox_empty(cell), "all that is committed is published")
        await wait_until(lambda: outbox_empty(cell), "and then the late one")
    expected = {str(ticket): list(range(1, 13)) for ticket in tickets} | {str(late): [1]}
    assert await published(cell) == expected


async def test_a_rolled_back_transaction_publishes_nothing(cell: Cell) -> None:
    """A fact without its state change never leaves."""
    kept, lost = uuid4(), uuid4()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  the failure has to come inside the transaction
        async with cell.database.transaction() as tx:
            tx.emit(note_of(lost, tx.now))
            await tx.flush()
            raise ZeroDivisionError
    async with cell.relaying():
        await cell.emit(kept, 1)
        await wait_until(lambda: outbox_empty(cell), "the outbox is empty")
    assert await published(cell) == {str(kept): [1]}


async def test_a_relay_killed_between_acknowledgement_and_deletion_sends_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next relay repeats what the first could not delete: a duplicate for consumers to skip, never a loss."""
    ticket = uuid4()
    await cell.emit(ticket, 1, 2)

    async def die(_self: Relay, sent: Any) -> None:
        if sent:
            raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "_delete", die)
        with pytest.raises(SystemError):
            await Relay(cell.platform).run(asyncio.Event())
    assert not await outbox_empty(cell)
    async with cell.relaying():
        await wait_until(lambda: outbox_empty(cell), "the outbox is empty")
    assert sorted((await published(cell))[str(ticket)]) == [1, 1, 2, 2]
    async with cell.consuming():
        await cell.wait_seen(ticket, [1, 2])
    assert await cell.letters() == []


async def test_two_relays_divide_the_shards_and_keep_order(cell: Cell) -> None:
    """Two relays hold two shards each; together they publish everything once and in order."""
    tickets = [uuid4() for _ in range(30)]
    async with cell.relaying() as first, cell.relaying() as second:

        async def divided() -> bool:
            return len(first._held) == 2 and len(second._held) == 2

        await wait_until(divided, "each relay holds two shards")
        for sequence in (1, 2, 3, 4):
            await asyncio.gather(*(cell.emit(ticket, sequence) for ticket in tickets))
        await wait_until(lambda: outbox_empty(cell), "the outbox is empty")
        assert not first._held & second._held
    assert await published(cell) == {str(ticket): [1, 2, 3, 4] for ticket in tickets}


async def test_a_relay_that_cannot_reach_the_broker_has_no_part(cell: Cell) -> None:
    """It is no member while it tries: the other one publishes everything, its shards included."""
    tickets = [uuid4() for _ in range(30)]
    attempted = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempted.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = cell.platform.settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{port}"})
    stop, cut_off = asyncio.Event(), Relay(replace(cell.platform, settings=settings))
    trying = asyncio.create_task(cut_off.run(stop))
    try:
        await asyncio.wait_for(attempted.wait(), 30)  # its database is reached, its broker does not answer
        async with cell.relaying() as other:

            async def alone() -> bool:
                return len(other._held) == cell.platform.settings.relay_shards

            await wait_until(alone, "the relay that reaches the broker holds every shard", 5)
            for ticket in tickets:
                await cell.emit(ticket, 1)
            await wait_until(lambda: outbox_empty(cell), "the outbox is empty")
    finally:
        stop.set()
        await asyncio.wait_for(trying, 30)
        silent.close()
    assert await published(cell) == {str(ticket): [1] for ticket in tickets}


@pytest.mark.parametrize(("shards", "members", "share"), [(4, 1, 4), (4, 2, 2), (4, 3, 2), (4, 9, 1), (1, 1, 1)])
def test_shard_share_covers_all_shards(shards: int, members: int, share: int) -> None:
    """Each relay's part is the rounded-up share, so that no shard is left over."""
    assert shard_share(shards, members) == share


async def test_a_mark_waits_for_open_transactions_and_for_the_consumer(cell: Cell) -> None:
    """A watermark passes an instant only when every fact before it was applied, one still uncommitted then included."""
    ticket = uuid4()
    watermarks: dict[int, datetime] = {}
    told: Counter[int] = Counter()

    async def note(marks: Any, _tx: Any) -> None:
        for mark in marks:
            assert isinstance(mark, Mark)
            told[mark.partition] += 1
            watermarks[mark.partition] = max(mark.complete_before, watermarks.get(mark.partition, mark.complete_before))

    async def no_imports(_connection: Any) -> list[tuple[str, datetime]]:
        return []

    async with cell.consuming(follow_marks=FollowMarks(TICKETS, note)), cell.relaying(no_imports):

        async def all_marked() -> bool:
            return len(watermarks) == TICKETS.partitions

        await wait_until(all_marked, "every partition has a watermark")
        before_start = await cell.database.now()
        async with cell.database.transaction() as tx:
            started = tx.now
            after_start = await cell.database.now()
            tx.emit(note_of(ticket, tx.now))
            told.clear()

            async def all_marked_again() -> bool:
                # The first may have been on its way when the transaction began.
                return all(told[partition] >= 3 for partition in range(TICKETS.partitions))

            await wait_until(all_marked_again, "marks go on while the transaction is open")
            assert before_start <= min(watermarks.values()) <= max(watermarks.values()) <= started
        await cell.wait_seen(ticket, [1])

        async def passed() -> bool:
            return min(watermarks.values()) > after_start

        await wait_until(passed, "watermarks move on after the commit")
    assert before_start < started < after_start
