"""Where mail and webhooks arrive in a run that is broken on purpose."""

import asyncio
import json
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest

from opora_chassis.testing import wait_until
from opora_cli.chaos.sinks import Hookbox, Letter, Letterbox, read_hooks, read_letters

HEADERS = {"webhook-id": "msg-1", "webhook-timestamp": "1764000000", "webhook-signature": "v1,c2lnbmVk"}
EVENT = json.dumps({"specversion": "1.0", "id": "event-1", "type": "sla.breached"})


@pytest.fixture
async def letterbox(tmp_path: Path) -> AsyncIterator[Letterbox]:
    """A letterbox that accepts."""
    letterbox = Letterbox(tmp_path / "letters")
    await letterbox.start()
    yield letterbox
    await letterbox.stop()


@pytest.fixture
async def hookbox(tmp_path: Path) -> AsyncIterator[Hookbox]:
    """A hookbox that accepts."""
    hookbox = Hookbox(tmp_path / "hooks.jsonl")
    await hookbox.start()
    yield hookbox
    await hookbox.stop()


async def mail(letterbox: Letterbox, number: int = 1, *to: str, timeout_seconds: float = 10) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "help@opora.example", "anna@customer.example"
    message["Subject"], message["Message-ID"] = f"Ваша заявка {number}", f"<{number}@opora.example>"
    message.set_content("Hello.\n.\nGoodbye.\n")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=letterbox.port, timeout=timeout_seconds) as connection:
        await connection.send_message(message, recipients=list(to) or ["anna@customer.example"])


async def test_what_is_accepted_is_kept_in_memory_and_on_disk(letterbox: Letterbox) -> None:
    """A letter is known with its id, recipients and subject, and still known to a letterbox that begins anew."""
    await mail(letterbox, 1, "anna@customer.example", "boris@customer.example")
    await mail(letterbox, 2)
    assert [(letter.message_id, letter.recipient, letter.subject) for letter in letterbox.letters] == [
        ("<1@opora.example>", "anna@customer.example", "Ваша заявка 1"),
        ("<1@opora.example>", "boris@customer.example", "Ваша заявка 1"),
        ("<2@opora.example>", "anna@customer.example", "Ваша заявка 2"),
    ]
    assert read_letters(letterbox.path) == letterbox.letters
    assert Letterbox(letterbox.path.parent).letters == letterbox.letters
    path = letterbox.letters[0].path
    assert path is not None
    assert b"Hello.\r\n.\r\nGoodbye." in path.read_bytes()


async def test_an_unfinished_line_is_no_letter(letterbox: Letterbox) -> None:
    """A run that was killed while it wrote a line can still be judged."""
    await mail(letterbox)
    with letterbox.path.open("a") as file:
        file.write('{"message_id": "<2@')
    assert [letter.message_id for letter in read_letters(letterbox.path)] == ["<1@opora.example>"]


async def test_a_rejected_letter_is_not_kept(letterbox: Letterbox) -> None:
    """451 at the end of the letter, 550 to the recipient; after the switch back the same letter is taken."""
    letterbox.reject_temporarily()
    with pytest.raises(aiosmtplib.SMTPDataError) as not_now:
        await mail(letterbox)
    letterbox.reject_for_good()
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as never:
        await mail(letterbox)
    assert not_now.value.code == 451
    assert [refusal.code for refusal in never.value.recipients] == [550]
    assert letterbox.letters == []
    letterbox.accept()
    await mail(letterbox)
    assert len(letterbox.letters) == 1


async def test_a_dropped_letter_is_not_kept(letterbox: Letterbox) -> None:
    """The connection ends in the middle of the letter, and the server goes on."""
    letterbox.drop()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await mail(letterbox)
    assert letterbox.letters == []
    letterbox.accept()
    await mail(letterbox)
    assert len(letterbox.letters) == 1


