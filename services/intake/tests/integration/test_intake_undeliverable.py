"""Addresses from which letters come back, from the report to the fact and back again, on a real database."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from opora_contracts.mail_addresses import address_digest
from opora_contracts.mail_threads import Claim, TokenKeys, reply_address
from opora_intake.channels import letters as desk_loop
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.letters import take_in
from opora_intake.mail.letter import Reading
from opora_intake.mail.reading import read_letter
from opora_intake.store import customers
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, report, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")
STRANGERS_KEYS = TokenKeys("a", {"a": b"what a stranger made up, long enough"})


async def opened_by(room: Mailroom, address: str) -> Claim:
    """What the token of a letter to this customer says."""
    raw = letter(address)
    await room.send(raw, sender=address)
    kept = await room.handled(raw)
    ticket = await room.database.fetchrow("select number, requester_id from tickets where id = $1", kept.ticket_id)
    assert ticket is not None
    return Claim(ticket["number"], ticket["requester_id"])


async def reported(room: Mailroom, raw: bytes) -> None:
    """The report was handled."""
    await room.send(raw, sender="")
    assert (await room.handled(raw)).outcome == "delivery_report"


async def facts_of(room: Mailroom, customer_id: UUID) -> list[tuple[str, int, dict[str, Any]]]:
    """Type, sequence and data of what is told of the customer, in order."""
    rows = await room.database.fetch(
        "select headers, value from outbox where key = $1 order by id", str(customer_id).encode()
    )
    told = []
    for row in rows:
        headers = dict(json.loads(row["headers"]))
        told.append((headers["ce_type"], int(headers["ce_sequence"]), json.loads(row["value"])))
    return told


async def undeliverable(room: Mailroom, customer_id: UUID) -> list[tuple[str, str]]:
    """Addresses and statuses that the customer shows."""
    customer = (await customers.customers_by_id(room.database, [customer_id]))[customer_id]
    return [(one.address, one.status) for one in customer.undeliverable]


async def test_a_returned_letter_marks_its_address_and_tells_no_address(mailroom: Mailroom) -> None:
    """The customer shows it with the server's words; the fact takes the next sequence and holds a digest alone."""
    anna = someone()
    claim = await opened_by(mailroom, anna)
    await reported(mailroom, report(anna.upper(), reply_address(KEYS, claim, SUPPORT)))
    (known,) = (await customers.customers_by_id(mailroom.database, [claim.participant_id])).values()
    (mark,) = known.undeliverable
    assert (mark.address, mark.status, mark.diagnostic) == (anna, "5.1.1", "550 5.1.1 no such user")
    assert known.version == 2
    (_, (kind, sequence, data)) = await facts_of(mailroom, claim.participant_id)
    assert (kind, sequence) == ("customer.undeliverable", 2)
    digest = address_digest(anna)
    assert data == {"customer_id": str(claim.participant_id), "address_digest": digest, "status": "5.1.1"}


async def test_a_further_report_is_told_again_after_an_hour(mailroom: Mailroom) -> None:
    """Letters that were under way are one mark; a report of much later says that somebody still writes there."""
    anna = someone()
    claim = await opened_by(mailroom, anna)
    token = reply_address(KEYS, claim, SUPPORT)
    for _ in range(3):
        await reported(mailroom, report(anna, token))
    assert len(await facts_of(mailroom, claim.participant_id)) == 2
    await mailroom.database.fetchval(
        "update undeliverable_addresses set since = since - interval '2 hours' where address = $1 returning id", anna
    )
    await reported(mailroom, report(anna, token, status="5.1.6"))
    assert len(await facts_of(mailroom, claim.participant_id)) == 3
    assert await undeliverable(mailroom, claim.participant_id) == [(anna, "5.1.6")]


