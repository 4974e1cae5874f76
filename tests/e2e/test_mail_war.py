"""Two whole installations that write to each other by real mail: intake and notify twice, a relay between them."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import SMTP as SMTP_POLICY
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP

from opora_chassis.database import Database
from opora_chassis.testing import RunningService, running_service, wait_until
from opora_chassis.topics import delete_topics
from opora_embedded.ports import find_free_port
from opora_embedded.testing import KafkaServer, PostgresServer
from opora_intake.app import SERVICE as INTAKE
from opora_notify.app import SERVICE as NOTIFY

_UNPUBLISHED = "select count(*) from outbox"
CAP = 8
"""Letters of one sender that open tickets within an hour."""
SIGNS = ("Auto-Submitted", "X-Opora-Instance", "In-Reply-To", "References")
DOMAINS = ("one.example", "two.example")


@dataclass
class Relay:
    """The mail server between them: it takes a letter over when the other side has it."""

    strips: bool
    """Whether the signs that a machine wrote are lost on the way."""
    ports: dict[str, int] = field(default_factory=dict)
    """Where each domain takes its letters."""
    carried: list[str] = field(default_factory=list)
    """The domain that each letter went to."""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Hand the letter on."""
        (recipient,) = envelope.rcpt_tos
        letter = message_from_bytes(envelope.content, policy=SMTP_POLICY)
        for name in SIGNS if self.strips else ():
            del letter[name]
        domain = recipient.rpartition("@")[2]
        await asyncio.to_thread(hand_over, self.ports[domain], envelope.mail_from, recipient, letter.as_bytes())
        self.carried.append(domain)
        return "250 OK"


def hand_over(port: int, sender: str, recipient: str, raw: bytes) -> None:
    """Over SMTP, as mail servers do."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail(sender, [recipient], raw)


@dataclass(frozen=True)
class Installation:
    """One organisation's intake and notify."""

    intake: RunningService
    notify: RunningService

    async def outcomes(self) -> dict[str, int]:
        """What became of its letters, and how many each."""
        rows = await self.intake.database.fetch(
            "select coalesce(outcome, state) as outcome, count(*) as number from letters group by 1"
        )
        return {row["outcome"]: row["number"] for row in rows}

    async def is_quiet(self) -> bool:
        """Whether every letter is handled, every ticket of a requester acknowledged, and nothing is on its way."""
        # In the order of the flow, and each place with one look: what leaves one is in the next.
        letters = "select count(*) from letters where state = 'received'"
        asked = "select count(*) from tickets where requester_id is not null"
        told = "select count(*) filter (where finished_at is null) as waiting, count(*) as number from notifications"
        if await self.intake.database.fetchval(letters) or await self.intake.database.fetchval(_UNPUBLISHED):
            return False
        number = await self.intake.database.fetchval(asked)
        messages = await self.notify.database.fetchrow(told)
        return messages is not None and (messages["waiting"], messages["number"]) == (0, number)


@asynccontextmanager
async def installed(
    kafka: KafkaServer, postgres: PostgresServer, domain: str, mail_port: int, relay_port: int
) -> AsyncIterator[Installation]:
    """Intake and notify of a domain, on topics of their own, sending by the relay."""
    mark = uuid4().hex[:10]
    names = [f"war_{service}_{mark}" for service in ("intake", "notify")]
    dsns = [postgres.create_database(name) for name in names]
    prefix = f"w{mark}."
    shared: dict[str, Any] = {
        "topic_prefix": prefix,
        "intake_mail_instance": domain,
        "intake_mail_token_keys": {"a": f"a secret of {domain}, long enough for it"},
    }
    mail = f"support@{domain}"
    async with AsyncExitStack() as stack:
        for name in names:
            stack.callback(postgres.drop_database, name)
        stack.push_async_callback(delete_topics, kafka.bootstrap, prefix=prefix)
        intake = await stack.enter_async_context(
            running_service(
                INTAKE,
                kafka,
                dsns[0],
                intake_mail_addresses=[mail],
                intake_mail_smtp_port=mail_port,
                intake_mail_most_opened_an_hour=CAP,
                intake_mail_most_appended_an_hour=CAP,
                **shared,
            )
        )
        notify = await stack.enter_async_context(
            running_service(
                NOTIFY,
                kafka,
                dsns[1],
                smtp_port=relay_port,
                smtp_tls="none",
                mail_from=f"Support <{mail}>",
                mail_reply_to=mail,
                retry_base_seconds=0.05,
                poll_seconds=0.05,
                **shared,
            )
        )
        yield Installation(intake, notify)


@pytest.mark.parametrize("strips", [False, True], ids=["signs pass", "signs are lost"])
async def test_two_installations_that_write_to_each_other_end(
    kafka: KafkaServer, postgres: PostgresServer, *, strips: bool
) -> None:
    """Signs end it after one acknowledgement; where a relay drops every sign the cap does, on the letter exactly.

    Nothing of it is lost: each letter that was carried is kept by the other side, with what became of it.
    """
    relay, ports = Relay(strips), [find_free_port() for _ in range(3)]
    relay.ports |= dict(zip(DOMAINS, ports, strict=False))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(relay, loop=loop, hostname="relay.test"), "127.0.0.1", ports[2])
    async with (
        installed(kafka, postgres, DOMAINS[0], ports[0], ports[2]) as one,
        installed(kafka, postgres, DOMAINS[1], ports[1], ports[2]) as two,
    ):
        first = (
            f"From: Support <support@{DOMAINS[1]}>\r\nTo: support@{DOMAINS[0]}\r\nSubject: Printer\r\n"
            f"Message-ID: <{uuid4().hex}@{DOMAINS[1]}>\r\n\r\nIt prints nothing.\r\n"
        )
        await wait_until(lambda: asyncio.to_thread(is_open, ports[0]))
        await wait_until(lambda: asyncio.to_thread(is_open, ports[1]))
        await asyncio.to_thread(hand_over, ports[0], f"support@{DOMAINS[1]}", f"support@{DOMAINS[0]}", first.encode())

        async def over() -> bool:
            kept = [sum((await each.outcomes()).values()) for each in (one, two)]
            quiet = await one.is_quiet() and await two.is_quiet()
            return quiet and kept == [1 + relay.carried.count(DOMAINS[0]), relay.carried.count(DOMAINS[1])]

        await wait_until(over, 140, what="the war ended")
        ended = [await each.outcomes() for each in (one, two)]
        if strips:
            # Subjects name tickets of the other side: whose number exists here too is called unverified.
            assert [each.get("opened", 0) + each.get("unverified", 0) for each in ended] == [CAP, CAP]
            assert [each.get("flood", 0) for each in ended] == [1, 0]
            assert len(relay.carried) == 2 * CAP
        else:
            assert ended == [{"opened": 1}, {"set_aside": 1}]
            assert len(relay.carried) == 1
        for each, most in ((one, CAP + 1), (two, CAP)):
            database: Database = each.intake.database
            assert await database.fetchval("select count(*) from tickets") <= most
            assert await database.fetchval("select count(*) from letters where raw = '' or handled_at is null") == 0
    server.close()
    await server.wait_closed()


def is_open(port: int) -> bool:
    """Whether somebody takes letters there."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5):
            return True
    except (OSError, smtplib.SMTPException):
        return False
