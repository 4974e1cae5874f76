"""Tickets over HTTP, on a real database and a real broker."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts.topics import CUSTOMERS, TICKETS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_ticket_goes_its_whole_way(desk: Any) -> None:
    """Received to closed over HTTP: every step is a fact on the topic, numbered, in order, and in the timeline."""
    ticket = await desk.opened(
        title="Принтер не печатает",
        body="Пишет «нет бумаги»",
        requester_email="Anna@Example.com",
        requester_name="Анна",
        language="ru",
        channel="web",
    )
    assert ticket["number"].startswith("OP-")
    assert (ticket["step"], ticket["priority"], ticket["version"]) == ("received", "P3", 1)
    path = f"/tickets/{ticket['number']}"
    await desk.post(f"{path}/assess", {"impact": "high", "urgency": "medium"})
    await desk.post(f"{path}/assign", {"group": "printers", "assignee": "boris"})
    await desk.post(f"{path}/diagnose", {"cause": "paper sensor"})
    await desk.post(f"{path}/plan", {"planned_for": "2030-01-01T10:00:00Z"})
    await desk.post(f"{path}/hold", {"waiting_on": "third_party"})
    await desk.post(f"{path}/resume")
    replied = await desk.post(f"{path}/replies", {"body": "Датчик заменён"})
    await desk.post(f"{path}/resolve", {"resolution_code": "solved"})
    await desk.post(f"{path}/verify", {"verified_by": "customer"})
    closed = await desk.post(f"{path}/close")
    assert (closed["step"], closed["version"], closed["allowed"]) == (
        "closed",
        11,
        ["reopen", "note", "tag", "untag", "unwatch", "link", "unlink", "follow_up"],
    )
    facts = await desk.published(TICKETS.name, ticket["id"], 11)
    names = "created assessed assigned diagnosed planned held resumed replied resolved verified closed"
    assert [fact.type for fact in facts] == [f"ticket.{name}" for name in names.split()]
    assert [fact.sequence for fact in facts] == list(range(1, 12))
    timeline = await desk.get(f"{path}/timeline")
    assert [(fact["type"], fact["sequence"]) for fact in timeline["items"]] == [
        (fact.type, fact.sequence) for fact in facts
    ]
    assert timeline["items"][0]["actor"] == "key:test"
    messages = (await desk.get(f"{path}/messages"))["items"]
    assert [(message["body"], message["author_kind"]) for message in messages] == [
        ("Пишет «нет бумаги»", "customer"),
        ("Датчик заменён", "agent"),
    ]
    assert (await desk.get(f"/messages/{replied['message_id']}"))["body"] == "Датчик заменён"


async def test_no_message_text_leaves_in_an_event(desk: Any) -> None:
    """Facts announce messages by id; the text stays in intake's database."""
    ticket = await desk.opened(body="my secret is 4711")
    await desk.post(f"/tickets/{ticket['id']}/replies", {"body": "my secret is 4711"})
    await desk.post(f"/tickets/{ticket['id']}/notes", {"body": "my secret is 4711"})
    facts = await desk.published(TICKETS.name, ticket["id"], 3)
    assert [fact.type for fact in facts] == ["ticket.created", "ticket.replied", "ticket.noted"]
    assert not any("4711" in fact.data.model_dump_json() for fact in facts)


async def test_an_unknown_requester_is_registered_once(desk: Any) -> None:
    """Two tickets from one address, in whatever letter case, have one customer, of the address's organisation."""
    domain = f"{uuid4().hex}.example"
    organization = await desk.post("/organizations", {"name": "Acme", "tier": "gold", "domains": [domain]})
    first = await desk.opened(requester_email=f"Anna@{domain}")
    second = await desk.opened(requester_email=f"anna@{domain}")
    assert first["requester_id"] == second["requester_id"]
    assert (first["organization_id"], first["tier"]) == (organization["id"], "gold")
    facts = await desk.published(CUSTOMERS.name, first["requester_id"], 1)
    assert (facts[0].type, facts[0].data.name, facts[0].data.email) == ("customer.registered", "Anna", f"Anna@{domain}")


async def test_a_refused_transition_says_what_is_allowed(desk: Any) -> None:
    """409 names the step, what was tried and what is possible instead; nothing changes."""
    ticket = await desk.opened()
    problem = await desk.post(f"/tickets/{ticket['id']}/verify", status=409)
    assert problem["type"] == "urn:opora:problem:conflict"
    assert (problem["step"], problem["attempted"]) == ("received", "verify")
    assert problem["allowed"] == [
        "assess",
        "assign",
        "diagnose",
        "plan",
        "resolve",
        "close",
        "hold",
        "reply",
        "note",
        "update",
        "tag",
        "untag",
        "watch",
        "unwatch",
        "set_fields",
        "link",
        "unlink",
        "merge",
        "split",
    ]
    assert (await desk.get(f"/tickets/{ticket['id']}"))["version"] == 1


