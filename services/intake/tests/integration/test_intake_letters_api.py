"""Letters over HTTP, beside tickets and messages."""

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from opora_chassis.http import create_key
from opora_chassis.testing import running_service
from opora_contracts.topics import TICKETS
from opora_embedded.testing import KafkaServer, PostgresServer
from opora_intake.app import SERVICE
from opora_intake.channels import letters as desk_loop
from opora_intake.channels.mail import MailChannel
from opora_intake.handlers.letters import take_in
from opora_intake.mail.letter import Reading
from opora_intake.mail.reading import read_letter
from services.intake.tests.mailroom import SUPPORT, answers, free_ports, hand_over

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _taken_in(desk: Any, raw: bytes, *, handle: bool = True) -> str:
    async with desk.database.transaction() as tx:
        letter_id = await take_in(tx, raw, channel="smtp", envelope_from="a@example.com", envelope_to=["s@example.org"])
    if handle:
        letters = MailChannel(desk.service.platform).desk()
        claimed = await desk_loop.claim(letters)
        assert claimed is not None
        assert claimed.id == letter_id

        async def read(content: bytes, envelope_sender: str | None) -> Reading:
            return read_letter(content, envelope_sender=envelope_sender)

        await desk_loop.attempt(letters, claimed, read)
    return str(letter_id)


def _letter(text: str = "It prints nothing.") -> bytes:
    return f"From: {uuid4().hex}@example.com\r\nSubject: Printer\r\n\r\n{text}\r\n".encode()


async def test_a_letters_ticket_is_published_as_every_other(desk: Any) -> None:
    """The fact stands on the topic, and the ticket is read over HTTP as one that came by e-mail."""
    letter_id = await _taken_in(desk, _letter())
    letter = await desk.get(f"/letters/{letter_id}")
    assert (letter["state"], letter["outcome"], letter["reason"]) == ("handled", "opened", None)
    (created,) = await desk.published(TICKETS.name, letter["ticket_id"], 1)
    assert (created.type, created.data.channel) == ("ticket.created", "email")
    assert (await desk.get(f"/tickets/{letter['ticket_id']}"))["title"] == "Printer"


async def test_a_raw_letter_is_a_file_that_runs_nowhere(desk: Any) -> None:
    """Its bytes as they came, as a download, in a sandbox, of no other type than it says."""
    raw = _letter("<script>alert(1)</script>\x00\xff")
    letter_id = await _taken_in(desk, raw)
    answer = await desk.client.get(f"/v1/letters/{letter_id}/raw")
    assert (answer.status_code, answer.content) == (200, raw)
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == f'attachment; filename="letter-{letter_id}.eml"'
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_letters_are_listed_by_what_became_of_them(desk: Any) -> None:
    """State, outcome and ticket narrow the list; it goes on from page to page."""
    unreadable = await _taken_in(desk, b"no header at all " + uuid4().bytes)
    opened = [await _taken_in(desk, _letter()) for _ in range(3)]
    quarantined = await desk.get("/letters", state="quarantined")
    assert unreadable in [letter["id"] for letter in quarantined["items"]]
    assert not {letter["id"] for letter in quarantined["items"]} & set(opened)
    first = await desk.get("/letters", outcome="opened", limit=2)
    second = await desk.get("/letters", outcome="opened", limit=2, cursor=first["next_cursor"])
    assert [letter["id"] for letter in first["items"] + second["items"]][:3] == opened[::-1]
    ticket_id = first["items"][0]["ticket_id"]
    assert len((await desk.get("/letters", ticket_id=ticket_id))["items"]) == 1


async def test_reports_are_listed_by_recipient(desk: Any) -> None:
    """What was reported about an address is found by it, whatever its letter case."""
    lost = f"{uuid4().hex}@example.com"
    report = (
        "From: MAILER-DAEMON@example.com\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
        f"Final-Recipient: rfc822; {lost}\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n"
    )
    letter_id = await _taken_in(desk, report.encode())
    (fact,) = (await desk.get("/deliveries", recipient=lost.upper()))["items"]
    assert (fact["outcome"], fact["permanent"], fact["letter_id"]) == ("failed", True, letter_id)
    assert (await desk.get("/letters", outcome="delivery_report"))["items"][0]["ticket_id"] is None


async def test_letters_are_for_those_who_may_read_messages(desk: Any) -> None:
    """A key that may read tickets reads no letter; an unknown letter is not found."""
    token = await create_key(desk.database, "reader", ["tickets:read"])
    letter_id = await _taken_in(desk, _letter())
    for path in ("letters", f"letters/{letter_id}", f"letters/{letter_id}/raw", "deliveries"):
        answer = await desk.client.get(f"/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
    await desk.get(f"/letters/{uuid4()}", status=404)
    await desk.get(f"/letters/{uuid4()}/raw", status=404)


async def test_the_whole_service_takes_letters_in(desk: Any, kafka: KafkaServer, postgres: PostgresServer) -> None:
    """With an address and a port set, a letter over SMTP ends as a fact on the topic; the process drains with mail."""
    name = f"intake_{uuid4().hex}"
    (port,) = free_ports(1)
    dsn = postgres.create_database(name)
    mail: dict[str, Any] = {"intake_mail_addresses": [SUPPORT], "intake_mail_smtp_port": port}
    async with running_service(SERVICE, kafka, dsn, **mail) as service:
        await service.wait_until(partial(asyncio.to_thread, answers, port))
        await asyncio.to_thread(hand_over, port, "anna@example.com", (SUPPORT,), _letter())

        async def handled() -> Any:
            listed = await service.client.get("/v1/letters", params={"state": "handled"})
            return listed.json()["items"]

        (kept,) = await service.wait_until(handled)
        (created,) = await type(desk)(service).published(TICKETS.name, kept["ticket_id"], 1)
        assert created.type == "ticket.created"
    postgres.drop_database(name)
