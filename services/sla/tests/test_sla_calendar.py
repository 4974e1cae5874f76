"""The business calendar: hand-written expectations, and a referee that counts minutes."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opora_sla.calendar import Calendar, due_at, working_seconds

CLOSED: tuple[tuple[int, int], ...] = ()
OFFICE = ((9 * 60, 18 * 60),)
WITH_BREAK = ((9 * 60, 13 * 60), (14 * 60, 18 * 60))
AROUND_THE_CLOCK = ((0, 24 * 60),)

WEEKDAYS = Calendar("UTC", (OFFICE,) * 5 + (CLOSED,) * 2)
HOUR = 3_600


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_weekly_hours_every_second_counts() -> None:
    """A calendar without hours and holidays is open round the clock."""
    assert working_seconds(Calendar(), utc("2026-03-01T00:00:00"), utc("2026-03-02T00:00:01.5")) == 86_401.5
    assert due_at(Calendar(), utc("2026-03-01T00:00"), 90) == utc("2026-03-01T00:01:30")


def test_an_interval_that_ends_before_it_starts_is_zero() -> None:
    """Working time is never negative."""
    assert working_seconds(WEEKDAYS, utc("2026-03-03T12:00"), utc("2026-03-03T11:00")) == 0


def test_nights_and_weekends_do_not_count() -> None:
    """From Friday 17:00 to Monday 10:00 there are two working hours."""
    assert working_seconds(WEEKDAYS, utc("2026-03-06T17:00"), utc("2026-03-09T10:00")) == 2 * HOUR


def test_a_break_does_not_count() -> None:
    """From 12:30 to 14:30 with a break from 13 to 14 o'clock, one hour is working time."""
    calendar = Calendar("UTC", (WITH_BREAK,) * 7)
    assert working_seconds(calendar, utc("2026-03-03T12:30"), utc("2026-03-03T14:30")) == HOUR


def test_a_budget_that_ends_at_closing_time_is_due_at_the_next_opening() -> None:
    """One hour from Friday 17:00 is used up at closing, and still exactly used when Monday opens."""
    assert due_at(WEEKDAYS, utc("2026-03-06T17:00"), HOUR) == utc("2026-03-09T09:00")


def test_a_budget_is_due_inside_the_hours() -> None:
    """Two hours from Friday 17:00 end on Monday at 10:00."""
    assert due_at(WEEKDAYS, utc("2026-03-06T17:00"), 2 * HOUR) == utc("2026-03-09T10:00")


def test_no_budget_on_a_closed_day_is_due_at_the_next_opening() -> None:
    """A budget of zero holds until the calendar opens."""
    assert due_at(WEEKDAYS, utc("2026-03-07T12:00"), 0) == utc("2026-03-09T09:00")


def test_a_holiday_is_closed_all_its_local_day() -> None:
    """Christmas in Sydney closes the 25th there, which begins on the 24th in UTC."""
    calendar = Calendar("Australia/Sydney", (AROUND_THE_CLOCK,) * 7, frozenset({date(2025, 12, 25)}))
    assert working_seconds(calendar, utc("2025-12-24T12:00"), utc("2025-12-25T14:00")) == 2 * HOUR


def test_holidays_without_weekly_hours_close_an_otherwise_open_calendar() -> None:
    """Round the clock except on holidays."""
    calendar = Calendar("UTC", None, frozenset({date(2025, 12, 25)}))
    assert working_seconds(calendar, utc("2025-12-24T00:00"), utc("2025-12-27T00:00")) == 48 * HOUR


def test_a_border_in_the_spring_gap_takes_effect_at_the_jump() -> None:
    """Berlin skips 02:00 to 03:00 on 2026-03-29: hours from 02:30 to 04:00 are the hour after the jump."""
    calendar = Calendar("Europe/Berlin", (((150, 240),),) * 7)
    assert working_seconds(calendar, utc("2026-03-29T00:00"), utc("2026-03-29T12:00")) == HOUR
    assert due_at(calendar, utc("2026-03-29T00:00"), 0) == utc("2026-03-29T01:00")


def test_a_wall_time_that_happens_twice_counts_twice() -> None:
    """Berlin shows 02:00 to 03:00 twice on 2026-10-25: hours from 01:30 to 02:30 are open for an hour and a half."""
    calendar = Calendar("Europe/Berlin", (((90, 150),),) * 7)
    assert working_seconds(calendar, utc("2026-10-24T12:00"), utc("2026-10-25T12:00")) == 1.5 * HOUR
    assert due_at(calendar, utc("2026-10-24T22:00"), HOUR) == utc("2026-10-25T01:00")


