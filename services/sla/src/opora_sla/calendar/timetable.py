"""A calendar written out: its open stretches in absolute time, and the working time before each.

An instant is open if and only if the wall clock of the calendar's time zone shows a time within [open, close) of a
stretch. That one rule settles daylight saving time:

* a wall time that the clock skips (the gap in spring) never happens, so a border in the gap takes effect at the jump;
* a wall time that happens twice (the fold in autumn) counts both times, so hours that cover the fold are longer by it.

All arithmetic is in whole microseconds since 1970-01-01T00:00Z and therefore exact.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from opora_sla.calendar.hours import DAYS_OF_WEEK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opora_sla.calendar.hours import Calendar, Interval

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_MINUTE_US = 60_000_000
_DAY_US = 24 * 60 * _MINUTE_US
_PROBE_US = 6 * 60 * _MINUTE_US
"""Zones are probed for changes of their offset at this distance; no zone changes twice within it."""
HORIZON_US = 3_653 * _DAY_US
"""Ten years: what is further away than that is not looked for."""
_CALENDARS_KEPT = 512
_FIRST_YEAR, _LAST_YEAR = 2, 9_998
"""Beyond them a local time has no date."""


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 of an aware moment."""
    return (moment - EPOCH) // _MICROSECOND


def instant(since_1970_us: int) -> datetime:
    """The moment, in UTC, of so many microseconds since 1970."""
    return EPOCH + timedelta(0, 0, since_1970_us)


class Timetable:
    """The stretches of one calendar for a range of whole years that grows when a question first reaches out of it.

    Two bisections answer a question whatever the span.
    """

    __slots__ = (
        "_before",
        "_calendar",
        "_closes",
        "_first_year",
        "_from_us",
        "_last_year",
        "_opens",
        "_to_us",
        "_zone",
    )

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._zone = ZoneInfo(calendar.time_zone)
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._before: list[int] = []
        """Working time before each opening, counted from the first year's beginning."""
        self._first_year = self._last_year = 0
        self._from_us = self._to_us = 0

    def open_between(self, start_us: int, end_us: int) -> int:
        """Working time in [start, end), which must be in this order."""
        self._cover(start_us, end_us)
        return self._open_before(end_us) - self._open_before(start_us)

    def is_open(self, at_us: int) -> bool:
        """Whether the instant is working time."""
        self._cover(at_us, at_us)
        index = bisect_right(self._opens, at_us) - 1
        return index >= 0 and at_us < self._closes[index]

    def stretches(self, start_us: int, end_us: int) -> list[Interval]:
        """What is open in [start, end), cut at both."""
        self._cover(start_us, end_us)
        first = max(bisect_right(self._opens, start_us) - 1, 0)
        cut = (
            (max(opens, start_us), min(closes, end_us))
            for opens, closes in zip(
                islice(self._opens, first, bisect_right(self._opens, end_us)),
                islice(self._closes, first, None),
                strict=False,
            )
        )
        return [(opens, closes) for opens, closes in cut if opens < closes]

    def spent(self, start_us: int, budget_us: int) -> int | None:
        """The last instant until which the budget holds, or None when the ten years after the start do not use it."""
        # Every clock comes through here: what follows is `_cover`, `_open_before` and `_last_with` without calls, those
        # of min and max included, which cost a tenth of an answer each.
        opens, closes, before = self._opens, self._closes, self._before
        if self._from_us <= start_us < self._to_us:
            at = bisect_right(opens, start_us) - 1
            mark = budget_us
            if at >= 0:
                closed_us = closes[at]
                mark += before[at] - opens[at] + (start_us if start_us < closed_us else closed_us)  # noqa: FURB136
            at = bisect_right(before, mark, at if at > 0 else 0) - 1  # noqa: FURB136
            if at >= 0:
                found = opens[at] + mark - before[at]
                if found < closes[at]:
                    return found if found > start_us else start_us  # noqa: FURB136
        return self._spent_beyond(start_us, budget_us)

    def _spent_beyond(self, start_us: int, budget_us: int) -> int | None:
        """The same where the table does not reach far enough yet."""
        reach_us = start_us
        while reach_us < start_us + HORIZON_US:
            self._cover(start_us, reach_us)
            found = self._last_with(self._open_before(start_us) + budget_us)
            if found is not None:
                return max(start_us, found)
            reach_us = self._to_us
            if self._last_year >= _LAST_YEAR:
                break
        return None

    def saved(self, end_us: int, budget_us: int) -> int | None:
        """The last instant from which the budget is left until the end, or None when the ten years before lack it."""
        if budget_us == 0:
            return end_us
        reach_us = end_us
        while reach_us > end_us - HORIZON_US:
            self._cover(reach_us, end_us)
            mark = self._open_before(end_us) - budget_us
            if mark >= 0:
                found = self._last_with(mark)
                return end_us if found is None else min(end_us, found)
            reach_us = self._from_us - 1
            if self._first_year <= _FIRST_YEAR:
                break
        return None

    def next_open(self, after_us: int) -> int | None:
        """The first instant after this one at which a stretch opens, or None within ten years."""
        return self._next(self._opens, after_us)

    def next_close(self, after_us: int) -> int | None:
        """The first instant after this one at which a stretch closes, or None within ten years."""
        return self._next(self._closes, after_us)

    def _next(self, borders: list[int], after_us: int) -> int | None:
        reach_us = after_us
        while reach_us < after_us + HORIZON_US:
            self._cover(after_us, reach_us)
            index = bisect_right(borders, after_us)
            # Where the table ends, a stretch may go on.
            if index < len(borders) and borders[index] < self._to_us:
                return borders[index]
            reach_us = self._to_us
            if self._last_year >= _LAST_YEAR:
                break
        return None

    def _last_with(self, mark: int) -> int | None:
        """The last instant before which there was so much working time, as far as the table knows."""
        at = bisect_right(self._before, mark) - 1
        # A mark that equals the stretch's whole length belongs to the next opening, perhaps in a year to come.
        if at >= 0 and mark - self._before[at] < self._closes[at] - self._opens[at]:
            return self._opens[at] + mark - self._before[at]
        return None

    def _open_before(self, at_us: int) -> int:
        index = bisect_right(self._opens, at_us) - 1
        if index < 0:
            return 0
        return self._before[index] + min(at_us, self._closes[index]) - self._opens[index]

    def _cover(self, start_us: int, end_us: int) -> None:
        if self._from_us <= start_us and end_us < self._to_us:
            return
        first, last = instant(start_us).year, instant(end_us).year
        if not self._first_year:
            self._first_year, self._last_year = first, first - 1
        if first < self._first_year:
            # Rare (an older history than any before): the table is written anew from its earlier beginning.
            last = max(last, self._last_year)
            for written in (self._opens, self._closes, self._before):
                written.clear()
            self._first_year, self._last_year = first, first - 1
        while self._last_year < last:
            self._last_year += 1
            self._append(self._last_year)
        self._from_us, self._to_us = _year_starts(self._first_year), _year_starts(self._last_year + 1)

    def _append(self, year: int) -> None:
        for open_us, close_us in _open_stretches(self._calendar, self._zone, year):
            if self._closes and open_us <= self._closes[-1]:
                self._closes[-1] = max(close_us, self._closes[-1])
                continue
            last = self._closes[-1] - self._opens[-1] + self._before[-1] if self._opens else 0
            self._opens.append(open_us)
            self._closes.append(close_us)
            self._before.append(last)


