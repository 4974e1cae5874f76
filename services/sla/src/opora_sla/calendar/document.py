"""Working time as its author writes it: hours inside an agreement, or a calendar with a name of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from opora_sla.calendar.hours import Calendar
from opora_sla.calendar.public_holidays import PublicHolidays, years_kept
from opora_sla.calendar.timetable import microseconds
from opora_sla.calendar.written import (
    WEEKDAYS,
    WallTimes,
    Weekday,
    calendar_of,
    known_zone,
    wall_intervals,
    week_of,
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
FIRST_YEAR, LAST_YEAR = 1900, 2200
"""A table of open hours has no gaps: it is written for all years between two that are asked for."""
_MOST_DATES = 2_000
FEED_SCHEMES = ("https", "http")
ALWAYS_OPEN = "24x7"
"""The calendar that every platform has."""
ALWAYS_OPEN_ID = UUID("01900000-0000-7000-8000-000000000024")


def _is_a_date(given: Any) -> Any:
    # Pydantic takes a number for seconds since 1970: 20261224 would be a day of 1970.
    if isinstance(given, date) or (isinstance(given, str) and not given.strip().lstrip("+-").isdigit()):
        return given
    raise ValueError(f"{given!r} is no date; write one such as 2026-12-24")


def _is_a_day(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(given, date) or given in WEEKDAYS or (isinstance(given, str) and _DATE.fullmatch(given)):
        return _within_reach(handler(given))
    raise ValueError(f"{given!r} is no day; write {', '.join(WEEKDAYS)} or a date such as 2026-12-24")


def _within_reach(day: Any) -> Any:
    if isinstance(day, date) and not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"the year {day.year} is out of reach; write {FIRST_YEAR} to {LAST_YEAR}")
    return day


LocalDate = Annotated[date, BeforeValidator(_is_a_date)]
OneDay = Annotated[Weekday | date, WrapValidator(_is_a_day)]
OneDate = Annotated[date, WrapValidator(lambda given, handler: _within_reach(handler(_is_a_date(given))))]


class OpenHours(BaseModel):
    """A week in a time zone, and what differs from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    time_zone: str = "UTC"
    """An IANA name, such as Europe/Berlin."""
    weekly_hours: dict[Weekday, WallTimes] | None = None
    """Open hours as [from, to] in local wall time, "HH:MM", up to "24:00"; `to` before `from` is on the next day. A
    day that is absent is closed; without the whole field every hour is open."""
    breaks: Annotated[dict[OneDay, WallTimes], Field(max_length=_MOST_DATES)] = {}
    """What is never open, by weekday or date, whatever hours the day has."""
    holidays: tuple[LocalDate, ...] = ()
    """Local dates that are closed all day."""
    date_overrides: Annotated[dict[OneDate, WallTimes], Field(max_length=_MOST_DATES)] = {}
    """The hours of single dates instead of the week's: half-days, extra working days, closures as []. They count on a
    holiday too."""

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return known_zone(name)

    @field_validator("weekly_hours")
    @classmethod
    def _hours_are_in_order(cls, hours: dict[Weekday, WallTimes] | None) -> Any:
        if hours is None:
            return None
        if not any(hours.values()):
            raise ValueError("no day is open; leave weekly_hours out for round the clock")
        week_of(hours)
        return hours

    @field_validator("breaks")
    @classmethod
    def _breaks_leave_something(cls, breaks: dict[Weekday | date, WallTimes], info: ValidationInfo) -> Any:
        for day, hours in breaks.items():
            wall_intervals(str(day), hours)
        weekly: dict[Weekday | date, WallTimes] = {
            day: hours for day, hours in breaks.items() if not isinstance(day, date)
        }
        if weekly and "weekly_hours" in info.data:
            week = calendar_of("UTC", info.data["weekly_hours"], breaks=weekly, holidays=(), date_overrides={})
            if not any(week.hours()):
                raise ValueError("the breaks leave no hour open in any week; write shorter ones")
        return breaks

    @field_validator("date_overrides")
    @classmethod
    def _overrides_are_in_order(cls, overrides: dict[date, WallTimes]) -> Any:
        for day, hours in overrides.items():
            wall_intervals(str(day), hours)
        return overrides

    def working_time(self) -> Calendar:
        """The calendar that is written here."""
        return calendar_of(
            self.time_zone,
            self.weekly_hours,
            breaks=self.breaks,
            holidays=self.holidays,
            date_overrides=self.date_overrides,
        )


