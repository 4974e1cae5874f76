"""Consumption: each event has its effect once and in order; what fails waits aside and holds up nobody else."""

import asyncio
from typing import Any
from uuid import uuid4

from opora_chassis.consume import Guard, PermanentError, discard, redrive
from opora_chassis.identifiers import new_id
from opora_contracts import Event
from opora_contracts.codec import encode
from opora_contracts.requests import TicketSubmitted
from opora_contracts.topics import REQUESTS

from .conftest import Cell, noted, wait_until


async def test_a_duplicate_has_no_second_effect(cell: Cell) -> None:
    """The same fact three times, in one batch and in a later one, takes effect once."""
    ticket = uuid4()
    first, second = noted(ticket, 1), noted(ticket, 2)
    await cell.send(first, first, second)
    async with cell.consuming():
        await cell.wait_seen(ticket, [1, 2])
        await cell.send(first, second, noted(ticket, 3))
        await cell.wait_seen(ticket, [1, 2, 3])


async def test_a_foreign_event_is_known_by_source_and_id(cell: Cell) -> None:
    """Foreign systems count no sequence: the same (source, id) is handled once, another id of the same subject anew."""

    def submitted(event_id: str) -> Event[TicketSubmitted]:
        event: Any = noted(uuid4(), 1, id=event_id, source="//monitor", type="ticket.submitted", subject="case-7")
        return Event(
            **{name: getattr(event, name) for name in event.__slots__}
            | {"key": "case-7", "sequence": None, "data": TicketSubmitted(title="Disk full")}
        )

    await cell.send(submitted("a"), submitted("a"), submitted("b"), topic=REQUESTS)
    async with cell.consuming(REQUESTS, Guard.INBOX):
        await cell.wait_seen("case-7", [None, None])
        await cell.send(submitted("a"), submitted("c"), topic=REQUESTS)
        await cell.wait_seen("case-7", [None, None, None])


async def test_broken_records_become_dead_letters_that_say_why(cell: Cell) -> None:
    """Bad JSON, bad header bytes, a null header, a null value, a wrong schema: each is put aside with its reason."""
    good = noted(uuid4(), 1)
    record = encode(noted(uuid4(), 1))
    headers: dict[str, bytes | None] = dict(record.headers)
    broken: list[tuple[bytes, bytes | None, dict[str, bytes | None]]] = [
        (b"k1", b"{not json", dict(headers)),
        (b"k2", record.value, headers | {"ce_id": b"\xff\xfe"}),
        (b"k3", record.value, headers | {"ce_time": None}),
        (b"k4", None, dict(headers)),
        (b"k5", b'{"ticket_id": 5}', dict(headers)),
        (b"k6", b"hello", {}),
    ]
    for key, value, fields in broken:
        await cell.send_raw(key, value, list(fields.items()))
    await cell.send(good)
    async with cell.consuming():
        await cell.wait_seen(good.subject, [1])
        letters = await cell.wait_letters(6)
    reasons = {letter["raw_key"]: letter["reason"] for letter in letters}
    assert "JSON" in reasons[b"k1"]
    assert "ce_id" in reasons[b"k2"]
    assert "ce_time" in reasons[b"k3"]
    assert "ticket_id" in reasons[b"k5"]
    assert all(letter["attempts"] == 0 for letter in letters)


async def test_an_unknown_type_is_passed_over_and_counted_in_the_sequence(cell: Cell) -> None:
    """A fact of a type that a later release publishes is skipped, and its successor is no gap."""
    ticket = uuid4()
    unknown = encode(noted(ticket, 2))
    renamed = [(name, b"ticket.teleported" if name == "ce_type" else value) for name, value in unknown.headers]
    headers = [(name, value) for name, value in renamed if name != "ce_dataschema"]
    await cell.send(noted(ticket, 1))
    await cell.send_raw(unknown.key, unknown.value, headers)
    await cell.send(noted(ticket, 3))
    async with cell.consuming():
        await cell.wait_seen(ticket, [1, 3])
    assert await cell.letters() == []


