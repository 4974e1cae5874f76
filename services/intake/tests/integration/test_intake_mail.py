"""Letters from a mail server's dialogue to the ticket, on a real database."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.migrations import migrate
from opora_chassis.platform import Platform
from opora_chassis.testing import wait_until
from opora_embedded.testing import PostgresServer
from opora_intake.app import SERVICE
from opora_intake.channels import letters as desk_loop
from opora_intake.channels.letters import MOST_ATTEMPTS, LetterDesk
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.letters import take_in
from opora_intake.mail.confined import ReaderUnavailable
from opora_intake.mail.letter import Letter, Reading
from opora_intake.mail.reading import read_letter
from opora_intake.mail.thread import Claim, TokenKeys, reply_address
from opora_intake.settings import IntakeSettings
from opora_intake.store import letters as store
from opora_intake.store.letters import KeptLetter

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUPPORT = "support@example.org"
SECRET = "a secret of the tests, long enough"
KEYS = TokenKeys("a", {"a": SECRET.encode()})


class Mailroom:
    """Intake's mail channel on a database of its own; its tests keep apart by addresses of their own."""

    def __init__(self, platform: Platform, dsn: str) -> None:
        self.platform = platform
        self.database = platform.database
        self.dsn = dsn
        self.channel = MailChannel(platform)

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens."""
        return self.channel.settings.mail_ports

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """Run these loops, or all, until the block ends."""
        stop = asyncio.Event()
        loops = [loop for loop in self.channel.loops() if not names or loop.name in names]
        tasks = [asyncio.ensure_future(loop.run(stop)) for loop in loops]
        try:
            for channel, port in self.ports.items():
                if f"listen_{channel}" in {loop.name for loop in loops}:
                    await wait_until(partial(asyncio.to_thread, _answers, port))
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 30)

    async def send(self, raw: bytes, *, sender: str = "anna@example.com", to: tuple[str, ...] = (SUPPORT,)) -> Any:
        """Hand a letter over by SMTP; the recipients that were refused."""
        return await asyncio.to_thread(_send, self.ports["smtp"], sender, to, raw)

    async def letters(self, **filters: Any) -> list[KeptLetter]:
        """What was taken in, newest first."""
        return await store.list_letters(self.database, limit=200, **filters)

    async def handled(self, raw: bytes) -> KeptLetter:
        """The letter with this text, once it was handled; waits for it."""

        async def done() -> KeptLetter | None:
            row = await self.database.fetchrow("select id from letters where raw = $1 and state <> 'received'", raw)
            return None if row is None else await store.find_letter(self.database, row["id"])

        found: KeptLetter = await wait_until(done)
        return found

    async def tickets_from(self, address: str) -> list[Any]:
        """The tickets of whoever has this address."""
        return await self.database.fetch(
            "select tickets.* from tickets join customers on customers.id = requester_id"
            " where lower(email) = lower($1) order by number",
            address,
        )

    async def messages_of(self, ticket_id: UUID | None) -> list[Any]:
        """What was written on a ticket, in order."""
        return await self.database.fetch("select * from messages where ticket_id = $1 order by sequence", ticket_id)

    async def facts_of(self, ticket_id: UUID | None) -> list[str]:
        """The types of the ticket's facts that wait to be published or stand in its timeline, in order."""
        rows = await self.database.fetch("select type from timeline where ticket_id = $1 order by sequence", ticket_id)
        return [row["type"] for row in rows]


@asynccontextmanager
async def mailroom_on(postgres: PostgresServer, **settings: Any) -> AsyncIterator[Mailroom]:
    name = f"mail_{uuid4().hex}"
    dsn = postgres.create_database(name)
    await migrate(dsn, SERVICE.all_migrations())
    smtp, lmtp = _free_ports(2)
    configured = IntakeSettings(
        database_dsn=dsn,
        kafka_bootstrap="127.0.0.1:1",
        intake_mail_addresses=[SUPPORT],
        intake_mail_smtp_port=smtp,
        intake_mail_lmtp_port=lmtp,
        intake_mail_token_keys={"a": SECRET},
        intake_mail_instance="ours",
        **settings,
    )
    database = await Database.open(dsn, service="intake", clock=Clock())
    try:
        yield Mailroom(Platform("intake", configured, database, Clock()), dsn)
    finally:
        await database.close()
        postgres.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kept_room(postgres: PostgresServer) -> AsyncIterator[Mailroom]:
    """A mailroom whose loops do not run."""
    async with mailroom_on(postgres) as room:
        yield room


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mailroom(postgres: PostgresServer) -> AsyncIterator[Mailroom]:
    """A mailroom at work."""
    async with mailroom_on(postgres) as room, room.running():
        yield room


