"""What happens when a calendar is written, or when what it takes from elsewhere has changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.http import Conflict, NotFound, Unprocessable
from opora_chassis.identifiers import new_id
from opora_sla.agreement import AgreementDocument
from opora_sla.calendar.document import (
    ALWAYS_OPEN,
    ALWAYS_OPEN_ID,
    CalendarDocument,
    CalendarVersion,
    Closures,
    NamedCalendar,
)
from opora_sla.calendar.lint import unknown_calendar
from opora_sla.store import agreements as agreement_store
from opora_sla.store import calendars as calendar_store


async def create_calendar(tx: Transaction, document: CalendarDocument) -> CalendarVersion:
    """A new calendar in version 1; or the one that says just this already, so that a repetition changes nothing.

    Raises Conflict when another calendar has the name.
    """
    await calendar_store.lock_writing(tx)
    same = await calendar_store.find_by_name(tx, document.name)
    if same is None:
        return await _add(tx, CalendarVersion(new_id(), 1, tx.now, document, await _looked_up(tx, document)))
    if same.document.as_json() == document.as_json():
        return same
    raise Conflict(
        f"There is a calendar {document.name!r} already; revise it, or write another name.", calendar_id=str(same.id)
    )


async def revise_calendar(tx: Transaction, calendar_id: UUID, document: CalendarDocument) -> CalendarVersion:
    """The next version of a calendar, and of each agreement that names it; or its newest, when that says just this.

    What was read of a feed is kept until the feed is read again. Raises NotFound, and Conflict for another name.
    """
    await calendar_store.lock_writing(tx)
    newest = await calendar_store.find_calendar(tx, calendar_id)
    if newest is None:
        raise NotFound("calendar", calendar_id)
    if newest.document.as_json() == document.as_json():
        return newest
    if calendar_id == ALWAYS_OPEN_ID:
        raise Conflict(f"{ALWAYS_OPEN} is open round the clock on every platform; write a calendar of another name.")
    if newest.document.name != document.name:
        raise Conflict(
            f"A calendar keeps its name, which agreements refer to: write {newest.document.name!r}, or a new calendar."
        )
    closures = await _looked_up(tx, document)
    if document.feed is not None:
        kept = newest.closures
        closures = replace(closures, feed_days=kept.feed_days, feed_times=kept.feed_times)
    return await _add(tx, CalendarVersion(calendar_id, newest.version + 1, tx.now, document, closures))


async def take_closures(tx: Transaction, calendar_id: UUID, read: Closures, feed: str | None) -> CalendarVersion | None:
    """What was read from elsewhere, as the next version; None when it is what is known, or another feed's by now."""
    await calendar_store.lock_writing(tx)
    newest = await calendar_store.find_calendar(tx, calendar_id)
    if newest is None or newest.document.feed != feed:
        return None
    if newest.closures.as_json() == read.as_json():
        return None
    version = CalendarVersion(calendar_id, newest.version + 1, tx.now, newest.document, read)
    return await _add(tx, version, read_again=False)


async def named_calendar(reader: calendar_store.Reader, document: AgreementDocument) -> NamedCalendar | None:
    """The newest version of the calendar that an agreement names, if it names one.

    It stays the newest for a caller who has locked the agreements. Raises Unprocessable when there is none.
    """
    if document.calendar is None:
        return None
    found = await calendar_store.find_by_name(reader, document.calendar)
    if found is None:
        words = unknown_calendar(document.calendar, await calendar_store.names(reader))
        raise Unprocessable(
            f"The agreement's calendar is not known: {words}.",
            errors=[{"field": "calendar", "rule": words, "in": "body"}],
        )
    return found.named()


async def _add(tx: Transaction, version: CalendarVersion, *, read_again: bool = True) -> CalendarVersion:
    """Write the version, and the next one of each agreement that names the calendar: tickets pin agreements."""
    added = await calendar_store.add_version(tx, version.id, version.version, version.document, version.closures)
    if read_again:
        await calendar_store.read_from_now(tx, version.id, has_sources=version.document.has_sources)
    agreements = await agreement_store.naming(tx, version.id) if version.version > 1 else ()
    named = added.named()
    for agreement in agreements:
        await agreement_store.add_version(tx, agreement.id, agreement.version + 1, agreement.document, named)
    return added


async def _looked_up(tx: Transaction, document: CalendarDocument) -> Closures:
    # Reading forty years of holidays takes a tenth of a second, in which others are to be answered.
    names = await asyncio.to_thread(document.public_holidays, tx.now.year)
    return Closures(frozenset(names))
