"""Links, merging and splitting over HTTP, by e-mail and from Kafka, on real servers."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts import Event
from opora_contracts.mail_threads import Claim, reply_address
from opora_contracts.requests import TicketReplySubmitted
from opora_contracts.topics import TICKETS
from opora_intake.domain.commands import Merge
from opora_intake.domain.priority import DEFAULT_MATRIX
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.links import merge_tickets
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def bodies(desk: Any, ticket: Any) -> list[str]:
    """What the ticket shows, page by page."""
    found: list[str] = []
    page = await desk.get(f"/tickets/{ticket['id']}/messages", limit=2)
    while True:
        found += [message["body"] for message in page["items"]]
        if page["next_cursor"] is None:
            return found
        page = await desk.get(f"/tickets/{ticket['id']}/messages", limit=2, cursor=page["next_cursor"])


async def links(desk: Any, ticket: Any) -> list[tuple[str, str]]:
    """The ticket's links: relation and number of the other end."""
    page = await desk.get(f"/tickets/{ticket['id']}/links")
    return [(link["relation"], link["number"]) for link in page["items"]]


async def test_both_ends_see_a_link_and_tell_of_it(desk: Any) -> None:
    """Said once, seen twice; said again it changes nothing; taken back from the other end it is gone from both."""
    one, other = await desk.opened(), await desk.opened()
    said = {"relation": "parent_of", "ticket": other["number"]}
    assert (await desk.post(f"/tickets/{one['id']}/link", said))["version"] == 2
    assert (await desk.post(f"/tickets/{one['id']}/link", said))["version"] == 2
    assert await links(desk, one) == [("parent_of", other["number"])]
    assert await links(desk, other) == [("child_of", one["number"])]
    await desk.post(f"/tickets/{other['id']}/unlink", {"relation": "child_of", "ticket": one["id"]})
    assert await links(desk, one) == [] == await links(desk, other)
    facts = await desk.published(TICKETS.name, other["id"], 3)
    assert [fact.type for fact in facts] == ["ticket.created", "ticket.linked", "ticket.unlinked"]
    assert (facts[1].data.relation, facts[1].data.other_number) == ("child_of", one["number"])
    await desk.post(f"/tickets/{one['id']}/unlink", said, status=409)