async def test_a_refused_event_parks_its_key_and_redrive_goes_on_in_order(cell: Cell) -> None:
    """Behind a refused event its key's later events wait in order while others flow; redrive handles them all."""
    guilty, bystander = uuid4(), uuid4()
    refusing = True

    async def refuse(event: Event[Any]) -> None:
        if refusing and event.subject == str(guilty) and event.sequence == 2:
            raise PermanentError("the agreement is unknown: create it, then redrive")

    cell.before = refuse
    await cell.send(*(noted(guilty, n) for n in (1, 2, 3)), *(noted(bystander, n) for n in (1, 2)))
    async with cell.consuming():
        await cell.wait_seen(bystander, [1, 2])
        await cell.send(noted(guilty, 4), noted(bystander, 3))
        await cell.wait_seen(bystander, [1, 2, 3])
        letters = await cell.wait_letters(3)
        assert [letter["reason_code"] for letter in letters] == ["refused", "queued", "queued"]
        assert letters[0]["reason"] == "the agreement is unknown: create it, then redrive"
        assert await cell.seen(guilty) == [1]

        report = await redrive(cell.database, [cell.subscription()], key=str(guilty), dead_letter_id=None)
        assert (report.redriven, report.failed) == (0, 1)
        assert "agreement is unknown" in report.detail[0]

        refusing = False
        report = await redrive(cell.database, [cell.subscription()], key=str(guilty), dead_letter_id=None)
        assert (report.redriven, report.failed, report.remaining) == (3, 0, 0)
        await cell.send(noted(guilty, 5))
        await cell.wait_seen(guilty, [1, 2, 3, 4, 5])


async def test_discarding_a_letter_lets_its_successors_pass(cell: Cell) -> None:
    """A given-up fact is not taken for a gap by those behind it."""
    ticket = uuid4()

    async def refuse(event: Event[Any]) -> None:
        if event.sequence == 1:
            raise PermanentError("never")

    cell.before = refuse
    await cell.send(noted(ticket, 1), noted(ticket, 2))
    async with cell.consuming():
        letters = await cell.wait_letters(2)
    assert await discard(cell.database, [cell.subscription()], dead_letter_id=letters[0]["id"])
    report = await redrive(cell.database, [cell.subscription()], key=None, dead_letter_id=None)
    assert (report.redriven, report.remaining) == (1, 0)
    assert await cell.seen(ticket) == [2]


async def test_a_gap_is_parked_and_never_applied(cell: Cell) -> None:
    """A fact that is two ahead waits for the missing one, visibly."""
    ticket = uuid4()
    await cell.send(noted(ticket, 1), noted(ticket, 3))
    async with cell.consuming():
        (letter,) = await cell.wait_letters(1)
    assert letter["reason_code"] == "gap"
    assert letter["reason"] == "sequence 3 came after 1: 2 is missing"
    assert await cell.seen(ticket) == [1]


async def test_a_handler_that_fails_twice_then_works_loses_nothing(cell: Cell) -> None:
    """An unexpected failure is tried three times; neither the event nor its neighbours are lost or doubled."""
    shaky, neighbour = uuid4(), uuid4()
    failures = 0

    async def fail_twice(event: Event[Any]) -> None:
        nonlocal failures
        if event.subject == str(shaky) and failures < 2:
            failures += 1
            raise RuntimeError("not yet")

    cell.before = fail_twice
    await cell.send(noted(neighbour, 1), noted(shaky, 1), noted(neighbour, 2))
    async with cell.consuming():
        await cell.wait_seen(shaky, [1])
        await cell.wait_seen(neighbour, [1, 2])
    assert failures == 2
    assert await cell.letters() == []


