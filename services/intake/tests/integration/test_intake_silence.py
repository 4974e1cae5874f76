"""What becomes of tickets that are done: closed after silence, reopened by a reply, or continued, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from opora_chassis.clock import Clock, host_now
from opora_chassis.database import Database
from opora_contracts import Event
from opora_contracts.mail_threads import Claim, reply_address
from opora_contracts.requests import TicketReplySubmitted
from opora_contracts.topics import TICKETS
from opora_contracts.vocabulary import Kind
from opora_intake.api.dependencies import rules_of
from opora_intake.domain.commands import Close, Note, Resolve
from opora_intake.domain.priority import DEFAULT_MATRIX
from opora_intake.handlers.case_settings import RulesInForce, change_settings
from opora_intake.handlers.closing import ACTOR, close_batch, close_round
from opora_intake.handlers.tickets import command_ticket
from services.intake.tests.mailroom import KEYS, SUPPORT, Mailroom, letter, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def untouched(desk: Any) -> AsyncIterator[None]:
    """Leaves the settings as other tests expect them."""
    yield
    await desk.patch("/settings", {"close_after_hours": {}, "reopen_within_hours": {}, "profiles": {}})


@asynccontextmanager
async def later(desk: Any, hours: float) -> AsyncIterator[Database]:
    """The same database, seen by a process whose clock is so many hours ahead."""
    now = host_now()
    clock = Clock(1.0, now, now + timedelta(hours=hours))
    dsn = desk.service.platform.settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, service="intake", clock=clock, pool_size=2)
    try:
        yield database
    finally:
        await database.close()


async def done(desk: Any, **fields: Any) -> Any:
    """A ticket that is resolved."""
    ticket = await desk.opened(kind="complaint", **fields)
    body = {"resolution": "Paid back.", "resolution_code": "solved"}
    return await desk.post(f"/tickets/{ticket['id']}/resolve", body)


async def closed(desk: Any, **fields: Any) -> Any:
    """A ticket that is closed."""
    return await desk.post(f"/tickets/{(await done(desk, **fields))['id']}/close")


async def links(desk: Any, ticket: Any) -> list[tuple[str, str]]:
    """The ticket's links: relation and number of the other end."""
    page = await desk.get(f"/tickets/{ticket['id']}/links")
    return [(link["relation"], link["number"]) for link in page["items"]]


async def facts(desk: Any, ticket: Any) -> list[str]:
    """The types of the ticket's facts, in order."""
    return [fact["type"] for fact in (await desk.get(f"/tickets/{ticket['id']}/timeline"))["items"]]


async def test_what_is_silent_is_closed_once_whoever_looks(desk: Any) -> None:
    """Two processes at once close each ticket once, by the ordinary fact; what somebody wrote on meanwhile stays."""
    await desk.patch("/settings", {"close_after_hours": {"complaint": 2}})
    tickets = [await done(desk) for _ in range(7)]
    working, spoken = await desk.opened(kind="complaint"), await done(desk)
    rules = RulesInForce(DEFAULT_MATRIX)
    async with later(desk, 1.9) as soon:
        await close_round(soon, rules)
    assert [await facts(desk, ticket) for ticket in tickets] == [["ticket.created", "ticket.resolved"]] * 7
    async with later(desk, 2.1) as one, later(desk, 2.1) as other:
        async with one.transaction() as tx:
            await command_ticket(tx, UUID(spoken["id"]), Note(body="He rang."), "agent:anna", rules)
        await asyncio.gather(*(_batches(database, rules) for database in (one, other)))
    for ticket in tickets:
        assert await facts(desk, ticket) == ["ticket.created", "ticket.resolved", "ticket.closed"]
    last = (await desk.published(TICKETS.name, tickets[0]["id"], 3))[-1]
    assert (last.type, last.actor, last.data.resolution_code) == ("ticket.closed", ACTOR, "solved")
    record = (await desk.get(f"/tickets/{tickets[0]['id']}/steps"))["items"][-1]
    assert (record["step"], record["note"]) == ("closed", "Nothing happened for 2 hours.")
    for ticket, step in ((working, "received"), (spoken, "resolved")):
        assert (await desk.get(f"/tickets/{ticket['id']}"))["step"] == step


