"""Mailboxes on a real IMAP server: every letter once, whatever happens to the server, to us, and to the others."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from opora_chassis.testing import wait_until
from opora_embedded.testing import PostgresServer
from opora_intake.channels.mailbox import Mailbox
from opora_intake.mail.limits import MOST_LETTER_BYTES
from opora_intake.store import mailboxes as store
from opora_intake.store.mailboxes import Standing
from services.intake.tests.imap_server import ImapServer, imap_server
from services.intake.tests.mailroom import SUPPORT, Mailroom, free_ports, letter, mailroom_on, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with imap_server() as running:
        yield running


@pytest.fixture
def user() -> str:
    """Somebody with an empty account."""
    return uuid4().hex[:12]


@asynccontextmanager
async def polled(
    postgres: PostgresServer, *mailboxes: Mailbox, handled: bool = False
) -> AsyncIterator[tuple[Mailroom, Any]]:
    """Intake with these mailboxes; the second value runs their polls."""
    async with mailroom_on(postgres, intake_mailboxes=mailboxes) as room:
        names = [f"poll_{mailbox.name}" for mailbox in mailboxes] + (["handle_letters"] if handled else [])
        yield room, lambda: room.running(*names)


async def kept(room: Mailroom, count: int) -> list[Any]:
    """The raw letters in their order, once there are so many and every mailbox is read to its end."""

    async def there() -> bool:
        letters = await room.database.fetchval("select count(*) from letters")
        unsettled = await room.database.fetchval(
            "select count(*) from mailbox_messages where state in ('wanted', 'taken')"
        )
        return bool(letters >= count and unsettled == 0)

    await wait_until(there, timeout_seconds=120)
    return [row["raw"] for row in await room.database.fetch("select raw from letters order by id")]


async def standing(room: Mailroom, name: str) -> Standing | None:
    return next((each for each in await store.list_mailboxes(room.database) if each.position.name == name), None)


async def test_what_nobody_read_is_taken_and_marked(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """At the first contact the unread letters, later every new one; each is a ticket, and read on its server."""
    old, unread, anna = letter(someone()), letter(someone()), someone()
    server.put(user, old, seen=True)
    server.put(user, unread)
    async with polled(postgres, server.mailbox(user), handled=True) as (room, running), running():
        assert await kept(room, 1) == [unread]
        later, read_at_once = letter(anna, "Пишет «нет бумаги»."), letter(someone())
        server.put(user, later)
        server.put(user, read_at_once, seen=True)
        handled = await room.handled(later)
        assert (handled.channel, handled.envelope_from, handled.envelope_to) == ("imap", None, (SUPPORT,))
        (ticket,) = await room.tickets_from(anna)
        assert ticket["id"] == handled.ticket_id
        assert await kept(room, 3) == [unread, later, read_at_once]
    assert server.flags(user) == [(rb"\Seen",)] * 4


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"afterwards": "keep"}, {"INBOX": [()], "Done": []}),
        ({"afterwards": "move", "move_to": "Done"}, {"INBOX": [], "Done": [()]}),
        ({"afterwards": "delete"}, {"INBOX": [], "Done": []}),
    ],
)
async def test_the_server_is_told_as_the_settings_say(
    postgres: PostgresServer, server: ImapServer, user: str, fields: dict[str, str], left: dict[str, Any]
) -> None:
    """A letter that is kept here stays unread there, goes into another folder, or is deleted."""
    raw = letter(someone())
    server.put(user, raw)
    async with polled(postgres, server.mailbox(user, **fields)) as (room, running), running():
        assert await kept(room, 1) == [raw]
    assert {folder: server.flags(user, folder) for folder in left} == left


async def test_an_outage_leaves_no_gap_and_no_double(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """A server that goes away and comes back: it is told since when, and every letter is kept once."""
    letters = [letter(someone()) for _ in range(30)]
    server.put(user, *letters[:10])
    async with polled(postgres, server.mailbox(user)) as (room, running), running():
        await kept(room, 10)
        server.put(user, *letters[10:20])
        server.stop()

        async def failing() -> bool:
            told = await standing(room, user)
            return told is not None and told.position.failing_since is not None

        await wait_until(failing)
        server.start()
        server.put(user, *letters[20:])
        assert await kept(room, 30) == letters

        async def well() -> bool:
            told = await standing(room, user)
            return told is not None and (told.position.failing_since, told.position.last_error) == (None, None)

        await wait_until(well)


async def test_a_poll_that_dies_is_taken_up_by_another(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """Ended anywhere, forty times, beside a second one on the same mailbox: every letter is kept once and marked."""
    letters = [letter(someone()) for _ in range(60)]
    server.put(user, *letters)
    dice = random.Random(7)  # noqa: S311  the same ends each time
    async with polled(postgres, server.mailbox(user)) as (room, running):
        polls = [loop for loop in room.channel.loops() for _ in range(2) if loop.name == f"poll_{user}"]
        for _ in range(20):
            tasks = [asyncio.ensure_future(poll.run(asyncio.Event())) for poll in polls]
            await asyncio.wait(tasks, timeout=dice.uniform(0.01, 0.25))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # As after a kill: nobody gave the lease back.
            await room.database.fetch("update mailboxes set leased_until = null returning name")
        async with running():
            assert sorted(await kept(room, 60)) == sorted(letters)
    assert server.flags(user) == [(rb"\Seen",)] * 60


async def test_new_numbers_for_old_letters_double_none(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """When UIDVALIDITY changes the folder is read anew: known letters stay one, and what came meanwhile is taken."""
    before, after = [letter(someone()) for _ in range(5)], [letter(someone()) for _ in range(3)]
    server.put(user, letter(someone()), seen=True)
    async with polled(postgres, server.mailbox(user)) as (room, running):
        async with running():
            server.put(user, *before)
            await kept(room, 5)
        server.put(user, *after)
        server.number_anew(user)
        async with running():
            assert await kept(room, 8) == before + after
            told = await standing(room, user)
            assert told is not None
            assert told.position.uid_validity == server.uid_validity(user)


async def test_a_letter_by_every_way_is_one_ticket(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """By SMTP, by IMAP and by IMAP again: one ticket."""
    anna = someone()
    raw = letter(anna)
    server.put(user, raw, b"Received: from elsewhere\r\n" + raw)
    mailbox = server.mailbox(user)
    async with polled(postgres, mailbox, handled=True) as (room, _), room.running():
        await asyncio.gather(room.send(raw, sender=anna), room.send(raw, sender=anna))
        await wait_until(lambda: room.tickets_from(anna))
        assert len(await kept(room, 1)) == 1
        assert len(await room.tickets_from(anna)) == 1
    assert server.flags(user) == [(rb"\Seen",)] * 2


async def test_a_letter_that_is_too_large_holds_up_no_other(
    postgres: PostgresServer, server: ImapServer, user: str
) -> None:
    """Of more than 25 MB the beginning is kept; it is put before a person, and the next letter is handled."""
    huge = letter(someone(), "x" * 70 + "\r\n" * (MOST_LETTER_BYTES // 2))
    small = letter(someone())
    server.put(user, huge, small)
    async with polled(postgres, server.mailbox(user), handled=True) as (room, running), running():
        assert (await room.handled(small)).outcome == "opened"

        async def quarantined() -> list[Any]:
            return await room.letters(state="quarantined")

        (refused,) = await wait_until(quarantined, timeout_seconds=60)
        assert refused.size_bytes == MOST_LETTER_BYTES + 1
        assert "larger than 25 MB" in refused.reason


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_the_server_must_prove_who_it_is(
    postgres: PostgresServer, server: ImapServer, user: str, security: str
) -> None:
    """With the certificate's authority the letter is taken; without it the mailbox is refused, with the reason."""
    port = server.tls_port if security == "tls" else server.port
    trusted = server.mailbox(user, security=security, port=port, ca_file=str(server.directory / "cert.pem"))
    unknown = server.mailbox(f"{user}x", security=security, port=port)
    server.put(user, letter(someone()))
    async with polled(postgres, trusted, unknown) as (room, running), running():
        await kept(room, 1)
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(room, unknown.name)


