"""Letters from a mail server's dialogue to the ticket, on a real database."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from opora_chassis.testing import wait_until
from opora_contracts.mail_threads import Claim, reply_address
from opora_embedded.testing import PostgresServer
from opora_intake.channels import letters as desk_loop
from opora_intake.channels.leased import MOST_ATTEMPTS
from opora_intake.channels.letters import LetterDesk
from opora_intake.handlers.letters import take_in
from opora_intake.mail.confined import ReaderUnavailable
from opora_intake.mail.letter import Letter, Reading
from opora_intake.mail.reading import read_letter
from opora_intake.store import letters as store
from services.intake.tests.mailroom import (
    KEYS,
    SUPPORT,
    Mailroom,
    answers,
    free_ports,
    hand_over,
    letter,
    mailroom_on,
    report,
    send_locally,
    someone,
)
from tests.programs import program

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_letter_is_a_ticket_with_all_its_facts(mailroom: Mailroom) -> None:
    """Over SMTP: its sender is registered, subject and text are the ticket's, and the outbox tells of both."""
    anna = someone()
    raw = letter(anna, "Пишет «нет бумаги».\r\n..two dots\r\n.one dot", Subject="=?utf-8?B?0J/RgNC40L3RgtC10YA=?=")
    assert await mailroom.send(raw, sender=anna) == {}
    kept = await mailroom.handled(raw)
    assert (kept.state, kept.outcome, kept.channel, kept.envelope_to) == ("handled", "opened", "smtp", (SUPPORT,))
    (ticket,) = await mailroom.tickets_from(anna)
    assert (ticket["title"], ticket["channel"], ticket["id"]) == ("Принтер", "email", kept.ticket_id)
    (message,) = await mailroom.messages_of(kept.ticket_id)
    assert message["body"] == "Пишет «нет бумаги».\n..two dots\n.one dot"
    assert message["author"] == f"customer:{ticket['requester_id']}"
    for told in (kept.ticket_id, ticket["requester_id"]):
        emitted = "select count(*) from outbox where key = $1"
        assert await mailroom.database.fetchval(emitted, str(told).encode()) == 1


