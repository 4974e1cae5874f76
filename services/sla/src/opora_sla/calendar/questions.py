"""Questions about working time as JSON, for people who come from another system and want to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from opora_sla.calendar.hours import Calendar
from opora_sla.calendar.paused import PausedCalendar
from opora_sla.calendar.written import WallTimes, Weekday, calendar_of, known_zone

Operation = Literal["add", "sub", "between", "is_open", "next_open", "next_close"]
Answer = str | float | int | bool | None
_MOST_SECONDS = 10 * 366 * 86_400
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
"""A table of open hours has no gaps: it is written for all years between two that are asked for."""


class Question(BaseModel):
    """One line of a file of questions. Fields that are not named here are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    timezone: str = "UTC"
    weekly_hours: Mapping[Weekday, WallTimes] | None = None
    """A day that is absent is closed; without the field every hour is open."""
    holidays: tuple[date, ...] = ()
    date_overrides: Mapping[date, WallTimes] = {}
    """The hours of single dates, instead of the week's; none: closed. They count on a holiday too."""
    breaks: Mapping[Weekday | date, WallTimes] = {}
    """What is never open, by weekday or date."""
    pauses: tuple[tuple[datetime, datetime], ...] = ()
    op: Operation
    start: datetime
    """A time without an offset is a wall time of the zone. For `sub`, the end."""
    end: datetime | None = None
    amount_seconds: Annotated[float, Field(ge=0, le=_MOST_SECONDS, allow_inf_nan=False)] | None = None

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        return known_zone(name)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Question:
        days = (day for day in (*self.breaks, *self.date_overrides) if isinstance(day, date))
        for moment in (self.start, self.end, *(border for pause in self.pauses for border in pause), *days):
            if moment is not None and not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                raise ValueError(f"the year {moment.year} is out of reach; write {_FIRST_YEAR} to {_LAST_YEAR}")
        if self.op in {"add", "sub"} and self.amount_seconds is None:
            raise ValueError(f"{self.op} needs amount_seconds")
        if self.op == "between" and self.end is None:
            raise ValueError("between needs end")
        self.calendar()
        return self

    def calendar(self) -> Calendar:
        """The calendar that the question is about. Raises ValueError for hours that cannot be."""
        return calendar_of(
            self.timezone,
            self.weekly_hours,
            breaks=self.breaks,
            holidays=self.holidays,
            date_overrides=self.date_overrides,
        )

    def answer(self) -> Answer:
        """Seconds for `between`, a truth for `is_open`, an instant with the zone's offset for the others; null for one
        that is more than ten years away.
        """
        zone = ZoneInfo(self.timezone)

        def placed(moment: datetime) -> datetime:
            # In UTC, since two moments of one zone compare by their wall times, which may happen twice.
            return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)

        time = PausedCalendar.of(self.calendar(), [(placed(begins), placed(ends)) for begins, ends in self.pauses])
        start = placed(self.start)
        match self.op:
            case "between":
                seconds = time.between(start, placed(self.end or self.start))
                return int(seconds) if seconds.is_integer() else seconds
            case "is_open":
                return time.is_open(start)
            case "add" | "sub":
                move: Callable[[datetime, float], datetime | None] = time.add if self.op == "add" else time.sub
                found = move(start, self.amount_seconds or 0)
            case "next_open":
                found = time.next_open(start)
            case "next_close":
                found = time.next_close(start)
        return None if found is None else found.astimezone(zone).isoformat()


def answered(line: Mapping[str, Any]) -> dict[str, Any]:
    """The same line with its answer. Raises pydantic's ValidationError for a question that cannot be understood."""
    return {**line, "answer": Question.model_validate(line).answer()}
