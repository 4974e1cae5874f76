"""The loop that reads again what calendars take from elsewhere: public holidays and feeds."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import httpx
import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_sla.calendar.document import CalendarDocument, CalendarVersion, Closures
from opora_sla.calendar.public_holidays import UnknownHolidaysError
from opora_sla.calendar_handlers import take_closures
from opora_sla.feed.errors import FeedError
from opora_sla.feed.fetch import FETCH_SECONDS, fetch
from opora_sla.feed.read import CPU_SECONDS, REFUSED
from opora_sla.settings import settings_of
from opora_sla.store import calendars as calendar_store

log = structlog.get_logger()

FAILING = Gauge("opora_sla_calendar_sources_failing", "Calendars of which a feed or public holidays could not be read")
READ = Counter("opora_sla_calendar_readings_total", "Readings of what calendars take from elsewhere", ["outcome"])

READ_SECONDS = CPU_SECONDS + 5.0
_BUSY = timedelta(seconds=60)
"""More than fetching and reading take together: after it another process takes over."""
_POLL_SECONDS = 2.0
_YEARS_BEHIND, _YEARS_AHEAD = 1, 2


class SourceWatch:
    """Reads each calendar's sources when they are due. Any number of replicas share the work."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._settings = settings_of(platform)
        for outcome in ("changed", "same", "failed"):
            READ.labels(outcome)  # shown from the start, so that the first is a rise

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`. Raises what the database raises; a reading that was begun is then done again later."""
        async with httpx.AsyncClient(timeout=FETCH_SECONDS, trust_env=False, follow_redirects=False) as client:
            while not stop.is_set():
                FAILING.set(await calendar_store.failing_sources(self._platform.database))
                if not await self.read_one(client):
                    await rest(stop, _POLL_SECONDS)

    async def read_one(self, client: httpx.AsyncClient) -> bool:
        """Read the sources of one calendar that is due; returns whether there was one.

        What changed becomes the next version. A feed that is not usable leaves the last good one in force.
        """
        database, clock = self._platform.database, self._platform.clock
        async with database.transaction() as tx:
            calendar_id = await calendar_store.claim_due_source(tx, tx.now + clock.virtual(_BUSY))
            calendar = await calendar_store.find_calendar(tx, calendar_id) if calendar_id else None
            today = tx.now.date()
        if calendar is None:
            return False
        try:
            read, problem = await self._looked_up(client, calendar, today), None
        except FeedError as error:
            read, problem = None, f"the feed {error}"
        except UnknownHolidaysError as error:
            read, problem = None, str(error)
        async with database.transaction() as tx:
            changed = await take_closures(tx, calendar.id, read, calendar.document.feed) if read else None
            hours = self._settings.feed_retry_minutes / 60 if problem else self._settings.feed_refresh_hours
            await calendar_store.save_source(tx, calendar.id, problem, tx.now + timedelta(hours=hours))
            tx.after_commit(lambda: _tell(calendar.id, changed, problem))
        return True

    async def _looked_up(self, client: httpx.AsyncClient, calendar: CalendarVersion, today: date) -> Closures:
        document = calendar.document
        names = await asyncio.to_thread(document.public_holidays, today.year)
        closures = Closures(frozenset(names))
        if document.feed is None:
            return closures
        content = await fetch(client, document.feed, allow_private=self._settings.allow_private_feeds)
        read = await read_apart(content, document, today)
        return replace(closures, feed_days=read.feed_days, feed_times=read.feed_times)


async def read_apart(
    content: bytes, document: CalendarDocument, today: date, within_seconds: float = READ_SECONDS
) -> Closures:
    """What the file closes from the last year's beginning to the end of the year after next, in whole years so that the
    days that pass change nothing. It is read by a process of its own without this one's environment, which is
    ended after 15 s. Raises FeedError.
    """
    first, last = date(today.year - _YEARS_BEHIND, 1, 1), date(today.year + _YEARS_AHEAD, 12, 31)
    words = (sys.executable, "-P", "-m", "opora_sla.feed.read", document.time_zone, first.isoformat(), last.isoformat())
    pipe, environment = asyncio.subprocess.PIPE, {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    try:
        async with asyncio.timeout(within_seconds):
            said, reason = await process.communicate(content)
    except TimeoutError:
        raise FeedError(f"takes longer than {within_seconds:g} s to read: its recurrences have no measure") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    code = process.returncode or 0
    if code == REFUSED:
        raise FeedError(reason.decode("utf-8", "replace"))
    if code < 0:
        raise FeedError("takes more time or memory to read than a feed may: its recurrences have no measure")
    if code:
        last_line = reason.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise FeedError(f"is no iCalendar file that can be read (RFC 5545): {last_line[:200]}")
    return Closures.from_json(json.loads(said))


def _tell(calendar_id: UUID, changed: CalendarVersion | None, problem: str | None) -> None:
    outcome = "failed" if problem else "changed" if changed else "same"
    READ.labels(outcome).inc()
    if problem:
        log.warning("calendar_feed_failed", calendar_id=calendar_id, problem=problem)
    elif changed:
        log.info("calendar_changed", calendar_id=calendar_id, version=changed.version)