async def _batches(database: Database, rules: RulesInForce) -> None:
    """Some at a time until there are no more."""
    after = None
    while True:
        async with database.transaction() as tx:
            after = await close_batch(tx, Kind.COMPLAINT, after=after, rules=rules, limit=2)
        if after is None:
            return


async def test_a_closing_that_fails_leaves_the_ticket_for_the_next_round(desk: Any) -> None:
    """A process that dies before it commits has closed nothing; the next one does."""
    await desk.patch("/settings", {"close_after_hours": {"complaint": 1}})
    ticket = await done(desk)
    rules = RulesInForce(DEFAULT_MATRIX)
    async with later(desk, 1.1) as database:
        with pytest.raises(ConnectionAbortedError):
            await _dying(database, rules)
        assert (await desk.get(f"/tickets/{ticket['id']}"))["step"] == "resolved"
        await close_round(database, rules)
    assert (await desk.get(f"/tickets/{ticket['id']}"))["step"] == "closed"


async def _dying(database: Database, rules: RulesInForce) -> None:
    async with database.transaction() as tx:
        await close_batch(tx, Kind.COMPLAINT, after=None, rules=rules)
        raise ConnectionAbortedError


async def test_a_strict_ticket_is_closed_only_when_it_is_verified(desk: Any) -> None:
    """Silence is no verification: what is only resolved stays, and blocks nothing behind it."""
    await desk.patch("/settings", {"close_after_hours": {"complaint": 1}, "profiles": {"complaint": "strict"}})
    unverified = await _worked_strictly(desk)
    verified = await _worked_strictly(desk)
    await desk.post(f"/tickets/{verified['id']}/verify", {"verified_by": "customer", "seen": "The money is there."})
    duplicate = await _worked_strictly(desk, "duplicate")
    async with later(desk, 1.1) as database:
        await close_round(database, RulesInForce(DEFAULT_MATRIX))
    steps = [(await desk.get(f"/tickets/{ticket['id']}"))["step"] for ticket in (unverified, verified, duplicate)]
    assert steps == ["resolved", "closed", "closed"]


async def _worked_strictly(desk: Any, code: str = "solved") -> Any:
    ticket = await desk.opened(kind="complaint")
    path = f"/tickets/{ticket['id']}"
    await desk.post(f"{path}/assess", {"note": "One customer."})
    await desk.post(f"{path}/diagnose", {"cause": "Charged twice", "evidence": "The statement."})
    await desk.post(f"{path}/plan", {"steps": ["Pay back"], "owner": "anna"})
    return await desk.post(f"{path}/resolve", {"resolution": "Paid back.", "resolution_code": code})


@pytest.mark.parametrize("hours", [0, 8_761, 1.5])
async def test_a_silence_has_bounds(desk: Any, hours: float) -> None:
    """From one hour to a year, in whole hours; a window may be nothing at all."""
    problem = await desk.patch("/settings", {"close_after_hours": {"complaint": hours}}, status=422)
    assert "close_after_hours" in str(problem)
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 0}})
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 8_761}}, status=422)


async def test_a_closed_ticket_is_continued_by_another_one(desk: Any) -> None:
    """For the same requester and group, with nobody in it yet; both say so, and the closed one stays closed."""
    old = await closed(desk, requester_email=f"{uuid4().hex}@example.com", group="billing", assignee="anna")
    new = await desk.post(f"/tickets/{old['id']}/follow-up", {"body": "Charged again.", "channel": "phone"}, status=201)
    assert (new["requester_id"], new["group"], new["assignee"]) == (old["requester_id"], "billing", None)
    assert (new["title"], new["kind"], new["channel"], new["step"]) == (old["title"], "complaint", "phone", "received")
    assert await links(desk, new) == [("continues", old["number"])]
    assert await links(desk, old) == [("continued_by", new["number"])]
    assert (await desk.get(f"/tickets/{old['id']}"))["step"] == "closed"
    (message,) = (await desk.get(f"/tickets/{new['id']}/messages"))["items"]
    assert message["body"] == "Charged again."
    refusal = await desk.post(f"/tickets/{new['id']}/follow-up", {}, status=409)
    assert "reply" in refusal["allowed"]