async def test_a_customers_reply_on_a_closed_ticket_is_refused_with_advice(desk: Any) -> None:
    """409 tells to reopen or to open a new ticket; a note is still possible."""
    ticket = await desk.opened()
    await desk.post(f"/tickets/{ticket['id']}/close", {"resolution_code": "duplicate"})
    reply = {"body": "Hello?", "author_kind": "customer"}
    problem = await desk.post(f"/tickets/{ticket['id']}/replies", reply, status=409)
    assert "reopen it, or open a ticket that continues it" in problem["detail"]
    assert (await desk.post(f"/tickets/{ticket['id']}/notes", {"body": "called back"}))["version"] == 3


async def test_a_late_fact_keeps_its_time(desk: Any) -> None:
    """A phone call that is logged later stands on the topic with the time of the call."""
    ticket = await desk.opened(occurred_at="2026-01-05T10:00:00Z", channel="phone")
    reply = {"body": "By phone", "occurred_at": "2026-01-05T10:20:00Z"}
    await desk.post(f"/tickets/{ticket['id']}/replies", reply)
    facts = await desk.published(TICKETS.name, ticket["id"], 2)
    assert [fact.time.isoformat() for fact in facts] == ["2026-01-05T10:00:00+00:00", "2026-01-05T10:20:00+00:00"]
    early = {**reply, "occurred_at": "2026-01-05T09:00:00Z"}
    await desk.post(f"/tickets/{ticket['id']}/replies", early, status=422)


async def test_a_stale_writer_is_told(desk: Any) -> None:
    """A command that names an outdated version is refused with the present one."""
    ticket = await desk.opened()
    await desk.post(f"/tickets/{ticket['id']}/assess", {"expected_version": 1})
    problem = await desk.post(f"/tickets/{ticket['id']}/plan", {"expected_version": 1}, status=409)
    assert (problem["expected_version"], problem["version"]) == (1, 2)


async def test_the_same_idempotency_key_opens_one_ticket(desk: Any) -> None:
    """A repeated POST answers the first ticket; the key with another body is refused."""
    key = {"Idempotency-Key": uuid4().hex}
    body = {"title": "Once"}
    first = await desk.post("/tickets", body, **key)
    assert await desk.post("/tickets", body, **key) == first
    await desk.post("/tickets", {"title": "Twice"}, status=422, **key)


async def test_one_foreign_case_has_one_ticket(desk: Any) -> None:
    """A second opening with the same external id is refused and names the ticket that exists."""
    external = {"external_source": "crm", "external_id": uuid4().hex}
    ticket = await desk.opened(**external)
    problem = await desk.post("/tickets", {"title": "Again", **external}, status=409)
    assert ticket["number"] in problem["detail"]


@pytest.mark.parametrize("method", ["get", "assess"])
@pytest.mark.parametrize("reference", ["OP-999999999", str(uuid4()), "nonsense"])
async def test_an_unknown_ticket_is_not_found(desk: Any, method: str, reference: str) -> None:
    """404 for an id, a number or a text that no ticket has, whether read or written."""
    if method == "get":
        await desk.get(f"/tickets/{reference}", status=404)
    else:
        await desk.post(f"/tickets/{reference}/assess", status=404)


async def test_bad_input_is_named(desk: Any) -> None:
    """422 names the unknown field, the missing one, the empty text and the reference to nobody."""
    unknown = await desk.post("/tickets", {"title": "x", "colour": "red"}, status=422)
    assert unknown["errors"][0]["field"] == "colour"
    missing = await desk.post("/tickets", {}, status=422)
    assert missing["errors"][0]["field"] == "title"
    nobody = await desk.post("/tickets", {"title": "x", "requester_id": str(uuid4())}, status=422)
    assert "requester_id" in nobody["detail"]
    ticket = await desk.opened()
    await desk.post(f"/tickets/{ticket['id']}/replies", {"body": ""}, status=422)
    await desk.post(f"/tickets/{ticket['id']}/assign", {}, status=422)
    await desk.patch(f"/tickets/{ticket['id']}", {}, status=422)
    await desk.get("/tickets", status=422, colour="red")


