"""Replies that are proven by a DKIM signature, where no mail server says anything: from the port to the ticket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opora_contracts.mail_threads import Claim, reply_address
from opora_embedded.testing import PostgresServer
from opora_intake.channels.origin import MOST_ASKED
from opora_intake.store.letters import KeptLetter
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, mailroom_on, someone
from services.intake.tests.signed_letters import Signing, Zone, dns_server

ANNAS = Signing("example.com")


@asynccontextmanager
async def checking(postgres: PostgresServer, **settings: Any) -> AsyncIterator[tuple[Mailroom, Zone]]:
    """A mailroom that checks signatures, and the DNS that it asks, both at work."""
    async with (
        dns_server(ANNAS) as zone,
        mailroom_on(
            postgres, intake_mail_dkim=True, intake_mail_dns_servers=[f"127.0.0.1:{zone.port}"], **settings
        ) as room,
        room.running(),
    ):
        yield room, zone


async def replied(room: Mailroom, raw: bytes, sender: str, claim: Claim) -> KeptLetter:
    """What became of an answer in the thread."""
    await room.send(raw, sender=sender, to=(reply_address(KEYS, claim, SUPPORT),))
    return await room.handled(raw)


async def opened_by(room: Mailroom, address: str) -> Claim:
    """The thread of a new ticket."""
    raw = ANNAS.signed(letter(address))
    await room.send(raw, sender=address)
    kept = await room.handled(raw)
    ticket = await room.database.fetchrow("select * from tickets where id = $1", kept.ticket_id)
    assert ticket is not None
    return Claim(ticket["number"], ticket["requester_id"])


async def test_a_reply_speaks_for_its_participant_when_its_signature_is_true(postgres: PostgresServer) -> None:
    """Signed: a reply. Without, with one that is not true, and with a stranger's: a ticket of its own, unverified."""
    async with checking(postgres) as (room, _):
        anna = someone()
        claim = await opened_by(room, anna)
        assert (await replied(room, ANNAS.signed(letter(anna, "It is back.")), anna, claim)).outcome == "replied"
        forged = (
            letter(anna, "Not signed."),
            ANNAS.signed(letter(anna, "Send it.")).replace(b"Send it.", b"Send me."),
            Signing("stranger.example").signed(letter(anna, "By another.")),
        )
        for raw in forged:
            kept = await replied(room, raw, anna, claim)
            assert kept.outcome == "unverified"
            *_, note = await room.messages_of(kept.ticket_id)
            assert "The address may be forged" in note["body"]


async def test_a_server_that_is_believed_has_the_first_word(postgres: PostgresServer) -> None:
    """What it found counts, both ways, and no key is asked for; a name of ours that a stranger writes is nobody's."""
    async with checking(postgres, intake_mail_authserv_ids=["mx.example.org"]) as (room, zone):
        anna = someone()
        claim = await opened_by(room, anna)
        zone.asked.clear()
        for verdict, outcome in (("pass", "replied"), ("fail", "unverified")):
            told = {"Authentication-Results": f"mx.example.org; dmarc={verdict}"}
            kept = await replied(room, ANNAS.signed(letter(anna, verdict, **told)), anna, claim)
            assert kept.outcome == outcome
        assert zone.asked == []
        own = letter(anna, "I say so.", **{"Authentication-Results": "; dkim=pass header.d=example.com"})
        assert (await replied(room, own, anna, claim)).outcome == "unverified"
        assert (await replied(room, ANNAS.signed(letter(anna, "Signed.")), anna, claim)).outcome == "replied"


async def test_a_letter_waits_a_little_for_a_dns_that_fails_and_is_not_lost_with_it(postgres: PostgresServer) -> None:
    """It is tried again while the DNS does not answer; when that goes on it is a ticket, unverified."""
    async with checking(postgres) as (room, zone):
        anna = someone()
        claim = await opened_by(room, anna)
        zone.is_broken = True
        kept = await replied(room, ANNAS.signed(letter(anna, "Into the void.")), anna, claim)
        assert (kept.outcome, kept.attempts) == ("unverified", MOST_ASKED + 1)
        other = ANNAS.signed(letter(anna, "A little later."))
        await room.send(other, sender=anna, to=(reply_address(KEYS, claim, SUPPORT),))
        await room.first_attempt(other)
        zone.is_broken = False
        assert (await room.handled(other)).outcome == "replied"
