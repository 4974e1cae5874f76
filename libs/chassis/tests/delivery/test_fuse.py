"""The fuse under events of several numbers per key, as real traffic has them."""

from typing import Any
from uuid import uuid4

from libs.chassis.tests.delivery.conftest import Cell, noted, wait_until
from opora_contracts import Event


async def test_events_that_queue_behind_a_letter_do_not_mend_the_fuse(cell: Cell) -> None:
    """A deploy that fails on everything buries two keys, however often it is tried: what is put aside is no success."""
    tickets = [uuid4() for _ in range(6)]
    calls = 0

    async def crash(_event: Event[Any]) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("bad deploy")

    cell.before = crash
    await cell.send(*(noted(ticket, number) for ticket in tickets for number in (1, 2, 3)))
    async with cell.consuming() as consumers:

        async def blown() -> bool:
            return any(not ok for _, ok, _ in consumers.checks())

        await wait_until(blown, "the fuse blows")
        calls_until_then = calls

        async def tried_again() -> bool:
            return calls >= calls_until_then + 12

        await wait_until(tried_again, "three more attempts at everything")
        assert await blown()
    letters = await cell.letters()
    assert len({letter["key"] for letter in letters}) == 2
    assert {letter["reason_code"] for letter in letters} == {"handler_failed", "queued"}