def letter(sender: str, text: str = "It prints nothing.", **fields: str) -> bytes:
    """A letter as programs write it, with a Message-ID of its own."""
    given = {"Subject": "Printer", "Message-ID": f"<{uuid4().hex}@example.com>"} | fields
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"From: Anna <{sender}>\r\nTo: {SUPPORT}\r\n{named}\r\n{text}\r\n".encode()


def someone() -> str:
    return f"{uuid4().hex}@example.com"


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


async def test_the_same_letter_twice_is_one_ticket(mailroom: Mailroom) -> None:
    """Copies over SMTP and LMTP, with other trace fields and at the same time, open one ticket; each gets its 250."""
    anna = someone()
    raw = letter(anna)
    traced = b"Received: from elsewhere\r\n" + raw
    await asyncio.gather(*(mailroom.send(raw, sender=anna) for _ in range(4)))
    await asyncio.to_thread(_send_locally, mailroom.ports["lmtp"], anna, [SUPPORT], traced)
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


async def test_a_worker_that_died_leaves_a_lease_that_ends(kept_room: Mailroom) -> None:
    """A claimed letter is nobody else's until its lease ends; then it is handled, and the late worker adds nothing."""
    desk = kept_room.channel.desk()
    raw = letter(someone())
    letter_id = await _keep(kept_room, raw)
    first = await desk_loop.claim(desk)
    assert first is not None
    assert first.id == letter_id
    assert await desk_loop.claim(desk) is None
    await kept_room.database.fetchval("update letters set due_at = received_at where id = $1 returning id", letter_id)
    second = await desk_loop.claim(desk)
    assert second is not None
    await desk_loop.attempt(desk, second, _reading)
    await desk_loop.attempt(desk, first, _reading)
    kept = await store.find_letter(kept_room.database, letter_id)
    assert kept is not None
    assert (kept.state, kept.attempts) == ("handled", 2)
    assert await kept_room.facts_of(kept.ticket_id) == ["ticket.created"]


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
    raw = _bounce(lost)
    await mailroom.send(raw, sender="")
    kept = await mailroom.handled(raw)
    assert (kept.outcome, kept.ticket_id, kept.envelope_from) == ("delivery_report", None, "")
    (fact,) = await store.list_deliveries(mailroom.database, limit=10, recipient=lost.upper())
    assert (fact.outcome, fact.status, fact.permanent, fact.letter_id) == ("failed", "5.1.1", True, kept.id)
    assert fact.original_message_id == "sent@example.org"
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


async def test_a_letter_is_not_taken_in_while_the_database_is_away(postgres: PostgresServer) -> None:
    """The sender is told 451 and keeps the letter; afterwards the same letter is taken in."""
    raw = letter(someone())
    async with mailroom_on(postgres) as room, room.running("listen_smtp"):
        async with _locked_out(room):
            with pytest.raises(smtplib.SMTPDataError) as refusal:
                await room.send(raw)
        assert refusal.value.smtp_code == 451
        assert await room.letters() == []
        assert await room.send(raw) == {}
        assert len(await room.letters()) == 1


async def test_strangers_and_crowds_are_refused(mailroom: Mailroom) -> None:
    """550 for an address that is not ours, 452 for the 101st recipient; the others get the letter."""
    anna = someone()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await mailroom.send(letter(anna), to=("sales@example.org",))
    assert refused.value.recipients["sales@example.org"][0] == 550
    many = tuple(f"support+{number}@example.org" for number in range(101))
    raw = letter(anna)
    assert {code for code, _ in (await mailroom.send(raw, to=many)).values()} == {452}
    assert len((await mailroom.handled(raw)).envelope_to) == 100


