"""Which hours are open: a week, the dates that differ from it, and what is taken out of both.

A stretch of hours belongs to the day on which it opens, and may close on the next one (22:00 to 06:00). So a holiday
takes its night shift with it, and leaves the one that began the evening before. A break is a matter of the clock on the
wall: at two in the morning it interrupts the shift of the evening before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opora_sla.calendar.timetable import Timetable

Interval = tuple[int, int]
"""Opening and closing time of one stretch, in minutes of local wall time since the midnight of the day on which it
opens; 1440 is "24:00", and what is beyond belongs to the next day."""

DAY_MINUTES = 1_440
DAYS_OF_WEEK = 7
_ALL_DAY: tuple[Interval, ...] = ((0, DAY_MINUTES),)
_A_DAY = timedelta(days=1)
_ALL_WEEK = (_ALL_DAY,) * DAYS_OF_WEEK


@dataclass(frozen=True, slots=True)
class Calendar:
    """Open hours in a time zone. Hashable; equal calendars share one timetable.

    `weekly_hours` holds for Monday to Sunday the day's intervals in order, none overlapping; None means that every
    hour of every day is open. A date of `dates` has the hours that stand there and no others, closed if there are none;
    any other date of `holidays` is closed. Nothing is open within a stretch of `closed`: these are absolute, [from, to)
    in microseconds since 1970, in order, none touching another.
    """

    time_zone: str = "UTC"
    weekly_hours: tuple[tuple[Interval, ...], ...] | None = None
    holidays: frozenset[date] = frozenset()
    dates: tuple[tuple[date, tuple[Interval, ...]], ...] = ()
    closed: tuple[tuple[int, int], ...] = ()
    always_open: bool = field(init=False, repr=False, compare=False, default=False)
    """Whether working time is simply time. Known once, like the hash: every clock asks for both."""
    table: Timetable | None = field(init=False, repr=False, compare=False, default=None)
    """It written out, once somebody asked."""
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        differs = (self.holidays, self.dates, self.closed)
        object.__setattr__(self, "_hash", hash((self.time_zone, self.weekly_hours, *differs)))
        object.__setattr__(self, "always_open", self.weekly_hours is None and not any(differs))

    def __hash__(self) -> int:
        return self._hash

    def hours(self) -> tuple[tuple[Interval, ...], ...]:
        """The week's, written out."""
        return _ALL_WEEK if self.weekly_hours is None else self.weekly_hours


def compose(
    time_zone: str,
    week: Sequence[Sequence[Interval]] | None,
    *,
    holidays: Iterable[date] = (),
    dates: Mapping[date, Sequence[Interval]] | None = None,
    weekly_breaks: Sequence[Sequence[Interval]] = ((),) * DAYS_OF_WEEK,
    breaks: Mapping[date, Sequence[Interval]] | None = None,
    closed: Iterable[tuple[int, int]] = (),
) -> Calendar:
    """The calendar of a week, holidays, dates with hours of their own and breaks, each of a weekday or of one date.

    A break is never open, whatever hours its day has, nor is what is `closed` in absolute time (in any order); a
    holiday with hours of its own is no holiday.
    """
    holiday, one_off = frozenset(holidays), breaks or {}
    own = dict(dates or {})
    hours = _ALL_WEEK if week is None else week
    for day in one_off:
        for touched in (day - _A_DAY, day, day + _A_DAY):
            if touched not in own and touched not in holiday:
                own[touched] = hours[touched.weekday()]

    def taken(weekday: int) -> Iterator[Interval]:
        for days in (-1, 0, 1):
            yield from _days_later(days, weekly_breaks[(weekday + days) % DAYS_OF_WEEK])

    def taken_once(day: date) -> Iterator[Interval]:
        for days in (-1, 0, 1):
            yield from _days_later(days, one_off.get(day + days * _A_DAY, ()))

    changed = {day: without(stretches, (*taken(day.weekday()), *taken_once(day))) for day, stretches in own.items()}
    weekly = None
    if week is not None or any(weekly_breaks):
        weekly = tuple(without(stretches, taken(weekday)) for weekday, stretches in enumerate(hours))
    own_hours = tuple(sorted(changed.items()))
    return Calendar(time_zone, weekly, holiday.difference(changed), own_hours, without(closed, ()))


def without(stretches: Iterable[Interval], breaks: Iterable[Interval]) -> tuple[Interval, ...]:
    """The stretches in order, joined where they touch, and less the breaks."""
    joined: list[Interval] = []
    for opens, closes in sorted(stretches):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(closes, joined[-1][1]))
        else:
            joined.append((opens, closes))
    for begins, ends in breaks:
        joined = [
            piece
            for opens, closes in joined
            for piece in ((opens, min(closes, begins)), (max(opens, ends), closes))
            if piece[0] < piece[1]
        ]
    return tuple(joined)


def _days_later(days: int, intervals: Iterable[Interval]) -> Iterator[Interval]:
    """The same stretches of the clock on the wall, counted from a midnight so many days before theirs."""
    return ((begins + days * DAY_MINUTES, ends + days * DAY_MINUTES) for begins, ends in intervals)
