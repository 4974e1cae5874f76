"""What an iCalendar file (RFC 5545) closes.

`python -m opora_sla.feed.read ZONE FIRST LAST` reads one from standard input, so that a file which takes too much time
or memory ends this process and no other.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from opora_sla.calendar.document import Closures
from opora_sla.feed.errors import FeedError

MOST_EVENTS = 10_000
MOST_INSTANCES = 5_000
CPU_SECONDS = 10
MOST_MEMORY_BYTES = 256_000_000
"""Three times what the longest feed takes; a container of the timers has room for it."""
REFUSED = 3
"""Exit code of a file that was read and is not usable; its words stand on standard error."""
_A_DAY = timedelta(days=1)
_SPAN = timedelta(days=30)
"""Recurrences are written out so much at a time, to see early that they are too many."""


def read_feed(content: bytes, time_zone: str, first: date, last: date) -> Closures:
    """The local dates of all-day events and the times of others, from the first date to the last.

    Recurrence rules, additional and excepted dates and moved instances count. A cancelled event closes nothing, nor
    does a timed one that is marked as free (TRANSP:TRANSPARENT); lists of holidays mark all-day events so, and these
    count. A time without a zone is one of the calendar's. Raises FeedError, or what the parser raises for a file that
    is none.
    """
    zone = ZoneInfo(time_zone)
    days: set[date] = set()
    times: set[tuple[datetime, datetime]] = set()
    for event in _instances(_text(content), zone, first, last):
        begins, ends = event["DTSTART"].dt, event["DTEND"].dt
        if isinstance(begins, datetime):
            stretch = (_instant(begins, zone), _instant(ends, zone))
            if event.get("TRANSP") != "TRANSPARENT" and stretch[0] < stretch[1]:
                times.add(stretch)
        else:
            day, until = max(begins, first), min(ends, last + _A_DAY)
            while day < until:
                days.add(day)
                day += _A_DAY
        if len(days) + len(times) > MOST_INSTANCES:
            raise FeedError(f"has more than {MOST_INSTANCES:,} closed dates and times; give one with fewer")
    return Closures(feed_days=frozenset(days), feed_times=_joined(times))


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FeedError("is not UTF-8, which iCalendar files are (RFC 5545, 3.1.4)") from None
    if not text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        raise FeedError("is no iCalendar file (RFC 5545): it does not begin with BEGIN:VCALENDAR")
    if not text.rstrip().upper().endswith("END:VCALENDAR"):
        raise FeedError("is broken off: it does not end with END:VCALENDAR")
    if (events := text.upper().count("BEGIN:VEVENT")) > MOST_EVENTS:
        raise FeedError(
            f"has {events:,} events, more than {MOST_EVENTS:,}; give one that has the coming two years only"
        )
    return text


def _instances(text: str, zone: ZoneInfo, first: date, last: date) -> Iterator[Any]:
    # They take a third of a second to load, which nobody else has to wait for.
    import recurring_ical_events
    from icalendar import Calendar

    begins = datetime.combine(first, time(), zone)
    ends = datetime.combine(last + _A_DAY, time(), zone)
    for calendar in Calendar.from_ical(text, multiple=True):
        query = recurring_ical_events.of(calendar)
        at = begins
        while at < ends:
            until = min(at + _SPAN, ends)
            for event in query.between(at, until):
                if event.get("STATUS") != "CANCELLED":
                    yield event
            at = until


def _instant(moment: datetime, zone: ZoneInfo) -> datetime:
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)


def _joined(times: set[tuple[datetime, datetime]]) -> tuple[tuple[datetime, datetime], ...]:
    joined: list[tuple[datetime, datetime]] = []
    for begins, ends in sorted(times):
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(ends, joined[-1][1]))
        else:
            joined.append((begins, ends))
    return tuple(joined)


def main() -> int:
    """Write what the file closes as JSON; returns 0, or 3 with a reason on standard error."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    zone, first, last = sys.argv[1:]
    try:
        closures = read_feed(sys.stdin.buffer.read(), zone, date.fromisoformat(first), date.fromisoformat(last))
    except FeedError as error:
        sys.stderr.write(str(error))
        return REFUSED
    json.dump(closures.as_json(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