HOURS = frozenset(OpenHours.model_fields)
NEWER_HOURS = frozenset({"breaks", "date_overrides"})
"""Fields that agreements did not have from the first day; one that is empty is not kept with them."""


@dataclass(frozen=True, slots=True)
class Closures:
    """What a calendar takes from elsewhere, as it was when it was looked up; part of the calendar's version."""

    public_holidays: frozenset[date] = frozenset()
    feed_days: frozenset[date] = frozenset()
    """Local dates of the feed's all-day events."""
    feed_times: tuple[tuple[datetime, datetime], ...] = ()
    """[from, to) of its other events."""

    def as_json(self) -> dict[str, Any]:
        """As the database keeps them, always in the same order."""
        return {
            "public_holidays": sorted(day.isoformat() for day in self.public_holidays),
            "feed_days": sorted(day.isoformat() for day in self.feed_days),
            "feed_times": sorted([begins.isoformat(), ends.isoformat()] for begins, ends in self.feed_times),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Closures:
        """What `as_json` wrote."""
        return cls(
            frozenset(date.fromisoformat(day) for day in kept["public_holidays"]),
            frozenset(date.fromisoformat(day) for day in kept["feed_days"]),
            tuple(
                (datetime.fromisoformat(begins), datetime.fromisoformat(ends)) for begins, ends in kept["feed_times"]
            ),
        )


class CalendarDocument(OpenHours):
    """A calendar that agreements refer to by its name. Unknown fields are refused, by name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    holidays_of: PublicHolidays | None = None
    """Public holidays that are closed all day."""
    feed: Annotated[str, Field(max_length=2_000)] | None = None
    """The address of an iCalendar file (RFC 5545): its events are closed, an all-day event as a holiday."""

    @field_validator("feed")
    @classmethod
    def _feed_is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(tuple(f"{scheme}://" for scheme in FEED_SCHEMES)):
            raise ValueError(f"{url[:60]!r} is no address of a feed; write one that begins with https://")
        return url

    def as_json(self) -> dict[str, Any]:
        """The document with its defaults written out, so that it means the same for ever."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def has_sources(self) -> bool:
        """Whether it takes something from elsewhere."""
        return self.holidays_of is not None or self.feed is not None

    def public_holidays(self, year: int) -> dict[date, str]:
        """The public holidays that are kept by a calendar written in this year, with their names."""
        return {} if self.holidays_of is None else self.holidays_of.dates(years_kept(year))

    def merged(self, closures: Closures) -> Calendar:
        """The one calendar of what is written here and what is closed from elsewhere.

        Hours of a date count on holidays of every origin; timed events of the feed are never open.
        """
        return calendar_of(
            self.time_zone,
            self.weekly_hours,
            breaks=self.breaks,
            holidays=closures.public_holidays | closures.feed_days | frozenset(self.holidays),
            date_overrides=self.date_overrides,
            closed=[(microseconds(begins), microseconds(ends)) for begins, ends in closures.feed_times],
        )

    def without_feed(self, year: int) -> Calendar:
        """The calendar as it is in this year without asking anybody else."""
        return self.merged(Closures(frozenset(self.public_holidays(year))))


@dataclass(frozen=True, slots=True)
class NamedCalendar:
    """One version of a calendar that the platform keeps. A version is never changed."""

    id: UUID
    version: int
    name: str
    working_time: Calendar


@dataclass(frozen=True, slots=True)
class CalendarVersion:
    """One version of a calendar that the platform keeps, as it is written."""

    id: UUID
    version: int
    created_at: datetime
    document: CalendarDocument
    closures: Closures

    def named(self) -> NamedCalendar:
        """Ready for clocks."""
        return NamedCalendar(self.id, self.version, self.document.name, self.document.merged(self.closures))


Origin = Literal["date_overrides", "holidays", "holidays_of", "feed", "breaks"]
"""The field of a calendar that makes a date differ from its week."""


def origin_of(document: OpenHours, closures: Closures, day: date) -> Origin | None:
    """Which field makes this date differ; the one that decides when several name it."""
    if day in document.date_overrides:
        return "date_overrides"
    if day in document.holidays:
        return "holidays"
    if day in closures.public_holidays:
        return "holidays_of"
    if day in closures.feed_days:
        return "feed"
    return "breaks" if day in document.breaks else None