def timetable(calendar: Calendar) -> Timetable:
    """The one that equal calendars share. A calendar keeps it: finding it anew costs as much as an answer."""
    if calendar.table is None:
        object.__setattr__(calendar, "table", _shared(calendar))
    return calendar.table or _shared(calendar)


@lru_cache(maxsize=_CALENDARS_KEPT)
def _shared(calendar: Calendar) -> Timetable:
    return Timetable(calendar)


def _year_starts(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_US


def _open_stretches(calendar: Calendar, zone: ZoneInfo, year: int) -> Iterator[Interval]:
    """The open stretches of a UTC year by their opening, cut at its borders and where the zone's offset changes."""
    week, dates = calendar.hours(), dict(calendar.dates)
    special = calendar.holidays | dates.keys()
    for from_us, to_us, offset_us in _constant_offsets(zone, _year_starts(year), _year_starts(year + 1)):
        # The day before may still be open after midnight.
        first_day, last_day = (from_us + offset_us) // _DAY_US - 1, (to_us + offset_us - 1) // _DAY_US
        found: list[Interval] = []
        for day in range(first_day, last_day + 1):
            # 1970-01-01 was a Thursday, the fourth day of the week.
            stretches = week[(day + 3) % DAYS_OF_WEEK]
            if special and (local := date.fromordinal(day + _EPOCH_DAY)) in special:
                stretches = dates.get(local, ())
            midnight_us = day * _DAY_US - offset_us
            for open_minute, close_minute in stretches:
                open_us = max(from_us, midnight_us + open_minute * _MINUTE_US)
                close_us = min(to_us, midnight_us + close_minute * _MINUTE_US)
                if open_us < close_us:
                    found.append((open_us, close_us))
        # A stretch that opens after the midnight of its day may stand behind the next day's first.
        found.sort()
        yield from _less(found, calendar.closed) if calendar.closed else found


def _less(stretches: Iterable[Interval], closed: Sequence[Interval]) -> Iterator[Interval]:
    """The stretches, which are in the order of their openings, without what is closed."""
    passed = 0
    for opens, closes in stretches:
        while passed < len(closed) and closed[passed][1] <= opens:
            passed += 1
        begins = opens
        for shuts, ends in islice(closed, passed, None):
            if shuts >= closes:
                break
            if begins < shuts:
                yield begins, shuts
            begins = ends
        if begins < closes:
            yield begins, closes


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