@pytest.mark.parametrize("relation", ["parent_of", "caused_by", "duplicate_of"])
async def test_no_circle_is_closed_not_even_by_two_at_once(desk: Any, relation: str) -> None:
    """A → b → c → a is refused; of the links that would close a circle together one too many is refused."""
    a, b, c = [await desk.opened() for _ in range(3)]
    ring = [(a, b), (b, c), (c, a)]
    answers = await asyncio.gather(
        *(
            desk.client.post(f"/v1/tickets/{here['id']}/link", json={"relation": relation, "ticket": there["number"]})
            for here, there in ring
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409]
    assert "circle" in next(answer.json()["detail"] for answer in answers if answer.status_code == 409)


async def test_links_that_make_no_sense_are_refused(desk: Any) -> None:
    """With itself 409, with nothing 422, a second parent 409, what only splitting says 422."""
    one, other, third = [await desk.opened() for _ in range(3)]
    path = f"/tickets/{one['id']}/link"
    await desk.post(path, {"relation": "related_to", "ticket": one["number"]}, status=409)
    await desk.post(path, {"relation": "related_to", "ticket": "OP-999999999"}, status=422)
    await desk.post(path, {"relation": "split_from", "ticket": other["number"]}, status=422)
    await desk.post(path, {"relation": "child_of", "ticket": other["number"]})
    await desk.post(path, {"relation": "child_of", "ticket": third["number"]}, status=409)
    await desk.post(path, {"relation": "related_to", "ticket": third["number"], "expected_version": 1}, status=409)


async def test_a_merged_ticket_goes_on_in_the_other_one(desk: Any) -> None:
    """Its messages are shown there in their order and stay its own; it is a closed duplicate whose clocks end."""
    target = await desk.opened(body="first")
    source = await desk.opened(body="second", requester_email=f"{uuid4().hex}@example.com")
    await desk.post(f"/tickets/{target['id']}/replies", {"body": "third"})
    await desk.post(f"/tickets/{source['id']}/notes", {"body": "fourth"})
    gone = await desk.post(f"/tickets/{source['id']}/merge", {"into": target["number"]})
    assert (gone["step"], gone["merged_into"], gone["resolution_code"]) == ("closed", target["id"], "duplicate")
    assert "reopen" not in gone["allowed"]
    assert await bodies(desk, target) == ["first", "second", "third", "fourth"]
    assert await bodies(desk, source) == ["second", "fourth"]
    assert await links(desk, target) == [("duplicated_by", source["number"])]
    read = await desk.get(f"/tickets/{target['id']}")
    assert read["watchers"] == [f"customer:{source['requester_id']}"]
    facts = await desk.published(TICKETS.name, source["id"], 4)
    assert [fact.type for fact in facts][2:] == ["ticket.merged", "ticket.closed"]
    assert facts[2].data.into_number == target["number"]
    assert facts[3].data.resolution_code == "duplicate"
    assert (await desk.post(f"/tickets/{source['id']}/merge", {"into": target["id"]}, status=409))["step"] == "closed"
    refused = await desk.post(f"/tickets/{source['id']}/replies", {"body": "Hello?"}, status=409)
    assert target["id"] in refused["detail"]
    third = await desk.opened(body="fifth")
    await desk.post(f"/tickets/{target['id']}/merge", {"into": third["number"]})
    assert await bodies(desk, third) == ["first", "second", "third", "fourth", "fifth"]


async def test_tickets_that_are_merged_into_each_other_at_once_do_not_both_end(desk: Any) -> None:
    """Of a ring of merges at one moment at least one ticket goes on, and each message is shown on one that does."""
    a, b, c = [await desk.opened(body=text) for text in "abc"]
    answers = await asyncio.gather(
        *(
            desk.client.post(f"/v1/tickets/{here['id']}/merge", json={"into": there["number"]})
            for here, there in [(a, b), (b, c), (c, a)]
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    read = [await desk.get(f"/tickets/{each['id']}") for each in (a, b, c)]
    alive = [each for each in read if each["merged_into"] is None]
    assert alive
    assert sorted([text for each in alive for text in await bodies(desk, each)]) == ["a", "b", "c"]


async def test_messages_are_split_off_into_a_ticket_of_their_own(desk: Any) -> None:
    """They are shown there and no longer here, both ends are linked, and the people are the same."""
    ticket = await desk.opened(body="one", requester_email=f"{uuid4().hex}@example.com", impact="high")
    written = [
        (await desk.post(f"/tickets/{ticket['id']}/replies", {"body": text, "author_kind": "customer"}))["message_id"]
        for text in ("two", "three", "four")
    ]
    path = f"/tickets/{ticket['id']}/split"
    fresh = await desk.post(path, {"messages": [written[2], written[0]], "title": "Something else"}, status=201)
    assert (fresh["title"], fresh["requester_id"], fresh["impact"]) == (
        "Something else",
        ticket["requester_id"],
        "high",
    )
    assert await bodies(desk, fresh) == ["two", "four"]
    assert await bodies(desk, ticket) == ["one", "three"]
    assert await links(desk, fresh) == [("split_from", ticket["number"])]
    assert await links(desk, ticket) == [("split_into", fresh["number"])]
    facts = await desk.published(TICKETS.name, fresh["id"], 2)
    assert (facts[0].type, facts[1].data.messages) == ("ticket.created", 2)
    await desk.post(path, {"messages": [written[0]]}, status=409)
    opening = (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"][0]["id"]
    await desk.post(path, {"messages": [opening, written[1]]}, status=409)


async def test_an_answer_on_a_merged_thread_goes_to_where_it_goes_on(mailroom: Mailroom) -> None:
    """Both threads are answered: the letter with the merged ticket's token is a reply in the other ticket."""
    anna, boris = someone(), someone()
    tickets = []
    for sender in (anna, boris):
        raw = letter(sender)
        await mailroom.send(raw, sender=sender)
        await mailroom.handled(raw)
        tickets += await mailroom.tickets_from(sender)
    source, target = tickets
    rules = RulesInForce(DEFAULT_MATRIX)
    async with mailroom.database.transaction() as tx:
        await merge_tickets(tx, source["id"], Merge(into=f"OP-{target['number']}"), "agent:carla", rules)
    for sender, ticket in ((anna, source), (boris, target)):
        thread = reply_address(KEYS, Claim(ticket["number"], ticket["requester_id"]), SUPPORT)
        answer = letter(sender, f"An answer of {sender}", To=thread)
        await mailroom.send(answer, sender=sender, to=(thread,))
        kept = await mailroom.handled(answer)
        assert (kept.outcome, kept.ticket_id) == ("replied", target["id"])
    shown = await mailroom.messages_of(target["id"])
    assert [message["body"] for message in shown][1:] == [f"An answer of {anna}", f"An answer of {boris}"]


async def test_a_reply_from_another_system_follows_a_merge(desk: Any) -> None:
    """`ticket.reply.submitted` for a merged ticket is a reply in the ticket that goes on."""
    source, target = await desk.opened(), await desk.opened()
    await desk.post(f"/tickets/{source['id']}/merge", {"into": target["number"]})
    said = TicketReplySubmitted(ticket_number=source["number"], body="from the bot", author_kind="agent")
    subject = uuid4().hex
    await desk.request(
        *(
            Event(
                id=uuid4().hex,
                source="/bot",
                type=said.event_type,
                version=said.version,
                time=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
                subject=subject,
                key=subject,
                data=said,
            )
            for _ in range(2)
        )
    )

    async def arrived() -> bool:
        return (await bodies(desk, target)).count("from the bot") == 2

    await desk.service.wait_until(arrived)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_message_is_lost_whatever_is_merged_and_split(desk: Any, seed: int) -> None:
    """After a walk through writing, merging, splitting and linking each message is shown once on a ticket that goes on,
    facts are numbered 1 … n, and what one end says of a link the other end says inversely.
    """
    chance = random.Random(seed)  # noqa: S311  the same walk every time
    tickets = [await desk.opened(body=f"{seed}: opening {number}") for number in range(6)]
    said = [f"{seed}: opening {number}" for number in range(6)]
    for turn in range(70):
        one, other = chance.sample(tickets, 2)
        path = f"/v1/tickets/{one['id']}"
        match chance.choice(["write", "write", "write", "merge", "split", "split", "link"]):
            case "write":
                answer = await desk.client.post(f"{path}/notes", json={"body": f"{seed}: {turn}"})
                assert answer.status_code == 201
                said.append(f"{seed}: {turn}")
            case "merge":
                await desk.client.post(f"{path}/merge", json={"into": other["number"]})
            case "split":
                shown = (await desk.get(f"/tickets/{one['id']}/messages"))["items"]
                chosen = [message["id"] for message in shown if chance.random() < 0.4]
                answer = await desk.client.post(f"{path}/split", json={"messages": chosen or [str(uuid4())]})
                if answer.status_code == 201:
                    tickets.append(answer.json())
            case "link":
                body = {"relation": chance.choice(["related_to", "parent_of"]), "ticket": other["number"]}
                await desk.client.post(f"{path}/link", json=body)
    read = [await desk.get(f"/tickets/{ticket['id']}") for ticket in tickets]
    alive = [ticket for ticket in read if ticket["merged_into"] is None]
    assert len(read) > len(alive) > 0
    assert len(read) > 6
    shown_once = Counter([text for ticket in alive for text in await bodies(desk, ticket)])
    assert shown_once == Counter(said)
    seen = {ticket["number"]: Counter(await links(desk, ticket)) for ticket in read}
    inverse = {
        "duplicate_of": "duplicated_by",
        "parent_of": "child_of",
        "related_to": "related_to",
        "split_from": "split_into",
    }
    for number, ends in seen.items():
        for (relation, other_number), count in ends.items():
            back = inverse.get(relation) or next(here for here, there in inverse.items() if there == relation)
            assert seen[other_number][back, number] == count
    for ticket in read:
        timeline = (await desk.get(f"/tickets/{ticket['id']}/timeline"))["items"]
        assert [fact["sequence"] for fact in timeline] == list(range(1, ticket["version"] + 1))