async def test_a_client_of_others_hands_letters_over(mailroom: Mailroom) -> None:
    """Swaks, by SMTP and by LMTP: each letter is a ticket with its text; a stranger's address is refused."""
    swaks = program("swaks", "swaks")

    async def handed_over(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            swaks, "--server", "127.0.0.1", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    for protocol in ("smtp", "lmtp"):
        anna = someone()
        dialogue = ["--protocol", protocol.upper(), "--port", str(mailroom.ports[protocol]), "--from", anna]
        text = ["--header", f"Subject: Printer by {protocol}", "--body", "It prints nothing.\n.\nNot one page."]
        code, said = await handed_over(*dialogue, "--to", SUPPORT, *text)
        assert code == 0, said
        (ticket,) = await wait_until(partial(mailroom.tickets_from, anna))
        assert ticket["title"] == f"Printer by {protocol}"
        (message,) = await mailroom.messages_of(ticket["id"])
        assert message["body"] == "It prints nothing.\n.\nNot one page."
        code, said = await handed_over(*dialogue, "--to", "stranger@example.net", *text)
        assert code != 0
        assert "550" in said


async def test_the_same_letter_twice_is_one_ticket(mailroom: Mailroom) -> None:
    """Copies over SMTP and LMTP, with other trace fields and at the same time, open one ticket; each gets its 250."""
    anna = someone()
    raw = letter(anna)
    traced = b"Received: from elsewhere\r\n" + raw
    await asyncio.gather(*(mailroom.send(raw, sender=anna) for _ in range(4)))
    await asyncio.to_thread(send_locally, mailroom.ports["lmtp"], anna, [SUPPORT], traced)
    assert await mailroom.send(traced, sender=anna) == {}
    await wait_until(lambda: mailroom.tickets_from(anna))
    assert await mailroom.letters(state="received") == []
    assert len(await mailroom.tickets_from(anna)) == 1


async def test_what_was_acknowledged_outlives_the_process(postgres: PostgresServer) -> None:
    """A listener that ends right after its 250 loses nothing: whoever comes next handles the letter."""
    anna = someone()
    raw = letter(anna)
    async with mailroom_on(postgres) as room:
        async with room.running("listen_smtp"):
            await room.send(raw, sender=anna)
        assert [kept.state for kept in await room.letters()] == ["received"]
        assert await room.tickets_from(anna) == []
        async with room.running("handle_letters"):
            assert (await room.handled(raw)).outcome == "opened"
        assert len(await room.tickets_from(anna)) == 1


async def test_a_killed_listener_has_lost_nothing_that_it_acknowledged(kept_room: Mailroom) -> None:
    """Kill -9 right after the 250: the letter is there, and is handled by whoever comes next."""
    (port,) = free_ports(1)
    settings = {
        "OPORA_DATABASE_DSN": kept_room.dsn,
        "OPORA_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "OPORA_INTAKE_MAIL_ADDRESSES": f'["{SUPPORT}"]',
        "OPORA_INTAKE_MAIL_SMTP_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _LISTENER, env={**os.environ, **settings})
    try:
        await wait_until(partial(asyncio.to_thread, answers, port))
        anna = someone()
        raw = letter(anna)
        await asyncio.to_thread(hand_over, port, anna, (SUPPORT,), raw)
    finally:
        process.kill()
        await process.wait()
    async with kept_room.running("handle_letters"):
        assert (await kept_room.handled(raw)).outcome == "opened"
    assert len(await kept_room.tickets_from(anna)) == 1


_LISTENER = """
import asyncio
from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_intake.channels.mail import MailChannel
from opora_intake.settings import IntakeSettings

async def listen():
    settings = IntakeSettings()
    database = await Database.open(settings.database_dsn.get_secret_value(), service="intake", clock=Clock())
    loops = MailChannel(Platform("intake", settings, database, Clock())).loops()
    await next(loop for loop in loops if loop.name == "listen_smtp").run(asyncio.Event())

asyncio.run(listen())
"""


async def test_a_worker_that_died_leaves_a_lease_that_ends(kept_room: Mailroom) -> None:
    """A claimed letter is nobody else's until its lease ends; then it is handled, and the late worker adds nothing."""
    desk = kept_room.channel.desk()
    anna = someone()
    letter_id = await _keep(kept_room, letter(anna))
    first = await desk_loop.claim(desk)
    assert first is not None
    assert first.id == letter_id
    assert await desk_loop.claim(desk) is None
    await kept_room.database.fetchval("update letters set due_at = received_at where id = $1 returning id", letter_id)
    second = await desk_loop.claim(desk)
    assert second is not None
    await desk_loop.attempt(desk, first, _reading)
    assert await kept_room.tickets_from(anna) == []
    await desk_loop.attempt(desk, second, _reading)
    await desk_loop.attempt(desk, first, _reading)
    kept = await store.find_letter(kept_room.database, letter_id)
    assert kept is not None
    assert (kept.state, kept.attempts) == ("handled", 2)
    assert [ticket["id"] for ticket in await kept_room.tickets_from(anna)] == [kept.ticket_id]


async def test_poison_holds_up_nobody_and_ends_before_a_person(kept_room: Mailroom) -> None:
    """A letter over which handling fails lets the next one pass, and after five attempts it is a quarantined ticket."""
    desk = kept_room.channel.desk()
    poison, good = await _keep(kept_room, letter(someone())), await _keep(kept_room, letter(someone()))

    async def read(raw: bytes, sender: str | None) -> Reading:
        reading = await _reading(raw, sender)
        if raw == await store.raw_letter(kept_room.database, poison):
            assert isinstance(reading, Letter)
            return replace(reading, subject=None)  # type: ignore[arg-type]  # what a fault of ours may look like
        return reading

    for _ in range(2):
        claimed = await desk_loop.claim(desk)
        assert claimed is not None
        await desk_loop.attempt(desk, claimed, read)
    done = await store.find_letter(kept_room.database, good)
    assert done is not None
    assert done.state == "handled"
    for _ in range(MOST_ATTEMPTS):
        waiting = await store.find_letter(kept_room.database, poison)
        assert waiting is not None
        assert (waiting.state, waiting.reason) == ("received", "TypeError")
        await _attempt_again(kept_room, desk, poison, read)
    kept = await store.find_letter(kept_room.database, poison)
    assert kept is not None
    assert (kept.state, kept.outcome) == ("quarantined", "unreadable")
    assert kept.reason == "Given up after 5 attempts: TypeError"
    assert await kept_room.facts_of(kept.ticket_id) == ["ticket.created", "ticket.noted"]


async def test_a_reader_that_does_not_start_costs_a_letter_no_attempt(kept_room: Mailroom) -> None:
    """A letter that nobody could look at waits as long as it takes."""
    desk = kept_room.channel.desk()
    letter_id = await _keep(kept_room, letter(someone()))

    async def read(_raw: bytes, _sender: str | None) -> Reading:
        raise ReaderUnavailable

    for _ in range(MOST_ATTEMPTS + 2):
        await _attempt_again(kept_room, desk, letter_id, read)
    await _attempt_again(kept_room, desk, letter_id, _reading)
    kept = await store.find_letter(kept_room.database, letter_id)
    assert kept is not None
    assert (kept.state, kept.outcome, kept.attempts) == ("handled", "opened", 1)


async def test_an_unreadable_letter_is_a_quarantined_ticket(mailroom: Mailroom) -> None:
    """Its ticket has no requester; the note says why and where the raw letter is."""
    raw = letter(someone(), X_Long="x" * 9000)
    await mailroom.send(raw)
    kept = await mailroom.handled(raw)
    assert (kept.state, kept.outcome) == ("quarantined", "unreadable")
    ticket = await mailroom.database.fetchrow("select * from tickets where id = $1", kept.ticket_id)
    assert ticket is not None
    assert (ticket["title"], ticket["requester_id"]) == ("A letter that cannot be read", None)
    (note,) = await mailroom.messages_of(kept.ticket_id)
    assert note["visibility"] == "internal"
    assert "header field is longer than 8 KB" in note["body"]
    assert f"/v1/letters/{kept.id}/raw" in note["body"]


async def test_a_bounce_is_a_fact_and_no_ticket(mailroom: Mailroom) -> None:
    """A report by RFC 3464 from the null sender is kept by recipient, and opens nothing."""
    lost = someone()
    before = await mailroom.database.fetchval("select count(*) from tickets")
    raw = report(lost, "somebody@example.org")
    await mailroom.send(raw, sender="")
    kept = await mailroom.handled(raw)
    assert (kept.outcome, kept.ticket_id, kept.envelope_from) == ("delivery_report", None, "")
    (fact,) = await store.list_deliveries(mailroom.database, limit=10, recipient=lost.upper())
    assert (fact.outcome, fact.status, fact.permanent, fact.letter_id) == ("failed", "5.1.1", True, kept.id)
    assert f"Message-ID: <{fact.original_message_id}>" in raw.decode().partition("rfc822-headers")[2]
    assert await mailroom.database.fetchval("select count(*) from tickets") == before


async def test_an_answer_with_our_token_is_the_customers_reply(mailroom: Mailroom) -> None:
    """It stands on the ticket as the customer's, without the quotation, and ends the wait for the customer."""
    anna = someone()
    ticket, claim = await _opened_by(mailroom, anna)
    await mailroom.database.fetchval(
        "update tickets set waiting_on = 'customer' where id = $1 returning id", ticket["id"]
    )
    address = reply_address(KEYS, claim, SUPPORT).upper()
    answer = letter(anna, "Now it prints.\r\n\r\nOn Mon, Support <s@example.org> wrote:\r\n> Is it on?")
    await mailroom.send(answer, sender=anna, to=(address,))
    kept = await mailroom.handled(answer)
    assert (kept.outcome, kept.ticket_id) == ("replied", ticket["id"])
    assert await mailroom.facts_of(ticket["id"]) == ["ticket.created", "ticket.resumed", "ticket.replied"]
    *_, reply = await mailroom.messages_of(ticket["id"])
    assert (reply["author_kind"], reply["author"], reply["channel"], reply["body"]) == (
        "customer",
        f"customer:{ticket['requester_id']}",
        "email",
        "Now it prints.",
    )


@pytest.mark.parametrize("forgery", ["one letter of the token", "the sender", "the subject", "a Message-ID"])
async def test_a_forged_answer_opens_a_ticket_and_sees_nothing(mailroom: Mailroom, forgery: str) -> None:
    """A wrong token, the token in other hands, a number or a Message-ID touch no ticket but a new one."""
    anna, mallory = someone(), someone()
    ticket, claim = await _opened_by(mailroom, anna)
    token = reply_address(KEYS, claim, SUPPORT)
    sender, to, fields = mallory, SUPPORT, {"Subject": f"Re: [{'OP-' + str(ticket['number'])}] Printer"}
    if forgery == "one letter of the token":
        local, _, domain = token.rpartition("@")
        sender, to = anna, f"{local[:-1]}{'a' if local[-1] != 'a' else 'q'}@{domain}"
    elif forgery == "the sender":
        to = token
    elif forgery == "a Message-ID":
        fields = {"Subject": "Re: Printer", "In-Reply-To": f"<{'a' * 49}.1@example.org>"}
    forged = letter(sender, "Send me everything.", **fields)
    await mailroom.send(forged, sender=sender, to=(to,))
    kept = await mailroom.handled(forged)
    assert kept.ticket_id != ticket["id"]
    assert kept.outcome == ("opened" if forgery == "a Message-ID" else "unverified")
    assert await mailroom.facts_of(ticket["id"]) == ["ticket.created"]
    if kept.outcome == "unverified":
        *_, note = await mailroom.messages_of(kept.ticket_id)
        assert note["visibility"] == "internal"
        assert note["body"].startswith("Unverified: ")


async def test_an_answer_to_a_closed_ticket_is_a_ticket_of_the_customer(mailroom: Mailroom) -> None:
    """What cannot be added to its ticket is not lost."""
    anna = someone()
    ticket, claim = await _opened_by(mailroom, anna)
    await mailroom.database.fetchval("update tickets set step = 'closed' where id = $1 returning id", ticket["id"])
    answer = letter(anna, "It is back.")
    await mailroom.send(answer, sender=anna, to=(reply_address(KEYS, claim, SUPPORT),))
    kept = await mailroom.handled(answer)
    assert kept.outcome == "opened"
    assert [one["id"] for one in await mailroom.tickets_from(anna)] == [ticket["id"], kept.ticket_id]
    *_, note = await mailroom.messages_of(kept.ticket_id)
    assert f"Continues OP-{ticket['number']}" in note["body"]


async def _reading(raw: bytes, envelope_sender: str | None) -> Reading:
    return read_letter(raw, envelope_sender=envelope_sender, instance="ours")


async def _keep(room: Mailroom, raw: bytes) -> UUID:
    async with room.database.transaction() as tx:
        return await take_in(tx, raw, channel="smtp", envelope_from="anna@example.com", envelope_to=[SUPPORT])


async def _attempt_again(room: Mailroom, desk: LetterDesk, letter_id: UUID, read: Callable[..., Any]) -> None:
    """Do not wait for the letter's pause to end."""
    await room.database.fetchval("update letters set due_at = received_at where id = $1 returning id", letter_id)
    claimed = await desk_loop.claim(desk)
    assert claimed is not None
    assert claimed.id == letter_id
    await desk_loop.attempt(desk, claimed, read)


async def _opened_by(room: Mailroom, address: str) -> tuple[Any, Claim]:
    raw = letter(address)
    await room.send(raw, sender=address)
    kept = await room.handled(raw)
    ticket = await room.database.fetchrow("select * from tickets where id = $1", kept.ticket_id)
    assert ticket is not None
    return ticket, Claim(ticket["number"], ticket["requester_id"])
