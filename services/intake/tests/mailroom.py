"""Intake's mail channel for tests: on a database of its own, spoken to as mail servers do."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.migrations import migrate
from opora_chassis.platform import Platform
from opora_chassis.testing import wait_until
from opora_contracts.mail_threads import TokenKeys
from opora_embedded.testing import PostgresServer
from opora_intake.api.dependencies import files_of
from opora_intake.app import SERVICE
from opora_intake.channels.mail import MailChannel
from opora_intake.settings import IntakeSettings
from opora_intake.store import letters as store
from opora_intake.store.letters import KeptLetter

SUPPORT = "support@example.org"
SECRET = "a secret of the tests, long enough"
KEYS = TokenKeys("a", {"a": SECRET.encode()})


class Mailroom:
    """Intake's mail channel on a database of its own; its tests keep apart by addresses of their own."""

    def __init__(self, platform: Platform, dsn: str) -> None:
        self.platform = platform
        self.database = platform.database
        self.dsn = dsn
        self.channel = MailChannel(platform, files_of(platform))

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
                    await wait_until(partial(asyncio.to_thread, answers, port))
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 30)

    async def send(self, raw: bytes, *, sender: str = "anna@example.com", to: tuple[str, ...] = (SUPPORT,)) -> Any:
        """Hand a letter over by SMTP; the recipients that were refused."""
        return await asyncio.to_thread(hand_over, self.ports["smtp"], sender, to, raw)

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

    async def first_attempt(self, raw: bytes) -> None:
        """Wait until an attempt at the letter with this text has failed."""

        async def tried() -> bool:
            return bool(await self.database.fetchval("select reason is not null from letters where raw = $1", raw))

        await wait_until(tried)

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
    smtp, lmtp = free_ports(2)
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


def letter(sender: str, text: str = "It prints nothing.", **fields: str) -> bytes:
    """A letter as programs write it, with a Message-ID of its own."""
    given = {"Subject": "Printer", "Message-ID": f"<{uuid4().hex}@example.com>"} | fields
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"From: Anna <{sender}>\r\nTo: {SUPPORT}\r\n{named}\r\n{text}\r\n".encode()


def report(recipient: str, returned: str, *, status: str = "5.1.1", action: str = "failed", said: str = "") -> bytes:
    """A report by RFC 3464 that returns the header of a letter whose answers went to `returned`."""
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
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said or f"550 {status} no such user"}
--b
Content-Type: text/rfc822-headers

Message-ID: <{uuid4()}@example.org>
Reply-To: {returned}
Subject: [OP-1] Printer
--b--
""".replace("\n", "\r\n").encode()


def someone() -> str:
    return f"{uuid4().hex}@example.com"


def answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5):
            return True
    except (OSError, smtplib.SMTPException):
        return False


def hand_over(port: int, sender: str, to: tuple[str, ...], raw: bytes) -> Any:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        return client.sendmail(sender, list(to), raw)


def send_undeclared(port: int, raw: bytes) -> None:
    """Without SIZE, as a client that does not know its letter's length."""
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
        client.helo()
        client.mail("x@example.com")
        client.rcpt(SUPPORT)
        code, words = client.data(raw)
        assert client.noop()[0] == 250
        if code != 250:
            raise smtplib.SMTPDataError(code, words)


def send_locally(port: int, sender: str, to: list[str], raw: bytes) -> list[str]:
    """Deliver by LMTP; the answer for each recipient."""
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as client:
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


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@asynccontextmanager
async def locked_out(room: Mailroom) -> AsyncIterator[None]:
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
