"""Macros over HTTP, on a real database and topic."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from opora_contracts.topics import TICKETS
from opora_intake.domain.macros import MOST_MACROS
from services.intake.tests.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANNA: dict[str, Any] = {"X-Opora-Actor": "agent:anna"}
ANSWER = [
    {"action": "assign", "data": {"group": "platform"}},
    {"action": "tag", "data": {"tags": ["certificate"]}},
    {"action": "reply", "data": {"body": "Dear {{requester_name|customer}}, {{number}} is done: {{title}}"}},
    {"action": "note", "data": {"body": "by macro"}},
    {"action": "hold", "data": {"waiting_on": "customer"}},
]


async def kept(desk: Desk, *operations: dict[str, Any], status: int = 201) -> Any:
    """A macro under a name of its own."""
    body = {"name": f"m-{uuid4().hex}", "description": "for a test", "operations": operations}
    return await desk.post("/macros", body, status=status)


@pytest_asyncio.fixture(loop_scope="session")
async def answer(desk: Desk) -> AsyncIterator[Any]:
    """A macro of five operations."""
    yield await kept(desk, *ANSWER)


async def state_of(desk: Desk, ticket: Any) -> tuple[Any, Any, Any, Any]:
    """All that a write could have left: the ticket, its timeline, messages and records."""
    path = f"/tickets/{ticket['id']}"
    return (
        await desk.get(path),
        await desk.get(f"{path}/timeline"),
        await desk.get(f"{path}/messages"),
        await desk.get(f"{path}/steps"),
    )


async def test_a_macro_is_carried_out_as_its_commands_would_be(desk: Desk, answer: Any) -> None:
    """One call: the ticket is assigned, tagged, answered by name, noted and held; the topic has each fact, in order."""
    customer = await desk.post("/customers", {"name": "Carla"})
    ticket = await desk.opened(requester_id=customer["id"])
    outcome = await desk.post(f"/tickets/{ticket['number']}/macros/{answer['name']}", {"expected_version": 1}, **ANNA)
    after = outcome["ticket"]
    assert (after["group"], after["tags"], after["waiting_on"]) == ("platform", ["certificate"], "customer")
    facts = await desk.published(TICKETS.name, ticket["id"], 6)
    assert [(fact.type.partition(".v")[0], fact.sequence) for fact in facts] == [
        ("ticket.created", 1),
        ("ticket.assigned", 2),
        ("ticket.updated", 3),
        ("ticket.replied", 4),
        ("ticket.noted", 5),
        ("ticket.held", 6),
    ]
    assert {fact.actor for fact in facts[1:]} == {"agent:anna"}
    messages = (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"]
    assert [message["id"] for message in messages] == outcome["message_ids"]
    assert [(message["visibility"], message["author"], message["body"]) for message in messages] == [
        ("public", "agent:anna", f"Dear Carla, {ticket['number']} is done: The printer prints nothing"),
        ("internal", "agent:anna", "by macro"),
    ]


async def test_a_refused_operation_leaves_nothing(desk: Desk) -> None:
    """However late the refusal comes, ticket, timeline, messages and records are as they were; it is told which."""
    ticket = await desk.opened(body="Help")
    before = await state_of(desk, ticket)
    for last, status, told in (
        ({"action": "verify"}, 409, "Cannot verify"),
        ({"action": "watch", "data": {"watchers": [f"customer:{uuid4()}"]}}, 422, "named by watchers"),
        ({"action": "set_fields", "data": {"values": {"unheard": 1}}}, 422, "unheard"),
        ({"action": "note", "data": {"body": "{{requester_name}}"}}, 422, "has no requester_name"),
    ):
        macro = await kept(desk, *ANSWER, {"action": "assess", "data": {"note": "seen"}}, last)
        problem = await desk.post(
            f"/tickets/{ticket['id']}/macros/{macro['name']}", status=status, **{"Idempotency-Key": uuid4().hex}
        )
        assert (problem["operation"], problem["action"]) == (7, last["action"])
        assert told in problem["detail"]
        if status == 409:
            assert "assess" in problem["allowed"]
        assert await state_of(desk, ticket) == before


async def test_a_macro_is_a_write_as_others_are(desk: Desk, answer: Any) -> None:
    """One effect under one Idempotency-Key; of two with one expected_version one counts; what is not there: 404."""
    ticket = await desk.opened()
    path = f"/tickets/{ticket['id']}/macros/{answer['name']}"
    key: dict[str, Any] = {"Idempotency-Key": uuid4().hex}
    first, again = await asyncio.gather(*(desk.post(path, **key) for _ in range(2)))
    assert first == again
    assert first["ticket"]["version"] == 6
    outcomes = await asyncio.gather(*(desk.client.post(f"/v1{path}", json={"expected_version": 6}) for _ in range(2)))
    assert sorted(outcome.status_code for outcome in outcomes) == [200, 409]
    problem = await desk.post(path, {"expected_version": 1}, status=409)
    assert "operation" not in problem
    await desk.post(f"/tickets/{ticket['id']}/macros/unheard-of", status=404)
    await desk.post(f"/tickets/{uuid4()}/macros/{answer['name']}", status=404)


async def test_macros_are_kept_replaced_listed_and_removed(desk: Desk, answer: Any) -> None:
    """One by a name, in versions, in the order of names; a removed one is gone and what it did stays."""
    path = f"/macros/{answer['name']}"
    assert await desk.get(path) == answer
    draft = {"description": "another", "operations": [{"action": "resolve", "data": {"resolution": "{{title}}"}}]}
    assert "already" in (await desk.post("/macros", {"name": answer["name"], **draft}, status=409))["detail"]
    replaced = await desk.client.put(f"/v1{path}", json={**draft, "expected_version": 1})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    stale = await desk.client.put(f"/v1{path}", json={**draft, "expected_version": 1})
    assert (stale.status_code, stale.json()["version"]) == (409, 2)
    assert (await desk.client.put("/v1/macros/unheard-of", json=draft)).status_code == 404
    ticket = await desk.opened()
    outcome = await desk.post(f"/tickets/{ticket['id']}/macros/{answer['name']}")
    assert outcome["ticket"]["step"] == "resolved"
    listed = [macro["name"] for macro in (await desk.get("/macros"))["items"]]
    assert answer["name"] in listed
    assert listed == sorted(listed)
    paged = await desk.get("/macros", limit=1)
    assert [macro["name"] for macro in paged["items"]] == listed[:1]
    assert (await desk.client.delete(f"/v1{path}")).status_code == 204
    assert (await desk.client.delete(f"/v1{path}")).status_code == 404
    await desk.get(path, status=404)
    assert (await desk.get(f"/tickets/{ticket['id']}"))["step"] == "resolved"


async def test_a_macro_that_can_never_work_is_refused_with_its_place(desk: Desk) -> None:
    """422 names the operation; a name that no path could hold is refused."""
    problem = await kept(desk, {"action": "resolve"}, {"action": "hold"}, status=422)
    assert problem["errors"][0]["field"].startswith("operations.1")
    assert "waiting_on" in problem["detail"]
    for name in ("", "Über", "a/b", "-a", "x" * 61):
        body = {"name": name, "description": "x", "operations": [{"action": "resolve"}]}
        await desk.post("/macros", body, status=422)


async def test_there_are_at_most_500_macros(desk: Desk) -> None:
    """The 501st is refused with what to do, also when two come for the last place at once."""
    async with desk.database.transaction() as tx:
        await tx.execute(
            "insert into macros select 'filling-' || number, 'x', '[]', 1, now(), 'x'"
            " from generate_series(1, $1 - 1 - (select count(*) from macros)) as number",
            MOST_MACROS,
        )
    try:
        bodies = [{"name": uuid4().hex, "description": "x", "operations": [{"action": "resolve"}]} for _ in range(2)]
        answers = await asyncio.gather(*(desk.client.post("/v1/macros", json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [201, 422]
        refused = max(answers, key=lambda answer: answer.status_code).json()
        assert "at most 500 macros" in refused["detail"]
    finally:
        async with desk.database.transaction() as tx:
            await tx.execute("delete from macros where name like 'filling-%'")