@pytest.mark.parametrize(
    "line", [b"x" * 76 + b"\r\n", b"\r\n", b"x" * 100_000 + b"\r\n"], ids=["lines", "empty", "long"]
)
async def test_more_than_a_letter_is_refused_for_good(mailroom: Mailroom, line: bytes) -> None:
    """552 after 25 MB, whatever the lines are like; the session goes on."""
    raw = letter(someone()) + line * (26 * 1024 * 1024 // len(line))
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        await asyncio.to_thread(_send_undeclared, mailroom.ports["smtp"], raw)
    assert refusal.value.smtp_code == 552
    assert await mailroom.database.fetchval("select count(*) from letters where octet_length(raw) > 10000000") == 0


async def test_long_lines_and_bare_line_ends_are_taken_in(mailroom: Mailroom) -> None:
    """What mail programs write against the rules is kept byte by byte."""
    raw = letter(someone(), "x" * 70_000 + "\r\nbare\nends\r\n.\nno end")
    await mailroom.send(raw)
    assert (await mailroom.handled(raw)).outcome == "opened"


async def test_local_delivery_answers_for_each_recipient(mailroom: Mailroom) -> None:
    """LMTP: as many answers as recipients (RFC 2033 §4.2), and one letter."""
    anna = someone()
    raw = letter(anna)
    to = [SUPPORT, "support+a@example.org", "support+b@example.org"]
    answers = await asyncio.to_thread(_send_locally, mailroom.ports["lmtp"], anna, to, raw)
    assert [answer[:3] for answer in answers] == ["250", "250", "250"]
    assert (await mailroom.handled(raw)).channel == "lmtp"


async def test_sessions_are_bounded(postgres: PostgresServer) -> None:
    """One connection too many is told 421; a silent one is closed, and makes room."""
    async with (
        mailroom_on(postgres, intake_mail_connections=1, intake_mail_idle_seconds=0.5) as room,
        room.running("listen_smtp"),
    ):
        port = room.ports["smtp"]

        async def greeting() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            line = await reader.readline()
            assert line.startswith(b"421")
            writer.close()
            return line

        await wait_until(partial(asyncio.to_thread, _answers, port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"220")
        await greeting()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        assert await room.send(letter(someone())) == {}


def _answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5):
            return True
    except (OSError, smtplib.SMTPException):
        return False


def _send(port: int, sender: str, to: tuple[str, ...], raw: bytes) -> Any:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        return client.sendmail(sender, list(to), raw)


def _send_undeclared(port: int, raw: bytes) -> None:
    """Without SIZE, as a client that does not know its letter's length."""
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
        client.helo()
        client.mail("x@example.com")
        client.rcpt(SUPPORT)
        code, words = client.data(raw)
        assert client.noop()[0] == 250
        if code != 250:
            raise smtplib.SMTPDataError(code, words)


def _send_locally(port: int, sender: str, to: list[str], raw: bytes) -> list[str]:
    """Deliver by LMTP; the answer for each recipient."""
    with smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo_or_helo_if_needed()
        client.mail(sender)
        for address in to:
            assert client.rcpt(address)[0] == 250
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.send(raw + b".\r\n")
        assert client.file is not None
        answers = [client.file.readline().decode() for _ in to]
        assert client.noop()[0] == 250
        return answers


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


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


@asynccontextmanager
async def _locked_out(room: Mailroom) -> AsyncIterator[None]:
    """The database lets nobody in: the pool's connections break, and new ones are refused."""
    name = room.dsn.rpartition("/")[2].partition("?")[0]
    admin = await asyncpg.connect(room.dsn.replace(f"/{name}", "/postgres"))
    try:
        await admin.execute(f'alter database "{name}" allow_connections false')
        await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        yield
        await admin.execute(f'alter database "{name}" allow_connections true')
    finally:
        await admin.close()


def _bounce(recipient: str) -> bytes:
    return f"""From: MAILER-DAEMON@example.com
To: {SUPPORT}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{uuid4().hex}@example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
--b
Content-Type: text/rfc822-headers

Message-ID: <sent@example.org>
--b--
""".replace("\n", "\r\n").encode()
