"""The index in which lists of open tickets are cut: it holds what they are filtered by, however long."""

import random
import re
from uuid import uuid4

import pytest

from opora_intake.store.tickets import _CONDITIONS
from services.intake.tests.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OF_THEIR_OWN = frozenset({"requester_ids", "number", "tag", "title_prefix", "external_source", "external_id"})
"""Filters that have an index that narrows more."""


async def test_every_filter_of_open_tickets_is_in_their_index(desk: Desk) -> None:
    """Else a list that finds little reads every open ticket whole: 200 ms of a hundred thousand instead of 10."""
    definition = await desk.database.fetchval("select indexdef from pg_indexes where indexname = 'tickets_open_listed'")
    held = set(re.findall(r"\w+", definition.partition(" USING ")[2]))
    for name, condition in _CONDITIONS.items():
        if name not in _OF_THEIR_OWN:
            columns = set(re.findall(r"[a-z_]+", condition)) - {"any", "text", "is", "null"}
            assert columns <= held, name


async def test_the_longest_texts_have_room_in_the_indexes(desk: Desk) -> None:
    """Group, product and agent at their longest, of characters of four bytes, no two alike, are listed and found."""
    draw = random.Random(7)  # noqa: S311  texts that nothing compresses
    group, product, longer = ("".join(chr(draw.randrange(0x10000, 0x1FFFF)) for _ in range(200)) for _ in range(3))
    assignee = longer[:100]
    title = f"{uuid4().hex} {'x' * 200}"
    ticket = await desk.opened(title=title, group=group, assignee=assignee, product=product, channel="phone")
    waiting = await desk.post(f"/tickets/{ticket['id']}/hold", {"waiting_on": "customer"})
    found = await desk.get("/tickets", open=True, group=group, assignee=assignee, product=product)
    assert found["items"] == [waiting]