async def test_a_slow_letterbox_has_the_letter_of_who_did_not_wait(letterbox: Letterbox) -> None:
    """The acknowledgement comes late, and the letter was taken although its sender gave up."""
    letterbox.slow(0.3)
    await mail(letterbox, 1)
    letterbox.slow(60)
    with pytest.raises(aiosmtplib.SMTPTimeoutError):
        await mail(letterbox, 2, timeout_seconds=0.3)
    assert [letter.message_id for letter in letterbox.letters] == ["<1@opora.example>", "<2@opora.example>"]


async def test_a_letterbox_that_was_stopped_comes_back_at_its_port(letterbox: Letterbox) -> None:
    """Nobody is served in between, whoever is connected is dropped, and the letters stay."""
    port = letterbox.port
    await mail(letterbox, 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    await letterbox.stop()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await mail(letterbox, 2)
    await letterbox.start()
    await mail(letterbox, 3)
    assert letterbox.port == port
    assert [type(letter) for letter in letterbox.letters] == [Letter, Letter]


async def test_hooks_are_answered_as_told_and_all_are_kept(hookbox: Hookbox) -> None:
    """204, then 500, over one connection; each is known with its ids and its answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        accepted = await client.post(hookbox.url, content=EVENT, headers=HEADERS)
        hookbox.fail()
        failed = await client.post(hookbox.url, content=EVENT, headers=HEADERS | {"webhook-id": "msg-2"})
    assert (accepted.status_code, failed.status_code) == (204, 500)
    assert [(hook.webhook_id, hook.event_id, hook.event_type, hook.answered) for hook in hookbox.hooks] == [
        ("msg-1", "event-1", "sla.breached", 204),
        ("msg-2", "event-1", "sla.breached", 500),
    ]
    assert read_hooks(hookbox.path) == hookbox.hooks


async def test_a_hanging_hookbox_answers_when_its_mode_changes(hookbox: Hookbox) -> None:
    """Who waits gets the new mode's answer; who gave up is kept without one."""
    hookbox.hang()
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(hookbox.url, content=EVENT, headers=HEADERS, timeout=0.3)
        await wait_until(lambda: [hook.answered for hook in hookbox.hooks] == [None])
        waiting = asyncio.create_task(client.post(hookbox.url, content=EVENT, headers=HEADERS, timeout=10))
        await wait_until(lambda: len(hookbox._serving) == 1)
        assert not waiting.done()
        hookbox.accept()
        assert (await waiting).status_code == 204
        assert (await client.post(hookbox.url, content=EVENT, headers=HEADERS)).status_code == 204
    assert [hook.answered for hook in hookbox.hooks] == [None, 204, 204]


async def test_what_is_no_webhook_is_refused(hookbox: Hookbox) -> None:
    """Without a signature, or without an event, a request is answered 400 and not kept."""
    unsigned = {name: value for name, value in HEADERS.items() if name != "webhook-signature"}
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(hookbox.url, content=EVENT, headers=unsigned)).status_code == 400
        assert (await client.post(hookbox.url, content="[]", headers=HEADERS)).status_code == 400
        assert (await client.get(hookbox.url)).status_code == 400
    assert hookbox.hooks == []


async def test_a_hookbox_that_was_stopped_comes_back_at_its_port(hookbox: Hookbox) -> None:
    """Whoever hangs is let go without an answer, nobody is served in between, and the hooks stay."""
    url = hookbox.url
    hookbox.hang()
    async with httpx.AsyncClient(trust_env=False) as client:
        waiting = asyncio.create_task(client.post(url, content=EVENT, headers=HEADERS))
        await wait_until(lambda: len(hookbox._serving) == 1)
        await hookbox.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            await waiting
        with pytest.raises(httpx.ConnectError):
            await client.post(url, content=EVENT, headers=HEADERS)
        hookbox.accept()
        await hookbox.start()
        assert (await client.post(url, content=EVENT, headers=HEADERS)).status_code == 204
    assert [hook.answered for hook in hookbox.hooks] == [None, 204]
