"""Dead letters over HTTP: found by what a publisher knows, shown safely, redriven and given up under their scopes."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from opora_chassis.clock import Clock
from opora_chassis.consume import Guard, PermanentError, Subscription, dead_letters
from opora_chassis.consume.dead_letters import Burial
from opora_chassis.consume.record import Record
from opora_chassis.database import Database, Transaction
from opora_chassis.http import build_app, create_key
from opora_chassis.http.dead_letters import MOST_REDRIVEN, TEXT_CHARACTERS, dead_letter_routes
from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings
from opora_contracts import Event
from opora_contracts.requests import TicketSubmitted
from opora_contracts.topics import REQUESTS

TOPIC = "t1.opora.requests"


@dataclass(slots=True)
class Office:
    """A service that only knows dead letters, and handles a redriven event by noting its subject."""

    client: httpx.AsyncClient
    database: Database
    handled: list[str] = field(default_factory=list)
    refusing: bool = False
    offset: int = 0

    async def handle(self, events: Sequence[Event[Any]], _tx: Transaction) -> None:
        """The effect of a redriven event."""
        if self.refusing:
            raise PermanentError("not today")
        self.handled += [event.data.title for event in events]

    async def bury(
        self, record: Record, key: str, code: str = "wrong_schema", reason: str = "data.title: absent"
    ) -> Any:
        """Put a record aside, and give the letter as the list shows it."""
        async with self.database.transaction() as tx:
            await dead_letters.bury(tx, REQUESTS.name, [Burial(record, key, code, reason, attempts=0)])
        (letter,) = (await self.listed(offset=record.offset))["items"]
        return letter

    def record(self, key: bytes | None, value: bytes | None = b'{"title":"a"}', **changes: bytes | None) -> Record:
        """The next record of the topic; `changes` are headers."""
        self.offset += 1
        headers: dict[str, bytes | None] = {
            "ce_specversion": b"1.0",
            "ce_id": uuid4().hex.encode(),
            "ce_source": b"//monitoring.example",
            "ce_type": b"ticket.submitted",
            "ce_time": b"2026-03-02T08:14:05Z",
            "ce_subject": b"alert-1",
        }
        return Record(TOPIC, 7, self.offset, key, value, tuple({**headers, **changes}.items()))

    async def listed(self, **query: Any) -> Any:
        """A page of the list."""
        answer = await self.client.get("/v1/dead-letters", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, **query: Any) -> list[str]:
        """The ids that a search finds, over all pages."""
        page = await self.listed(**query)
        found = [item["id"] for item in page["items"]]
        while page["next_cursor"] is not None:
            page = await self.listed(**query, cursor=page["next_cursor"])
            found += [item["id"] for item in page["items"]]
        return found


@asynccontextmanager
async def office_on(dsn: str) -> AsyncIterator[Office]:
    """The service on a migrated database."""
    database = await Database.open(dsn, service="office", clock=Clock())
    platform = Platform("office", ServiceSettings(database_dsn=dsn, kafka_bootstrap="unused:9092"), database, Clock())
    token = await create_key(database, "office", ["dead-letters:read", "dead-letters:write"])
    office = Office(httpx.AsyncClient(), database)
    subscription = Subscription(REQUESTS, office.handle, (TicketSubmitted,), Guard.INBOX)
    transport = httpx.ASGITransport(build_app(platform, [dead_letter_routes([subscription])]))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://office", headers={"Authorization": f"Bearer {token}"}
    ) as office.client:
        yield office
    await database.close()


@pytest.fixture
async def office(migrated: str) -> AsyncIterator[Office]:
    """The service."""
    async with office_on(migrated) as running:
        yield running


async def test_a_publisher_finds_its_letter(office: Office) -> None:
    """By the broker's acknowledgement, by source and id, by key, by code: each finds the letter, and only that."""
    wanted = await office.bury(office.record(b"alert-1", ce_id=b"evt-1"), "alert-1")
    other = await office.bury(office.record(b"alert-2"), "alert-2", "bad_json", "the record's value is not JSON")
    assert await office.ids() == [wanted["id"], other["id"]]
    for query in (
        {"topic": TOPIC, "partition": 7, "offset": wanted["offset"]},
        {"source": "//monitoring.example", "event_id": "evt-1"},
        {"key": "alert-1"},
        {"reason_code": "wrong_schema"},
        {"consumer": "opora.requests", "key": "alert-1", "reason_code": "wrong_schema"},
    ):
        assert await office.ids(**query) == [wanted["id"]], query
    assert await office.ids(event_id="evt-2") == []
    assert await office.ids(consumer=TOPIC) == []
    assert (wanted["source"], wanted["event_id"]) == ("//monitoring.example", "evt-1")
    assert (wanted["reason_code"], wanted["reason"], wanted["attempts"]) == ("wrong_schema", "data.title: absent", 0)
    assert wanted["created_at"].endswith("Z")


