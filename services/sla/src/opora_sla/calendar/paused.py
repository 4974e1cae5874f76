"""Working time less pauses: the questions of `opora_sla.calendar`, for a clock that stands still now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from opora_sla.calendar import (
    begun_at,
    due_at,
    is_open,
    microseconds,
    next_close,
    next_open,
    working_microseconds,
)
from opora_sla.calendar.hours import Calendar
from opora_sla.calendar.timetable import HORIZON_US

Pause = tuple[datetime, datetime]
_MOMENT = timedelta(microseconds=1)
_HORIZON = timedelta(microseconds=HORIZON_US)


@dataclass(frozen=True, slots=True)
class PausedCalendar:
    """A calendar, and pauses [from, to) in which its time does not count: in order, none touching another."""

    calendar: Calendar
    pauses: tuple[Pause, ...]

    @classmethod
    def of(cls, calendar: Calendar, pauses: Iterable[Pause]) -> PausedCalendar:
        """With the pauses joined where they overlap; one that ends before it begins is none."""
        joined: list[Pause] = []
        for begins, ends in sorted(pauses):
            if begins >= ends:
                continue
            if joined and begins <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(ends, joined[-1][1]))
            else:
                joined.append((begins, ends))
        return cls(calendar, tuple(joined))

    def between(self, start: datetime, end: datetime) -> float:
        """Seconds that count in [start, end), exact to the microsecond; 0 when `end` is before `start`."""
        paused_us = sum(self._working_us(max(start, begins), min(end, ends)) for begins, ends in self.pauses)
        return (self._working_us(start, end) - paused_us) / 1_000_000

    def add(self, start: datetime, seconds: float) -> datetime | None:
        """The last instant until which at most so much counts; None when it is more than ten years away."""
        at, left_us = start, round(seconds * 1_000_000)
        for begins, ends in self.pauses:
            if ends <= at:
                continue
            counted_us = self._working_us(at, begins)
            if left_us < counted_us:
                break
            at, left_us = ends, left_us - counted_us
        found = due_at(self.calendar, at, left_us / 1_000_000)
        return found if found is not None and found - start <= _HORIZON else None

    def sub(self, end: datetime, seconds: float) -> datetime | None:
        """The last instant from which so much counts until the end; None when it is more than ten years away."""
        at, left_us = end, round(seconds * 1_000_000)
        for begins, ends in reversed(self.pauses):
            if begins >= at or not left_us:
                continue
            counted_us = self._working_us(ends, at)
            if left_us <= counted_us:
                break
            at, left_us = begins, left_us - counted_us
        found = begun_at(self.calendar, at, left_us / 1_000_000)
        return found if found is not None and end - found <= _HORIZON else None

    def is_open(self, at: datetime) -> bool:
        """Whether the instant counts."""
        return is_open(self.calendar, at) and not any(begins <= at < ends for begins, ends in self.pauses)

    def next_open(self, after: datetime) -> datetime | None:
        """The first instant after that one at which time begins to count; None when there is none in ten years."""
        return self._next(after, next_open, [ends for _, ends in self.pauses], opens=True)

    def next_close(self, after: datetime) -> datetime | None:
        """The first instant after that one at which time ceases to count; None when there is none in ten years."""
        return self._next(after, next_close, [begins for begins, _ in self.pauses], opens=False)

    def _next(
        self,
        after: datetime,
        of_calendar: Callable[[Calendar, datetime], datetime | None],
        of_pauses: list[datetime],
        *,
        opens: bool,
    ) -> datetime | None:
        at = after
        while True:
            borders = [of_calendar(self.calendar, at), *of_pauses]
            following = min((border for border in borders if border is not None and border > at), default=None)
            if following is None or following - after > _HORIZON:
                return None
            at = following
            if self.is_open(at) == opens and self.is_open(at - _MOMENT) != opens:
                return at

    def _working_us(self, start: datetime, end: datetime) -> int:
        return working_microseconds(self.calendar, microseconds(start), microseconds(end))
