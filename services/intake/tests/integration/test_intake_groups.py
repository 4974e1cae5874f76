"""Groups whose rules choose agents, over HTTP and a real database, with several choosing at once."""

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from opora_chassis.http.keys import create_key
from opora_contracts.topics import TICKETS
from opora_intake.api.dependencies import rules_of
from opora_intake.domain.assignment import Member, Needs, Rule
from opora_intake.handlers.assignment import assign_batch, assign_round, put_group
from opora_intake.store import groups as store
from services.intake.tests.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")


def named(stem: str) -> str:
    """A name that no other test uses."""
    return f"{stem}-{uuid4().hex[:8]}"


async def assigned(desk: Desk, ticket: Any) -> Any:
    """The ticket as soon as it has an assignee."""
    found: dict[str, Any] = {}

    async def has_one() -> bool:
        found.update(await desk.get(f"/tickets/{ticket['id']}"))
        return found["assignee"] is not None

    await desk.service.wait_until(has_one)
    return found


async def settle(desk: Desk, group: str, body: Any, *, status: int = 200) -> Any:
    """The group as it was put."""
    answer = await desk.client.put(f"/v1/groups/{group}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def present(desk: Desk, agent: str, there: bool, *, status: int = 200) -> Any:
    """What is answered to an agent who comes or goes."""
    answer = await desk.client.put(f"/v1/agents/{agent}/presence", json={"present": there})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_ticket_that_comes_to_a_group_finds_an_agent(desk: Desk) -> None:
    """Created with the group or assigned to it: the skilled one is chosen, the fact and the reason say so."""
    group, anna, boris = named("platform"), named("anna"), named("boris")
    members = [{"agent": anna, "skills": ["Network"]}, {"agent": boris}]
    needs = {"categories": {"network": ["network"]}}
    settled = await settle(desk, group, {"rule": "round_robin", "needs": needs, "members": members})
    assert (settled["version"], settled["members"][0]["skills"]) == (1, ["network"])
    opened = await desk.opened(group=group, category="network")
    assert opened["assignee"] is None
    later = await desk.opened(category="network")
    await desk.post(f"/tickets/{later['id']}/assign", {"group": group})
    for ticket in (opened, later):
        assert (await assigned(desk, ticket))["assignee"] == anna
    facts = await desk.published(TICKETS.name, opened["id"], 2)
    assert (facts[1].type, facts[1].actor, facts[1].data.assignee) == ("ticket.assigned", "system:assignment", anna)
    choice = await desk.get(f"/tickets/{opened['id']}/choice")
    assert (choice["agent"], choice["needed"], choice["sequence"]) == (anna, ["network"], 2)
    assert [(one["agent"], one["standing"]) for one in choice["considered"]] == [
        (anna, "chosen"),
        (boris, "lacks_skills"),
    ]
    assert [one["load"] for one in (await desk.get(f"/groups/{group}"))["members"]] == [2, 0]
    await desk.post(f"/tickets/{opened['id']}/resolve")
    assert [one["load"] for one in (await desk.get(f"/groups/{group}"))["members"]] == [1, 0]


async def test_a_ticket_that_nobody_can_take_waits_and_is_tried_again(desk: Desk) -> None:
    """It stays with the group, says why, and finds its agent when one comes or has room."""
    group, anna = named("second"), named("anna")
    await settle(desk, group, {"rule": "least_loaded", "members": [{"agent": anna, "capacity": 1, "present": False}]})
    first = await desk.opened(group=group)
    answer = await desk.post(f"/tickets/{first['id']}/assign/auto")
    assert (answer["agent"], answer["considered"][0]["standing"]) == (None, "absent")
    assert (await desk.get(f"/tickets/{first['id']}/choice"))["considered"][0]["standing"] == "absent"
    assert (await desk.get(f"/tickets/{first['id']}"))["group"] == group
    assert (await present(desk, anna, there=True))["groups"] == [group]
    await assigned(desk, first)
    second = await desk.opened(group=group)
    answer = await desk.post(f"/tickets/{second['id']}/assign/auto")
    assert (answer["agent"], answer["considered"][0]["standing"]) == (None, "at_capacity")
    await desk.post(f"/tickets/{first['id']}/resolve")
    assert (await assigned(desk, second))["assignee"] == anna


async def test_who_waits_for_an_agent_is_counted_by_group(desk: Desk) -> None:
    """A gauge tells how many tickets nobody can take; a group that is taken away is told of no more."""
    group = named("empty")
    await settle(desk, group, {"rule": "round_robin", "members": [{"agent": named("away"), "present": False}]})
    for _ in range(2):
        await desk.opened(group=group)

    async def told(number: float | None) -> bool:
        return REGISTRY.get_sample_value("opora_tickets_without_agent", {"group": group}) == number

    await desk.service.wait_until(partial(told, 2.0), 60)
    assert (await desk.client.delete(f"/v1/groups/{group}")).status_code == 204
    await desk.service.wait_until(partial(told, None), 60)


async def test_what_no_rule_chooses_for_is_refused_with_the_reason(desk: Desk) -> None:
    """409 for a manual group, none, an assignee and a resolved ticket; 404 for a choice that never was."""
    group = named("manual")
    await settle(desk, group, {"rule": "manual", "members": [{"agent": "anna"}]})
    for ticket, reason in (
        (await desk.opened(group=group), "manual"),
        (await desk.opened(), "no group"),
        (await desk.opened(group=named("unknown")), "no group"),
        (await desk.opened(group=group, assignee="boris"), "assignee boris"),
    ):
        problem = await desk.post(f"/tickets/{ticket['id']}/assign/auto", status=409)
        assert reason in problem["detail"]
        await desk.get(f"/tickets/{ticket['id']}/choice", status=404)
    await desk.post(f"/tickets/{uuid4()}/assign/auto", status=404)
    await present(desk, named("nobody"), there=True, status=404)


async def test_groups_are_settled_whole_and_a_stale_writer_is_refused(desk: Desk) -> None:
    """Versions count, a member is named once, limits hold, and a removed group chooses nobody."""
    group = named("group")
    body = {"rule": "round_robin", "members": [{"agent": "anna"}]}
    await settle(desk, group, body)
    assert (await settle(desk, group, {**body, "expected_version": 1}))["version"] == 2
    assert (await settle(desk, group, {**body, "expected_version": 1}, status=409))["version"] == 2
    await settle(desk, group, {**body, "members": [{"agent": "anna"}, {"agent": "anna"}]}, status=422)
    await settle(desk, group, {**body, "members": [{"agent": "anna", "capacity": 1001}]}, status=422)
    await settle(desk, group, {**body, "members": [{"agent": f"a{one}"} for one in range(201)]}, status=422)
    names = {one["name"] for one in (await desk.get("/groups", limit=200))["items"]}
    assert group in names
    assert (await desk.client.delete(f"/v1/groups/{group}")).status_code == 204
    assert (await desk.client.delete(f"/v1/groups/{group}")).status_code == 404
    await desk.get(f"/groups/{group}", status=404)


async def test_settling_groups_needs_the_scope(desk: Desk) -> None:
    """A key for tickets neither reads nor settles groups."""
    token = await create_key(desk.database, named("limited"), ["tickets:write"])
    headers = {"Authorization": f"Bearer {token}"}
    answer = await desk.client.put(f"/v1/groups/{named('x')}", json={"rule": "manual"}, headers=headers)
    assert answer.status_code == 403
    assert (await desk.client.get("/v1/groups", headers=headers)).status_code == 403


@pytest.mark.parametrize("rule", ["round_robin", "least_loaded"])
async def test_however_many_choose_at_once_no_capacity_is_passed(desk: Desk, rule: str) -> None:
    """The service's loop, two more and callers: each ticket is given once, fairly, and what is too much waits."""
    group, agents = named("busy"), [named("agent") for _ in range(4)]
    await settle(desk, group, {"rule": rule, "members": [{"agent": one, "capacity": 7} for one in agents]})
    tickets = [await desk.opened(group=group) for _ in range(32)]
    rules = rules_of(desk.service.platform)

    async def chosen() -> list[str]:
        found = [await desk.get(f"/tickets/{ticket['id']}") for ticket in tickets]
        return [one["assignee"] for one in found if one["assignee"] is not None]

    async def by_hand(some: list[Any]) -> None:
        for ticket in some:
            answer = await desk.client.post(f"/v1/tickets/{ticket['id']}/assign/auto", json={})
            assert answer.status_code in {200, 409}, answer.text

    async def by_small_batches() -> None:
        for _ in range(16):
            async with desk.database.transaction() as tx:
                await assign_batch(tx, group, after=None, rules=rules, limit=3)

    await asyncio.gather(
        assign_round(desk.database, rules),
        by_small_batches(),
        by_small_batches(),
        by_hand(tickets[:10]),
        by_hand(tickets[5:15]),
    )

    async def done() -> bool:
        return len(await chosen()) >= 28

    await desk.service.wait_until(done)
    await assign_round(desk.database, rules)
    assert Counter(await chosen()) == dict.fromkeys(agents, 7)
    for ticket in tickets:
        timeline = (await desk.get(f"/tickets/{ticket['id']}/timeline"))["items"]
        assert [fact["type"] for fact in timeline].count("ticket.assigned") <= 1


async def test_the_urgent_come_first_and_those_that_cannot_be_given_hold_up_no_other(desk: Desk) -> None:
    """With room for one, the P1 gets it; a first batch of what needs an unknown skill is passed by."""
    group, anna = named("order"), named("anna")
    for _ in range(3):
        await desk.opened(group=group, priority="P1", tags=["odd"])
    low, urgent = await desk.opened(group=group, priority="P4"), await desk.opened(group=group, priority="P2")
    members = [Member(agent=anna, skills=frozenset(), capacity=1, present=True)]
    rules = rules_of(desk.service.platform)
    async with desk.database.transaction() as tx:  # the loop of the service does not see the group before the commit
        await put_group(
            tx,
            group,
            rule=Rule.ROUND_ROBIN,
            needs=Needs(tags={"odd": ("rare",)}),
            members=members,
            expected_version=0,
            actor="agent:lena",
        )
        after = await assign_batch(tx, group, after=None, rules=rules, limit=3)
        assert after is not None
        assert await assign_batch(tx, group, after=after, rules=rules, limit=3) is None
    found = [(await desk.get(f"/tickets/{one['id']}"))["assignee"] for one in (urgent, low)]
    assert found == [anna, None]
    assert (await desk.get(f"/tickets/{low['id']}/choice"))["considered"][0]["standing"] == "at_capacity"


async def test_waiting_tickets_and_loads_are_found_by_their_indexes(desk: Desk) -> None:
    """Neither what waits nor what agents have in work is looked for among the 5,000 tickets of them that are done."""
    group = named("planned")
    await settle(desk, group, {"rule": "manual", "members": [{"agent": group}]})
    opened = await desk.opened(group=group, assignee=group)
    plans: list[str] = []
    with suppress(UndoneError):
        async with desk.database.transaction() as tx:
            await tx.execute(_CLOSED_COPIES, UUID(opened["id"]))
            await tx.execute("analyze tickets")
            seen = Recording(tx)
            await store.waiting_tickets(seen, group, after=None, limit=10)
            await store.find_group(seen, group)
            for sql, arguments in seen.asked:
                plans.append("\n".join(row[0] for row in await tx.fetch(f"explain {sql}", *arguments)))
            raise UndoneError
    waiting, _, loads = plans
    assert "tickets_waiting" in waiting
    assert "Sort" not in waiting
    assert "tickets_in_work" in loads


class UndoneError(Exception):
    """Nothing of the transaction stays."""


_CLOSED_COPIES = """
insert into tickets select copy.* from tickets, generate_series(1, 5000) as n,
    jsonb_populate_record(tickets, jsonb_build_object(
    'id', gen_random_uuid(), 'number', -n, 'step', 'closed')) as copy where tickets.id = $1"""


class Recording:
    """A reader that keeps what it was asked."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """All rows."""
        self.asked.append((sql, arguments))
        return await self._reader.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row."""
        self.asked.append((sql, arguments))
        return await self._reader.fetchrow(sql, *arguments)
