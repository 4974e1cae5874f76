"""What other systems ask for on `opora.requests`, on a real broker and database."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts import Event, Fact
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.topics import TICKETS

pytestmark = pytest.mark.asyncio(loop_scope="session")


def asked(subject: str, data: Fact, event_id: str | None = None, source: str = "/monitoring/eu-1") -> Event[Fact]:
    return Event(
        id=event_id or uuid4().hex,
        source=source,
        type=data.event_type,
        version=data.version,
        time=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        subject=subject,
        key=subject,
        data=data,
    )


async def ticket_of(desk: Any, subject: str) -> Any:
    async def found() -> Any:
        return (await desk.get("/tickets", external_id=subject))["items"]

    (ticket,) = await desk.service.wait_until(found)
    return ticket


async def reason_of(desk: Any, subject: str) -> str:
    async def letters() -> Any:
        return await desk.database.fetch("select reason from dead_letters where key = $1", subject)

    return str((await desk.service.wait_until(letters))[0]["reason"])


async def test_a_submitted_case_becomes_a_ticket(desk: Any) -> None:
    """The ticket carries what was submitted, its requester is registered, and the fact names the event as its cause."""
    subject = uuid4().hex
    submitted = asked(
        subject,
        TicketSubmitted(
            title="Disk full",
            body="94 %",
            requester_email=f"{subject}@example.com",
            product="disk",
            organization_id=None,
        ),
    )
    await desk.request(submitted)
    ticket = await ticket_of(desk, subject)
    assert (ticket["title"], ticket["product"], ticket["channel"]) == ("Disk full", "disk", "event")
    assert (ticket["external_source"], ticket["external_id"]) == ("/monitoring/eu-1", subject)
    customer = await desk.get(f"/customers/{ticket['requester_id']}")
    assert (customer["name"], customer["email"]) == (subject, f"{subject}@example.com")
    (created,) = await desk.published(TICKETS.name, ticket["id"], 1)
    assert (created.causation_id, created.correlation_id) == (submitted.id, submitted.id)
    assert (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"][0]["body"] == "94 %"


async def test_the_same_event_twice_opens_one_ticket(desk: Any) -> None:
    """A duplicate by (source, id) has no effect, and what follows it goes on."""
    subject = uuid4().hex
    submitted = asked(subject, TicketSubmitted(title="Disk full"))
    reply = asked(subject, TicketReplySubmitted(body="Fuller now"))
    await desk.request(submitted, submitted, reply, reply)
    ticket = await ticket_of(desk, subject)

    async def replied() -> bool:
        return bool((await desk.get(f"/tickets/{ticket['id']}"))["version"] >= 2)

    await desk.service.wait_until(replied)
    end = asked(subject, TicketReplySubmitted(body="It burns"))
    await desk.request(end)
    facts = await desk.published(TICKETS.name, ticket["id"], 3)
    assert [fact.type for fact in facts] == ["ticket.created", "ticket.replied", "ticket.replied"]
    assert (await desk.get(f"/tickets/{ticket['id']}"))["version"] == 3


async def test_a_reply_finds_its_ticket_by_number(desk: Any) -> None:
    """A reply may name any ticket by its number; a customer's reply ends the wait for the customer."""
    ticket = await desk.opened()
    await desk.post(f"/tickets/{ticket['id']}/hold", {"waiting_on": "customer"})
    await desk.request(asked(uuid4().hex, TicketReplySubmitted(ticket_number=ticket["number"].lower(), body="Here")))
    facts = await desk.published(TICKETS.name, ticket["id"], 4)
    assert [fact.type for fact in facts[2:]] == ["ticket.resumed", "ticket.replied"]


@pytest.mark.parametrize("name", ["ΝΙΚΟΣ", "İREM", "ИВАН", "STRASSE"])
async def test_a_requester_is_known_again_in_letters_whose_lower_case_differs(desk: Any, name: str) -> None:
    """Python and PostgreSQL disagree on the lower case of some letters; the same address is one person all the same."""
    domain = f"{uuid4().hex}.example"
    first, second = uuid4().hex, uuid4().hex
    for subject in (first, second):
        await desk.request(asked(subject, TicketSubmitted(title="x", requester_email=f"{name}@{domain}")))
        await ticket_of(desk, subject)
    requesters = {(await ticket_of(desk, subject))["requester_id"] for subject in (first, second)}
    assert len(requesters) == 1
    registered = await desk.post("/customers", {"name": "Somebody", "email": f"{name}@{domain}"})
    assert {registered["id"]} == requesters


async def test_an_event_that_claims_a_source_of_ours_is_put_aside(desk: Any) -> None:
    """Nobody opens a ticket in the name of a service of the platform; the reason says what to write instead."""
    subject = uuid4().hex
    await desk.request(asked(subject, TicketSubmitted(title="Disk full"), source="/opora/sla"))
    assert "use a URI that names your system" in await reason_of(desk, subject)
    (letter,) = (await desk.get("/dead-letters", key=subject))["items"]
    assert (letter["reason_code"], letter["source"]) == ("reserved_source", "/opora/sla")
    assert (await desk.get("/tickets", external_id=subject))["items"] == []


async def test_a_second_submission_of_a_case_is_put_aside(desk: Any) -> None:
    """The same subject under another event id is no new ticket: the dead letter names the ticket and the remedy."""
    subject = uuid4().hex
    await desk.request(asked(subject, TicketSubmitted(title="Disk full")))
    ticket = await ticket_of(desk, subject)
    await desk.request(asked(subject, TicketSubmitted(title="Disk full")))
    reason = await reason_of(desk, subject)
    assert ticket["number"] in reason
    assert "send a reply instead" in reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (TicketReplySubmitted(body="x"), "has submitted no ticket under the subject"),
        (TicketReplySubmitted(body="x", ticket_number="OP-999999999"), "There is no ticket OP-999999999"),
        (TicketReplySubmitted(body="x", ticket_number="abc"), "looks like OP-1042"),
        (TicketSubmitted(title="x", requester_email="nobody"), "requester_email"),
        (TicketSubmitted(title="x", organization_id=uuid4()), "Nothing that exists is named by organization_id"),
    ],
)
async def test_what_cannot_be_done_becomes_a_dead_letter_that_says_why(desk: Any, data: Fact, reason: str) -> None:
    """A stranger learns from the reason what was wrong with the event."""
    subject = uuid4().hex
    await desk.request(asked(subject, data))
    assert reason in await reason_of(desk, subject)


async def test_a_reply_to_a_closed_ticket_is_put_aside_with_advice(desk: Any) -> None:
    """A closed case takes no reply; the dead letter says how to go on."""
    ticket = await desk.opened()
    await desk.post(f"/tickets/{ticket['id']}/close", {"resolution_code": "cancelled"})
    subject = uuid4().hex
    await desk.request(asked(subject, TicketReplySubmitted(ticket_number=ticket["number"], body="Hello?")))
    assert "open a ticket that continues it" in await reason_of(desk, subject)