async def test_a_key_needs_the_right_scope(desk: Any) -> None:
    """A key that may read tickets neither writes them nor reads messages."""
    from opora_chassis.http import create_key

    token = await create_key(desk.database, "reader", ["tickets:read"])
    headers = {"Authorization": f"Bearer {token}"}
    assert (await desk.client.get("/v1/tickets", headers=headers)).status_code == 200
    assert (await desk.client.post("/v1/tickets", json={"title": "x"}, headers=headers)).status_code == 403
    assert (await desk.client.get(f"/v1/messages/{uuid4()}", headers=headers)).status_code == 403
    assert (await desk.client.get("/v1/tickets", headers={"Authorization": ""})).status_code == 401


async def test_lists_match_every_filter(desk: Any) -> None:
    """Each filter narrows the list; together they must all hold."""
    group = uuid4().hex
    printer = await desk.opened(title="Printer 100% jammed", group=group, product="printer", assignee="anna")
    mail = await desk.opened(title="Mail is slow", group=group, impact="high", urgency="high", channel="phone")
    await desk.post(f"/tickets/{mail['id']}/hold", {"waiting_on": "customer"})
    closed = await desk.opened(title="Printer gone", group=group)
    await desk.post(f"/tickets/{closed['id']}/close", {"resolution_code": "cancelled"})

    async def numbers(**query: Any) -> list[str]:
        return [ticket["number"] for ticket in (await desk.get("/tickets", group=group, **query))["items"]]

    assert await numbers() == [closed["number"], mail["number"], printer["number"]]
    assert await numbers(open=True) == [mail["number"], printer["number"]]
    assert await numbers(open=False) == [closed["number"]]
    assert await numbers(step=["received", "closed"], q="PRINTER") == [closed["number"], printer["number"]]
    assert await numbers(q="printer 100%") == [printer["number"]]
    assert await numbers(q="%") == []
    assert await numbers(priority="P1") == [mail["number"]]
    assert await numbers(waiting_on="customer", channel="phone") == [mail["number"]]
    assert await numbers(assignee="anna", product="printer") == [printer["number"]]
    assert await numbers(unassigned=True, open=True) == [mail["number"]]
    assert await numbers(created_before=printer["opened_at"]) == []
    assert await numbers(created_from=closed["opened_at"]) == [closed["number"]]
    assert await numbers(requester_id=str(uuid4())) == []


