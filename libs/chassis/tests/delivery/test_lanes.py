"""A large batch is carried by several transactions at once, each with keys of its own."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.chassis.tests.delivery.conftest import Cell, noted
from opora_chassis.consume import batch
from opora_chassis.consume.batch import BatchConsumer
from opora_chassis.consume.fuse import FuseBlownError
from opora_chassis.consume.record import Record
from opora_chassis.outbox import partition_of
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.topics import TICKETS

TICKETS_OF_A_BATCH = 60


def records_of(events: Sequence[Event[Any]]) -> list[Record]:
    """The events as they come from the topic."""
    encoded = [encode(event) for event in events]
    return [
        Record(TICKETS.name, partition_of(each.key, TICKETS.partitions), offset, each.key, each.value, each.headers)
        for offset, each in enumerate(encoded)
    ]


def consumer_of(cell: Cell) -> BatchConsumer:
    """The cell's consumption of the ticket facts, without a broker."""
    return BatchConsumer(cell.database, cell.subscription(), fuse_limit=3, fuse_retry_seconds=0)


def in_turn(tickets: Sequence[UUID], *sequences: int) -> list[Event[Any]]:
    """The first fact of each ticket, then the second of each, and so on."""
    return [noted(ticket, sequence) for sequence in sequences for ticket in tickets]


async def test_two_parts_of_a_batch_are_at_work_at_the_same_time(cell: Cell) -> None:
    """While one transaction waits, another works; each fact has its effect once and in its ticket's order."""
    tickets = [uuid4() for _ in range(TICKETS_OF_A_BATCH)]
    inside: set[int] = set()
    both = asyncio.Event()

    async def meet(event: Event[Any]) -> None:
        inside.add(id(asyncio.current_task()))
        if len(inside) > 1:
            both.set()
        await asyncio.wait_for(both.wait(), 20)

    cell.before = meet
    await consumer_of(cell).handle(records_of(in_turn(tickets, 1, 2, 3)))
    assert len(inside) == 2
    assert [await cell.seen(ticket) for ticket in tickets] == [[1, 2, 3]] * len(tickets)


async def test_a_small_batch_is_one_transaction(cell: Cell) -> None:
    """Few facts are not worth a second commit."""
    inside: set[int] = set()

    async def note(_event: Event[Any]) -> None:
        inside.add(id(asyncio.current_task()))

    cell.before = note
    await consumer_of(cell).handle(records_of(in_turn([uuid4() for _ in range(99)], 1)))
    assert len(inside) == 1


async def test_what_one_part_did_is_not_done_again_when_the_other_comes_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away under one part: the batch is not acknowledged, and comes again as a whole."""
    monkeypatch.setattr(batch, "_TRANSIENT_PATIENCE", 1)
    tickets = [uuid4() for _ in range(TICKETS_OF_A_BATCH)]
    records = records_of(in_turn(tickets, 1, 2))
    lost = True

    async def lose(event: Event[Any]) -> None:
        if lost and event.key == str(tickets[0]):
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    cell.before = lose
    consumer = consumer_of(cell)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await consumer.handle(records)
    done = [await cell.seen(ticket) for ticket in tickets]
    assert done[0] == []
    assert [1, 2] in done, "the other part had its effect"
    lost = False
    await consumer.handle(records)
    assert [await cell.seen(ticket) for ticket in tickets] == [[1, 2]] * len(tickets)
    assert await cell.letters() == []


async def test_the_fuse_counts_both_parts(cell: Cell) -> None:
    """A deploy that fails on everything buries fewer events than the limit, however many parts are at work."""
    records = records_of(in_turn([uuid4() for _ in range(2 * TICKETS_OF_A_BATCH)], 1))

    async def crash(_event: Event[Any]) -> None:
        raise RuntimeError("bad deploy")

    cell.before = crash
    with pytest.raises(FuseBlownError):
        await consumer_of(cell).handle(records)
    assert len(await cell.letters()) == 2


async def test_a_subject_under_several_keys_keeps_its_order(cell: Cell) -> None:
    """Guards go by the subject: a batch in which a key is not the subject stays whole."""
    tickets = [uuid4() for _ in range(TICKETS_OF_A_BATCH)]
    events = [noted(ticket, sequence, key=f"{ticket}-{sequence % 2}") for sequence in (1, 2, 3) for ticket in tickets]
    await consumer_of(cell).handle(records_of(events))
    assert [await cell.seen(ticket) for ticket in tickets] == [[1, 2, 3]] * len(tickets)
    assert await cell.letters() == []
