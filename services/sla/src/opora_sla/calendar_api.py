"""The HTTP interface of sla's calendars."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from opora_chassis.addresses import ForbiddenAddressError, check_url
from opora_chassis.database import Transaction
from opora_chassis.http import (
    Caller,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Unprocessable,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
    writes,
)
from opora_chassis.platform import Platform
from opora_sla import calendar_examples, calendar_handlers
from opora_sla.api_examples import page
from opora_sla.calendar.document import FEED_SCHEMES, CalendarDocument, CalendarVersion
from opora_sla.calendar.preview import MOST_DAYS, preview
from opora_sla.calendar_views import CalendarView, ClosuresView, PreviewView, calendar_view, preview_view
from opora_sla.settings import settings_of
from opora_sla.store import calendars as calendar_store

router = APIRouter(prefix="/v1")
MayRead = Annotated[Caller, Depends(requires("sla:read"))]
MayWrite = Annotated[WriteCall, Depends(writes("agreements:write"))]
Version = Annotated[int | None, Query(ge=1, le=2_147_483_647)]
_FIRST, _LAST = date(2000, 1, 1), date(2100, 12, 31)


@router.post("/calendars", status_code=201, response_model=CalendarView, summary="Write a calendar")
@shown(
    calendar_examples.CALENDAR,
    calendar_examples.CALENDARS,
    conflict="Another calendar has the name.",
)
async def create_calendar(document: CalendarDocument, call: MayWrite, platform: PlatformDependency) -> Response:
    """A new calendar, version 1, that agreements may name. The same document again gives that one and changes nothing.

    Its feed is read by the timers at once, which makes version 2.
    """
    _check_feed(document, platform)
    return await call.run(lambda tx: _view(tx, calendar_handlers.create_calendar(tx, document)), status=201)


@router.put("/calendars/{calendar_id}", response_model=CalendarView, summary="Revise a calendar")
@shown(
    calendar_examples.REVISED,
    calendar_examples.REVISIONS,
    conflict="A calendar keeps its name, and `24x7` its hours.",
)
async def revise_calendar(
    calendar_id: UUID, document: CalendarDocument, call: MayWrite, platform: PlatformDependency
) -> Response:
    """The next version, and one of each agreement that names it, for tickets created from now on.

    The same document again changes nothing.
    """
    _check_feed(document, platform)
    return await call.run(lambda tx: _view(tx, calendar_handlers.revise_calendar(tx, calendar_id, document)))


@router.get("/calendars", summary="List calendars")
@shown(page(calendar_examples.CALENDAR))
async def list_calendars(
    platform: PlatformDependency,
    _caller: MayRead,
    cursor: Annotated[str | None, Query(max_length=1_000, description="`next_cursor` of the page before.")] = None,
    limit: Limit = 50,
) -> Page[CalendarView]:
    """The newest version of every calendar, in the order of their ids."""
    position = decode_cursor(cursor, id=UUID)
    after_id = position["id"] if position else None
    calendars = await calendar_store.list_calendars(platform.database, after_id, limit + 1)
    sources = await calendar_store.sources_of(platform.database, [each.id for each in calendars])
    return page_of([calendar_view(each, sources) for each in calendars], limit, lambda view: {"id": view.id})


@router.get("/calendars/{calendar_id}", summary="Read a calendar")
@shown(calendar_examples.CALENDAR)
async def get_calendar(
    calendar_id: UUID, platform: PlatformDependency, _caller: MayRead, version: Version = None
) -> CalendarView:
    """This version of a calendar, or its newest."""
    calendar = await _found(platform, calendar_id, version)
    view = calendar_view(calendar, await calendar_store.sources_of(platform.database, [calendar_id]))
    return view.model_copy(update={"closures": ClosuresView.model_validate(calendar.closures.as_json())})


@router.get("/calendars/{calendar_id}/preview", summary="Preview a calendar")
@shown(calendar_examples.PREVIEW)
async def preview_calendar(
    calendar_id: UUID,
    platform: PlatformDependency,
    _caller: MayRead,
    version: Version = None,
    first: Annotated[
        date | None,
        Query(alias="from", description="The first local date, of the years 2000 to 2100; today by default."),
    ] = None,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 365,
) -> PreviewView:
    """What is open on each local date of the next year, in this version of a calendar, or its newest."""
    calendar = await _found(platform, calendar_id, version)
    if first is None:
        first = (await platform.database.now()).astimezone(ZoneInfo(calendar.document.time_zone)).date()
    elif not _FIRST <= first <= _LAST:
        words = f"write a date from {_FIRST} to {_LAST}"
        raise Unprocessable(
            f"{first} is out of reach: {words}.", errors=[{"field": "from", "rule": words, "in": "query"}]
        )
    return preview_view(calendar, preview(calendar.document, calendar.closures, first, days))


async def _found(platform: Platform, calendar_id: UUID, version: int | None) -> CalendarVersion:
    calendar = await calendar_store.find_calendar(platform.database, calendar_id, version)
    if calendar is None:
        raise NotFound("calendar", str(calendar_id) if version is None else f"{calendar_id} in version {version}")
    return calendar


def _check_feed(document: CalendarDocument, platform: Platform) -> None:
    if document.feed is None:
        return
    try:
        check_url(document.feed, allow_private=settings_of(platform).allow_private_feeds, public_schemes=FEED_SCHEMES)
    except ForbiddenAddressError as error:
        raise Unprocessable(
            f"This feed cannot be read: {error}.", errors=[{"field": "feed", "rule": str(error), "in": "body"}]
        ) from error


async def _view(tx: Transaction, written: Awaitable[CalendarVersion]) -> CalendarView:
    calendar = await written
    return calendar_view(calendar, await calendar_store.sources_of(tx, [calendar.id]))