async def test_pages_stay_whole_while_tickets_arrive(desk: Any) -> None:
    """Paging through a list gives each ticket that was there at the beginning once, though new ones come in."""
    group = uuid4().hex
    opened = [(await desk.opened(group=group))["number"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"group": group, "limit": 2}
    while True:
        page = await desk.get("/tickets", **query)
        seen += [ticket["number"] for ticket in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        await desk.opened(group=group)
    assert seen == opened[::-1]


@pytest.mark.parametrize("path", ["/tickets", "/customers", "/organizations"])
async def test_a_bad_cursor_is_refused(desk: Any, path: str) -> None:
    """400 for a cursor that the list did not give out."""
    await desk.get(path, status=400, cursor="bm9uc2Vuc2U")


async def test_a_customer_is_changed_and_told(desk: Any) -> None:
    """Each change of a customer is a fact with the whole state; the same values again are none."""
    email = f"{uuid4().hex}@example.com"
    customer = await desk.post("/customers", {"name": "Anna", "email": email})
    again = await desk.post("/customers", {"name": "Anna Smith", "email": email.upper()})
    assert (again["id"], again["version"]) == (customer["id"], 2)
    changed = await desk.patch(f"/customers/{customer['id']}", {"language": "ru", "time_zone": "Europe/Moscow"})
    assert changed["version"] == 3
    assert (await desk.patch(f"/customers/{customer['id']}", {"language": "ru"}))["version"] == 3
    facts = await desk.published(CUSTOMERS.name, customer["id"], 3)
    assert [(fact.type, fact.data.language) for fact in facts] == [
        ("customer.registered", "en"),
        ("customer.updated", "en"),
        ("customer.updated", "ru"),
    ]
    assert (await desk.get("/customers", email=email.title()))["items"] == [changed]
    await desk.patch(f"/customers/{customer['id']}", {"time_zone": "Mars/Base"}, status=422)
    await desk.get(f"/customers/{uuid4()}", status=404)


async def test_addresses_and_domains_have_one_owner(desk: Any) -> None:
    """409 when a customer's address or an organisation's domain is taken."""
    first, second = f"{uuid4().hex}@example.com", f"{uuid4().hex}@example.com"
    await desk.post("/customers", {"name": "First", "email": first})
    other = await desk.post("/customers", {"name": "Second", "email": second})
    await desk.patch(f"/customers/{other['id']}", {"email": first}, status=409)
    domain = f"{uuid4().hex}.example"
    await desk.post("/organizations", {"name": "First", "domains": [domain.upper()]})
    problem = await desk.post("/organizations", {"name": "Second", "domains": [domain]}, status=409)
    assert domain in problem["detail"]


async def test_an_organization_is_changed_and_told(desk: Any) -> None:
    """A change of tier is a fact; tickets opened before keep theirs."""
    organization = await desk.post("/organizations", {"name": "Acme", "tier": "silver"})
    before = await desk.opened(organization_id=organization["id"])
    await desk.patch(f"/organizations/{organization['id']}", {"tier": "gold", "domains": ["acme-one.example"]})
    after = await desk.opened(organization_id=organization["id"])
    assert (before["tier"], after["tier"]) == ("silver", "gold")
    facts = await desk.published(CUSTOMERS.name, organization["id"], 2)
    assert [(fact.type, fact.data.tier) for fact in facts] == [
        ("organization.registered", "silver"),
        ("organization.updated", "gold"),
    ]
    assert (await desk.get(f"/organizations/{organization['id']}"))["domains"] == ["acme-one.example"]


async def test_parallel_openings_of_one_stranger_register_one_customer(desk: Any) -> None:
    """Eight tickets at once from an unknown address have one customer, registered by one fact."""
    email = f"{uuid4().hex}@example.com"
    tickets = await asyncio.gather(*(desk.opened(requester_email=email) for _ in range(8)))
    (requester,) = {ticket["requester_id"] for ticket in tickets}
    assert len({ticket["number"] for ticket in tickets}) == 8
    assert (await desk.get(f"/customers/{requester}"))["version"] == 1


async def test_parallel_openings_of_one_foreign_case_make_one_ticket(desk: Any) -> None:
    """Of eight openings with one external id at once, one is carried out and the others are conflicts."""
    body = {"title": "x", "external_source": "crm", "external_id": uuid4().hex}
    answers = await asyncio.gather(*(desk.client.post("/v1/tickets", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_parallel_commands_take_turns(desk: Any) -> None:
    """Notes that arrive at once are numbered without a gap, on the topic in that order."""
    ticket = await desk.opened()
    path = f"/tickets/{ticket['id']}/notes"
    answers = await asyncio.gather(*(desk.post(path, {"body": str(one)}) for one in range(10)))
    assert sorted(answer["version"] for answer in answers) == list(range(2, 12))
    facts = await desk.published(TICKETS.name, ticket["id"], 11)
    assert [fact.sequence for fact in facts] == list(range(1, 12))
    assert [fact.time for fact in facts] == sorted(fact.time for fact in facts)


async def test_bulk_sized_bodies_are_taken(desk: Any) -> None:
    """Intake reads bodies of several megabytes, as imports send them, and judges what they say."""
    headers = {"Content-Type": "application/json"}
    large = b'{"title": "' + b"x" * 7_000_000 + b'"}'
    answer = await desk.client.post("/v1/tickets", content=large, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "title")


async def test_openings_at_the_same_moment_keep_each_its_own_trace_actor_and_refusal(desk: Any) -> None:
    """Whatever shares a transaction: facts tell who asked and in which trace; what is refused takes nobody along."""
    first = await desk.opened(external_source="/crm", external_id=uuid4().hex)
    marks = [f"{number:032x}" for number in range(1, 31)]

    async def open_one(mark: str) -> Any:
        refused = int(mark, 16) % 5 == 0
        body = {"title": "At once", "requester_email": f"{mark}@{uuid4().hex}.example"}
        if refused:
            body |= {"external_source": "/crm", "external_id": first["external_id"]}
        headers = {"traceparent": f"00-{mark}-00000000000000ab-01", "X-Opora-Actor": f"agent:{mark}"}
        return await desk.post("/tickets", body, status=409 if refused else 201, **headers)

    answers = await asyncio.gather(*(open_one(mark) for mark in marks))
    for mark, answer in zip(marks, answers, strict=True):
        if "id" not in answer:
            assert first["number"] in answer["detail"]
            continue
        (created,) = await desk.published(TICKETS.name, answer["id"], 1)
        (registered,) = await desk.published(CUSTOMERS.name, answer["requester_id"], 1)
        for fact in (created, registered):
            assert (fact.actor, fact.traceparent) == (f"agent:{mark}", f"00-{mark}-00000000000000ab-01")
    strangers = [mark for mark in marks if int(mark, 16) % 5 == 0]
    registered_addresses = await desk.database.fetchval(
        "select count(*) from customers where split_part(email, '@', 1) = any($1::text[])", strangers
    )
    assert registered_addresses == 0