def test_a_calendar_that_never_opens_again_has_no_due_date() -> None:
    """After ten years without working time there is no due date."""
    assert due_at(Calendar("UTC", (CLOSED,) * 7), utc("2026-03-01T00:00"), 1) is None


def test_a_budget_beyond_ten_years_has_no_due_date() -> None:
    """One open hour a week does not make 600 hours within ten years."""
    calendar = Calendar("UTC", ((((0, 60),),) + (CLOSED,) * 6))
    assert due_at(calendar, utc("2026-03-01T00:00"), 600 * HOUR) is None
    assert due_at(calendar, utc("2026-03-01T00:00"), 500 * HOUR) is not None


def test_an_older_question_after_a_newer_one_is_answered_alike() -> None:
    """The table grows in both directions of time."""
    calendar = Calendar("Europe/Rome", (OFFICE,) * 5 + (CLOSED,) * 2)
    assert working_seconds(calendar, utc("2030-06-03T00:00"), utc("2030-06-04T00:00")) == 9 * HOUR
    assert working_seconds(calendar, utc("2012-06-04T00:00"), utc("2012-06-05T00:00")) == 9 * HOUR
    assert working_seconds(calendar, utc("2030-06-03T00:00"), utc("2030-06-04T00:00")) == 9 * HOUR


def test_a_hundred_thousand_questions_take_about_a_second() -> None:
    """A big import is not slowed down by the calendar."""
    calendar = Calendar("Europe/Berlin", (WITH_BREAK,) * 5 + (CLOSED,) * 2)
    start = utc("2016-02-01T00:00")
    due_at(calendar, start + timedelta(days=400), 100 * HOUR)
    began = time.monotonic()
    for minute in range(50_000):
        due_at(calendar, start + timedelta(minutes=minute), 40 * HOUR)
        working_seconds(calendar, start, start + timedelta(minutes=minute))
    assert time.monotonic() - began < 5


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"])
BORDERS = st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    def day() -> tuple[tuple[int, int], ...]:
        borders = [quarter * 15 for quarter in sorted(draw(BORDERS))]
        return tuple(zip(borders[::2], borders[1::2], strict=False))

    week = tuple(day() for _ in range(7))
    return Calendar(draw(ZONES), week, frozenset({date(2017, 10, 15), date(2018, 4, 1)}))


STARTS = st.one_of(
    # Around the changes to and from daylight saving time of the zones above, and anywhere.
    st.sampled_from(
        [utc("2017-10-14T00:00"), utc("2018-02-17T00:00"), utc("2018-03-24T12:00"), utc("2017-10-28T12:00")]
    ),
    st.sampled_from([utc("2018-03-31T06:00"), utc("2017-09-30T06:00")]),
    st.datetimes(datetime(2016, 1, 1), datetime(2019, 1, 1)).map(  # noqa: DTZ001 hypothesis wants naive bounds
        lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
    ),
)


def is_open(calendar: Calendar, moment: datetime) -> bool:
    wall = moment.astimezone(ZoneInfo(calendar.time_zone))
    shown = wall.hour * 60 + wall.minute
    week = calendar.weekly_hours
    assert week is not None
    return wall.date() not in calendar.holidays and any(a <= shown < b for a, b in week[wall.weekday()])


@settings(max_examples=60, deadline=None)
@given(calendar=calendars(), start=STARTS, minutes=st.integers(0, 60 * 60))
def test_working_time_equals_a_count_of_minutes(calendar: Calendar, start: datetime, minutes: int) -> None:
    """Working time is what counting the open minutes one by one gives, in every zone and over every change of it."""
    counted = sum(is_open(calendar, start + timedelta(minutes=count)) for count in range(minutes))
    assert working_seconds(calendar, start, start + timedelta(minutes=minutes)) == counted * 60


@settings(max_examples=60, deadline=None)
@given(calendar=calendars(), start=STARTS, budget_minutes=st.integers(0, 40 * 60))
def test_the_due_date_is_the_last_instant_within_the_budget(
    calendar: Calendar, start: datetime, budget_minutes: int
) -> None:
    """Until the due date the budget holds, and a microsecond later it does not."""
    budget_seconds = budget_minutes * 60
    due = due_at(calendar, start, budget_seconds)
    assert due is not None
    assert working_seconds(calendar, start, due) <= budget_seconds
    assert working_seconds(calendar, start, due + timedelta(microseconds=1)) > budget_seconds


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
def test_a_year_round_the_clock_is_its_whole_length(zone: str) -> None:
    """No second is lost or doubled at a change of the zone's offset."""
    calendar = Calendar(zone, (AROUND_THE_CLOCK,) * 7)
    assert working_seconds(calendar, utc("2017-01-01T00:00"), utc("2019-01-01T00:00")) == 730 * 86_400
