"""Feeds: what an iCalendar file closes, and that a bad one is refused with a reason and within limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from opora_sla.calendar.document import CalendarDocument, Closures
from opora_sla.feed.errors import FeedError
from opora_sla.feed.fetch import MOST_BYTES, fetch
from opora_sla.feed.read import read_feed
from opora_sla.feed.refresh import read_apart

FIRST, LAST = date(2025, 1, 1), date(2028, 12, 31)
ZONE = "Europe/Berlin"
BERLIN = CalendarDocument(name="Berlin", time_zone=ZONE, feed="https://example.com/a.ics")
VTIMEZONE = """BEGIN:VTIMEZONE
TZID:Office
BEGIN:STANDARD
DTSTART:19701101T020000
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700308T020000
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
END:DAYLIGHT
END:VTIMEZONE
"""


def file(*events: str, before: str = "") -> bytes:
    """An iCalendar file; an event is its lines without BEGIN, END and UID, parted by blanks."""
    written = [
        f"BEGIN:VEVENT\nUID:{number}\nDTSTAMP:20260101T000000Z\n" + "\n".join(event.split(" ")) + "\nEND:VEVENT\n"
        for number, event in enumerate(events)
    ]
    lines = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//x//EN\n" + before + "".join(written) + "END:VCALENDAR\n"
    return lines.replace("\n", "\r\n").encode()


def days(*written: str) -> Closures:
    return Closures(feed_days=frozenset(date.fromisoformat(day) for day in written))


def times(*written: tuple[str, str]) -> Closures:
    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    return Closures(feed_times=tuple((utc(begins), utc(ends)) for begins, ends in written))


MEANT: dict[str, tuple[bytes, Closures]] = {
    "a day": (file("DTSTART;VALUE=DATE:20261224"), days("2026-12-24")),
    "days, the end exclusive": (
        file("DTSTART;VALUE=DATE:20261224 DTEND;VALUE=DATE:20261227"),
        days("2026-12-24", "2026-12-25", "2026-12-26"),
    ),
    "days by their duration": (file("DTSTART;VALUE=DATE:20261224 DURATION:P2D"), days("2026-12-24", "2026-12-25")),
    "a day that is marked as free, as lists of holidays do": (
        file("DTSTART;VALUE=DATE:20261224 TRANSP:TRANSPARENT"),
        days("2026-12-24"),
    ),
    "a cancelled day": (file("DTSTART;VALUE=DATE:20261224 STATUS:CANCELLED"), Closures()),
    "hours in UTC": (
        file("DTSTART:20261224T120000Z DTEND:20261224T133000Z"),
        times(("2026-12-24T12:00", "2026-12-24T13:30")),
    ),
    "hours of a zone": (
        file("DTSTART;TZID=America/New_York:20260710T090000 DTEND;TZID=America/New_York:20260710T100000"),
        times(("2026-07-10T13:00", "2026-07-10T14:00")),
    ),
    "hours of a zone that the file describes": (
        file("DTSTART;TZID=Office:20260710T090000 DURATION:PT1H", before=VTIMEZONE),
        times(("2026-07-10T13:00", "2026-07-10T14:00")),
    ),
    "hours without a zone are the calendar's": (
        file("DTSTART:20260710T090000 DURATION:PT1H"),
        times(("2026-07-10T07:00", "2026-07-10T08:00")),
    ),
    "hours that are marked as free": (
        file("DTSTART:20261224T120000Z DTEND:20261224T133000Z TRANSP:TRANSPARENT"),
        Closures(),
    ),
    "an instant": (file("DTSTART:20261224T120000Z"), Closures()),
    "hours that touch are one stretch": (
        file("DTSTART:20261224T120000Z DURATION:PT1H", "DTSTART:20261224T130000Z DURATION:PT1H"),
        times(("2026-12-24T12:00", "2026-12-24T14:00")),
    ),
    "each year": (
        file("DTSTART;VALUE=DATE:20001224 RRULE:FREQ=YEARLY"),
        days("2025-12-24", "2026-12-24", "2027-12-24", "2028-12-24"),
    ),
    "the last Friday of some months, but for one": (
        file("DTSTART;VALUE=DATE:20260130 RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=4 EXDATE;VALUE=DATE:20260227"),
        days("2026-01-30", "2026-03-27", "2026-04-24"),
    ),
    "an additional date": (
        file("DTSTART;VALUE=DATE:20260130 RDATE;VALUE=DATE:20260203"),
        days("2026-01-30", "2026-02-03"),
    ),
    # The wall time stays over the change of the clock.
    "each week over a change of the clock": (
        file("DTSTART;TZID=Europe/Berlin:20260322T090000 DURATION:PT1H RRULE:FREQ=WEEKLY;COUNT=2"),
        times(("2026-03-22T08:00", "2026-03-22T09:00"), ("2026-03-29T07:00", "2026-03-29T08:00")),
    ),
    "a moved instance": (
        file("DTSTART;VALUE=DATE:20260105 RRULE:FREQ=WEEKLY;COUNT=2").replace(
            b"END:VCALENDAR",
            b"BEGIN:VEVENT\r\nUID:0\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID;VALUE=DATE:20260112\r\n"
            b"DTSTART;VALUE=DATE:20260114\r\nEND:VEVENT\r\nEND:VCALENDAR",
        ),
        days("2026-01-05", "2026-01-14"),
    ),
    "only what is within the years": (
        file("DTSTART;VALUE=DATE:20241230 DTEND;VALUE=DATE:20250103", "DTSTART;VALUE=DATE:20290101"),
        days("2025-01-01", "2025-01-02"),
    ),
    "no event at all": (file(), Closures()),
    "a mark at the beginning": (b"\xef\xbb\xbf" + file("DTSTART;VALUE=DATE:20261224"), days("2026-12-24")),
}


@pytest.mark.parametrize(("content", "expected"), MEANT.values(), ids=MEANT.keys())
def test_a_feed_closes_what_its_events_say(content: bytes, expected: Closures) -> None:
    """Worked out by hand from RFC 5545: values, zones, recurrence, exceptions."""
    assert read_feed(content, ZONE, FIRST, LAST) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>404</html>", "does not begin with BEGIN:VCALENDAR"),
        (b"", "does not begin with BEGIN:VCALENDAR"),
        (file("DTSTART;VALUE=DATE:20261224")[:-30], "is broken off"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (file(*["DTSTART;VALUE=DATE:20261224"] * 10_001), "has 10,001 events, more than 10,000"),
        (
            file("DTSTART:20250101T000000Z DURATION:PT1M RRULE:FREQ=HOURLY"),
            "has more than 5,000 closed dates and times",
        ),
    ],
)
def test_a_bad_feed_is_refused_with_a_reason(content: bytes, words: str) -> None:
    """No iCalendar file, half of one, too many events, too many instances."""
    with pytest.raises(FeedError, match=words):
        read_feed(content, ZONE, FIRST, LAST)


async def test_a_feed_is_read_by_a_process_of_its_own() -> None:
    """It gives the same, in whole years around today, and refuses alike; a parser that fails fails there."""
    content = file("DTSTART;VALUE=DATE:20001224 RRULE:FREQ=YEARLY", "DTSTART:20261224T120000Z DURATION:PT1H")
    read = await read_apart(content, BERLIN, date(2026, 6, 1))
    assert read == read_feed(content, ZONE, date(2025, 1, 1), date(2028, 12, 31))
    assert await read_apart(content, BERLIN, date(2026, 12, 31)) == read
    with pytest.raises(FeedError, match="does not begin with BEGIN:VCALENDAR"):
        await read_apart(b"nothing", BERLIN, date(2026, 6, 1))
    with pytest.raises(FeedError, match="is no iCalendar file that can be read"):
        await read_apart(file("DTSTART:yesterday"), BERLIN, date(2026, 6, 1))


async def test_a_feed_that_takes_too_long_is_ended() -> None:
    """An event every second is a small file; the process that writes it out is killed in time."""
    content = file(*["DTSTART:20250101T000000Z DURATION:PT1S RRULE:FREQ=SECONDLY"] * 50)
    began = time.monotonic()
    with pytest.raises(FeedError, match="its recurrences have no measure"):
        await read_apart(content, BERLIN, date(2026, 6, 1), within_seconds=2)
    assert time.monotonic() - began < 10


def answering(*answers: Callable[[httpx.Request], httpx.Response]) -> tuple[httpx.AsyncClient, list[httpx.Request]]:
    """A client whose requests are answered in turn, and the requests."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1](request)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer)), asked


