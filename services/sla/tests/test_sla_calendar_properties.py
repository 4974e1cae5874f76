"""The calendar's laws, in 20 zones between 1990 and 2037, against a scan of the minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opora_sla.calendar import (
    Calendar,
    begun_at,
    due_at,
    instant,
    is_open,
    microseconds,
    next_close,
    next_open,
    working_seconds,
)

ZONES = (
    "UTC", "Europe/Berlin", "Europe/Dublin", "Europe/London", "Europe/Moscow", "Europe/Istanbul", "Atlantic/Azores",
    "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Caracas", "America/Havana",
    "Africa/Casablanca",
    "Africa/Cairo", "Asia/Tehran", "Asia/Kathmandu", "Asia/Pyongyang", "Australia/Lord_Howe", "Pacific/Apia",
    "Antarctica/Troll",
)  # fmt: skip
QUARTERS = st.lists(st.integers(0, 128), min_size=0, max_size=6, unique=True).filter(
    lambda borders: len(borders) % 2 == 0
)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Hours on quarters of an hour, some beyond midnight, and around the start a holiday, dates of their own and times
    that are closed whatever the clock on the wall shows.
    """

    def day() -> tuple[tuple[int, int], ...]:
        borders = [quarter * 15 for quarter in sorted(draw(QUARTERS))]
        return tuple(zip(borders[::2], borders[1::2], strict=True))

    week = tuple(day() for _ in range(7))
    first = draw(st.dates(date(1990, 1, 2), date(2037, 12, 30)))
    holidays = frozenset({first + timedelta(days=2)}) if draw(st.booleans()) else frozenset()
    dates = ((first, day()), (first + timedelta(days=1), day())) if draw(st.booleans()) else ()
    begins = datetime(first.year, first.month, first.day, tzinfo=UTC)
    borders = sorted(draw(st.lists(st.integers(-3_000, 3_000), max_size=8, unique=True)))
    closed = [microseconds(begins + timedelta(minutes=minute)) for minute in borders]
    shut = tuple(zip(closed[::2], closed[1::2], strict=False))
    return Calendar(draw(st.sampled_from(ZONES)), week, holidays, dates, shut)


@st.composite
def moments(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar, and a minute near one of its special dates if it has some, or near a change of its zone."""
    calendar = draw(calendars())
    if calendar.dates:
        day = calendar.dates[0][0]
    elif calendar.closed:
        day = instant(calendar.closed[0][0]).date()
    else:
        year = draw(st.integers(1990, 2037))
        changes = _changes(calendar.time_zone, year)
        day = draw(st.sampled_from(changes)) if changes else draw(st.dates(date(year, 1, 1), date(year, 12, 31)))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return calendar, midnight + timedelta(minutes=draw(st.integers(-2 * 1_440, 2 * 1_440)))


def _changes(zone: str, year: int) -> list[date]:
    place = ZoneInfo(zone)
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(365)]
    offsets = [datetime(day.year, day.month, day.day, 12, tzinfo=place).utcoffset() for day in days]
    return [day for number, day in enumerate(days[1:], start=1) if offsets[number] != offsets[number - 1]]


def shown_open(calendar: Calendar, moment: datetime) -> bool:
    """By the clock on the wall: within a stretch of this day, or of the day before. Never where time is closed."""
    if any(begins <= microseconds(moment) < ends for begins, ends in calendar.closed):
        return False
    wall = moment.astimezone(ZoneInfo(calendar.time_zone))
    shown = wall.hour * 60 + wall.minute
    own = dict(calendar.dates)

    def hours(day: date) -> tuple[tuple[int, int], ...]:
        if day in own:
            return own[day]
        return () if day in calendar.holidays else calendar.hours()[day.weekday()]

    return any(opens <= shown < closes for opens, closes in hours(wall.date())) or any(
        opens <= shown + 1_440 < closes for opens, closes in hours(wall.date() - timedelta(days=1))
    )


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(0, 2_000))
def test_working_time_equals_a_scan_of_the_minutes(case: tuple[Calendar, datetime], minutes: int) -> None:
    """Minute by minute, over every kind of day and change."""
    calendar, start = case
    scanned = sum(shown_open(calendar, start + timedelta(minutes=number)) for number in range(minutes))
    assert working_seconds(calendar, start, start + timedelta(minutes=minutes)) == 60 * scanned
    assert is_open(calendar, start) == shown_open(calendar, start)


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(0, 30_000), st.integers(0, 30_000))
def test_working_time_adds_up(case: tuple[Calendar, datetime], first: int, second: int) -> None:
    """What lies between two instants is what lies before and after a third between them, and never negative."""
    calendar, start = case
    middle, end = start + timedelta(minutes=first), start + timedelta(minutes=first + second)
    whole = working_seconds(calendar, start, end)
    assert whole == working_seconds(calendar, start, middle) + working_seconds(calendar, middle, end)
    assert 0 <= whole <= 60 * (first + second)
    assert working_seconds(calendar, end, start) == 0


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(0, 30_000))
def test_adding_what_lies_between_leads_back(case: tuple[Calendar, datetime], minutes: int) -> None:
    """To the same instant if it is open, and to the next opening otherwise; in both directions."""
    calendar, start = case
    end = start + timedelta(minutes=minutes)
    used = working_seconds(calendar, start, end)
    due = due_at(calendar, start, used)
    opening = end if is_open(calendar, end) else next_open(calendar, end)
    assert due == opening
    begun = begun_at(calendar, end, used)
    assert begun is not None
    assert working_seconds(calendar, begun, end) == used
    if used and is_open(calendar, start):
        assert begun == start


@settings(max_examples=150, deadline=None)
@given(moments(), st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_budget_is_never_due_earlier(case: tuple[Calendar, datetime], budget: int, more: int) -> None:
    """Nor does a later beginning make it due earlier; and both ways of moving agree."""
    calendar, start = case
    due, later = due_at(calendar, start, 60 * budget), due_at(calendar, start, 60 * (budget + more))
    assume(due is not None and later is not None)
    assert due is not None
    assert later is not None
    assert start <= due <= later
    assert working_seconds(calendar, start, due) == 60 * budget
    moved = due_at(calendar, start + timedelta(minutes=more), 60 * budget)
    assert moved is None or moved >= due


@settings(max_examples=150, deadline=None)
@given(moments())
def test_openings_and_closings_alternate(case: tuple[Calendar, datetime]) -> None:
    """Between the next opening and the closing after it all is open; before an opening it is closed."""
    calendar, start = case
    opening, moment = next_open(calendar, start), timedelta(microseconds=1)
    assume(opening is not None)
    assert opening is not None
    assert opening > start
    assert is_open(calendar, opening)
    assert not is_open(calendar, opening - moment)
    closing = next_close(calendar, opening)
    assume(closing is not None)
    assert closing is not None
    assert not is_open(calendar, closing)
    assert working_seconds(calendar, opening, closing) == (closing - opening).total_seconds()
