"""Facts of business time, worked out by hand, and each length counted minute by minute as well.

The questions are those that the published behaviour of zendesk/biz, working_hours and business_time, RFC 5545 and the
IANA zones raise. Where this platform answers otherwise than one of them, that is said.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from opora_sla.calendar.questions import answered

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OFFICE = {day: [["09:00", "17:00"]] for day in WEEK[:5]}
ALL_DAY = {day: [["00:00", "24:00"]] for day in WEEK}
NIGHT = {day: [["22:00", "06:00"]] for day in WEEK}
TWO_PARTS = {day: [["09:00", "12:00"], ["13:00", "18:00"]] for day in WEEK[:5]}
HOUR = 3_600

# Zone, hours, other fields, from, to (wall times of the zone), open hours.
LENGTHS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str, float]] = {
    "an empty interval": ("UTC", OFFICE, {}, "2026-03-04T10:00", "2026-03-04T10:00", 0),
    "within one stretch": ("UTC", OFFICE, {}, "2026-03-04T10:00", "2026-03-04T11:30", 1.5),
    "to the closing": ("UTC", OFFICE, {}, "2026-03-04T16:00", "2026-03-04T17:00", 1),
    "past the closing": ("UTC", OFFICE, {}, "2026-03-04T16:00", "2026-03-04T23:00", 1),
    "over a night": ("UTC", OFFICE, {}, "2026-03-04T16:00", "2026-03-05T10:00", 2),
    "a weekend": ("UTC", OFFICE, {}, "2026-03-06T17:00", "2026-03-09T09:00", 0),
    "a week": ("UTC", OFFICE, {}, "2026-03-04T12:00", "2026-03-11T12:00", 40),
    "two parts of a day": ("UTC", TWO_PARTS, {}, "2026-03-04T00:00", "2026-03-05T00:00", 8),
    "from within the pause between them": ("UTC", TWO_PARTS, {}, "2026-03-04T12:30", "2026-03-04T14:00", 1),
    "stretches that touch are one": (
        "UTC",
        {"wed": [["09:00", "12:00"], ["12:00", "17:00"]]},
        {},
        "2026-03-04T11:00",
        "2026-03-04T13:00",
        2,
    ),
    "midnight to midnight": ("UTC", {"wed": [["00:00", "24:00"]]}, {}, "2026-03-01T00:00", "2026-03-08T00:00", 24),
    "a night that goes on in the week after": (
        "UTC",
        {"sun": [["22:00", "06:00"]]},
        {},
        "2026-03-08T12:00",
        "2026-03-09T12:00",
        8,
    ),
    "from the middle of the night": ("UTC", NIGHT, {}, "2026-03-04T03:00", "2026-03-04T12:00", 3),
    "two nights": ("UTC", NIGHT, {}, "2026-03-04T12:00", "2026-03-06T12:00", 16),
    "a leap day": ("UTC", OFFICE, {}, "2024-02-29T00:00", "2024-03-01T00:00", 8),
    "no leap day in 2100": ("UTC", ALL_DAY, {}, "2100-02-28T00:00", "2100-03-01T00:00", 24),
    "over the year's end": ("UTC", OFFICE, {}, "2026-12-31T16:00", "2027-01-01T10:00", 2),
    "a holiday between working days": (
        "UTC",
        OFFICE,
        {"holidays": ["2026-03-05"]},
        "2026-03-04T16:00",
        "2026-03-06T10:00",
        2,
    ),
    "a holiday at the weekend takes nothing": (
        "UTC",
        OFFICE,
        {"holidays": ["2026-03-07"]},
        "2026-03-06T16:00",
        "2026-03-09T10:00",
        2,
    ),
    "a working Sunday": (
        "UTC",
        OFFICE,
        {"date_overrides": {"2026-03-08": [["10:00", "14:00"]]}},
        "2026-03-06T17:00",
        "2026-03-09T09:00",
        4,
    ),
    "a half-day before a holiday": (
        "UTC",
        OFFICE,
        {"holidays": ["2026-12-25"], "date_overrides": {"2026-12-24": [["09:00", "12:00"]]}},
        "2026-12-24T00:00",
        "2026-12-26T00:00",
        3,
    ),
    "an extra night on one date": (
        "UTC",
        OFFICE,
        {"date_overrides": {"2026-03-07": [["22:00", "02:00"]]}},
        "2026-03-06T17:00",
        "2026-03-09T09:00",
        4,
    ),
    "a break beyond the hours takes nothing": (
        "UTC",
        OFFICE,
        {"breaks": {"wed": [["18:00", "19:00"]]}},
        "2026-03-04T00:00",
        "2026-03-05T00:00",
        8,
    ),
    "a break at the opening": (
        "UTC",
        OFFICE,
        {"breaks": {"wed": [["08:00", "10:00"]]}},
        "2026-03-04T00:00",
        "2026-03-05T00:00",
        7,
    ),
    # Zones. Northern spring and autumn, southern ones, half hours, midnights and whole days.
    "Berlin's spring Sunday": ("Europe/Berlin", ALL_DAY, {}, "2026-03-29T00:00", "2026-03-30T00:00", 23),
    "Berlin's autumn Sunday": ("Europe/Berlin", ALL_DAY, {}, "2026-10-25T00:00", "2026-10-26T00:00", 25),
    "hours within the skipped hour": (
        "Europe/Berlin",
        {"sun": [["02:00", "03:00"]]},
        {},
        "2026-03-29T00:00",
        "2026-03-30T00:00",
        0,
    ),
    "hours within the doubled hour": (
        "Europe/Berlin",
        {"sun": [["02:00", "03:00"]]},
        {},
        "2026-10-25T00:00",
        "2026-10-26T00:00",
        2,
    ),
    "a break in the doubled hour is taken twice": (
        "Europe/Berlin",
        ALL_DAY,
        {"breaks": {"2026-10-25": [["02:30", "03:00"]]}},
        "2026-10-25T00:00",
        "2026-10-26T00:00",
        24,
    ),
    "an office sees nothing of the change": (
        "America/New_York",
        OFFICE,
        {},
        "2026-03-06T09:00",
        "2026-03-09T17:00",
        16,
    ),
    "New York's night shift in spring": (
        "America/New_York",
        {"sat": [["22:00", "06:00"]]},
        {},
        "2026-03-07T12:00",
        "2026-03-08T12:00",
        7,
    ),
    "Sydney changes in October": ("Australia/Sydney", ALL_DAY, {}, "2026-10-04T00:00", "2026-10-05T00:00", 23),
    "Lord Howe by half an hour, forth": (
        "Australia/Lord_Howe",
        ALL_DAY,
        {},
        "2026-10-04T00:00",
        "2026-10-05T00:00",
        23.5,
    ),
    "Lord Howe's night shift, back": (
        "Australia/Lord_Howe",
        {"sat": [["22:00", "06:00"]]},
        {},
        "2026-04-04T12:00",
        "2026-04-05T12:00",
        8.5,
    ),
    "Troll by two hours": ("Antarctica/Troll", ALL_DAY, {}, "2026-03-29T00:00", "2026-03-30T00:00", 22),
    "Kathmandu's quarter": ("Asia/Kathmandu", OFFICE, {}, "2026-03-04T08:45", "2026-03-04T09:45", 0.75),
    "Dublin's winter is the exception": ("Europe/Dublin", ALL_DAY, {}, "2026-10-25T00:00", "2026-10-26T00:00", 25),
    # In Egypt the clock of 2024-04-26 went from 23:59:59 of the day before to 01:00.
    "Cairo without a midnight": (
        "Africa/Cairo",
        {"fri": [["00:00", "02:00"]]},
        {},
        "2024-04-25T12:00",
        "2024-04-26T12:00",
        1,
    ),
    "Cairo's night shift over the missing midnight": (
        "Africa/Cairo",
        {"thu": [["22:00", "06:00"]]},
        {},
        "2024-04-25T12:00",
        "2024-04-26T12:00",
        7,
    ),
    # In Havana 00:00 to 01:00 of the Sunday comes twice.
    "Havana's midnight twice": (
        "America/Havana",
        {"sun": [["00:00", "01:00"]]},
        {},
        "2026-10-31T12:00",
        "2026-11-01T12:00",
        2,
    ),
    "Samoa's holiday on the day that never was": (
        "Pacific/Apia",
        ALL_DAY,
        {"holidays": ["2011-12-30"]},
        "2011-12-29T00:00",
        "2012-01-01T00:00",
        48,
    ),
    "Samoa's night shift over the day that never was": (
        "Pacific/Apia",
        {"thu": [["22:00", "06:00"]]},
        {},
        "2011-12-29T12:00",
        "2012-01-01T00:00",
        2,
    ),
    "Kwajalein's Saturday that never was": (
        "Pacific/Kwajalein",
        ALL_DAY,
        {},
        "1993-08-20T00:00",
        "1993-08-23T00:00",
        48,
    ),
    # Venezuela moved its clock forth by half an hour on 2016-05-01 at 02:30, for good.
    "Caracas for good": ("America/Caracas", ALL_DAY, {}, "2016-05-01T00:00", "2016-05-02T00:00", 23.5),
    "Pyongyang for good": ("Asia/Pyongyang", ALL_DAY, {}, "2018-05-04T00:00", "2018-05-06T00:00", 47.5),
    # Morocco's clock goes back for Ramadan and forth after it.
    "Casablanca around Ramadan": ("Africa/Casablanca", ALL_DAY, {}, "2026-02-15T00:00", "2026-02-16T00:00", 25),
}


def scanned(zone: str, hours: dict[str, Any], fields: dict[str, Any], start: datetime, end: datetime) -> int:
    """Open minutes of [start, end), one by one by the clock on the wall, as the documents say it."""
    place = ZoneInfo(zone)

    def minutes(written: list[list[str]]) -> list[tuple[int, int]]:
        pairs = []
        for begins, ends in written:
            opens, closes = (int(each[:2]) * 60 + int(each[3:]) for each in (begins, ends))
            pairs.append((opens, closes if closes > opens else closes + 1_440))
        return pairs

    def of(day: date) -> list[tuple[int, int]]:
        if (own := fields.get("date_overrides", {}).get(day.isoformat())) is not None:
            return minutes(own)
        closed = day.isoformat() in fields.get("holidays", ())
        return [] if closed else minutes(hours.get(WEEK[day.weekday()], []))

    def pause(day: date) -> list[tuple[int, int]]:
        breaks = fields.get("breaks", {})
        return minutes(breaks.get(day.isoformat(), []) + breaks.get(WEEK[day.weekday()], []))

    def shown(at: datetime) -> bool:
        wall = at.astimezone(place)
        minute, today = wall.hour * 60 + wall.minute, wall.date()
        before = today - timedelta(days=1)

        def within(find: Any) -> bool:
            return any(a <= minute < b for a, b in find(today)) or any(a <= minute + 1_440 < b for a, b in find(before))

        return within(of) and not within(pause)

    count = int((end - start) / timedelta(minutes=1))
    return sum(shown(start + timedelta(minutes=number)) for number in range(count))


@pytest.mark.parametrize("fact", LENGTHS.values(), ids=LENGTHS.keys())
def test_so_much_is_open(fact: tuple[str, dict[str, Any], dict[str, Any], str, str, float]) -> None:
    """As worked out by hand, and as counting the minutes says."""
    zone, hours, fields, start, end, expected = fact
    question = {"timezone": zone, "weekly_hours": hours, "op": "between", "start": start, "end": end, **fields}
    assert answered(question)["answer"] == expected * HOUR
    moments = [datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for each in (start, end)]
    assert scanned(zone, hours, fields, moments[0], moments[1]) * 60 == expected * HOUR


# Operation, zone, hours, other fields, start, seconds, answer.
MOVES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str, float, str | None]] = {
    # biz and business_time answer 17:00 of that day: a deadline at which nobody is there any more.
    "to the closing": ("add", "UTC", OFFICE, {}, "2026-03-04T16:00", 3_600, "2026-03-05T09:00:00+00:00"),
    "a second over": ("add", "UTC", OFFICE, {}, "2026-03-04T16:00", 3_601, "2026-03-05T09:00:01+00:00"),
    "a second less": ("add", "UTC", OFFICE, {}, "2026-03-04T16:00", 3_599, "2026-03-04T16:59:59+00:00"),
    "from before the opening": ("add", "UTC", OFFICE, {}, "2026-03-04T03:00", 3_600, "2026-03-04T10:00:00+00:00"),
    "from after the closing": ("add", "UTC", OFFICE, {}, "2026-03-06T18:00", 3_600, "2026-03-09T10:00:00+00:00"),
    "a working day": ("add", "UTC", OFFICE, {}, "2026-03-04T10:00", 28_800, "2026-03-05T10:00:00+00:00"),
    "to the pause between two parts": (
        "add", "UTC", TWO_PARTS, {}, "2026-03-04T11:00", 3_600, "2026-03-04T13:00:00+00:00",
    ),
    "over a holiday": (
        "add", "UTC", OFFICE, {"holidays": ["2026-03-05"]}, "2026-03-04T16:30", 3_600, "2026-03-06T09:30:00+00:00",
    ),
    "into a half-day": (
        "add", "UTC", OFFICE, {"date_overrides": {"2026-03-05": [["09:00", "12:00"]]}}, "2026-03-04T16:00", 5 * 3_600,
        "2026-03-06T10:00:00+00:00",
    ),
    "into an extra Saturday": (
        "add", "UTC", OFFICE, {"date_overrides": {"2026-03-07": [["10:00", "14:00"]]}}, "2026-03-06T16:00", 7_200,
        "2026-03-07T11:00:00+00:00",
    ),
    "a night over the spring change": (
        "add", "Europe/Berlin", NIGHT, {}, "2026-03-29T01:30", 3_600, "2026-03-29T03:30:00+02:00",
    ),
    "a night over the autumn change": (
        "add", "Europe/Berlin", NIGHT, {}, "2026-10-25T01:30", 5_400, "2026-10-25T02:00:00+01:00",
    ),
    "to the second showing of an hour": (
        "add", "Europe/Berlin", NIGHT, {}, "2026-10-25T02:15", 3_600, "2026-10-25T02:15:00+01:00",
    ),
    "a day in Lord Howe": (
        "add", "Australia/Lord_Howe", ALL_DAY, {}, "2026-04-04T12:00", 86_400, "2026-04-05T11:30:00+10:30",
    ),
    "over Samoa's missing day": (
        "add", "Pacific/Apia", OFFICE, {}, "2011-12-29T16:00", 7_200, "2012-01-02T10:00:00+14:00",
    ),
    "back over a night": ("sub", "UTC", OFFICE, {}, "2026-03-05T10:00", 7_200, "2026-03-04T16:00:00+00:00"),
    # working_hours answers the closing of the evening before.
    "back to the opening": ("sub", "UTC", OFFICE, {}, "2026-03-05T10:00", 3_600, "2026-03-05T09:00:00+00:00"),
    "back over the autumn change": (
        "sub", "Europe/Berlin", NIGHT, {}, "2026-10-25T03:00", 7_200, "2026-10-25T02:00:00+02:00",
    ),
    "back over Samoa's missing day": (
        "sub", "Pacific/Apia", OFFICE, {}, "2012-01-02T10:00", 7_200, "2011-12-29T16:00:00-10:00",
    ),
    "only past dates are open": (
        "add", "UTC", {}, {"date_overrides": {"2026-03-04": [["09:00", "17:00"]]}}, "2026-03-05T09:00", 1, None,
    ),
    "one date is open": (
        "add", "UTC", {}, {"date_overrides": {"2026-03-04": [["09:00", "17:00"]]}}, "2026-03-01T09:00", 3_600,
        "2026-03-04T10:00:00+00:00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fact", MOVES.values(), ids=MOVES.keys())
def test_a_budget_leads_there(fact: tuple[str, str, dict[str, Any], dict[str, Any], str, float, str | None]) -> None:
    """As worked out by hand; and between the two lies the budget."""
    operation, zone, hours, fields, start, seconds, expected = fact
    question = {"timezone": zone, "weekly_hours": hours, "start": start, "amount_seconds": seconds, **fields}
    found = answered({**question, "op": operation})["answer"]
    assert found == expected
    if found is not None:
        order = {"start": start, "end": found} if operation == "add" else {"start": found, "end": start}
        assert answered({**question, "op": "between", **order})["answer"] == seconds