@pytest.mark.parametrize(
    "what",
    ["no token", "a token of others' making", "somebody else's token", "another address", "delayed", "full", "spam"],
)
async def test_what_proves_nothing_marks_nothing(mailroom: Mailroom, what: str) -> None:
    """Neither a stranger's report, nor one about another address, nor one about the letter and not the address."""
    anna, boris = someone(), someone()
    claim, other = await opened_by(mailroom, anna), await opened_by(mailroom, boris)
    token = reply_address(KEYS, claim, SUPPORT)
    await reported(
        mailroom,
        {
            "no token": report(anna, SUPPORT),
            "a token of others' making": report(anna, reply_address(STRANGERS_KEYS, claim, SUPPORT)),
            "somebody else's token": report(anna, reply_address(KEYS, other, SUPPORT)),
            "another address": report(someone(), token),
            "delayed": report(anna, token, status="4.4.1", action="delayed"),
            "full": report(anna, token, status="5.2.2"),
            "spam": report(anna, token, status="5.0.0", said="550 5.7.1 looks like spam"),
        }[what],
    )
    for customer_id in (claim.participant_id, other.participant_id):
        assert await undeliverable(mailroom, customer_id) == []
        assert len(await facts_of(mailroom, customer_id)) == 1


async def test_a_letter_from_there_clears_the_address(mailroom: Mailroom) -> None:
    """Who writes can be written to: the mark goes, and the last fact says so. A report about it does not clear it."""
    anna = someone()
    claim = await opened_by(mailroom, anna)
    await reported(mailroom, report(anna, reply_address(KEYS, claim, SUPPORT)))
    assert await undeliverable(mailroom, claim.participant_id) == [(anna, "5.1.1")]
    again = letter(anna, "I am back.")
    await mailroom.send(again, sender=anna)
    await mailroom.handled(again)
    assert await undeliverable(mailroom, claim.participant_id) == []
    kind, sequence, data = (await facts_of(mailroom, claim.participant_id))[-1]
    assert (kind, sequence) == ("customer.deliverable", 3)
    assert data == {"customer_id": str(claim.participant_id), "address_digest": address_digest(anna)}


async def marked(desk: Any, address: str, customer_id: str) -> None:
    """A report about the customer's address was taken in and handled."""
    raw = report(address, reply_address(KEYS, Claim(1, UUID(customer_id)), SUPPORT))
    async with desk.database.transaction() as tx:
        letter_id = await take_in(tx, raw, channel="smtp", envelope_from="", envelope_to=[SUPPORT])
    letters = MailChannel(desk.service.platform).desk()
    claimed = await desk_loop.claim(letters)
    assert claimed is not None
    assert claimed.id == letter_id

    async def read(content: bytes, envelope_sender: str | None) -> Reading:
        return read_letter(content, envelope_sender=envelope_sender)

    await desk_loop.attempt(replace(letters, rules=replace(letters.rules, keys=KEYS)), claimed, read)


async def test_an_address_is_cleared_by_hand(desk: Any) -> None:
    """Over HTTP, once: the customer shows none afterwards, and an address that is not marked is left as it is."""
    anna = someone()
    made = await desk.post("/customers", {"name": "Anna", "emails": [anna]}, status=201)
    assert made["undeliverable"] == []
    await marked(desk, anna, made["id"])
    (shown,) = (await desk.get(f"/customers/{made['id']}"))["undeliverable"]
    assert (shown["address"], shown["status"]) == (anna, "5.1.1")
    other = await desk.post(f"/customers/{made['id']}/deliverable", {"address": someone()})
    assert len(other["undeliverable"]) == 1
    for _ in range(2):
        cleared = await desk.post(f"/customers/{made['id']}/deliverable", {"address": anna.upper()})
        assert (cleared["undeliverable"], cleared["version"]) == ([], 3)
    await desk.post(f"/customers/{uuid4()}/deliverable", {"address": anna}, status=404)


async def test_a_mark_goes_with_the_address_in_a_merge(desk: Any) -> None:
    """Whoever has the address by now shows the mark, as the answer of the merge does."""
    anna = someone()
    one = await desk.post("/customers", {"name": "Anna", "emails": [anna]}, status=201)
    other = await desk.post("/customers", {"name": "Anna K."}, status=201)
    await marked(desk, anna, one["id"])
    merged = await desk.post(f"/customers/{one['id']}/merge", {"into": other["id"]})
    assert [each["address"] for each in merged["into"]["undeliverable"]] == [anna]
    assert merged["customer"]["undeliverable"] == []
    apart = await desk.post(f"/customers/{one['id']}/unmerge", {})
    assert [each["address"] for each in apart["customer"]["undeliverable"]] == [anna]
    assert apart["into"]["undeliverable"] == []
