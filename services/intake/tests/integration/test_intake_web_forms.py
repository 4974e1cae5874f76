"""Web forms over HTTP: the page and the script's way, with no key, against a real service."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from opora_chassis.clock import host_now
from opora_contracts.topics import TICKETS
from opora_intake.domain.form_tokens import make_token
from services.intake.tests.mailroom import someone

pytestmark = pytest.mark.asyncio(loop_scope="session")
SITE = "https://www.example.org"


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(desk: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a key."""
    async with httpx.AsyncClient(base_url=str(desk.client.base_url), trust_env=False, timeout=60) as client:
        yield client


async def made(desk: Any, **rules: Any) -> str:
    """A form of the test's own; its name."""
    name = f"form-{uuid4().hex[:12]}"
    await desk.post("/web-forms", {"name": name, "title": "Write to us", "minimum_seconds": 0, **rules}, status=201)
    return name


async def token_of(visitor: httpx.AsyncClient, name: str) -> str:
    """A token of a new page."""
    return str((await visitor.get(f"/v1/forms/{name}")).json()["token"])


def filled(token: str, **changes: Any) -> dict[str, Any]:
    """What a person sends."""
    return {
        "token": token,
        "email": someone(),
        "subject": "Printer",
        "message": "It prints nothing.\nAt all.",
    } | changes


async def tickets_of(desk: Any, address: str) -> list[Any]:
    """The tickets of whoever has this address."""
    found: list[Any] = await desk.database.fetch(
        "select tickets.* from tickets join customers on customers.id = requester_id where email = $1", address
    )
    return found


