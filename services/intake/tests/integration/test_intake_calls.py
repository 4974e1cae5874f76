"""Telephone calls over HTTP."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts.topics import TICKETS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _call(desk: Any, **fields: Any) -> dict[str, Any]:
    now: datetime = await desk.database.now()
    times = {
        "started_at": (now - timedelta(minutes=10)).isoformat(),
        "ended_at": (now - timedelta(minutes=6, seconds=30)).isoformat(),
    }
    return {"direction": "inbound", "summary": "It prints nothing.", **times, **fields}


async def test_a_call_without_a_ticket_opens_one_as_of_its_beginning(desk: Any) -> None:
    """By phone, for the customer who called; that somebody spoke with them is an answer at the call's end."""
    customer = await desk.post("/customers", {"name": "Anna", "email": f"{uuid4().hex}@example.com"})
    body = await _call(desk, title="Printer", customer_id=customer["id"], number="030 901820", region="DE")
    call = await desk.post("/calls", body, status=201)
    assert (call["number"], call["number_given"], call["duration_seconds"]) == ("+4930901820", "030 901820", 210)
    assert (call["customer_id"], call["opened_ticket"]) == (customer["id"], True)
    created, replied = await desk.published(TICKETS.name, call["ticket_id"], 2)
    assert (created.data.channel, created.data.requester_id, created.time.isoformat()) == (
        "phone",
        type(created.data.requester_id)(customer["id"]),
        body["started_at"],
    )
    assert (replied.type, replied.data.channel, replied.time.isoformat()) == (
        "ticket.replied",
        "phone",
        body["ended_at"],
    )
    first, second = (await desk.get(f"/tickets/{call['ticket_id']}/messages"))["items"]
    assert (first["body"], first["author_kind"]) == ("It prints nothing.", "customer")
    assert (second["author_kind"], second["body"].startswith("Telephone call from +4930901820,")) == ("agent", True)
    assert (await desk.get("/calls", number="+4930901820", customer_id=customer["id"]))["items"] == [
        call | {"ticket_number": None}
    ]


async def test_a_call_about_a_ticket_is_an_answer_or_a_note_on_it(desk: Any) -> None:
    """The answer has the time when the call ended; a call that nobody answered is a note, whatever was asked for."""
    opened = await desk.opened(occurred_at=(await desk.database.now() - timedelta(hours=1)).isoformat())
    answer = await desk.post("/calls", await _call(desk, ticket=opened["number"], direction="outbound"), status=201)
    note = await desk.post("/calls", await _call(desk, ticket=opened["id"], record_as="note"), status=201)
    missed = await desk.post("/calls", await _call(desk, ticket=opened["id"], was_answered=False), status=201)
    messages = (await desk.get(f"/tickets/{opened['id']}/messages"))["items"]
    assert [each["id"] for each in messages] == [each["message_id"] for each in (answer, note, missed)]
    assert [(each["visibility"], each["channel"]) for each in messages] == [
        ("public", "phone"),
        ("internal", "other"),
        ("internal", "other"),
    ]
    assert messages[0]["written_at"].startswith(answer["ended_at"][:19])
    assert "not answered" in messages[2]["body"]
    assert [each["id"] for each in (await desk.get("/calls", ticket_id=opened["id"]))["items"]] == [
        missed["id"],
        note["id"],
        answer["id"],
    ]
    assert (await desk.get(f"/calls/{note['id']}"))["opened_ticket"] is False


async def test_a_number_that_is_none_is_kept_as_it_is_given(desk: Any) -> None:
    """An extension or a hidden number is no reason to lose a call."""
    call = await desk.post("/calls", await _call(desk, title="Printer", number="ext. 17"), status=201)
    assert (call["number"], call["number_given"]) == (None, "ext. 17")
    (_, second) = (await desk.get(f"/tickets/{call['ticket_id']}/messages"))["items"]
    assert "ext. 17" in second["body"]


async def test_the_same_call_twice_is_one(desk: Any) -> None:
    """With an Idempotency-Key."""
    body, key = await _call(desk, title="Printer"), {"Idempotency-Key": uuid4().hex}
    assert await desk.post("/calls", body, **key) == await desk.post("/calls", body, **key)


async def test_calls_that_cannot_be_true_are_refused(desk: Any) -> None:
    """With what is wrong: times, a ticket that is not there or takes no answer, fields that have no place."""
    now = await desk.database.now()
    opened = await desk.opened()
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"title": "x", "ended_at": (now - timedelta(minutes=11)).isoformat()}, 422, "ended before it started"),
        ({"title": "x", "ended_at": (now + timedelta(hours=1)).isoformat()}, 422, "not over"),
        ({"title": "x", "started_at": (now - timedelta(days=2)).isoformat()}, 422, "more than 24 hours"),
        ({}, 422, "name the ticket, or give a title"),
        ({"ticket": opened["number"], "title": "x"}, 422, "no place for title"),
        ({"ticket": "OP-999999999"}, 404, "OP-999999999"),
        ({"ticket": "printer"}, 404, "printer"),
        ({"title": "x", "customer_id": str(uuid4())}, 422, "requester_id"),
        ({"ticket": opened["number"]}, 422, "occurred_at"),
    ]
    for fields, status, told in refused:
        problem = await desk.post("/calls", await _call(desk, **fields), status=status)
        assert told in problem["detail"], problem
    await desk.post(f"/tickets/{opened['id']}/close", {"resolution_code": "cancelled"})
    body = await _call(desk, ticket=opened["id"], started_at=opened["opened_at"])
    body["ended_at"] = opened["opened_at"]
    await desk.post("/calls", body, status=409)
    await desk.post("/calls", body | {"record_as": "note"}, status=201)
    await desk.get(f"/calls/{uuid4()}", status=404)