async def test_a_bug_in_one_event_becomes_a_dead_letter_with_its_attempts(cell: Cell) -> None:
    """An event that always fails unexpectedly is put aside after three attempts, and its key is parked."""
    bad, good = uuid4(), uuid4()

    async def crash(event: Event[Any]) -> None:
        if event.subject == str(bad):
            raise ZeroDivisionError("x / 0")

    cell.before = crash
    await cell.send(noted(good, 1), noted(bad, 1), noted(good, 2))
    async with cell.consuming():
        await cell.wait_seen(good, [1, 2])
        (letter,) = await cell.wait_letters(1)
    assert (letter["reason_code"], letter["attempts"]) == ("handler_failed", 3)
    assert letter["reason"] == "ZeroDivisionError: x / 0"


async def test_the_fuse_stops_consumption_and_goes_on_when_the_code_is_mended(cell: Cell) -> None:
    """A deploy that fails on everything buries two events, not all; mended, the rest takes effect."""
    tickets = [uuid4() for _ in range(8)]
    broken = True

    async def crash(_event: Event[Any]) -> None:
        if broken:
            raise RuntimeError("bad deploy")

    cell.before = crash
    await cell.send(*(noted(ticket, 1) for ticket in tickets))
    async with cell.consuming() as consumers:

        async def blown() -> bool:
            return any(not ok for _, ok, _ in consumers.checks())

        await wait_until(blown, "the fuse blows")
        assert len(await cell.letters()) == 2
        broken = False

        async def rest_done() -> bool:
            return len([ticket for ticket in tickets if await cell.seen(ticket)]) == 6

        await wait_until(rest_done, "the six others take effect")
        assert all(ok for _, ok, _ in consumers.checks())
    report = await redrive(cell.database, [cell.subscription()], key=None, dead_letter_id=None)
    assert (report.redriven, report.remaining) == (2, 0)


async def test_a_rebalance_while_handling_loses_and_doubles_nothing(cell: Cell) -> None:
    """A second consumer joins while the first is in the middle of batches: every fact takes effect once, in order."""
    tickets = [uuid4() for _ in range(40)]

    async def slow(_event: Event[Any]) -> None:
        await asyncio.sleep(0.002)

    cell.before = slow
    await cell.send(*(noted(ticket, n) for n in (1, 2, 3) for ticket in tickets))
    async with cell.consuming(), cell.consuming():
        await cell.send(*(noted(ticket, n) for n in (4, 5, 6) for ticket in tickets))
        for ticket in tickets:
            await cell.wait_seen(ticket, [1, 2, 3, 4, 5, 6])
    assert await cell.letters() == []


async def test_stopping_finishes_the_batch_in_hand(cell: Cell) -> None:
    """A drain lets the handler finish and acknowledges it: the next process starts behind it."""
    ticket = uuid4()
    handling = asyncio.Event()

    async def slow(_event: Event[Any]) -> None:
        handling.set()
        await asyncio.sleep(0.3)

    cell.before = slow
    await cell.send(noted(ticket, 1, id=str(new_id())))
    async with cell.consuming():
        await asyncio.wait_for(handling.wait(), 20)
    assert await cell.seen(ticket) == [1]


async def test_the_inbox_forgets_what_its_topic_no_longer_holds(cell: Cell) -> None:
    """Old entries go, young ones stay: a duplicate is recognised for longer than the topic can deliver it."""
    async with cell.database.transaction() as tx:
        await tx.execute(
            "insert into inbox (consumer, source, event_id, received_at)"
            " values ('opora.requests', '//monitor', 'old', now() - interval '9 days'),"
            " ('opora.requests', '//monitor', 'young', now() - interval '7 days')"
        )
    async with cell.consuming() as consumers:
        stop = asyncio.Event()
        watch = asyncio.create_task(consumers.run(stop))

        async def pruned() -> bool:
            return [row["event_id"] for row in await cell.database.fetch("select event_id from inbox")] == ["young"]

        await wait_until(pruned, "only the young entry is left")
        stop.set()
        await watch