async def test_what_is_sent_is_a_ticket_of_an_unproven_person(desk: Any, visitor: httpx.AsyncClient) -> None:
    """Over the script's way: 201 with the number; the ticket came by the web, and a note says that nobody proved it."""
    name = await made(desk, language="ru", kind="question", group="Desk", tags=["site"])
    sent = filled(await token_of(visitor, name), name="Анна", subject=" Принтер\tне\u202e печатает\x00 ")
    answer = await visitor.post(f"/v1/forms/{name}", json=sent)
    assert answer.status_code == 201, answer.text
    (ticket,) = await tickets_of(desk, sent["email"])
    assert answer.json() == {"ticket": f"OP-{ticket['number']}"}
    assert (ticket["title"], ticket["channel"], ticket["language"]) == ("Принтер не печатает", "web", "ru")
    assert (ticket["kind"], ticket["group"], list(ticket["tags"])) == ("question", "Desk", ["site"])
    written, note = (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"]
    assert (written["body"], written["visibility"]) == ("It prints nothing.\nAt all.", "public")
    assert (note["visibility"], note["body"][:36]) == ("internal", "Unverified: sent by the web form for"[:36])
    (created, *_) = await desk.published(TICKETS.name, ticket["id"], 1)
    assert (created.actor, created.data.channel) == ("system:web-form", "web")


async def test_a_page_sent_twice_is_one_ticket(desk: Any, visitor: httpx.AsyncClient) -> None:
    """However often and however fast one page is sent: one ticket, whose number every answer names."""
    name = await made(desk)
    sent = filled(await token_of(visitor, name))
    answers = await asyncio.gather(*(visitor.post(f"/v1/forms/{name}", json=sent) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["ticket"] for answer in answers}) == 1
    other = await visitor.post(f"/v1/forms/{name}", json=sent | {"subject": "Another text with the same token"})
    assert other.json() == answers[0].json()
    assert len(await tickets_of(desk, sent["email"])) == 1


@pytest.mark.parametrize("token", ["", "x" * 48, "é" * 48, "another form's", "changed", "yesterday's"])
async def test_a_token_of_no_page_of_this_form_opens_nothing(desk: Any, visitor: httpx.AsyncClient, token: str) -> None:
    """It is refused with a fresh one, and the page keeps what was written."""
    name = await made(desk)
    good = await token_of(visitor, name)
    given = {
        "another form's": await token_of(visitor, await made(desk)),
        "changed": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "yesterday's": good,
    }.get(token, token)
    if token == "yesterday's":
        row = await desk.database.fetchrow("select secret from web_forms where name = $1", name)
        given = make_token(row["secret"], name, host_now() - timedelta(hours=25), b"n" * 15)
    sent = filled(given)
    answer = await visitor.post(f"/v1/forms/{name}", json=sent)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:opora:problem:form-token-refused")
    page = await visitor.post(f"/forms/{name}", data=sent)
    assert page.status_code == 422
    assert sent["message"].splitlines()[0] in page.text
    assert not await tickets_of(desk, sent["email"])
    for fresh in (answer.json()["token"], token_in(page.text)):
        assert (await visitor.post(f"/v1/forms/{name}", json=sent | {"token": fresh})).status_code in {200, 201}


async def test_who_sends_at_once_is_asked_to_wait(desk: Any, visitor: httpx.AsyncClient) -> None:
    """Before the minimum time nothing is opened; the page comes back with its text and the same token."""
    name = await made(desk, minimum_seconds=600)
    sent = filled(await token_of(visitor, name))
    answer = await visitor.post(f"/v1/forms/{name}", json=sent)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:opora:problem:form-sent-early")
    assert 590 <= int(answer.headers["retry-after"]) <= 600
    page = await visitor.post(f"/forms/{name}", data=sent)
    assert (page.status_code, token_in(page.text)) == (422, sent["token"])
    assert "very fast" in page.text
    assert not await tickets_of(desk, sent["email"])


async def test_mistakes_are_said_beside_their_fields_all_at_once(desk: Any, visitor: httpx.AsyncClient) -> None:
    """Everything that is wrong is named, in the form's language, and nothing that was written is lost."""
    await desk.patch("/settings", {"fields": OWN_FIELDS})
    name = await made(desk, asks_name="required", language="ru", fields=ASKED)
    token = await token_of(visitor, name)
    wrong = {
        "token": token,
        "email": "nobody",
        "name": "",
        "subject": "x" * 251,
        "message": "  ",
        "website": "https://spam.example",
        "fields.os": "OS/2",
        "fields.seats": "many",
        "fields.since": "soon",
        "fields.agreed": "",
    }
    page = await visitor.post(f"/forms/{name}", data=wrong)
    assert page.status_code == 422
    for field in ("email", "name", "subject", "message", "website", *(f"fields.{each['name']}" for each in ASKED[:4])):
        assert f'id="{field}-error"' in page.text, field
        assert f'aria-describedby="{field}-error"' in page.text, field
    assert "Это не адрес электронной почты" in page.text
    assert 'value="nobody"' in page.text
    assert 'value="many"' in page.text
    own = {"os": "OS/2", "seats": True, "since": 7, "parts": ["wheel"], "nothing": "x"}
    answer = await visitor.post(f"/v1/forms/{name}", json={"token": token, "fields": own})
    told = {field: each["mistake"] for field, each in answer.json()["mistakes"].items()}
    assert told == {
        "email": "required",
        "name": "required",
        "subject": "required",
        "message": "required",
        "fields.os": "choice",
        "fields.seats": "number",
        "fields.since": "day",
        "fields.agreed": "required",
        "fields.parts": "choice",
        "fields.nothing": "unknown",
    }
    right = wrong | {"email": someone(), "name": "Анна", "subject": "x", "message": "y", "website": ""}
    right |= {"fields.os": "Linux", "fields.seats": "2,5", "fields.since": "2026-03-02", "fields.agreed": "true"}
    page = await visitor.post(f"/forms/{name}", data=right | {"fields.parts": ["screen", "printer"]})
    assert page.status_code == 200, page.text
    (ticket,) = await tickets_of(desk, right["email"])
    assert ticket["fields"] == {
        "os": "Linux",
        "seats": 2.5,
        "since": "2026-03-02",
        "agreed": True,
        "parts": ["printer", "screen"],
    }


async def test_an_hour_takes_so_much_and_no_more(desk: Any, visitor: httpx.AsyncClient) -> None:
    """By address, whatever its letter case, and by form: one too many is 429, opens nothing and keeps the text."""
    name, other = await made(desk, most_an_hour=7), await made(desk)
    anna = someone()
    sent = [filled(await token_of(visitor, name), email=anna if n % 2 else anna.upper()) for n in range(8)]
    answers = await asyncio.gather(*(visitor.post(f"/v1/forms/{name}", json=each) for each in sent))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [429] * 3
    elsewhere = await visitor.post(f"/v1/forms/{other}", json=filled(await token_of(visitor, other), email=anna))
    assert elsewhere.status_code == 429
    for expected in (201, 201, 429):
        answer = await visitor.post(f"/v1/forms/{name}", json=filled(await token_of(visitor, name)))
        assert answer.status_code == expected
    assert int(answer.headers["retry-after"]) > 0
    late = filled(await token_of(visitor, name), message="What I wrote <b>long</b>")
    page = await visitor.post(f"/forms/{name}", data=late)
    assert (page.status_code, "What I wrote &lt;b&gt;long" in page.text) == (429, True)
    row = await desk.database.fetchrow("select count(*) as n from web_form_submissions where form = $1", name)
    assert row["n"] == 7
    await desk.database.fetchval("update web_form_submissions set submitted_at = submitted_at - interval '61 minutes'")
    assert (await visitor.post(f"/v1/forms/{name}", json=late)).status_code == 201
    await desk.database.fetchval("update web_form_submissions set submitted_at = submitted_at - interval '3 days'")
    assert (await visitor.post(f"/v1/forms/{name}", json=filled(await token_of(visitor, name)))).status_code == 201
    row = await desk.database.fetchrow("select count(*) as n from web_form_submissions where form = $1", name)
    assert row["n"] == 1


async def test_only_named_sites_may_send_by_script(desk: Any, visitor: httpx.AsyncClient) -> None:
    """CORS: a named site is answered so that its pages can read it, errors too; any other one opens nothing."""
    name = await made(desk, origins=[SITE])
    path, ours, theirs = f"/v1/forms/{name}", {"Origin": SITE}, {"Origin": "https://evil.example"}
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = await visitor.options(path, headers=ours | ask)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, SITE)
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-allow-headers"] == "content-type"
    refused = await visitor.options(path, headers=theirs | ask)
    assert "access-control-allow-origin" not in refused.headers
    assert refused.headers["vary"] == "Origin"
    described = await visitor.get(path, headers=ours)
    assert described.headers["access-control-allow-origin"] == SITE
    sent = filled(described.json()["token"])
    assert (await visitor.post(path, json=sent, headers=theirs)).status_code == 403
    assert (await visitor.post(path, json=sent, headers={"Origin": "null"})).status_code == 403
    assert not await tickets_of(desk, sent["email"])
    mistaken = await visitor.post(path, json=sent | {"email": ""}, headers=ours)
    assert (mistaken.status_code, mistaken.headers["access-control-allow-origin"]) == (422, SITE)
    opened = await visitor.post(path, json=sent, headers=ours)
    assert (opened.status_code, opened.headers["access-control-allow-origin"]) == (201, SITE)
    assert "access-control-allow-credentials" not in opened.headers
    page = await visitor.get(f"/forms/{name}")
    assert f"frame-ancestors {SITE}" in page.headers["content-security-policy"]


