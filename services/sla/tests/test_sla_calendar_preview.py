"""The preview of a calendar: its dates one by one, right on both nights, and the same time as a clock's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from opora_sla.calendar import working_seconds
from opora_sla.calendar.document import CalendarDocument, Closures
from opora_sla.calendar.preview import preview, seconds_by_month

HOUR = 3_600
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def written(**fields: Any) -> CalendarDocument:
    return CalendarDocument.model_validate({"name": "C"} | fields)


def shown(document: CalendarDocument, first: date, days: int, closures: Closures = Closures()) -> list[str]:  # noqa: B008
    return [
        " ".join([str(day.date), *(f"{a:%H:%M}-{b:%H:%M}" for a, b in day.open)])
        for day in preview(document, closures, first, days)
    ]


def test_a_stretch_over_midnight_is_cut_there() -> None:
    """Each date shows what is open on it, whichever day the hours belong to."""
    nights = written(weekly_hours={"fri": [["22:00", "06:00"]]})
    assert shown(nights, date(2026, 3, 5), 4) == [
        "2026-03-05",
        "2026-03-06 22:00-00:00",
        "2026-03-07 00:00-06:00",
        "2026-03-08",
    ]


def test_dates_of_both_nights_have_their_length() -> None:
    """23 hours in spring, 25 in autumn, in local time with its offset."""
    berlin = written(time_zone="Europe/Berlin", holidays=["2026-01-01"])
    spring, autumn = (preview(berlin, Closures(), date(2026, *day), 1)[0] for day in ((3, 29), (10, 25)))
    assert (spring.open_seconds, autumn.open_seconds) == (23 * HOUR, 25 * HOUR)
    ((begins, ends),) = autumn.open
    assert (begins.isoformat(), ends.isoformat()) == ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")


def test_a_date_that_never_was_has_nothing_open() -> None:
    """Samoa had no 2011-12-30; the dates around it are whole."""
    days = preview(written(time_zone="Pacific/Apia"), Closures(), date(2011, 12, 29), 3)
    assert [day.open_seconds for day in days] == [24 * HOUR, 0, 24 * HOUR]


def test_what_makes_a_date_differ_is_named_by_its_field() -> None:
    """So that the author finds where it stands; of a feed's timed event too."""
    document = written(
        weekly_hours={day: [["09:00", "17:00"]] for day in WEEK},
        breaks={"2026-03-02": [["12:00", "13:00"]]},
        holidays=["2026-03-03"],
        date_overrides={"2026-03-04": []},
    )
    times = ((datetime(2026, 3, 6, 16, tzinfo=UTC), datetime(2026, 3, 7, 8, tzinfo=UTC)),)
    closures = Closures(frozenset({date(2026, 3, 5)}), frozenset({date(2026, 3, 8)}), times)
    days = preview(document, closures, date(2026, 3, 1), 9)
    assert [(day.differs_by, day.open_seconds // HOUR) for day in days] == [
        (None, 8),
        ("breaks", 7),
        ("holidays", 0),
        ("date_overrides", 0),
        ("holidays_of", 0),
        ("feed", 7),
        ("feed", 8),
        ("feed", 0),
        (None, 8),
    ]
    assert seconds_by_month(days) == {"2026-03": 38 * HOUR}


def test_a_preview_has_its_limit() -> None:
    """400 days, whatever is asked for."""
    assert len(preview(written(), Closures(), date(2026, 1, 1), 5_000)) == 400


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia"]
    ),
    first=st.dates(date(1995, 1, 1), date(2037, 1, 1)),
    days=st.integers(1, 40),
    closing=st.integers(1, 23),
)
def test_the_days_together_are_the_time_that_a_clock_counts(zone: str, first: date, days: int, closing: int) -> None:
    """The sum over the dates is the working time from the first midnight to the last."""
    document = written(
        time_zone=zone,
        weekly_hours={"mon": [["00:00", f"{closing:02}:00"]], "sat": [["22:00", "03:30"]], "sun": [["04:00", "24:00"]]},
        holidays=[str(first + timedelta(days=9))],
    )
    midnights = [
        datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for day in (first, first + timedelta(days=days))
    ]
    total = sum(day.open_seconds for day in preview(document, Closures(), first, days))
    assert total == working_seconds(document.working_time(), midnights[0], midnights[1])
