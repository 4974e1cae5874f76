"""Who has a ticket open or writes on it, over HTTP and a real database."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from opora_chassis.clock import Clock, host_now
from opora_chassis.database import Database
from opora_chassis.http.keys import create_key
from opora_intake.domain.presence import LEASE, MOST_PRESENT, Doing, TooManyPresent
from opora_intake.handlers.presence import say_present
from opora_intake.store import presence as store

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def people(desk: Any, ticket: Any) -> list[tuple[str, str]]:
    """Who is there, and what they do."""
    page = await desk.get(f"/tickets/{ticket['id']}/presence")
    return [(one["actor"], one["doing"]) for one in page["items"]]


async def say(database: Database, ticket: Any, actor: str, doing: Doing = Doing.VIEWING) -> list[str]:
    """Somebody says it; who is told of."""
    async with database.transaction() as tx:
        return [one.actor for one in await say_present(tx, UUID(ticket["id"]), actor, doing, LEASE)]


async def test_whoever_opens_a_ticket_hears_who_is_there(desk: Any) -> None:
    """The caller and everybody else, the first comer first; another doing begins anew; who leaves is gone."""
    ticket = await desk.opened()
    assert await people(desk, ticket) == []
    assert await say(desk.database, ticket, "agent:lena", Doing.EDITING) == ["agent:lena"]
    lena, caller = await _put(desk, ticket, "viewing")
    assert (lena["actor"], lena["doing"], caller["actor"]) == ("agent:lena", "editing", "key:test")
    again = (await desk.client.put(f"/v1/tickets/{ticket['id']}/presence", json={"doing": "viewing"})).json()["items"][
        1
    ]
    assert again["since"] == caller["since"]
    assert again["until"] > caller["until"]
    other = (await desk.client.put(f"/v1/tickets/{ticket['id']}/presence", json={"doing": "editing"})).json()["items"][
        1
    ]
    assert other["since"] > caller["since"]
    assert await people(desk, ticket) == [("agent:lena", "editing"), ("key:test", "editing")]
    assert (await desk.client.delete(f"/v1/tickets/{ticket['id']}/presence")).status_code == 204
    assert (await desk.client.delete(f"/v1/tickets/{ticket['id']}/presence")).status_code == 204
    assert await people(desk, ticket) == [("agent:lena", "editing")]
    assert (await desk.get(f"/tickets/{ticket['id']}"))["version"] == ticket["version"]


async def _put(desk: Any, ticket: Any, doing: str) -> Any:
    answer = await desk.client.put(f"/v1/tickets/{ticket['number']}/presence", json={"doing": doing})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_who_says_nothing_is_gone_after_the_lease(desk: Any) -> None:
    """Thirty seconds later nobody is there who did not say it again, and what they left is taken away by others."""
    ticket, elsewhere = await desk.opened(), await desk.opened()
    for number in range(5):
        await say(desk.database, ticket, f"agent:{number}")
    now = host_now()
    dsn = desk.service.platform.settings.database_dsn.get_secret_value()
    later = await Database.open(dsn, service="intake", clock=Clock(1.0, now, now + LEASE + timedelta(seconds=1)))
    try:
        assert await store.present_on(later, UUID(ticket["id"]), await later.now()) == []
        assert await say(later, elsewhere, "agent:late") == ["agent:late"]
        assert await say(later, ticket, "agent:0") == ["agent:0"]
        left = await later.fetch("select actor from ticket_presence where ticket_id = $1", UUID(ticket["id"]))
    finally:
        await later.close()
    assert [row["actor"] for row in left] == ["agent:0"]


async def test_a_ticket_tells_of_fifty_people_at_most(desk: Any) -> None:
    """The fifty-first gets 409 and blocks nobody; who is there may go on saying it. Many at once are no conflict."""
    ticket = await desk.opened()
    comers = (say(desk.database, ticket, f"agent:{number}") for number in range(MOST_PRESENT + 20))
    refusals = [each for each in await asyncio.gather(*comers, return_exceptions=True) if not isinstance(each, list)]
    assert [type(each) for each in refusals] == [TooManyPresent] * 20
    there = {actor for actor, _ in await people(desk, ticket)}
    assert len(there) == MOST_PRESENT
    path = f"/v1/tickets/{ticket['id']}/presence"
    refused = await desk.client.put(path, json={"doing": "viewing"})
    assert refused.status_code == 409
    assert len(await say(desk.database, ticket, min(there))) == MOST_PRESENT
    assert (await desk.client.put("/v1/tickets/OP-999999/presence", json={"doing": "viewing"})).status_code == 404
    assert (await desk.client.put(path, json={"doing": "sleeping"})).status_code == 422


async def test_to_say_it_needs_the_right_to_write(desk: Any) -> None:
    """Who may only read tickets reads who is there, and is not there."""
    ticket = await desk.opened()
    token = await create_key(desk.database, "presence reader", ["tickets:read"])
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/v1/tickets/{ticket['id']}/presence"
    assert (await desk.client.get(path, headers=headers)).status_code == 200
    assert (await desk.client.put(path, json={"doing": "viewing"}, headers=headers)).status_code == 403