async def test_a_reply_in_time_reopens_and_a_late_one_is_refused_with_what_to_do(desk: Any) -> None:
    """Over HTTP the caller decides: a customer's reply within the window begins the next cycle."""
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 1}})
    ticket = await closed(desk)
    said = {"body": "It came back.", "author_kind": "customer"}
    await desk.post(f"/tickets/{ticket['id']}/replies", said, status=201)
    assert (await facts(desk, ticket))[-3:] == ["ticket.closed", "ticket.reopened", "ticket.replied"]
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 0}})
    refused = await closed(desk)
    problem = await desk.post(f"/tickets/{refused['id']}/replies", said, status=409)
    assert "follow-up" in problem["detail"]


async def test_a_late_reply_from_another_system_is_a_ticket_that_continues(desk: Any) -> None:
    """Where a window is set and over: the first reply opens the ticket, those behind it are replies there."""
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 0}})
    await _known(rules_of(desk.service.platform), desk.database, desk)
    old = await closed(desk, requester_email=f"{uuid4().hex}@example.com", group="billing")
    await desk.request(*(_reply(old, f"late {number}") for number in range(3)))

    async def continued() -> Any:
        found = await links(desk, old)
        if not found:
            return None
        new = await desk.get(f"/tickets/{found[0][1]}")
        shown = [each["body"] for each in (await desk.get(f"/tickets/{new['id']}/messages"))["items"]]
        return (found, new, shown) if len(shown) == 3 else None

    found, new, shown = await desk.service.wait_until(continued)
    assert [relation for relation, _ in found] == ["continued_by"]
    assert (new["requester_id"], new["group"]) == (old["requester_id"], "billing")
    assert shown == ["late 0", "late 1", "late 2"]


async def test_the_thread_of_a_closed_ticket_leads_to_where_it_goes_on(desk: Any) -> None:
    """Past a follow-up that is closed and may be reopened, and through one that was merged; who wrote is kept."""
    await desk.patch("/settings", {"reopen_within_hours": {"complaint": 24}})
    await _known(rules_of(desk.service.platform), desk.database, desk)
    old = await closed(desk, requester_email=f"{uuid4().hex}@example.com")
    async with desk.database.transaction() as tx:
        long_ago = tx.now - timedelta(days=2)
        await tx.execute("update tickets set closed_at = $2 where id = $1", UUID(old["id"]), long_ago)
    await desk.request(_reply(old, first := uuid4().hex, author="colleague of the customer"))
    new, author = await _landed(desk, first)
    assert author == "colleague of the customer"
    assert await links(desk, old) == [("continued_by", new)]
    await desk.post(f"/tickets/{new}/resolve")
    await desk.post(f"/tickets/{new}/close")
    await desk.request(_reply(old, second := uuid4().hex))
    assert (await _landed(desk, second))[0] == new
    assert (await facts(desk, {"id": new}))[-2:] == ["ticket.reopened", "ticket.replied"]
    other = await desk.opened(kind="complaint")
    await desk.post(f"/tickets/{new}/merge", {"into": other["number"]})
    await desk.request(_reply(old, third := uuid4().hex))
    assert (await _landed(desk, third))[0] == other["number"]


async def _landed(desk: Any, body: str) -> tuple[str, str]:
    """The number of the ticket on which this was written, and by whom."""

    async def there() -> Any:
        return await desk.database.fetchrow(
            "select number, author from messages join tickets on tickets.id = ticket_id where body = $1", body
        )

    row = await desk.service.wait_until(there)
    return f"OP-{row['number']}", row["author"]


async def test_a_ticket_of_a_running_import_is_left_alone(desk: Any) -> None:
    """History is judged by no clock for as long as its import runs."""
    await desk.patch("/settings", {"close_after_hours": {"complaint": 1}})
    history = await desk.post("/imports", {"name": f"log-{uuid4().hex[:8]}"})
    what: list[tuple[str, dict[str, str]]] = [("create", {"title": "Old", "kind": "complaint"}), ("resolve", {})]
    entries = [
        {"source_id": "A", "ordinal": place, "at": f"2016-02-29T0{place}:00:00Z", "action": action, "data": data}
        for place, (action, data) in enumerate(what, start=1)
    ]
    await desk.post(f"/imports/{history['id']}/entries", {"entries": entries, "watermark": "2016-03-01T00:00:00Z"})
    await close_round(desk.database, RulesInForce(DEFAULT_MATRIX))
    query = {"external_source": history["name"], "external_id": "A"}
    assert (await desk.get("/tickets", **query))["items"][0]["step"] == "resolved"


