"""Calendars as they are kept: versions, agreements that name them, feeds that change and vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest

from opora_chassis.identifiers import new_id
from opora_sla.calendar.document import ALWAYS_OPEN_ID
from opora_sla.calendar_examples import DOCUMENT

OFFICE = DOCUMENT | {"feed": None, "holidays_of": None}
AGREEMENT: dict[str, Any] = {
    "name": "Silver",
    "calendar": DOCUMENT["name"],
    "metrics": {"resolution": {"targets": {"P1": {"hours": 4}}}},
    "conditions": {"external_source": ["log"]},
}


class FeedServer:
    """A feed on the loopback interface whose answer can be changed."""

    def __init__(self) -> None:
        self.status = HTTPStatus.OK
        self.content = b""

    def closes(self, *days: str) -> None:
        """Let it be a good file with these all-day events, as YYYYMMDD."""
        events = "".join(
            f"BEGIN:VEVENT\r\nUID:{day}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:{day}\r\nEND:VEVENT\r\n"
            for day in days
        )
        lines = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n{events}END:VCALENDAR\r\n"
        self.status, self.content = HTTPStatus.OK, lines.encode()


@asynccontextmanager
async def feed_server() -> AsyncIterator[tuple[FeedServer, str]]:
    """It, and its address."""
    feed = FeedServer()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {feed.status.value} x\r\nconnection: close\r\ncontent-length: {len(feed.content)}\r\n\r\n"
        writer.write(head.encode() + feed.content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield feed, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/office.ics"


async def test_an_edit_of_a_calendar_counts_for_later_tickets(sla: Any) -> None:
    """It makes a version of each agreement that names it; what a ticket pinned stays, and so does its due date."""
    async with sla() as desk:
        client = desk.service.client
        made = await client.post("/v1/calendars", json=OFFICE)
        assert (made.status_code, made.json()["version"], made.json()["sources"]) == (201, 1, None)
        calendar_id = made.json()["id"]
        assert (await client.post("/v1/calendars", json=OFFICE)).json()["id"] == calendar_id
        agreement = (await client.post("/v1/agreements", json=AGREEMENT)).json()
        assert agreement["calendar"] == {"id": calendar_id, "version": 1, "name": OFFICE["name"]}
        other = (await client.post("/v1/agreements", json=AGREEMENT | {"name": "B", "calendar": "24x7"})).json()
        before = await desk.create(external_source="log")
        await desk.taken_in(before)
        due = (await desk.get(f"/v1/tickets/{before}"))["clocks"][0]["due_at"]

        every_day = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
        changed = OFFICE | {"weekly_hours": every_day, "breaks": {}}
        for _ in range(2):
            answer = await client.put(f"/v1/calendars/{calendar_id}", json=changed)
            assert (answer.status_code, answer.json()["version"]) == (200, 2)
        newest = await desk.get(f"/v1/agreements/{agreement['id']}")
        after = await desk.create(external_source="log")
        await desk.taken_in(after)
        pins = [(await desk.get(f"/v1/tickets/{each}"))["agreement"]["version"] for each in (before, after)]
        kept = await desk.get(f"/v1/tickets/{before}")
        untouched = await desk.get(f"/v1/agreements/{other['id']}")
        old = await desk.get(f"/v1/calendars/{calendar_id}", version=1)
        listed = await desk.get("/v1/calendars")

    assert (newest["version"], newest["calendar"]["version"], newest["document"]) == (2, 2, agreement["document"])
    assert untouched["version"] == 1
    assert kept["clocks"][0]["due_at"] == due
    assert pins == [1, 2]
    assert old["document"]["weekly_hours"] == OFFICE["weekly_hours"]
    assert {each["document"]["name"]: each["version"] for each in listed["items"]} == {"24x7": 1, OFFICE["name"]: 2}


async def test_a_calendar_that_cannot_be_is_refused(sla: Any) -> None:
    """An unknown name with the one that was meant, a name that is taken or changed, a feed that leads inside."""
    async with sla() as desk:
        client = desk.service.client
        calendar_id = (await client.post("/v1/calendars", json=OFFICE)).json()["id"]
        unknown = await client.post("/v1/agreements", json=AGREEMENT | {"calendar": "Berlin ofice"})
        taken = await client.post("/v1/calendars", json=OFFICE | {"breaks": {}})
        renamed = await client.put(f"/v1/calendars/{calendar_id}", json=OFFICE | {"name": "Bonn"})
        built_in = await client.put(
            f"/v1/calendars/{ALWAYS_OPEN_ID}", json={"name": "24x7", "holidays": ["2026-01-01"]}
        )
        missing = await client.put(f"/v1/calendars/{new_id()}", json=OFFICE)
        inside = await client.post("/v1/calendars", json=OFFICE | {"name": "C", "feed": "http://169.254.169.254/a"})
        never = await client.post("/v1/calendars", json=OFFICE | {"name": "C", "weekly_hours": {}})
        far = await client.get(f"/v1/calendars/{calendar_id}/preview", params={"from": "1999-12-31"})
        many = await client.get(f"/v1/calendars/{calendar_id}/preview", params={"days": 401})

    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "calendar"
    assert "write 'Berlin office'" in unknown.json()["detail"]
    assert [answer.status_code for answer in (taken, renamed, built_in, missing)] == [409, 409, 409, 404]
    assert taken.json()["calendar_id"] == calendar_id
    assert [answer.status_code for answer in (inside, never, far, many)] == [422, 422, 422, 422]
    assert inside.json()["errors"][0]["field"] == "feed"


async def test_a_calendar_is_previewed(sla: Any) -> None:
    """Each date with what is open on it, in UTC, and by which field it differs; the sum of each month."""
    async with sla() as desk:
        calendar_id = (await desk.service.client.post("/v1/calendars", json=DOCUMENT | {"feed": None})).json()["id"]
        shown = await desk.get(f"/v1/calendars/{calendar_id}/preview", **{"from": "2026-12-24", "days": 2})
        year = await desk.get(f"/v1/calendars/{ALWAYS_OPEN_ID}/preview")
    assert shown["days"] == [
        {
            "date": "2026-12-24",
            "open": [{"from_at": "2026-12-24T08:00:00Z", "to_at": "2026-12-24T11:00:00Z"}],
            "open_seconds": 10_800,
            "differs_by": "date_overrides",
        },
        {"date": "2026-12-25", "open": [], "open_seconds": 0, "differs_by": "holidays_of"},
    ]
    assert shown["open_seconds_by_month"] == {"2026-12": 10_800}
    assert sum(year["open_seconds_by_month"].values()) == 365 * 86_400


@pytest.mark.slow
async def test_a_feed_is_taken_in_and_the_last_good_one_stays(sla: Any) -> None:
    """What changed in it makes a version of the calendar and its agreements; vanished or broken, it changes nothing."""
    async with feed_server() as (feed, url), sla(allow_private_feeds=True, feed_retry_minutes=0.01) as desk:
        client = desk.service.client
        year = desk.start.year + 1
        feed.closes(f"{year}1224")
        made = await client.post("/v1/calendars", json=OFFICE | {"feed": url})
        calendar_id = made.json()["id"]
        agreement_id = (await client.post("/v1/agreements", json=AGREEMENT)).json()["id"]

        async def at_version(version: int) -> bool:
            return bool((await desk.get(f"/v1/calendars/{calendar_id}"))["version"] == version)

        async def failing(text: str) -> bool:
            sources = (await desk.get(f"/v1/calendars/{calendar_id}"))["sources"]
            return sources["failing_since"] is not None and text in sources["problem"]

        async def closed(day: str) -> bool:
            shown = await desk.get(f"/v1/calendars/{calendar_id}/preview", **{"from": day, "days": 1})
            return bool(shown["days"][0]["differs_by"] == "feed")

        await desk.service.wait_until(lambda: at_version(2))
        assert await closed(f"{year}-12-24")
        assert (await desk.get(f"/v1/agreements/{agreement_id}"))["calendar"]["version"] == 2

        feed.status = HTTPStatus.NOT_FOUND
        await _read_again(desk)
        await desk.service.wait_until(lambda: failing("answered 404"))

        async def alarmed() -> bool:
            return "opora_sla_calendar_sources_failing 1.0" in (await client.get("/metrics")).text

        await desk.service.wait_until(alarmed)
        feed.status, feed.content = HTTPStatus.OK, b"BEGIN:VCALENDAR\r\n"
        await desk.service.wait_until(lambda: failing("is broken off"))
        assert await at_version(2)
        assert await closed(f"{year}-12-24")

        feed.closes(f"{year}1223")
        await desk.service.wait_until(lambda: at_version(3))
        assert (await closed(f"{year}-12-23"), await closed(f"{year}-12-24")) == (True, False)
        sources = (await desk.get(f"/v1/calendars/{calendar_id}"))["sources"]
        assert (sources["failing_since"], sources["problem"]) == (None, None)


async def _read_again(desk: Any) -> None:
    async with desk.database.transaction() as tx:
        await tx.execute("update calendar_sources set next_refresh_at = $1", tx.now)