async def endless(piece: bytes, pause_seconds: float) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await asyncio.sleep(pause_seconds)


def leading_to(url: str | None) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(302, headers={"location": url} if url else {})


async def test_a_feed_is_fetched_over_redirects() -> None:
    """Three at most, also relative ones; a private address where the operator allows it."""
    client, asked = answering(
        leading_to("/b"), leading_to("http://127.0.0.1/c"), leading_to("d"), lambda _: httpx.Response(200, content=b"x")
    )
    assert await fetch(client, "http://127.0.0.1/a", allow_private=True) == b"x"
    assert [request.url.path for request in asked] == ["/a", "/b", "/c", "/d"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: httpx.Response(404), "is not there: its address answered 404"),
        (lambda _: httpx.Response(500), "is not there: its address answered 500"),
        (lambda _: httpx.Response(200, content=b"x" * (MOST_BYTES + 1)), "is longer than 1,000,000 bytes"),
        (lambda _: httpx.Response(200, content=endless(b"x" * 65_536, 0)), "is longer than 1,000,000 bytes"),
        (
            lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x")),
            "is compressed",
        ),
        (leading_to("https://example.com/again"), "leads on more than 3 times"),
        (leading_to(None), "leads on to no address"),
        (leading_to("http://example.com/"), "leads from https on to an address without it"),
    ],
)
async def test_a_feed_that_is_too_big_endless_or_gone_is_refused(answer: Any, words: str) -> None:
    """With a reason, before its time is up, and after four requests at most."""
    client, asked = answering(answer)
    with pytest.raises(FeedError, match=words):
        await fetch(client, "https://example.com/a.ics", allow_private=True, within_seconds=60)
    assert len(asked) <= 4