def _reply(ticket: Any, body: str, author: str | None = None) -> Event[Any]:
    said = TicketReplySubmitted(ticket_number=ticket["number"], body=body, author_kind="customer", author=author)
    return Event(
        id=uuid4().hex,
        source="/bot",
        type=said.event_type,
        version=said.version,
        time=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        subject=ticket["id"],
        key=ticket["id"],
        data=said,
    )


async def _known(rules: RulesInForce, database: Database, desk: Any, kind: Kind = Kind.COMPLAINT) -> None:
    """The process decides by the window that was just set."""

    async def knows() -> bool:
        return kind in (await rules.current(database)).reopen_within

    await desk.service.wait_until(knows)


async def test_a_letter_to_a_closed_thread_continues_it(mailroom: Mailroom) -> None:
    """Without a window it opens a ticket that both ends know of; the next letter to the old thread is a reply there."""
    anna = someone()
    ticket = await _closed_by_letter(mailroom, anna)
    thread = reply_address(KEYS, Claim(ticket["number"], ticket["requester_id"]), SUPPORT)
    outcomes = []
    for text in ("It came back.", "And again."):
        raw = letter(anna, text, To=thread)
        await mailroom.send(raw, sender=anna, to=(thread,))
        outcomes.append(await mailroom.handled(raw))
    _, new = await mailroom.tickets_from(anna)
    assert [(each.outcome, each.ticket_id) for each in outcomes] == [("opened", new["id"]), ("replied", new["id"])]
    assert [each["body"] for each in await mailroom.messages_of(new["id"]) if each["visibility"] == "public"] == [
        "It came back.",
        "And again.",
    ]
    (link,) = await mailroom.database.fetch("select * from ticket_links where to_id = $1", ticket["id"])
    assert (link["from_id"], link["relation"]) == (new["id"], "continues")
    assert (await mailroom.facts_of(ticket["id"]))[-1] == "ticket.linked"


async def test_a_letter_within_the_window_reopens_its_ticket(mailroom: Mailroom, desk: Any) -> None:
    """The thread that the customer answers is the one that goes on."""
    rules = rules_of(mailroom.platform)
    async with mailroom.database.transaction() as tx:
        await change_settings(tx, {"reopen_within_hours": {"incident": 1}}, expected_version=None, actor="agent:anna")
    try:
        await _known(rules, mailroom.database, desk, Kind.INCIDENT)
        anna = someone()
        ticket = await _closed_by_letter(mailroom, anna)
        thread = reply_address(KEYS, Claim(ticket["number"], ticket["requester_id"]), SUPPORT)
        raw = letter(anna, "It came back.", To=thread)
        await mailroom.send(raw, sender=anna, to=(thread,))
        kept = await mailroom.handled(raw)
    finally:
        async with mailroom.database.transaction() as tx:
            await change_settings(tx, {"reopen_within_hours": {}}, expected_version=None, actor="agent:anna")
    assert (kept.outcome, kept.ticket_id) == ("replied", ticket["id"])
    assert (await mailroom.facts_of(ticket["id"]))[-2:] == ["ticket.reopened", "ticket.replied"]


async def _closed_by_letter(mailroom: Mailroom, sender: str) -> Any:
    """The ticket that a letter opened, solved and closed."""
    raw = letter(sender)
    await mailroom.send(raw, sender=sender)
    await mailroom.handled(raw)
    (ticket,) = await mailroom.tickets_from(sender)
    async with mailroom.database.transaction() as tx:
        for command in (Resolve(), Close()):
            await command_ticket(tx, ticket["id"], command, "agent:anna", RulesInForce(DEFAULT_MATRIX))
    return ticket
