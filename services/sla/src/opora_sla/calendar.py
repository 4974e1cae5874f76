"""Business time: which instants count as working time, how much of it lies between two, and when a budget runs out.

An instant is open if and only if the wall clock of the calendar's time zone shows a time within [open, close) of its
weekday, on a date that is no holiday. That one rule settles daylight saving time:

* a wall time that the clock skips (the gap in spring) never happens, so a border in the gap takes effect at the jump;
* a wall time that happens twice (the fold in autumn) counts both times, so hours that cover the fold are longer by it.

All arithmetic is in whole microseconds since 1970-01-01T00:00Z and therefore exact.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

Interval = tuple[int, int]
"""Opening and closing time of one stretch of a day, in minutes of local wall time since midnight; 1440 is "24:00"."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MINUTE_US = 60_000_000
_DAY_US = 24 * 60 * _MINUTE_US
_PROBE_US = 6 * 60 * _MINUTE_US
"""Zones are probed for changes of their offset at this distance; no zone changes twice within it."""
_HORIZON_US = 3_653 * _DAY_US
"""Ten years: a due date further away is none."""
_ALL_DAY: tuple[Interval, ...] = ((0, 1_440),)
_DAYS_OF_WEEK = 7
_CALENDARS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Calendar:
    """Weekly hours in a time zone, without the holidays. Hashable; equal calendars share one timetable.

    `weekly_hours` holds for Monday to Sunday the day's intervals in order, none overlapping; None means that every
    hour of every day is open, holidays excepted.
    """

    time_zone: str = "UTC"
    weekly_hours: tuple[tuple[Interval, ...], ...] | None = None
    holidays: frozenset[date] = frozenset()

    @property
    def always_open(self) -> bool:
        """Whether working time is simply time."""
        return self.weekly_hours is None and not self.holidays


def working_seconds(calendar: Calendar, start: datetime, end: datetime) -> float:
    """Seconds of working time in [start, end), exact to the microsecond; 0 when `end` is before `start`."""
    return working_microseconds(calendar, microseconds(start), microseconds(end)) / 1_000_000


def due_at(calendar: Calendar, start: datetime, budget_seconds: float) -> datetime | None:
    """The last instant until which the working time since `start` is at most `budget_seconds`, in UTC.

    A budget that ends exactly at closing time is therefore due at the next opening. None when that instant is more
    than ten years after `start`, as with a calendar that never opens again.
    """
    due = due_microseconds(calendar, microseconds(start), round(budget_seconds * 1_000_000))
    return None if due is None else instant(due)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 of an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


