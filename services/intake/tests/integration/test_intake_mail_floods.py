"""Letters of one sender without end: loops are ended by number, and a thousand hostile letters each find their end."""

import asyncio
import smtplib
from collections import Counter as Tally
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from opora_chassis.testing import wait_until
from opora_contracts.mail_threads import Claim, reply_address
from opora_embedded.testing import PostgresServer
from opora_intake.channels import letters as desk_loop
from opora_intake.domain.floods import FloodRules, Recent, flood, is_told
from opora_intake.domain.letters import Append, Begin, LetterOutcome, SetAside
from opora_intake.handlers.letters import take_in
from opora_intake.mail.letter import Reading
from opora_intake.mail.reading import read_letter
from opora_intake.store.letters import KeptLetter
from services.intake.tests.hostile_letters import hostile_letters
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, mailroom_on, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEW = {"intake_mail_most_opened_an_hour": 3, "intake_mail_most_appended_an_hour": 2}


async def read(raw: bytes, envelope_sender: str | None) -> Reading:
    """As the confined process does."""
    return read_letter(raw, envelope_sender=envelope_sender, instance="ours")


async def received(room: Mailroom, raw: bytes) -> KeptLetter:
    """What becomes of a letter, at once."""
    async with room.database.transaction() as tx:
        await take_in(tx, raw, channel="smtp", envelope_from=None, envelope_to=[SUPPORT])
    desk = room.channel.desk()
    claimed = await desk_loop.claim(desk)
    assert claimed is not None
    await desk_loop.attempt(desk, claimed, read)
    return await room.handled(raw)


async def test_rules_count_to_the_letter() -> None:
    """As many as the rule says, and not one more; what is set aside anyway is no flood."""
    rules = FloodRules(most_opened=3, most_appended=2)
    begin: Any = Begin(LetterOutcome.OPENED, None)  # type: ignore[arg-type]
    append: Any = Append(LetterOutcome.REPLIED, uuid4(), None)  # type: ignore[arg-type]
    assert flood(begin, Recent(2, 9, 0), rules) is None
    assert flood(begin, Recent(3, 0, 0), rules) == "More than 3 tickets by letters of its sender within an hour"
    assert flood(append, Recent(9, 1, 0), rules) is None
    assert flood(append, Recent(0, 2, 0), rules) is not None
    assert flood(SetAside("x"), Recent(9, 9, 9), rules) is None
    assert (is_told(Recent(3, 0, 0)), is_told(Recent(3, 0, 1))) == (False, True)


async def test_too_many_tickets_of_one_sender_are_a_flood(postgres: PostgresServer) -> None:
    """Kept, visible, told once by a ticket that nothing answers; others' letters go on, and so do later ones."""
    eve, anna = someone(), someone()
    async with mailroom_on(postgres, **FEW) as room:
        outcomes = [await received(room, letter(eve)) for _ in range(6)]
        assert [kept.outcome for kept in outcomes] == ["opened"] * 3 + ["flood"] * 3
        assert {kept.state for kept in outcomes[3:]} == {"quarantined"}
        assert [kept.ticket_id is None for kept in outcomes[3:]] == [False, True, True]
        assert len(await room.tickets_from(eve)) == 3
        (told,) = await room.database.fetch("select * from tickets where id = $1", outcomes[3].ticket_id)
        assert (told["title"], told["requester_id"]) == ("Too many letters of one sender", None)
        assert (await received(room, letter(anna))).outcome == "opened"
        await room.database.fetch("update letters set handled_at = handled_at - interval '61 minutes'")
        assert (await received(room, letter(eve))).outcome == "opened"


async def test_too_many_replies_on_one_ticket_are_a_flood(postgres: PostgresServer) -> None:
    """The ticket gets a note that says so, once; its other participants and other tickets are not touched."""
    anna = someone()
    async with mailroom_on(postgres, **FEW) as room:
        for _ in range(2):
            await received(room, letter(anna))
        tickets = await room.tickets_from(anna)

        async def reply(ticket: Any) -> KeptLetter:
            address = reply_address(KEYS, Claim(ticket["number"], ticket["requester_id"]), SUPPORT)
            return await received(room, letter(anna, f"Again {uuid4().hex}", Cc=address))

        outcomes = [await reply(tickets[0]) for _ in range(5)]
        assert [kept.outcome for kept in outcomes] == ["replied"] * 2 + ["flood"] * 3
        assert {kept.ticket_id for kept in outcomes} == {tickets[0]["id"]}
        messages = await room.messages_of(tickets[0]["id"])
        assert [message["visibility"] for message in messages] == ["public"] * 3 + ["internal"]
        assert "Two mail systems may be answering each other" in messages[-1]["body"]
        assert (await reply(tickets[1])).outcome == "replied"


