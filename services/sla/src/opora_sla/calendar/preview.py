"""A calendar day by day: what people check before they promise anything by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from opora_sla.calendar.document import CalendarDocument, Closures, Origin, origin_of
from opora_sla.calendar.timetable import instant, microseconds, timetable

MOST_DAYS = 400
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PreviewedDay:
    """A local date. What is open over midnight is cut there."""

    date: date
    open: tuple[tuple[datetime, datetime], ...]
    """[from, to), in the calendar's zone."""
    open_seconds: int
    differs_by: Origin | None
    """The field that gives the date other hours than its week, if one does."""


def preview(document: CalendarDocument, closures: Closures, first: date, days: int) -> list[PreviewedDay]:
    """Each date from `first` on, 400 at most."""
    zone = ZoneInfo(document.time_zone)
    table = timetable(document.merged(closures))
    previewed = []
    for number in range(min(days, MOST_DAYS)):
        day = first + number * _A_DAY
        begins, ends = _midnight(day, zone), _midnight(day + _A_DAY, zone)
        stretches = table.stretches(microseconds(begins), microseconds(ends))
        by_feed = any(shuts < ends and begins < opens for shuts, opens in closures.feed_times)
        previewed.append(
            PreviewedDay(
                day,
                tuple(
                    (instant(opens).astimezone(zone), instant(closes).astimezone(zone)) for opens, closes in stretches
                ),
                sum(closes - opens for opens, closes in stretches) // 1_000_000,
                origin_of(document, closures, day) or ("feed" if by_feed else None),
            )
        )
    return previewed


def seconds_by_month(previewed: Sequence[PreviewedDay]) -> dict[str, int]:
    """Open seconds of each month that the days are of, such as 2026-12."""
    sums: dict[str, int] = {}
    for day in previewed:
        month = f"{day.date:%Y-%m}"
        sums[month] = sums.get(month, 0) + day.open_seconds
    return sums


def _local(at_us: int, zone: ZoneInfo) -> datetime:
    return instant(at_us).astimezone(zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant from which the date is shown; of a date that the zone skips, the one at which it is skipped."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