def instant(since_1970_us: int) -> datetime:
    """The moment, in UTC, of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=since_1970_us)


def working_microseconds(calendar: Calendar, start_us: int, end_us: int) -> int:
    """Working time in [start, end); 0 when the end is before the start."""
    if end_us <= start_us:
        return 0
    if calendar.always_open:
        return end_us - start_us
    return _timetable(calendar).open_between(start_us, end_us)


def due_microseconds(calendar: Calendar, start_us: int, budget_us: int) -> int | None:
    """The same as `due_at`, in microseconds. The budget must not be negative."""
    horizon_us = start_us + _HORIZON_US
    due_us = start_us + budget_us if calendar.always_open else _timetable(calendar).spent(start_us, budget_us)
    return due_us if due_us is not None and due_us <= horizon_us else None


class _Timetable:
    """The open stretches of one calendar with the working time before each, for a range of whole years that grows.

    Two bisections answer a question whatever the span; years are added when a question first reaches into them.
    """

    __slots__ = ("_before", "_calendar", "_closes", "_first_year", "_last_year", "_opens", "_zone")

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._zone = ZoneInfo(calendar.time_zone)
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._before: list[int] = []
        """Working time before each opening, counted from the first year's beginning."""
        self._first_year = self._last_year = 0

    def open_between(self, start_us: int, end_us: int) -> int:
        self._cover(start_us, end_us)
        return self._open_before(end_us) - self._open_before(start_us)

    def spent(self, start_us: int, budget_us: int) -> int | None:
        """The last instant until which the budget holds, or None when the ten years after the start do not use it."""
        reach_us = start_us
        while reach_us < start_us + _HORIZON_US:
            self._cover(start_us, reach_us)
            mark = self._open_before(start_us) + budget_us
            at = bisect_right(self._before, mark) - 1
            # A mark that equals the stretch's whole length belongs to the next opening, perhaps in a year to come.
            if at >= 0 and mark - self._before[at] < self._closes[at] - self._opens[at]:
                return max(start_us, self._opens[at] + mark - self._before[at])
            reach_us = _year_starts(self._last_year + 1)
        return None

    def _open_before(self, at_us: int) -> int:
        index = bisect_right(self._opens, at_us) - 1
        if index < 0:
            return 0
        return self._before[index] + min(at_us, self._closes[index]) - self._opens[index]

    def _cover(self, start_us: int, end_us: int) -> None:
        first, last = instant(start_us).year, instant(end_us).year
        if not self._first_year:
            self._first_year, self._last_year = first, first - 1
        if first < self._first_year:
            # Rare (an older history than any before): the table is written anew from its earlier beginning.
            last = max(last, self._last_year)
            self._opens, self._closes, self._before = [], [], []
            self._first_year, self._last_year = first, first - 1
        while self._last_year < last:
            self._last_year += 1
            self._append(self._last_year)

    def _append(self, year: int) -> None:
        for open_us, close_us in _open_stretches(self._calendar, self._zone, year):
            if self._closes and self._closes[-1] == open_us:
                self._closes[-1] = close_us
                continue
            last = self._closes[-1] - self._opens[-1] + self._before[-1] if self._opens else 0
            self._opens.append(open_us)
            self._closes.append(close_us)
            self._before.append(last)


@lru_cache(maxsize=_CALENDARS_KEPT)
def _timetable(calendar: Calendar) -> _Timetable:
    return _Timetable(calendar)


def _year_starts(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_US


def _open_stretches(calendar: Calendar, zone: ZoneInfo, year: int) -> Iterator[Interval]:
    """The open stretches of a UTC year in order, cut at its borders and where the zone's offset changes."""
    week = calendar.weekly_hours or (_ALL_DAY,) * _DAYS_OF_WEEK
    for from_us, to_us, offset_us in _constant_offsets(zone, _year_starts(year), _year_starts(year + 1)):
        first_day, last_day = (from_us + offset_us) // _DAY_US, (to_us + offset_us - 1) // _DAY_US
        for day in range(first_day, last_day + 1):
            if calendar.holidays and date.fromordinal(day + _EPOCH_DAY) in calendar.holidays:
                continue
            midnight_us = day * _DAY_US - offset_us
            # 1970-01-01 was a Thursday, the fourth day of the week.
            for open_minute, close_minute in week[(day + 3) % _DAYS_OF_WEEK]:
                open_us = max(from_us, midnight_us + open_minute * _MINUTE_US)
                close_us = min(to_us, midnight_us + close_minute * _MINUTE_US)
                if open_us < close_us:
                    yield open_us, close_us


def _constant_offsets(zone: ZoneInfo, from_us: int, to_us: int) -> Iterator[tuple[int, int, int]]:
    """The stretches (from, to, offset) of [from, to) in which the zone's distance to UTC does not change."""
    start_us, offset_us, seen_us = from_us, _offset(zone, from_us), from_us
    while seen_us < to_us:
        probe_us = min(seen_us + _PROBE_US, to_us)
        probe_offset_us = _offset(zone, probe_us)
        if probe_offset_us != offset_us:
            low, high = seen_us, probe_us
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == offset_us else (low, middle)
            yield start_us, high, offset_us
            start_us, offset_us = high, probe_offset_us
        seen_us = probe_us
    if start_us < to_us:
        yield start_us, to_us, offset_us


def _offset(zone: ZoneInfo, at_us: int) -> int:
    offset = instant(at_us).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