async def test_a_structured_event_is_found_too(office: Office) -> None:
    """Source and id are read from the event's own document when it travels whole in the value."""
    value = b'{"specversion":"1.0","id":"evt-9","source":"/crm","data":{}}'
    headers = (("content-type", b"application/cloudevents+json"),)
    await office.bury(Record(TOPIC, 1, 500, b"k", value, headers), "k")
    assert len(await office.ids(source="/crm", event_id="evt-9")) == 1


async def test_the_list_comes_in_pages_and_shows_no_contents(office: Office) -> None:
    """Each letter stands on one page, in the order in which they were put aside; values and headers on none."""
    buried = [(await office.bury(office.record(b"k", b'{"body":"secret"}'), f"k{n}"))["id"] for n in range(5)]
    assert await office.ids(limit=2) == buried
    page = await office.client.get("/v1/dead-letters")
    assert "secret" not in page.text
    assert "value" not in page.json()["items"][0]


async def test_a_letter_shows_its_bytes_exactly_and_safely(office: Office) -> None:
    """Base64 gives every byte; the text for people shows what would hide or act in a terminal as escapes."""
    value = "a\u202eb\x1b[2J\n".encode() + b"\xff"
    record = office.record(b"\xfe", value, ce_id=b"\xff", x_none=None)
    letter = await office.bury(record, "\\xfe")
    whole = (await office.client.get(f"/v1/dead-letters/{letter['id']}")).json()
    assert whole["value"]["text"] == "a\\u202eb\\x1b[2J\\n\\xff"
    assert base64.b64decode(whole["value"]["base64"]) == value
    assert (whole["value"]["size_bytes"], whole["value"]["is_whole"]) == (len(value), True)
    assert base64.b64decode(whole["raw_key"]["base64"]) == b"\xfe"
    headers = {header["name"]: header["value"] for header in whole["headers"]}
    assert headers["ce_id"]["text"] == "\\xff"
    assert headers["x_none"] is None
    assert {name: whole[name] for name in letter} == letter
    assert letter["event_id"] is None


async def test_a_large_value_is_cut_for_people_and_whole_for_programs(office: Office) -> None:
    """Text ends after 10,000 characters and says so; a null value is null."""
    large = await office.bury(office.record(b"k", b"x" * (TEXT_CHARACTERS + 1)), "k")
    null = await office.bury(office.record(None, None), "k")
    shown = (await office.client.get(f"/v1/dead-letters/{large['id']}")).json()["value"]
    assert (len(shown["text"]), shown["is_whole"]) == (10_000, False)
    assert len(base64.b64decode(shown["base64"])) == 10_001
    empty = (await office.client.get(f"/v1/dead-letters/{null['id']}")).json()
    assert (empty["value"], empty["raw_key"]) == (None, None)


async def test_a_header_name_with_nul_can_be_kept(office: Office) -> None:
    """PostgreSQL's JSON holds no U+0000: the name is kept as an escape, its value as it came."""
    letter = await office.bury(office.record(b"k", **{"x\0y": b"\0"}), "k")
    headers = (await office.client.get(f"/v1/dead-letters/{letter['id']}")).json()["headers"]
    assert [one["value"]["base64"] for one in headers if one["name"] == "x\\x00y"] == ["AA=="]


