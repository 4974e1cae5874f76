"""Two records of one person become one, and two again: over HTTP, on the topic, under concurrency."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts.topics import CUSTOMERS

pytestmark = pytest.mark.asyncio(loop_scope="session")


def address() -> str:
    """An address that nobody has yet."""
    return f"{uuid4().hex}@example.com"


async def person(desk: Any, **fields: Any) -> Any:
    """A new customer with an address."""
    contacts = {} if "emails" in fields else {"email": address()}
    return await desk.post("/customers", {"name": "Anna", **contacts, **fields})


async def state_of(desk: Any, customer: Any) -> dict[str, Any]:
    """All that belongs to a customer, but for the version."""
    path = f"/customers/{customer['id']}"
    record = {name: value for name, value in (await desk.get(path)).items() if name != "version"}
    tickets = (await desk.get("/tickets", requester_id=customer["id"]))["items"]
    kept = {
        name: sorted(one["id"] for one in (await desk.get(f"{path}/{name}"))["items"]) for name in ("notes", "consents")
    }
    return {**record, "tickets": sorted(one["id"] for one in tickets), **kept, "now": record["consents"]}


async def consent(desk: Any, customer: Any, purpose: str, *, given: bool, at: str) -> None:
    """The customer says something about a purpose."""
    body = {"given": given, "source": "portal", "at": at}
    answer = await desk.service.client.put(f"/v1/customers/{customer['id']}/consents/{purpose}", json=body)
    assert answer.status_code == 200, answer.text


async def test_everything_goes_over_and_comes_back(desk: Any) -> None:
    """Addresses, phones, tickets, notes, consents, the organisation go over; unmerging restores both as they were."""
    company = await desk.post("/organizations", {"name": "Keller"})
    one = await person(desk, phones=["+4930901820", "+4940428280"], organization_id=company["id"])
    other = await person(desk, phones=["+4940428280"])
    ticket = await desk.opened(requester_email=one["email"])
    await desk.opened(requester_email=other["email"])
    await desk.post(f"/customers/{one['id']}/notes", {"body": "Prefers calls"})
    await consent(desk, one, "surveys", given=False, at="2026-02-01T10:00:00Z")
    await consent(desk, other, "surveys", given=True, at="2026-01-01T10:00:00Z")
    before = [await state_of(desk, one), await state_of(desk, other)]

    merged = await desk.post(f"/customers/{one['id']}/merge", {"into": other["id"]})
    assert merged["tickets"] == 1
    into = merged["into"]
    assert into["emails"] == [other["email"], one["email"]]
    assert into["phones"] == ["+4940428280", "+4930901820"]
    assert into["organization_id"] == company["id"]
    assert [(each["purpose"], each["given"]) for each in into["consents"]] == [("surveys", False)]
    left = await desk.get(f"/customers/{one['id']}")
    assert (left["merged_into"], left["emails"], left["name"]) == (other["id"], [], "Anna")
    assert (await desk.get(f"/tickets/{ticket['id']}"))["requester_id"] == other["id"]
    assert len((await desk.get(f"/customers/{one['id']}/notes"))["items"]) == 1
    assert [each["id"] for each in (await desk.get("/customers", email=one["email"]))["items"]] == [other["id"]]

    await desk.post(f"/customers/{one['id']}/unmerge")
    assert [await state_of(desk, one), await state_of(desk, other)] == before
    facts = await desk.published(CUSTOMERS.name, one["id"], 4)
    assert [fact.type for fact in facts][-2:] == ["customer.merged", "customer.updated"]
    assert str(facts[-2].data.merged_into) == other["id"]
    assert [fact.sequence for fact in facts] == [1, 2, 3, 4]


async def test_the_old_id_goes_on_to_work(desk: Any) -> None:
    """Whoever opens a ticket for the merged one, or lists its tickets, means the one at the end of the merges."""
    first, second, third = [await person(desk) for _ in range(3)]
    await desk.post(f"/customers/{first['id']}/merge", {"into": second["id"]})
    await desk.post(f"/customers/{second['id']}/merge", {"into": third["id"]})
    ticket = await desk.opened(requester_id=first["id"])
    assert ticket["requester_id"] == third["id"]
    assert (await desk.opened(requester_email=first["email"]))["requester_id"] == third["id"]
    assert (await desk.get(f"/customers/{first['id']}"))["merged_into"] == third["id"]
    assert len((await desk.get("/tickets", requester_id=first["id"]))["items"]) == 2
    problem = await desk.patch(f"/customers/{first['id']}", {"name": "X"}, status=409)
    assert problem["merged_into"] == second["id"]
    problem = await desk.post(f"/customers/{first['id']}/unmerge", status=409)
    assert second["id"] in problem["detail"]
    await desk.post(f"/customers/{second['id']}/unmerge")
    await desk.post(f"/customers/{first['id']}/unmerge")
    assert (await desk.get(f"/customers/{first['id']}"))["emails"] == first["emails"]
    # What was opened while they were one stays with the one for whom it was opened.
    assert (await desk.get(f"/tickets/{ticket['id']}"))["requester_id"] == third["id"]


async def test_merging_again_changes_nothing(desk: Any) -> None:
    """The same merge twice, with and without a key, is one merge; another one is refused with the way out."""
    one, other, third = [await person(desk) for _ in range(3)]
    key = {"Idempotency-Key": uuid4().hex}
    path, body = f"/customers/{one['id']}/merge", {"into": other["id"]}
    answers = [await desk.post(path, body, **key), await desk.post(path, body, **key), await desk.post(path, body)]
    assert answers[0] == answers[1] == answers[2]
    problem = await desk.post(path, {"into": third["id"]}, status=409)
    assert problem["merged_into"] == other["id"]
    await desk.post(f"/customers/{third['id']}/merge", {"into": one["id"]}, status=409)
    await desk.post(path.replace(one["id"], third["id"]), {"into": third["id"]}, status=422)
    await desk.post(path.replace(one["id"], third["id"]), {"into": str(uuid4())}, status=422)
    await desk.post(f"/customers/{uuid4()}/merge", body, status=404)
    await desk.post(f"/customers/{third['id']}/unmerge", status=409)


async def test_two_merges_that_cross_end_as_one(desk: Any) -> None:
    """Each into the other at the same moment: one is carried out, one refused, and nothing is lost or stays locked."""
    for _ in range(5):
        pair = [await person(desk), await person(desk)]
        tickets = [await desk.opened(requester_id=each["id"]) for each in pair]
        calls = [
            desk.client.post(f"/v1/customers/{one['id']}/merge", json={"into": into["id"]})
            for one, into in (pair, pair[::-1])
        ]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*calls))
        assert statuses == [200, 409]
        records = [await desk.get(f"/customers/{each['id']}") for each in pair]
        (standing,) = [each for each in records if each["merged_into"] is None]
        assert sorted(standing["emails"]) == sorted(each["email"] for each in pair)
        owners = {(await desk.get(f"/tickets/{ticket['id']}"))["requester_id"] for ticket in tickets}
        assert owners == {standing["id"]}


async def test_a_ticket_that_is_opened_while_its_requester_is_merged_is_not_left_behind(desk: Any) -> None:
    """Whichever of the two comes first, the ticket belongs to the customer who stands in the end."""
    one, other = await person(desk), await person(desk)
    opening = {"title": "x", "requester_email": one["email"]}
    calls = [desk.client.post("/v1/tickets", json=opening) for _ in range(20)]
    calls.insert(10, desk.client.post(f"/v1/customers/{one['id']}/merge", json={"into": other["id"]}))
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200, 201}
    left = await desk.database.fetchval("select count(*) from tickets where requester_id = $1", one["id"])
    gone = await desk.database.fetchval("select count(*) from tickets where requester_id = $1", other["id"])
    assert (left, gone) == (0, 20)


async def test_what_came_after_a_merge_stays_where_it_came(desk: Any) -> None:
    """An address and a ticket of later belong to the one who stands; an address that was taken meanwhile is named."""
    one, other = await person(desk), await person(desk)
    await desk.post(f"/customers/{one['id']}/merge", {"into": other["id"]})
    late = address()
    await desk.patch(f"/customers/{other['id']}", {"emails": [late, other["email"]]})
    thief = await person(desk, email=one["email"])
    problem = await desk.post(f"/customers/{one['id']}/unmerge", status=409)
    assert thief["id"] in problem["detail"]
    await desk.patch(f"/customers/{thief['id']}", {"emails": []})
    await desk.post(f"/customers/{one['id']}/unmerge")
    assert (await desk.get(f"/customers/{one['id']}"))["emails"] == [one["email"]]
    assert (await desk.get(f"/customers/{other['id']}"))["emails"] == [late, other["email"]]


async def test_one_person_has_no_more_than_twenty_addresses(desk: Any) -> None:
    """A merge that would give more is refused, and says how many there would be."""
    one = await person(desk, emails=[address() for _ in range(11)])
    other = await person(desk, emails=[address() for _ in range(10)])
    problem = await desk.post(f"/customers/{one['id']}/merge", {"into": other["id"]}, status=409)
    assert "Together they have 21 addresses, at most 20" in problem["detail"]
