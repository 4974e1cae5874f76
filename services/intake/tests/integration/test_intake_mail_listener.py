"""The dialogue with mail servers: what is taken in, what is refused and how, on a real database."""

import asyncio
import smtplib
from contextlib import suppress
from functools import partial

import pytest

from opora_chassis.testing import wait_until
from opora_embedded.testing import PostgresServer
from services.intake.tests.mailroom import (
    SUPPORT,
    Mailroom,
    answers,
    letter,
    locked_out,
    mailroom_on,
    send_locally,
    send_undeclared,
    someone,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_letter_is_not_taken_in_while_the_database_is_away(postgres: PostgresServer) -> None:
    """The sender is told 451 and keeps the letter; afterwards the same letter is taken in."""
    raw = letter(someone())
    async with mailroom_on(postgres) as room, room.running("listen_smtp"):
        async with locked_out(room):
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
        await asyncio.to_thread(send_undeclared, mailroom.ports["smtp"], raw)
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
    answers = await asyncio.to_thread(send_locally, mailroom.ports["lmtp"], anna, to, raw)
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

        await wait_until(partial(asyncio.to_thread, answers, port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"220")
        await greeting()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        assert await room.send(letter(someone())) == {}


async def test_local_delivery_is_refused_for_each_recipient(mailroom: Mailroom) -> None:
    """LMTP: what is too large is refused as often as there are recipients, or their server waits for the rest."""
    raw = letter(someone()) + b"\r\n" * (13 * 1024 * 1024)
    to = [SUPPORT, "support+a@example.org"]
    answers = await asyncio.to_thread(send_locally, mailroom.ports["lmtp"], someone(), to, raw)
    assert [answer[:3] for answer in answers] == ["552", "552"]


async def test_a_session_ends_however_busy_it_is(postgres: PostgresServer) -> None:
    """A client that keeps talking is closed when its time is over."""
    async with mailroom_on(postgres, intake_mail_session_seconds=0.5) as room, room.running("listen_smtp"):
        reader, writer = await asyncio.open_connection("127.0.0.1", room.ports["smtp"])
        async with asyncio.timeout(10):
            # A command that crosses the end on its way is answered by a reset: an end as well.
            with suppress(ConnectionResetError):
                while await reader.readline():
                    writer.write(b"NOOP\r\n")
                    await asyncio.sleep(0.02)
        writer.close()


async def test_one_command_too_many_ends_the_session(mailroom: Mailroom) -> None:
    """421 after a thousand of one command, and the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", mailroom.ports["smtp"])
    await reader.readline()
    writer.write(b"NOOP\r\n" * 1001)
    answers = (await asyncio.wait_for(reader.read(), 30)).splitlines()
    assert [answer[:3] for answer in answers] == [b"250"] * 1000 + [b"421"]
    writer.close()