async def test_a_feed_that_trickles_on_is_refused_when_its_time_is_up() -> None:
    """Bytes that come one by one never reach the limit of size; the limit of time ends them."""
    client, _ = answering(lambda _: httpx.Response(200, content=endless(b"x", 0.01)))
    began = time.monotonic()
    with pytest.raises(FeedError, match=r"does not end within 0\.3 s"):
        await fetch(client, "https://example.com/a.ics", allow_private=True, within_seconds=0.3)
    assert time.monotonic() - began < 30


async def test_a_host_that_does_not_answer_is_told() -> None:
    """By the kind of failure."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client, _ = answering(fail)
    with pytest.raises(FeedError, match="cannot be reached: ConnectError"):
        await fetch(client, "https://example.com/a.ics", allow_private=True)


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/a", "http://169.254.169.254/latest", "https://[::1]/", "https://localhost/a", "file:///etc/a"],
)
async def test_a_feed_never_leads_inside(url: str) -> None:
    """Neither at once nor over a redirect; a name is judged by the address that it stands for."""
    client, asked = answering(leading_to(url))
    with pytest.raises(FeedError, match=r"leads where no feed is read|without it"):
        await fetch(client, url, allow_private=False)
    assert asked == []
    with pytest.raises(FeedError, match=r"leads where no feed is read|without it"):
        await fetch(client, "https://93.184.215.14/a", allow_private=False)
    assert len(asked) == 1


async def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up of the name cannot lead elsewhere: the request goes to the address, under the host's name."""

    async def resolved(host: str, port: int) -> str:
        assert (host, port) == ("example.com", 8443)
        return "93.184.215.14"

    monkeypatch.setattr("opora_sla.feed.fetch.resolve_public", resolved)
    client, asked = answering(lambda _: httpx.Response(200, content=b"x"))
    await fetch(client, "https://example.com:8443/a?b=c", allow_private=False)
    (request,) = asked
    assert (str(request.url), request.headers["host"]) == ("https://93.184.215.14:8443/a?b=c", "example.com:8443")
    assert request.extensions["sni_hostname"] == "example.com"