async def test_the_page_lets_nothing_in(desk: Any, visitor: httpx.AsyncClient) -> None:
    """No script, nothing from elsewhere, no frame, no cache; every text of operator and visitor is escaped."""
    evil = "</textarea><script>alert(1)</script>"
    name = await made(desk, title=evil[11:], introduction=evil)
    page = await visitor.get(f"/forms/{name}")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "script-src" not in policy
    assert policy.endswith("form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
    assert (page.headers["cache-control"], page.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert "set-cookie" not in page.headers
    again = await visitor.post(f"/forms/{name}", data=filled("", email=f'"{evil}', subject=evil, message=evil))
    for text in (page.text, again.text):
        assert "<script" not in text
        assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", text)
    assert "&lt;/textarea&gt;&lt;script&gt;" in again.text


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\xff\xfe", 400),
        (b"token=%FF%FE&email=%00", 422),
        (b"&".join(b"a%d=1" % n for n in range(400)), 400),
        (b"message=" + b"x" * 300_000, 413),
        (b"message=" + b"%F0%9F%96%A8" * 15_000, 422),
        (b"", 422),
        (b"fields.a=1&fields.=2&fields.fields.=3&=4&token", 422),
    ],
    ids=["no UTF-8", "no text", "400 fields", "300 kB", "15,000 printers", "nothing", "odd names"],
)
async def test_whatever_a_page_sends_is_answered(
    desk: Any, visitor: httpx.AsyncClient, raw: bytes, status: int
) -> None:
    """Broken, hostile and far too large bodies get a clear answer, open nothing and cost nothing."""
    name = await made(desk)
    before = await desk.database.fetchval("select count(*) from web_form_submissions where form = $1", name)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await visitor.post(f"/forms/{name}", content=raw, headers=headers)
    assert answer.status_code == status, answer.text
    for body in (
        b"{",
        b"[]",
        b'{"token": 7}',
        b'{"email": "a@b", "who": 1}',
        b'{"fields": []}',
        b"\xff",
        b"[" * 100_000,
    ):
        refused = await visitor.post(f"/v1/forms/{name}", content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json"), body[:40]
    assert await desk.database.fetchval("select count(*) from web_form_submissions where form = $1", name) == before


async def test_a_form_that_is_not_there_says_so(desk: Any, visitor: httpx.AsyncClient) -> None:
    """Unknown, closed and removed forms are 404, to a script as a problem and to a person as a page."""
    name = await made(desk)
    await desk.client.put(f"/v1/web-forms/{name}", json={"title": "Write to us", "is_open": False})
    for path in (name, "nothing", "x" * 300, "%00", "Form"):
        assert (await visitor.get(f"/v1/forms/{path}")).status_code == 404
        assert (await visitor.post(f"/v1/forms/{path}", json={})).status_code == 404
        page = await visitor.get(f"/forms/{path}", headers={"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.8"})
        assert (page.status_code, "Такой формы нет" in page.text) == (404, True)
    assert (await desk.client.delete(f"/v1/web-forms/{name}")).status_code == 204
    await desk.get(f"/web-forms/{name}", status=404)


async def test_forms_are_settled_by_who_may(desk: Any, visitor: httpx.AsyncClient) -> None:
    """Versions guard against overwriting, fields and categories must exist, and no answer shows a secret."""
    assert (await visitor.get("/v1/web-forms")).status_code == 401
    name = await made(desk)
    await desk.post("/web-forms", {"name": name, "title": "x"}, status=409)
    for wrong in (
        {"origins": ["https://a.example/path"]},
        {"origins": ["*"]},
        {"fields": [{"name": "no_such_field"}]},
        {"fields": [{"name": "os"}, {"name": "os"}]},
        {"language": "de"},
        {"title": "a\nb"},
        {"minimum_seconds": 601},
    ):
        await desk.post("/web-forms", {"name": f"{name}x", "title": "x", **wrong}, status=422)
    stale = {"title": "Two", "expected_version": 2}
    assert (await desk.client.put(f"/v1/web-forms/{name}", json=stale)).status_code == 409
    changed = (await desk.client.put(f"/v1/web-forms/{name}", json={"title": "Two", "expected_version": 1})).json()
    assert (changed["title"], changed["version"]) == ("Two", 2)
    assert "secret" not in (await desk.client.get("/v1/web-forms")).text


def token_in(page: str) -> str:
    """The token that stands in a page."""
    found = re.search(r'name="token" value="([^"]*)"', page)
    assert found is not None
    return found[1]


OWN_FIELDS: list[dict[str, Any]] = [
    {"name": "os", "label": "System", "type": "choice", "choices": ["Linux", "Windows"]},
    {"name": "seats", "label": "Seats", "type": "number", "minimum": 1},
    {"name": "since", "label": "Since", "type": "date"},
    {"name": "agreed", "label": "I agree", "type": "boolean"},
    {"name": "parts", "label": "Parts", "type": "multi_choice", "choices": ["printer", "screen"]},
]
ASKED = [{"name": each["name"], "required": each["name"] == "agreed"} for each in OWN_FIELDS]