async def test_a_mailbox_in_trouble_holds_up_no_other(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """A wrong password, no such folder, a closed port, a host that says nothing: the letters of others come."""
    silent = socket.create_server(("127.0.0.1", 0))
    (closed,) = free_ports(1)
    troubled = {
        "password": server.mailbox(f"{user}-a", password="wrong"),
        "folder": server.mailbox(f"{user}-b", folder="Nowhere"),
        "closed": server.mailbox(f"{user}-c", port=closed),
    }
    mute = server.mailbox(f"{user}-d", port=silent.getsockname()[1])
    server.put(user, letter(someone()))
    with silent:
        async with polled(postgres, mute, *troubled.values(), server.mailbox(user)) as (room, running), running():
            await kept(room, 1)
            assert "refuses the login" in await refusal(room, troubled["password"].name)
            assert "there is no folder 'Nowhere'" in await refusal(room, troubled["folder"].name)
            assert "ConnectionRefusedError" in await refusal(room, troubled["closed"].name)


async def test_thirty_mailboxes_are_read_side_by_side(postgres: PostgresServer, server: ImapServer, user: str) -> None:
    """Each with two letters, all of them kept."""
    mailboxes = [server.mailbox(f"{user}-{number}") for number in range(30)]
    letters = [letter(someone()) for _ in range(60)]
    for number, mailbox in enumerate(mailboxes):
        server.put(mailbox.user, *letters[2 * number : 2 * number + 2])
    async with polled(postgres, *mailboxes) as (room, running), running():
        assert sorted(await kept(room, 60)) == sorted(letters)
        assert {each.position.name for each in await store.list_mailboxes(room.database)} == {
            mailbox.name for mailbox in mailboxes
        }


async def refusal(room: Mailroom, name: str) -> str:
    """Why the mailbox cannot be read, once it is told."""

    async def told() -> str | None:
        stands = await standing(room, name)
        return None if stands is None else stands.position.last_error

    words: str = await wait_until(told, timeout_seconds=60)
    return words
