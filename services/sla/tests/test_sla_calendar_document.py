"""Calendars as documents: what they mean, what is refused, and that what was kept before means what it meant."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from opora_sla.agreement import AgreementDocument, read_agreement
from opora_sla.calendar import Calendar, working_seconds
from opora_sla.calendar.document import CalendarDocument, Closures, NamedCalendar, origin_of
from opora_sla.calendar.public_holidays import KEPT, PublicHolidays, UnknownHolidaysError, years_kept

HOUR = 3_600
OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
BERLIN: dict[str, Any] = {
    "name": "Berlin",
    "time_zone": "Europe/Berlin",
    "weekly_hours": OFFICE,
    "breaks": {"mon": [["12:00", "13:00"]], "2026-12-23": [["15:00", "17:00"]]},
    "holidays": ["2026-12-28"],
    "date_overrides": {"2026-12-24": [["09:00", "12:00"]], "2026-12-19": [["10:00", "14:00"]], "2026-12-31": []},
    "holidays_of": {"country": "DE", "subdivision": "BE"},
}
RESOLUTION = {"resolution": {"targets": {"P1": {"hours": 4}}}}


def written(**fields: Any) -> CalendarDocument:
    return CalendarDocument.model_validate({"name": "C"} | fields)


def open_hours(calendar: Calendar, day: str) -> float:
    begins = datetime.fromisoformat(f"{day}T00:00+01:00")
    return working_seconds(calendar, begins, begins.replace(hour=23, minute=59)) / HOUR


@pytest.mark.parametrize(
    ("day", "hours", "origin"),
    [
        ("2026-12-18", 8, None),
        ("2026-12-19", 4, "date_overrides"),
        ("2026-12-20", 0, None),
        ("2026-12-21", 7, None),
        ("2026-12-22", 8, None),
        ("2026-12-23", 6, "breaks"),
        ("2026-12-24", 3, "date_overrides"),
        ("2026-12-25", 0, "holidays_of"),
        ("2026-12-28", 0, "holidays"),
        ("2026-12-29", 0, "feed"),
        ("2026-12-30", 6.5, None),
        ("2026-12-31", 0, "date_overrides"),
    ],
)
def test_a_calendar_is_all_its_parts_together(day: str, hours: float, origin: str | None) -> None:
    """The week, breaks, half-days, extra days, closures, holidays of three origins, and timed events of a feed."""
    document = CalendarDocument.model_validate(BERLIN)
    closures = Closures(
        frozenset(document.public_holidays(2026)),
        # The 24th has hours of its own, which count on a feed's day too.
        frozenset({date(2026, 12, 29), date(2026, 12, 24)}),
        ((datetime(2026, 12, 30, 9, 30, tzinfo=UTC), datetime(2026, 12, 30, 11, 0, tzinfo=UTC)),),
    )
    assert open_hours(document.merged(closures), day) == hours
    assert origin_of(document, closures, date.fromisoformat(day)) == origin


def test_a_timed_event_closes_hours_of_a_date_too() -> None:
    """What is closed in absolute time is closed whatever stands for the date."""
    document = written(time_zone="Europe/Berlin", date_overrides={"2026-12-24": [["09:00", "12:00"]]})
    times = ((datetime(2026, 12, 24, 10, tzinfo=UTC), datetime(2026, 12, 24, 11, tzinfo=UTC)),)
    calendar = document.merged(Closures(feed_times=times))
    assert open_hours(calendar, "2026-12-24") == 2


def test_round_the_clock_is_a_calendar_without_hours() -> None:
    """24 hours on seven days, and simply time to a clock; a closure makes it a calendar like others."""
    assert written().merged(Closures()).always_open
    assert written(weekly_hours=None).working_time() == Calendar()
    assert not written(holidays=["2026-01-01"]).merged(Closures()).always_open
    times = ((datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),)
    assert not written().merged(Closures(feed_times=times)).always_open


def test_a_document_and_its_closures_read_back_as_they_were() -> None:
    """What the database keeps gives the same calendar again."""
    document = CalendarDocument.model_validate(BERLIN)
    closures = Closures(
        frozenset(document.public_holidays(2026)),
        frozenset({date(2026, 12, 29)}),
        ((datetime(2026, 12, 30, 9, 30, tzinfo=UTC), datetime(2026, 12, 30, 11, 0, tzinfo=UTC)),),
    )
    assert CalendarDocument.model_validate(document.as_json()) == document
    assert Closures.from_json(closures.as_json()) == closures
    assert Closures.from_json(Closures().as_json()) == Closures()


@pytest.mark.parametrize(
    ("fields", "where", "what"),
    [
        ({"name": ""}, ("name",), "at least 1"),
        ({"time_zone": "Europe/Bern"}, ("time_zone",), "write one such as Europe/Berlin"),
        ({"weekly_hours": {}}, ("weekly_hours",), "no day is open; leave weekly_hours out"),
        ({"weekly_hours": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}}, ("weekly_hours",), "in order"),
        ({"breaks": {"mon": [["13:00", "13:00"]]}}, ("breaks",), "mon: [13:00, 13:00] is empty"),
        ({"breaks": {"2026-12-24": [["9", "10:00"]]}}, ("breaks",), "2026-12-24: '9' is no wall time"),
        ({"breaks": {"monday": []}}, ("breaks", "monday", "[key]"), "write mon, tue, wed"),
        ({"breaks": {"20261224": []}}, ("breaks", "20261224", "[key]"), "a date such as 2026-12-24"),
        ({"breaks": {"0001-01-01": []}}, ("breaks", "0001-01-01", "[key]"), "write 1900 to 2200"),
        (
            {"weekly_hours": {"mon": [["09:00", "12:00"]]}, "breaks": {"mon": [["08:00", "12:00"]]}},
            ("breaks",),
            "the breaks leave no hour open",
        ),
        (
            {"breaks": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}},
            ("breaks",),
            "the breaks leave no hour open",
        ),
        ({"date_overrides": {"2026-12-24": [["12:00", "12:00"]]}}, ("date_overrides",), "2026-12-24: [12:00, 12:00]"),
        ({"date_overrides": {"1.1.2026": []}}, ("date_overrides", "1.1.2026", "[key]"), "date"),
        ({"date_overrides": {"20261224": []}}, ("date_overrides", "20261224", "[key]"), "write one such as 2026-12-24"),
        ({"date_overrides": {"2201-01-01": []}}, ("date_overrides", "2201-01-01", "[key]"), "write 1900 to 2200"),
        ({"holidays": [20261224]}, ("holidays", 0), "write one such as 2026-12-24"),
        ({"holidays": ["20261224"]}, ("holidays", 0), "write one such as 2026-12-24"),
        ({"holidays_of": {"country": "Germany"}}, ("holidays_of", "country"), "is no country; write "),
        ({"holidays_of": {"country": "de"}}, ("holidays_of", "country"), "write DE"),
        ({"holidays_of": {"country": "DE", "subdivision": "by"}}, ("holidays_of", "subdivision"), "write BY"),
        ({"holidays_of": {"country": "DE", "subdivision": "XX"}}, ("holidays_of", "subdivision"), "one such as BB, BE"),
        ({"holidays_of": {"country": "VA", "subdivision": "X"}}, ("holidays_of", "subdivision"), "leave it out"),
        (
            {"holidays_of": {"country": "DE", "categories": ["bank"]}},
            ("holidays_of", "categories"),
            "one such as catholic, public, school",
        ),
        ({"holidays_of": {"country": "BR", "categories": ["half_day"]}}, ("holidays_of", "categories"), "overrides"),
        ({"holidays_of": {"state": "BY"}}, ("holidays_of", "country"), "required"),
        ({"feed": "ftp://example.com/a.ics"}, ("feed",), "write one that begins with https://"),
        ({"hours": {}}, ("hours",), "Extra inputs"),
    ],
)
def test_a_wrong_calendar_is_refused_by_the_name_of_the_field(
    fields: dict[str, Any], where: tuple[str | int, ...], what: str
) -> None:
    """Every refusal says where and what to write."""
    with pytest.raises(ValidationError) as refused:
        written(**fields)
    error = refused.value.errors()[0]
    assert error["loc"] == where
    assert what in error["msg"]


def test_public_holidays_are_those_of_the_part_of_the_country() -> None:
    """Epiphany is one in Bavaria and not in Berlin; a category of its own takes the place of the public ones."""
    epiphany = date(2026, 1, 6)
    berlin, bavaria = (PublicHolidays(country="DE", subdivision=part) for part in ("BE", "BY"))
    assert (epiphany in berlin.dates([2026]), epiphany in bavaria.dates([2026])) == (False, True)
    assert date(2026, 8, 15) in PublicHolidays(country="DE", subdivision="BY", categories=("catholic",)).dates([2026])
    assert {day.year for day in bavaria.dates(range(2025, 2028))} == {2025, 2026, 2027}


def test_a_calendar_of_before_is_read_whatever_this_release_knows() -> None:
    """A part of a country that is known no longer refuses nothing that was kept; its next reading says what to do."""
    kept = {"name": "C", "holidays_of": {"country": "DE", "subdivision": "XX", "categories": ["gone"]}}
    document = CalendarDocument.model_validate(kept, context=KEPT)
    with pytest.raises(UnknownHolidaysError, match="revise holidays_of"):
        document.public_holidays(2026)
    nowhere = {"name": "C", "holidays_of": {"country": "XX"}}
    with pytest.raises(UnknownHolidaysError, match="revise holidays_of"):
        CalendarDocument.model_validate(nowhere, context=KEPT).public_holidays(2026)


def test_holidays_are_kept_for_longer_than_a_clock_runs() -> None:
    """No due date is more than ten years away, and the years change once in a decade."""
    assert [years_kept(year)[-1] for year in (2026, 2029, 2030)] == [2040, 2040, 2050]
    assert all(years_kept(year)[-1] > year + 10 for year in range(2026, 2060))


STORED_BEFORE: dict[str, Any] = {
    "name": "Evening shift",
    "time_zone": "Europe/Berlin",
    "weekly_hours": {"mon": [["14:00", "24:00"]]},
    "holidays": ["2016-12-25"],
    "metrics": {
        "resolution": {
            "targets": {"P1": {"hours": 4}},
            "pauses": ["customer"],
            "warn_at_percent": [75],
            "until": "resolved",
        }
    },
    "conditions": {},
    "rank": 0,
}


def test_a_document_of_before_means_the_same_and_is_found_again() -> None:
    """Written out, it is what was kept: an agreement that is written again is still the same one."""
    document = AgreementDocument.model_validate(STORED_BEFORE)
    assert document.as_json() == STORED_BEFORE
    assert document.working_time() == Calendar(
        "Europe/Berlin", (((840, 1_440),), (), (), (), (), (), ()), frozenset({date(2016, 12, 25)})
    )


def test_an_agreement_has_breaks_and_overrides_of_its_own() -> None:
    """The same fields as a calendar's, kept with it."""
    hours = {name: BERLIN[name] for name in ("time_zone", "weekly_hours", "breaks", "date_overrides")}
    document = AgreementDocument.model_validate({"name": "A", "metrics": RESOLUTION} | hours)
    assert open_hours(document.working_time(), "2026-12-21") == 7
    assert open_hours(document.working_time(), "2026-12-24") == 3
    assert AgreementDocument.model_validate(document.as_json()) == document