@pytest.mark.parametrize("marked", [True, False])
async def test_two_systems_that_answer_each_other_end(postgres: PostgresServer, *, marked: bool) -> None:
    """Each acknowledges whatever opens a ticket or replies, as eagerly as can be; signs end it, or else the number.

    What no sign ends is a loop whose every header of a machine was dropped on the way.
    """
    async with mailroom_on(postgres, **FEW) as ours, mailroom_on(postgres, **FEW) as theirs:
        exchanged = 0
        going = letter(someone())
        room, other = ours, theirs
        addresses = {id(ours): "support@ours.example", id(theirs): "support@theirs.example"}
        while exchanged < 100:
            kept = await received(room, going)
            if kept.outcome not in ("opened", "replied", "unverified", "noted"):
                break
            exchanged += 1
            signs = {"Auto-Submitted": "auto-replied", "X-Opora-Instance": "theirs"} if marked else {}
            going = letter(addresses[id(room)], f"We have your letter {kept.id}", Subject="Re: Printer", **signs)
            room, other = other, room
        # The first one, and what each took of the other one's address within the hour.
        assert exchanged == (1 if marked else 1 + 2 * FEW["intake_mail_most_opened_an_hour"])
        for each in (ours, theirs):
            assert (
                len(await each.database.fetch("select id from tickets")) <= FEW["intake_mail_most_opened_an_hour"] + 2
            )


async def test_a_thousand_hostile_letters_each_find_their_end(postgres: PostgresServer) -> None:
    """Through the listener: each is a ticket, a reply, a report or in quarantine, and the process does not grow."""
    count = 1_000
    process = psutil.Process()
    everything: dict[str, Any] = dict.fromkeys(FEW, 10**6)
    async with mailroom_on(postgres, intake_mail_readers=2, **everything) as room, room.running():
        acknowledged: set[UUID] = set()
        grown: list[int] = []
        letters = list(hostile_letters(count))
        for place in range(0, count, 100):
            acknowledged |= await in_a_thread(room, letters[place : place + 100])
            grown.append(process.memory_info().rss)

        async def all_handled() -> bool:
            return not await room.letters(state="received")

        await wait_until(all_handled, 300)
        rows = await room.database.fetch("select id, state, outcome, ticket_id from letters")
        assert {row["id"] for row in rows} == acknowledged
        assert len(rows) > count * 0.9
        outcomes = Tally(row["outcome"] for row in rows)
        assert set(outcomes) <= {str(outcome) for outcome in LetterOutcome}
        assert {"opened", "unreadable", "delivery_report"} <= set(outcomes)
        needing = ("opened", "unverified", "unreadable", "replied")
        assert all(row["ticket_id"] for row in rows if row["outcome"] in needing)
        assert (await received_after(room)).outcome == "opened"
        assert grown[-1] - grown[1] < 64 * 1024**2


async def in_a_thread(room: Mailroom, letters: list[bytes]) -> set[UUID]:
    """The ids under which they were acknowledged."""
    return await asyncio.to_thread(_send_all, room.ports["smtp"], letters)


def _send_all(port: int, letters: list[bytes]) -> set[UUID]:
    stored: set[UUID] = set()
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as client:
        client.ehlo()
        for raw in letters:
            assert client.mail("eve@example.net")[0] == 250
            assert client.rcpt(SUPPORT)[0] == 250
            code, words = client.data(raw)
            assert code == 250, words
            stored.add(UUID(words.decode().rpartition(" ")[2]))
    return stored


async def received_after(room: Mailroom) -> KeptLetter:
    """An honest letter that comes last."""
    raw = letter(someone())
    await room.send(raw)
    return await room.handled(raw)
