"""Lists that agents keep."""

from typing import Any
from uuid import uuid4

import pytest

from services.intake.tests.conftest import Desk
from services.intake.tests.integration.test_intake_search import made_up, numbers, settle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def as_agent(desk: Desk, agent: str, path: str, **query: Any) -> Any:
    """What an agent reads."""
    answer = await desk.client.get(f"/v1{path}", params=query, headers={"X-Opora-Actor": f"agent:{agent}"})
    return answer.raise_for_status().json()


async def kept(desk: Desk, agent: str, status: int = 201, **view: Any) -> Any:
    """A view of an agent."""
    return await desk.post("/views", view, status=status, **{"X-Opora-Actor": f"agent:{agent}"})


async def test_a_view_lists_and_counts_what_it_asks_for(desk: Desk) -> None:
    """`@me` is whoever looks; filters and words work together; pages follow one another."""
    anna, boris, tag = (made_up() for _ in range(3))
    for assignee in (anna, anna, boris):
        await desk.opened(title=f"Case {tag}", assignee=assignee, group="platform")
    mine = await kept(desk, anna, name="Mine", query={"assignee": "@me", "open": True, "text": tag}, shared=True)
    plain = await kept(desk, anna, name="Plain", query={"assignee": "@me"}, position=1)
    await settle(desk)
    for agent, count in ((anna, 2), (boris, 1)):
        listed = await as_agent(desk, agent, f"/views/{mine['id']}/tickets")
        assert len(listed["items"]) == count
        counts = {view["id"]: view["count"] for view in (await as_agent(desk, agent, "/views", counts=True))["items"]}
        assert counts[mine["id"]] == count
        assert (plain["id"] in counts) is (agent == anna)
    first = await as_agent(desk, anna, f"/views/{plain['id']}/tickets", limit=1)
    second = await as_agent(desk, anna, f"/views/{plain['id']}/tickets", limit=1, cursor=first["next_cursor"])
    assert numbers(first) > numbers(second)
    assert second["next_cursor"] is None
    assert (first["items"][0]["title"], first["items"][0]["excerpt"]) == (None, None)
    # Who is no agent has no tickets of their own: told, and counted as nothing that could be told.
    await desk.get(f"/views/{mine['id']}/tickets", status=422)
    assert {v["id"]: v["count"] for v in (await desk.get("/views", counts=True))["items"]}[mine["id"]] is None


async def test_a_view_is_changed_by_its_owner_alone(desk: Desk) -> None:
    """Others see a shared one and may not change it; one that is not shared does not exist for them."""
    anna, boris = made_up(), made_up()
    shared = await kept(desk, anna, name="Ours", query={}, shared=True)
    own = await kept(desk, anna, name="Mine", query={})
    as_boris = {"X-Opora-Actor": f"agent:{boris}"}
    for view, status in ((shared, 403), (own, 404)):
        answers = [
            await desk.client.patch(f"/v1/views/{view['id']}", json={"name": "x"}, headers=as_boris),
            await desk.client.delete(f"/v1/views/{view['id']}", headers=as_boris),
        ]
        assert [answer.status_code for answer in answers] == [status, status]
    assert (await desk.client.get(f"/v1/views/{own['id']}/tickets", headers=as_boris)).status_code == 404
    as_anna = {"X-Opora-Actor": f"agent:{anna}"}
    changed = await desk.client.patch(
        f"/v1/views/{own['id']}", json={"name": "Urgent", "query": {"priority": ["P1"]}, "position": 7}, headers=as_anna
    )
    assert changed.json() | {"changed_at": None} == own | {
        "name": "Urgent",
        "query": {"priority": ["P1"]},
        "position": 7,
        "changed_at": None,
    }
    assert (await desk.client.delete(f"/v1/views/{own['id']}", headers=as_anna)).status_code == 204
    assert own["id"] not in {view["id"] for view in (await as_agent(desk, anna, "/views"))["items"]}


async def test_views_stand_in_their_order(desk: Desk) -> None:
    """By position, then by name."""
    anna = made_up()
    for name, position in (("b", 2), ("c", 1), ("a", 2)):
        await kept(desk, anna, name=name, query={}, position=position)
    own = [view for view in (await as_agent(desk, anna, "/views"))["items"] if view["owner"] == f"agent:{anna}"]
    assert [view["name"] for view in own] == ["c", "a", "b"]


async def test_views_have_limits(desk: Desk) -> None:
    """One name once for each owner, 100 views, and no query that no list would take."""
    anna = made_up()
    await kept(desk, anna, name="Mine", query={})
    await kept(desk, anna, name="MINE", query={}, status=409)
    for query in ({"limit": 3}, {"cursor": "x"}, {"colour": "red"}, {"text": " "}, {"step": ["nowhere"]}):
        await kept(desk, anna, name=uuid4().hex, query=query, status=422)
    for number in range(99):
        await kept(desk, anna, name=f"{number}", query={})
    await kept(desk, anna, name="one too many", query={}, status=422)