def test_an_agreement_names_a_calendar_instead_of_hours() -> None:
    """Its document keeps the name alone, its version the calendar's; without that it cannot be read."""
    document = AgreementDocument.model_validate({"name": "A", "calendar": "Berlin", "metrics": RESOLUTION})
    assert document.as_json().keys() == {"name", "calendar", "metrics", "conditions", "rank"}
    assert AgreementDocument.model_validate(document.as_json()) == document
    working_time = CalendarDocument.model_validate(BERLIN).merged(Closures())
    named = NamedCalendar(UUID(int=7), 3, "Berlin", working_time)
    agreement = read_agreement(UUID(int=1), 1, document, datetime(2026, 1, 1, tzinfo=UTC), named)
    assert agreement.calendar is working_time
    with pytest.raises(ValueError, match="'Berlin' is not given"):
        read_agreement(UUID(int=1), 1, document, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "hours", [{"time_zone": "UTC"}, {"weekly_hours": OFFICE}, {"breaks": {}}, {"holidays": []}, {"date_overrides": {}}]
)
def test_hours_and_a_calendar_exclude_each_other(hours: dict[str, Any]) -> None:
    """Whichever stands beside it, even if it says what is so anyway: nobody has to guess which one counts."""
    with pytest.raises(ValidationError, match=rf"calendar stands beside {next(iter(hours))}"):
        AgreementDocument.model_validate({"name": "A", "calendar": "Berlin", "metrics": RESOLUTION} | hours)