async def test_a_redrive_handles_the_key_in_order(office: Office) -> None:
    """The key's letters have their effect in order, another key's none; a letter that is gone is 404."""
    first = await office.bury(office.record(b"k", b'{"title":"one"}'), "k", "refused")
    await office.bury(office.record(b"k", b'{"title":"two"}'), "k", "queued")
    other = await office.bury(office.record(b"l", b'{"title":"three"}'), "l", "refused")
    answer = await office.client.post(f"/v1/dead-letters/{first['id']}/redrive")
    assert (answer.status_code, answer.json()) == (200, {"redriven": 2, "failed": 0, "remaining": 1, "detail": []})
    assert office.handled == ["one", "two"]
    assert await office.ids() == [other["id"]]
    again = await office.client.post(f"/v1/dead-letters/{first['id']}/redrive")
    assert (again.status_code, again.json()["type"]) == (404, "urn:opora:problem:not-found")


async def test_what_fails_again_keeps_its_place_and_says_why(office: Office) -> None:
    """A letter whose cause is still there stays, with one attempt more."""
    letter = await office.bury(office.record(b"k"), "k", "refused")
    office.refusing = True
    answer = (await office.client.post(f"/v1/dead-letters/{letter['id']}/redrive")).json()
    assert (answer["redriven"], answer["failed"], answer["remaining"]) == (0, 1, 1)
    assert "not today" in answer["detail"][0]
    (kept,) = (await office.listed())["items"]
    assert (kept["id"], kept["attempts"]) == (letter["id"], 1)


async def test_one_call_redrives_a_bounded_number(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call ends after so many letters, and another goes on where it ended."""
    assert MOST_REDRIVEN == 500
    monkeypatch.setattr("opora_chassis.http.dead_letters.MOST_REDRIVEN", 2)
    letters = [await office.bury(office.record(b"k", b'{"title":"%d"}' % n), "k", "queued") for n in range(3)]
    answer = (await office.client.post(f"/v1/dead-letters/{letters[0]['id']}/redrive")).json()
    assert (answer["redriven"], answer["remaining"]) == (2, 1)
    answer = (await office.client.post(f"/v1/dead-letters/{letters[2]['id']}/redrive")).json()
    assert (answer["redriven"], answer["remaining"]) == (1, 0)
    assert office.handled == ["0", "1", "2"]


async def test_a_discarded_letter_is_gone_and_frees_its_key(office: Office) -> None:
    """The key is parked until its last letter is handled or given up; repeated under its key the answer is the same."""
    first = await office.bury(office.record(b"k"), "k")
    second = await office.bury(office.record(b"k"), "k", "queued")
    repeatable = {"Idempotency-Key": uuid4().hex}
    for _ in range(2):
        answer = await office.client.delete(f"/v1/dead-letters/{first['id']}", headers=repeatable)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await office.client.delete(f"/v1/dead-letters/{first['id']}")).status_code == 404
    assert await dead_letters.counts(office.database) == (1, 1)
    await office.client.delete(f"/v1/dead-letters/{second['id']}")
    assert await dead_letters.counts(office.database) == (0, 0)
    assert office.handled == []


async def test_each_scope_opens_its_own_door(office: Office) -> None:
    """Reading needs dead-letters:read, since values may be personal; acting needs dead-letters:write."""
    letter = await office.bury(office.record(b"k"), "k")
    one = f"/v1/dead-letters/{letter['id']}"
    doors = [("GET", "/v1/dead-letters"), ("GET", one), ("POST", f"{one}/redrive"), ("DELETE", one)]
    reader = await create_key(office.database, "reader", ["dead-letters:read"])
    writer = await create_key(office.database, "writer", ["dead-letters:write"])
    for token, lacking, closed in ((writer, "dead-letters:read", doors[:2]), (reader, "dead-letters:write", doors[2:])):
        for method, path in closed:
            answer = await office.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()["scope"]) == (403, lacking), (method, path)
    for method, path in doors:
        assert (await office.client.request(method, path, headers={"Authorization": ""})).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/dead-letters?cursor=nonsense", 400),
        ("/v1/dead-letters?limit=201", 422),
        ("/v1/dead-letters?offset=-1", 422),
        ("/v1/dead-letters?offset=9223372036854775808", 422),
        ("/v1/dead-letters?partition=2147483648", 422),
        ("/v1/dead-letters?reason=x", 422),
        ("/v1/dead-letters?key=%00", 422),
        ("/v1/dead-letters/7", 404),
        (f"/v1/dead-letters/{uuid4()}", 404),
    ],
)
async def test_bad_questions_are_problems(office: Office, path: str, status: int) -> None:
    """A cursor of no list, a number no record has, an unknown filter, an unknown id: each is a problem document."""
    answer = await office.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
