"""Questions about working time, with answers worked out by hand; where other libraries differ, that is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from opora_sla.calendar.questions import answered

OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
NIGHTS = {day: [["22:00", "06:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
BERLIN = {"timezone": "Europe/Berlin", "weekly_hours": OFFICE}
# 2026-03-06 is a Friday, 2026-03-09 a Monday.


def add(start: str, seconds: float, **question: Any) -> dict[str, Any]:
    return {"op": "add", "start": start, "amount_seconds": seconds, **question}


def sub(start: str, seconds: float, **question: Any) -> dict[str, Any]:
    return {"op": "sub", "start": start, "amount_seconds": seconds, **question}


def between(start: str, end: str, **question: Any) -> dict[str, Any]:
    return {"op": "between", "start": start, "end": end, **question}


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "round the clock": (add("2026-03-06T16:00:00Z", 3600), "2026-03-06T17:00:00+00:00"),
    "over a weekend": (add("2026-03-06T16:30:00+01:00", 3600, **BERLIN), "2026-03-09T09:30:00+01:00"),
    # zendesk/biz answers Friday's closing: there a deadline may lie where nobody works.
    "exactly until closing": (add("2026-03-06T16:00:00+01:00", 3600, **BERLIN), "2026-03-09T09:00:00+01:00"),
    "nothing, while open": (add("2026-03-06T16:00:00+01:00", 0, **BERLIN), "2026-03-06T16:00:00+01:00"),
    "nothing, while closed": (add("2026-03-07T12:00:00+01:00", 0, **BERLIN), "2026-03-09T09:00:00+01:00"),
    "from a closed hour": (add("2026-03-07T12:00:00+01:00", 60, **BERLIN), "2026-03-09T09:01:00+01:00"),
    "a time without offset is the zone's": (add("2026-03-06T16:30:00", 3600, **BERLIN), "2026-03-09T09:30:00+01:00"),
    "over the spring night": (
        add("2026-03-27T16:30:00", 3600, **BERLIN),
        "2026-03-30T09:30:00+02:00",
    ),
    "back within a day": (sub("2026-03-09T10:30:00+01:00", 3600, **BERLIN), "2026-03-09T09:30:00+01:00"),
    "back exactly to opening": (sub("2026-03-09T10:00:00+01:00", 3600, **BERLIN), "2026-03-09T09:00:00+01:00"),
    "back over a weekend": (sub("2026-03-09T10:00:00+01:00", 7200, **BERLIN), "2026-03-06T16:00:00+01:00"),
    "back from a closed hour": (sub("2026-03-08T10:00:00+01:00", 3600, **BERLIN), "2026-03-06T16:00:00+01:00"),
    "back by nothing": (sub("2026-03-08T10:00:00+01:00", 0, **BERLIN), "2026-03-08T10:00:00+01:00"),
    "reversed": (between("2026-03-06T16:00:00Z", "2026-03-06T15:00:00Z", **BERLIN), 0),
    "a working week": (between("2026-03-02T00:00:00", "2026-03-09T00:00:00", **BERLIN), 5 * 8 * 3600),
    "half a second": (between("2026-03-06T12:00:00Z", "2026-03-06T12:00:00.500000Z", **BERLIN), 0.5),
    "a holiday": (
        between("2026-03-02T00:00:00", "2026-03-09T00:00:00", **BERLIN, holidays=["2026-03-04"]),
        4 * 8 * 3600,
    ),
    "half a day": (
        between(
            "2026-12-24T00:00:00", "2026-12-25T00:00:00", **BERLIN, date_overrides={"2026-12-24": [["09:00", "12:00"]]}
        ),
        3 * 3600,
    ),
    "a closure": (
        between("2026-12-24T00:00:00", "2026-12-25T00:00:00", **BERLIN, date_overrides={"2026-12-24": []}),
        0,
    ),
    "a working Saturday": (
        add("2026-03-06T16:30:00", 3600, **BERLIN, date_overrides={"2026-03-07": [["10:00", "14:00"]]}),
        "2026-03-07T10:30:00+01:00",
    ),
    # zendesk/biz passes over the hours of such a date; here what stands for one date is nearer than a list of holidays.
    "hours on a holiday": (
        between(
            "2026-12-24T00:00:00",
            "2026-12-25T00:00:00",
            **BERLIN,
            holidays=["2026-12-24"],
            date_overrides={"2026-12-24": [["09:00", "12:00"]]},
        ),
        3 * 3600,
    ),
    "a break every Friday": (
        between("2026-03-06T00:00:00", "2026-03-07T00:00:00", **BERLIN, breaks={"fri": [["12:00", "13:00"]]}),
        7 * 3600,
    ),
    "a break on one date": (
        between("2026-03-05T00:00:00", "2026-03-07T00:00:00", **BERLIN, breaks={"2026-03-06": [["12:00", "13:00"]]}),
        15 * 3600,
    ),
    "a break in the hours of a date": (
        between(
            "2026-03-06T00:00:00",
            "2026-03-07T00:00:00",
            **BERLIN,
            breaks={"fri": [["10:00", "11:00"]]},
            date_overrides={"2026-03-06": [["09:00", "12:00"]]},
        ),
        2 * 3600,
    ),
    "a night shift": (
        between("2026-03-06T00:00:00Z", "2026-03-07T12:00:00Z", weekly_hours=NIGHTS),
        (6 + 8) * 3600,
    ),
    "no night shift before Monday's": (
        between("2026-03-08T12:00:00Z", "2026-03-09T21:00:00Z", weekly_hours=NIGHTS),
        0,
    ),
    "a holiday takes its night shift with it": (
        between("2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z", weekly_hours=NIGHTS, holidays=["2026-03-05"]),
        0,
    ),
    "a holiday leaves the night shift of the evening before": (
        between("2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z", weekly_hours=NIGHTS, holidays=["2026-03-06"]),
        8 * 3600,
    ),
    "a break at night": (
        between(
            "2026-03-05T12:00:00Z", "2026-03-06T12:00:00Z", weekly_hours=NIGHTS, breaks={"fri": [["02:00", "02:30"]]}
        ),
        7.5 * 3600,
    ),
    "a break of one night": (
        between(
            "2026-03-04T12:00:00Z",
            "2026-03-06T12:00:00Z",
            weekly_hours=NIGHTS,
            breaks={"2026-03-06": [["02:00", "02:30"]]},
        ),
        15.5 * 3600,
    ),
    # Wednesday's break goes on until Thursday 00:30, and Thursday has hours of its own then.
    "a break over midnight": (
        between("2026-03-04T00:00:00Z", "2026-03-06T00:00:00Z", breaks={"wed": [["23:30", "00:30"]]}),
        47 * 3600,
    ),
    "a break over one midnight": (
        between("2026-03-04T00:00:00Z", "2026-03-06T00:00:00Z", breaks={"2026-03-04": [["23:30", "00:30"]]}),
        47 * 3600,
    ),
    # After the break the night goes on at 02:30; Friday's own first hour is from 00:00 to 01:00.
    "hours of a date within the night's break": (
        between(
            "2026-03-05T12:00:00Z",
            "2026-03-06T12:00:00Z",
            weekly_hours=NIGHTS,
            breaks={"thu": [["23:20", "24:00"]], "fri": [["01:00", "02:30"]]},
            date_overrides={"2026-03-06": [["00:00", "01:00"]]},
        ),
        80 * 60 + 4.5 * 3600,
    ),
    # From 22:00 to 06:00 the clock is put forward from 2:00 to 3:00, or shows the hour from 2:00 twice.
    "the night in spring": (
        between(
            "2026-03-28T12:00:00",
            "2026-03-29T12:00:00",
            timezone="Europe/Berlin",
            weekly_hours={"sat": [["22:00", "06:00"]]},
        ),
        7 * 3600,
    ),
    "the night in autumn": (
        between(
            "2026-10-24T12:00:00",
            "2026-10-25T12:00:00",
            timezone="Europe/Berlin",
            weekly_hours={"sat": [["22:00", "06:00"]]},
        ),
        9 * 3600,
    ),
    "a change by half an hour": (
        between("2026-04-05T00:00:00", "2026-04-06T00:00:00", timezone="Australia/Lord_Howe"),
        24.5 * 3600,
    ),
    # In São Paulo the clock of 2017-10-15 went from 23:59:59 straight to 01:00.
    "a missing midnight": (
        between(
            "2017-10-15T00:00:00",
            "2017-10-16T00:00:00",
            timezone="America/Sao_Paulo",
            weekly_hours={"sun": [["00:00", "02:00"]]},
        ),
        3600,
    ),
    # Samoa had no 2011-12-30, a Friday.
    "a missing day": (
        between(
            "2011-12-29T00:00:00",
            "2012-01-01T00:00:00",
            timezone="Pacific/Apia",
            weekly_hours={"fri": [["09:00", "17:00"]]},
        ),
        0,
    ),
    "open at opening": ({"op": "is_open", "start": "2026-03-06T09:00:00", **BERLIN}, True),
    "closed at closing": ({"op": "is_open", "start": "2026-03-06T17:00:00", **BERLIN}, False),
    "open to the last microsecond": ({"op": "is_open", "start": "2026-03-06T16:59:59.999999", **BERLIN}, True),
    "open at night": ({"op": "is_open", "start": "2026-03-07T05:00:00Z", "weekly_hours": NIGHTS}, True),
    "the next opening, closed": (
        {"op": "next_open", "start": "2026-03-07T05:00:00", **BERLIN},
        "2026-03-09T09:00:00+01:00",
    ),
    "the next opening, open": (
        {"op": "next_open", "start": "2026-03-06T09:00:00", **BERLIN},
        "2026-03-09T09:00:00+01:00",
    ),
    "the next closing, open": (
        {"op": "next_close", "start": "2026-03-06T09:00:00", **BERLIN},
        "2026-03-06T17:00:00+01:00",
    ),
    "the next closing, closed": (
        {"op": "next_close", "start": "2026-03-06T17:00:00", **BERLIN},
        "2026-03-09T17:00:00+01:00",
    ),
    "the next closing over New Year": (
        {"op": "next_close", "start": "2025-12-31T23:00:00Z", "weekly_hours": {"wed": [["22:00", "06:00"]]}},
        "2026-01-01T06:00:00+00:00",
    ),
    "no closing round the clock": ({"op": "next_close", "start": "2026-03-06T09:00:00Z"}, None),
    "never open": (add("2026-03-06T09:00:00Z", 1, weekly_hours={}), None),
    "never opens": ({"op": "next_open", "start": "2026-03-06T09:00:00Z", "weekly_hours": {}}, None),
    "a pause": (
        add("2026-03-06T10:00:00", 3600, **BERLIN, pauses=[["2026-03-06T10:30:00", "2026-03-06T12:00:00"]]),
        "2026-03-06T12:30:00+01:00",
    ),
    "used up when the pause begins": (
        add("2026-03-06T10:00:00", 1800, **BERLIN, pauses=[["2026-03-06T10:30:00", "2026-03-06T12:00:00"]]),
        "2026-03-06T12:00:00+01:00",
    ),
    "begun within a pause": (
        add("2026-03-06T11:00:00", 60, **BERLIN, pauses=[["2026-03-06T10:30:00", "2026-03-06T12:00:00"]]),
        "2026-03-06T12:01:00+01:00",
    ),
    "pauses that overlap": (
        between(
            "2026-03-06T09:00:00",
            "2026-03-06T17:00:00",
            **BERLIN,
            pauses=[["2026-03-06T10:00:00", "2026-03-06T12:00:00"], ["2026-03-06T11:00:00", "2026-03-06T13:00:00"]],
        ),
        5 * 3600,
    ),
    "pauses of a tenth of a second": (
        between(
            "2026-03-06T09:00:00Z",
            "2026-03-06T09:00:01Z",
            pauses=[
                ["2026-03-06T09:00:00.1Z", "2026-03-06T09:00:00.2Z"],
                ["2026-03-06T09:00:00.3Z", "2026-03-06T09:00:00.5Z"],
            ],
        ),
        0.7,
    ),
    # From 02:00 standard time, which the clock skips, to 03:15: a quarter of an hour.
    "a pause in the hour that is skipped": (
        between(
            "2026-03-29T00:00:00",
            "2026-03-29T12:00:00",
            timezone="Europe/Berlin",
            pauses=[["2026-03-29T02:00:00", "2026-03-29T03:15:00"]],
        ),
        10.75 * 3600,
    ),
    # A start at 02:45, which the clock skips, is half an hour after the pause's end, which it shows as 03:15.
    "begun after a pause though the clock shows less": (
        add(
            "2026-03-29T02:45:00",
            60,
            timezone="Europe/Berlin",
            pauses=[["2026-03-29T01:00:00", "2026-03-29T03:15:00"]],
        ),
        "2026-03-29T03:46:00+02:00",
    ),
    "a pause of ten years and more": (
        add("2026-03-06T09:00:00Z", 60, pauses=[["2026-03-06T09:00:00Z", "2036-03-07T09:00:00Z"]]),
        None,
    ),
    "no opening within a pause of eleven years": (
        {
            "op": "next_open",
            "start": "2026-03-06T10:00:00",
            **BERLIN,
            "pauses": [["2026-03-06T09:00:00", "2037-03-06T09:00:00"]],
        },
        None,
    ),
    "a pause over closed hours": (
        between(
            "2026-03-06T16:00:00",
            "2026-03-09T10:00:00",
            **BERLIN,
            pauses=[["2026-03-06T16:30:00", "2026-03-09T09:30:00"]],
        ),
        3600,
    ),
    "back over a pause": (
        sub("2026-03-06T12:30:00", 3600, **BERLIN, pauses=[["2026-03-06T10:30:00", "2026-03-06T12:00:00"]]),
        "2026-03-06T10:00:00+01:00",
    ),
    "the next opening is the pause's end": (
        {
            "op": "next_open",
            "start": "2026-03-06T10:45:00",
            **BERLIN,
            "pauses": [["2026-03-06T10:30:00", "2026-03-06T12:00:00"]],
        },
        "2026-03-06T12:00:00+01:00",
    ),
    "the next closing is the pause's beginning": (
        {
            "op": "next_close",
            "start": "2026-03-06T09:45:00",
            **BERLIN,
            "pauses": [["2026-03-06T10:30:00", "2026-03-06T12:00:00"]],
        },
        "2026-03-06T10:30:00+01:00",
    ),
}


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES.keys())
def test_a_question_is_answered(question: dict[str, Any], expected: Any) -> None:
    """As worked out by hand; the line keeps what it says beside the question."""
    assert answered({**question, "note": "kept"}) == {**question, "note": "kept", "answer": expected}


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"timezone": "Europe/Bern"}, "is no IANA time zone; write one such as"),
        ({"weekly_hours": {"mon": [["09:00", "25:00"]]}}, "mon: '25:00' is no wall time; write HH:MM"),
        ({"weekly_hours": {"mon": [["09:00", "09:00"]]}}, "is empty; write"),
        (
            {"weekly_hours": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}},
            "begins before the stretch above it ends",
        ),
        ({"weekly_hours": {"mon": [["22:00", "06:00"]], "tue": [["05:00", "12:00"]]}}, "ends after tue has begun"),
        ({"weekly_hours": {"sun": [["22:00", "06:00"]], "mon": [["05:00", "12:00"]]}}, "ends after mon has begun"),
        ({"weekly_hours": {"monday": []}}, "mon"),
        ({"amount_seconds": -1}, "greater than or equal to 0"),
        ({"amount_seconds": 1e10}, "less than or equal to"),
        ({"amount_seconds": None}, "add needs amount_seconds"),
        ({"op": "between"}, "between needs end"),
        ({"op": "multiply"}, "'add', 'sub', 'between'"),
        ({"start": "yesterday"}, "start"),
        ({"amount_seconds": float("nan")}, "finite number"),
        ({"weekly_hours": {"mon": [["24:00", "06:00"]]}}, "mon: a stretch begins at 24:00; write it at 00:00"),
        ({"start": "1899-12-31T00:00:00Z"}, "the year 1899 is out of reach; write 1900 to 2200"),
        ({"end": "9999-12-31T00:00:00Z"}, "the year 9999 is out of reach"),
        ({"pauses": [["2026-01-01T00:00:00Z", "9999-12-31T00:00:00Z"]]}, "the year 9999 is out of reach"),
        ({"breaks": {"0001-01-01": []}}, "the year 1 is out of reach"),
    ],
)
def test_a_question_that_cannot_be_is_refused(question: dict[str, Any], reason: str) -> None:
    """By name, with what to write instead."""
    with pytest.raises(ValidationError, match=reason):
        answered({"op": "add", "start": "2026-03-06T09:00:00Z", "amount_seconds": 60, **question})
