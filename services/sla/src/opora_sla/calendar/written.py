"""Hours as people write them: weekdays, and stretches of local wall time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opora_sla.calendar.hours import DAY_MINUTES, DAYS_OF_WEEK, Calendar, Interval, compose

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WallTimes = tuple[tuple[str, str], ...]
"""[from, to] as HH:MM, up to "24:00"; `to` before `from` is on the next day."""
_WALL_TIME = re.compile(r"(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")


def known_zone(name: str) -> str:
    """The name. Raises ValueError for one that the IANA database does not have."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone; write one such as Europe/Berlin or UTC") from None
    return name


def calendar_of(
    time_zone: str,
    weekly_hours: Mapping[Weekday, WallTimes] | None,
    *,
    breaks: Mapping[Weekday | date, WallTimes],
    holidays: Iterable[date],
    date_overrides: Mapping[date, WallTimes],
    closed: Iterable[tuple[int, int]] = (),
) -> Calendar:
    """The calendar of what is written, and what is closed besides. Raises ValueError for hours that cannot be."""
    return compose(
        time_zone,
        None if weekly_hours is None else week_of(weekly_hours),
        holidays=holidays,
        dates={day: wall_intervals(str(day), hours) for day, hours in date_overrides.items()},
        weekly_breaks=tuple(wall_intervals(day, breaks.get(day, ())) for day in WEEKDAYS),
        breaks={day: wall_intervals(str(day), hours) for day, hours in breaks.items() if isinstance(day, date)},
        closed=closed,
    )


def week_of(hours: Mapping[Weekday, WallTimes]) -> tuple[tuple[Interval, ...], ...]:
    """Monday to Sunday; a day that is absent is closed. Raises ValueError for hours that cannot be."""
    week = tuple(wall_intervals(day, hours.get(day, ())) for day in WEEKDAYS)
    for number, day in enumerate(WEEKDAYS):
        following = (number + 1) % DAYS_OF_WEEK
        if week[number] and week[following] and week[number][-1][1] - DAY_MINUTES > week[following][0][0]:
            raise ValueError(f"{day}: the last stretch ends after {WEEKDAYS[following]} has begun")
    return week


def wall_intervals(day: str, written: Sequence[tuple[str, str]]) -> tuple[Interval, ...]:
    """The intervals of a day, in minutes. Raises ValueError, which names the day and says what to write."""
    intervals: list[Interval] = []
    for begins, ends in written:
        opens, closes = _minute(day, begins), _minute(day, ends)
        if opens == closes:
            raise ValueError(f'{day}: [{begins}, {ends}] is empty; write ["00:00", "24:00"] for a whole day')
        if opens == DAY_MINUTES:
            raise ValueError(f"{day}: a stretch begins at 24:00; write it at 00:00 of the day after")
        if closes < opens:
            closes += DAY_MINUTES
        if intervals and opens < intervals[-1][1]:
            raise ValueError(f"{day}: [{begins}, {ends}] begins before the stretch above it ends; write them in order")
        intervals.append((opens, closes))
    return tuple(intervals)


def _minute(day: str, wall_time: str) -> int:
    if not _WALL_TIME.fullmatch(wall_time):
        raise ValueError(f"{day}: {wall_time!r} is no wall time; write HH:MM from 00:00 to 24:00")
    hour, minute = wall_time.split(":")
    return int(hour) * 60 + int(minute)
