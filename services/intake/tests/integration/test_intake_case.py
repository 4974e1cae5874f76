"""How cases are worked over HTTP: settings in versions, and the records of steps, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from opora_contracts.topics import TICKETS
from opora_contracts.vocabulary import Priority
from opora_intake.domain import DEFAULT_MATRIX
from opora_intake.handlers.case_settings import RulesInForce, change_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def untouched(desk: Any) -> AsyncIterator[None]:
    """Leaves the settings as other tests expect them."""
    yield
    await desk.patch("/settings", {"profiles": {}, "priorities": None, "categories": [], "components": []})


async def test_settings_are_versions_of_one_document(desk: Any) -> None:
    """A change replaces the named parts, counts the version and says who did it; no change is no version."""
    before = await desk.get("/settings")
    changed = await desk.patch("/settings", {"categories": ["network", "printing"]})
    assert (changed["version"], changed["changed_by"]) == (before["version"] + 1, "key:test")
    assert (changed["categories"], changed["profiles"]) == (["network", "printing"], before["profiles"])
    assert changed["priorities"]["high/high"] == "P1"
    assert (await desk.patch("/settings", {"categories": ["network", "printing"]}))["version"] == changed["version"]
    stale = {"components": ["login"], "expected_version": before["version"]}
    problem = await desk.patch("/settings", stale, status=409)
    assert problem["version"] == changed["version"]
    assert await desk.get("/settings") == changed
    assert (await desk.get("/settings/versions", limit=1))["items"] == [changed]
    await desk.patch("/settings", {"priorities": {"huge/low": "P1"}}, status=422)


async def test_a_changed_matrix_counts_for_the_next_ticket(desk: Any) -> None:
    """The process that took the change decides by it at once, on the hot path too."""
    assert (await desk.opened(impact="high", urgency="low"))["priority"] == "P3"
    await desk.patch("/settings", {"priorities": {"high/low": "P2"}})
    ticket = await desk.opened(impact="high", urgency="low")
    assert ticket["priority"] == "P2"
    assert (await desk.post(f"/tickets/{ticket['id']}/assess", {"urgency": "medium"}))["priority"] == "P2"


async def test_another_process_learns_of_a_change_in_bounded_time(desk: Any) -> None:
    """Rules are read again when they are old, so a change elsewhere is not missed; in between nothing is asked."""
    elsewhere = RulesInForce(DEFAULT_MATRIX)
    assert (await elsewhere.current(desk.database)).categories == ()
    await desk.patch("/settings", {"categories": ["network"]})

    async def knows() -> bool:
        return (await elsewhere.current(desk.database)).categories == ("network",)

    await desk.service.wait_until(knows)
    asked = Counting(desk.database)
    for _ in range(50):
        await RulesInForce.current(elsewhere, asked)
    assert asked.questions <= 2


class Counting:
    """A reader that counts what it is asked."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.questions = 0

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """All rows."""
        self.questions += 1
        return await self._reader.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row."""
        self.questions += 1
        return await self._reader.fetchrow(sql, *arguments)


async def test_changes_at_the_same_time_are_versions_of_their_own(desk: Any) -> None:
    """Of changes to different parts at one moment none is lost."""

    async def change(part: str, value: Any) -> int:
        async with desk.database.transaction() as tx:
            return (await change_settings(tx, {part: value}, expected_version=None, actor="agent:anna")).version

    versions = await asyncio.gather(
        change("categories", ("a",)), change("components", ("b",)), change("priorities", {"low/low": Priority.P4})
    )
    assert len(set(versions)) == 3
    settings = await desk.get("/settings")
    assert (settings["categories"], settings["components"], settings["priorities"]["low/low"]) == (["a"], ["b"], "P4")


async def test_a_strict_case_over_http(desk: Any) -> None:
    """Skipping is 409, a step without its record is 422, and what was recorded is read by steps, not in events."""
    await desk.patch("/settings", {"profiles": {"problem": "strict"}})
    ticket = await desk.opened(kind="problem")
    path = f"/tickets/{ticket['id']}"
    assert (ticket["profile"], "resolve" in ticket["allowed"]) == ("strict", False)
    problem = await desk.post(f"{path}/diagnose", {"cause": "x", "evidence": "y"}, status=409)
    assert (problem["attempted"], "assess" in problem["allowed"]) == ("diagnose", True)
    await desk.post(f"{path}/assess", {"note": "All of Hamburg"})
    refusal = await desk.post(f"{path}/diagnose", {"cause": "A full disk"}, status=422)
    assert "evidence" in refusal["detail"]
    await desk.post(f"{path}/diagnose", {"cause": "A full disk", "evidence": "df says 100 %"})
    await desk.post(f"{path}/diagnose", {"cause": "A runaway log", "evidence": "du says so"})
    await desk.post(f"{path}/plan", {"steps": ["rotate"], "owner": "anna"})
    await desk.post(f"{path}/resolve", {"resolution": "Rotated each hour"})
    await desk.post(f"{path}/close", {"note": "done"}, status=409)
    await desk.post(f"{path}/verify", {"seen": "60 %", "verified_by": "system"})
    await desk.post(f"{path}/close", {"note": "done"})
    first = await desk.get(f"{path}/steps", limit=4)
    rest = await desk.get(f"{path}/steps", cursor=first["next_cursor"])
    records = first["items"] + rest["items"]
    assert [record["step"] for record in records] == [
        "assessed",
        "diagnosed",
        "diagnosed",
        "planned",
        "resolved",
        "verified",
        "closed",
    ]
    assert [record["sequence"] for record in records] == list(range(2, 9))
    assert (records[2]["cause"], records[2]["evidence"], records[2]["actor"]) == (
        "A runaway log",
        "du says so",
        "key:test",
    )
    facts = await desk.published(TICKETS.name, ticket["id"], 8)
    assert facts[0].data.profile == "strict"
    told = "".join(fact.data.model_dump_json() for fact in facts)
    assert not [text for text in ("Hamburg", "du says", "rotate", "60 %", "done") if text in told]


async def test_a_category_beside_the_list_is_refused_on_every_way_in(desk: Any) -> None:
    """422 with the list, when a ticket is opened and when it is changed."""
    await desk.patch("/settings", {"categories": ["network"]})
    refusal = await desk.post("/tickets", {"title": "x", "category": "printers"}, status=422)
    assert "listed are network" in refusal["detail"]
    ticket = await desk.opened(category="network")
    await desk.patch(f"/tickets/{ticket['id']}", {"category": "printers"}, status=422)
