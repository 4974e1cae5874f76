"""Tags, watchers and own fields over HTTP and by e-mail, on a real database."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from opora_contracts.mail_threads import Claim, reply_address
from opora_contracts.topics import TICKETS
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIELDS = [
    {"name": "affected", "label": "People", "type": "number", "published": True},
    {"name": "systems", "label": "Systems", "type": "multi_choice", "choices": ["crm", "mail"]},
]


@pytest_asyncio.fixture(loop_scope="session")
async def fields(desk: Any) -> AsyncIterator[None]:
    """Two fields of the installation's own, for the time of a test."""
    await desk.patch("/settings", {"fields": FIELDS})
    yield
    await desk.patch("/settings", {"fields": []})


async def test_details_are_kept_told_and_listed(desk: Any, fields: None) -> None:
    """What is set over HTTP is read again, told on the topic as far as it is published, and found by its tag."""
    tag = uuid4().hex
    ticket = await desk.opened(tags=[tag], fields={"systems": ["mail"]})
    assert (ticket["tags"], ticket["fields"]) == ([tag], {"systems": ["mail"]})
    path = f"/tickets/{ticket['id']}"
    await desk.post(f"{path}/tag", {"tags": ["vip"]})
    customer = await desk.post("/customers", {"name": "Carla"})
    await desk.post(f"{path}/watch", {"watchers": ["agent:boris", f"customer:{customer['id']}"]})
    await desk.patch(f"{path}/fields", {"values": {"affected": 12.5, "systems": None}})
    read = await desk.get(path)
    assert (read["fields"], read["version"]) == ({"affected": 12.5}, 4)
    assert read["watchers"] == ["agent:boris", f"customer:{customer['id']}"]
    assert read["tags"] == sorted([tag, "vip"])
    facts = await desk.published(TICKETS.name, ticket["id"], 4)
    assert facts[1].data.tags == tuple(sorted([tag, "vip"]))
    assert facts[3].data.fields[0].number == 12.5
    assert [item["id"] for item in (await desk.get("/tickets", tag=tag))["items"]] == [ticket["id"]]
    assert (await desk.get("/tickets", tag=uuid4().hex))["items"] == []


async def test_bad_details_are_refused_with_what_would_do(desk: Any, fields: None) -> None:
    """422 for a field or a person that is not there, and for a value that does not fit."""
    ticket = await desk.opened()
    path = f"/tickets/{ticket['id']}"
    problem = await desk.patch(f"{path}/fields", {"values": {"affected": "many"}}, status=422)
    assert "takes a number" in problem["detail"]
    await desk.patch(f"{path}/fields", {"values": {"unheard": 1}}, status=422)
    stranger = f"customer:{uuid4()}"
    assert stranger in (await desk.post(f"{path}/watch", {"watchers": [stranger]}, status=422))["detail"]
    assert (await desk.get(path))["version"] == 1


async def test_who_is_copied_in_watches_and_gets_no_history(mailroom: Mailroom) -> None:
    """Copies make watchers of the sender's ticket and of a proven reply; our own address and the sender are none."""
    anna, boris, carla = someone(), someone(), someone()
    copies = f"Boris <{boris}>, {SUPPORT}, {anna}"
    first = letter(anna, Cc=copies)
    await mailroom.send(first, sender=anna)
    kept = await mailroom.handled(first)
    (ticket,) = await mailroom.tickets_from(anna)
    assert await watchers_of(mailroom, kept.ticket_id) == {boris}
    thread = reply_address(KEYS, Claim(ticket["number"], ticket["requester_id"]), SUPPORT)
    answer = letter(anna, "It prints again.", To=thread, Cc=carla)
    await mailroom.send(answer, sender=anna, to=(thread,))
    assert (await mailroom.handled(answer)).outcome == "replied"
    assert await watchers_of(mailroom, kept.ticket_id) == {boris, carla}
    assert len(await mailroom.messages_of(kept.ticket_id)) == 2
    assert await mailroom.facts_of(kept.ticket_id) == [
        "ticket.created",
        "ticket.updated",
        "ticket.replied",
        "ticket.updated",
    ]
    # A watcher is told what comes; what he writes himself without a token of his own continues nothing.
    foreign = letter(boris, "What was it?", Subject=f"Re: [OP-{ticket['number']}] Printer")
    await mailroom.send(foreign, sender=boris)
    assert (await mailroom.handled(foreign)).outcome == "unverified"


async def test_a_crowd_of_copies_costs_a_letter_nothing(mailroom: Mailroom) -> None:
    """Of many copied people ten become watchers, and the letter is a ticket as ever."""
    anna = someone()
    raw = letter(anna, Cc=", ".join(someone() for _ in range(30)))
    await mailroom.send(raw, sender=anna)
    kept = await mailroom.handled(raw)
    assert kept.outcome == "opened"
    assert len(await watchers_of(mailroom, kept.ticket_id)) == 10


async def watchers_of(mailroom: Mailroom, ticket_id: Any) -> set[str]:
    """The addresses of the customers who watch the ticket."""
    rows = await mailroom.database.fetch(
        "select email from customers where 'customer:' || id in"
        " (select unnest(watchers) from tickets where tickets.id = $1)",
        ticket_id,
    )
    return {row["email"] for row in rows}
