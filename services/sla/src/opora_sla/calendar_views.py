"""The shapes in which the API answers about calendars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from opora_sla.calendar.document import CalendarVersion, Origin
from opora_sla.calendar.preview import PreviewedDay, seconds_by_month
from opora_sla.store.calendars import Source
from opora_sla.views import View


class SourceView(View):
    """How the reading goes of what a calendar takes from elsewhere: public holidays, its feed."""

    read_at: datetime | None
    """When all of it was read last; null: not yet, so that nothing of the feed is closed."""
    failing_since: datetime | None
    problem: str | None
    """Why the last reading failed. What was read before stays."""


class ClosuresView(View):
    """What a calendar's version took from elsewhere."""

    public_holidays: list[date]
    feed_days: list[date]
    """Local dates of the feed's all-day events."""
    feed_times: list[tuple[datetime, datetime]]
    """[from, to) of its other events."""


class CalendarView(View):
    """One version of a calendar."""

    id: UUID
    version: int
    created_at: datetime
    document: dict[str, Any]
    sources: SourceView | None
    """Null when the calendar takes nothing from elsewhere."""
    closures: ClosuresView | None = None
    """What this version took from elsewhere. Only where a single calendar is read."""


class StretchView(View):
    """Open time, cut at local midnight."""

    from_at: datetime
    to_at: datetime


class DayView(View):
    """A local date."""

    date: date
    open: list[StretchView]
    open_seconds: int
    differs_by: Origin | None
    """The field of the calendar that gives the date other hours than its week, if one does."""


class PreviewView(View):
    """A calendar day by day."""

    id: UUID
    version: int
    name: str
    time_zone: str
    days: list[DayView]
    open_seconds_by_month: dict[str, int]
    """Of the days above, by month, such as 2026-12."""


def calendar_view(calendar: CalendarVersion, sources: Mapping[UUID, Source]) -> CalendarView:
    """A calendar version for the wire."""
    source = sources.get(calendar.id)
    return CalendarView(
        id=calendar.id,
        version=calendar.version,
        created_at=calendar.created_at,
        document=calendar.document.as_json(),
        sources=SourceView.model_validate(source) if source else None,
    )


def preview_view(calendar: CalendarVersion, days: Sequence[PreviewedDay]) -> PreviewView:
    """A preview for the wire."""
    return PreviewView(
        id=calendar.id,
        version=calendar.version,
        name=calendar.document.name,
        time_zone=calendar.document.time_zone,
        days=[
            DayView(
                date=day.date,
                open=[
                    StretchView(from_at=begins.astimezone(UTC), to_at=ends.astimezone(UTC)) for begins, ends in day.open
                ],
                open_seconds=day.open_seconds,
                differs_by=day.differs_by,
            )
            for day in days
        ],
        open_seconds_by_month=seconds_by_month(days),
    )
