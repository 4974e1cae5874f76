"""Business time: which instants are working time, how much of it lies between two, and where a budget takes one.

Of all instants that are the same working time away from another one, the latest counts, in both directions: a budget
that is used up exactly at closing time is due at the next opening, and an hour before ten o'clock is nine o'clock and
not yesterday's closing. A clock is met if and only if the working time used is at most the budget.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from opora_sla.calendar.hours import Calendar, Interval, compose
from opora_sla.calendar.timetable import EPOCH, HORIZON_US, instant, microseconds, timetable

__all__ = [
    "Calendar",
    "Interval",
    "begun_at",
    "compose",
    "due_at",
    "due_microseconds",
    "instant",
    "is_open",
    "microseconds",
    "next_close",
    "next_open",
    "working_microseconds",
    "working_seconds",
]


def working_seconds(calendar: Calendar, start: datetime, end: datetime) -> float:
    """Seconds of working time in [start, end), exact to the microsecond; 0 when `end` is before `start`."""
    return working_microseconds(calendar, microseconds(start), microseconds(end)) / 1_000_000


def due_at(calendar: Calendar, start: datetime, budget_seconds: float) -> datetime | None:
    """The last instant until which the working time since `start` is at most `budget_seconds`, in UTC.

    A budget that ends exactly at closing time is therefore due at the next opening. None when that instant is more
    than ten years after `start`, as with a calendar that never opens again.
    """
    since = start - EPOCH
    # The parts of a duration cost half of dividing it, and every question about a moment begins so.
    start_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    due_us = due_microseconds(calendar, start_us, round(budget_seconds * 1_000_000))
    return None if due_us is None else EPOCH + timedelta(0, 0, due_us)


def begun_at(calendar: Calendar, end: datetime, budget_seconds: float) -> datetime | None:
    """The last instant from which `budget_seconds` of working time are left until `end`, in UTC.

    None when the ten years before `end` do not have so much.
    """
    end_us, budget_us = microseconds(end), round(budget_seconds * 1_000_000)
    if calendar.always_open:
        begun_us: int | None = end_us - budget_us
    else:
        begun_us = timetable(calendar).saved(end_us, budget_us)
    return _instant(begun_us if begun_us is not None and begun_us >= end_us - HORIZON_US else None)


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether the instant is working time: from an opening on, until before the closing."""
    return calendar.always_open or timetable(calendar).is_open(microseconds(at))


def next_open(calendar: Calendar, after: datetime) -> datetime | None:
    """The first opening after that instant, in UTC; None when there is none within ten years."""
    return None if calendar.always_open else _instant(timetable(calendar).next_open(microseconds(after)))


def next_close(calendar: Calendar, after: datetime) -> datetime | None:
    """The first closing after that instant, in UTC; None when there is none within ten years."""
    return None if calendar.always_open else _instant(timetable(calendar).next_close(microseconds(after)))


def working_microseconds(calendar: Calendar, start_us: int, end_us: int) -> int:
    """Working time in [start, end); 0 when the end is before the start."""
    if end_us <= start_us:
        return 0
    if calendar.always_open:
        return end_us - start_us
    return timetable(calendar).open_between(start_us, end_us)


def due_microseconds(calendar: Calendar, start_us: int, budget_us: int) -> int | None:
    """The same as `due_at`, in microseconds. The budget must not be negative."""
    if calendar.always_open:
        due_us: int | None = start_us + budget_us
    else:
        due_us = (calendar.table or timetable(calendar)).spent(start_us, budget_us)
    return due_us if due_us is not None and due_us <= start_us + HORIZON_US else None


def _instant(since_1970_us: int | None) -> datetime | None:
    return None if since_1970_us is None else instant(since_1970_us)
