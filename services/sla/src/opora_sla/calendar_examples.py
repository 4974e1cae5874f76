"""What sla's documentation shows of calendars."""

from typing import Any

Json = dict[str, Any]

DOCUMENT: Json = {
    "name": "Berlin office",
    "time_zone": "Europe/Berlin",
    "weekly_hours": {
        "mon": [["09:00", "17:00"]],
        "tue": [["09:00", "17:00"]],
        "wed": [["09:00", "17:00"]],
        "thu": [["09:00", "17:00"]],
        "fri": [["09:00", "15:00"]],
    },
    "breaks": {"mon": [["12:00", "13:00"]]},
    "holidays": [],
    "date_overrides": {"2026-12-24": [["09:00", "12:00"]], "2026-12-31": []},
    "holidays_of": {"country": "DE", "subdivision": "BE", "categories": []},
    "feed": "https://calendar.example.com/company.ics",
}
CALENDARS: Json = {
    "An office with public holidays and a feed": DOCUMENT,
    "Nights of the whole week": {
        "name": "Nights",
        "time_zone": "Europe/London",
        "weekly_hours": {day: [["22:00", "06:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
    },
}
REVISIONS: Json = {"Closed on New Year's Eve no longer": DOCUMENT | {"date_overrides": {}}}
CALENDAR: Json = {
    "id": "018f3a3e-1c02-7f30-9d1e-5b7a20c4d6f1",
    "version": 1,
    "created_at": "2026-03-01T09:00:00Z",
    "document": DOCUMENT,
    "sources": {"read_at": "2026-03-02T08:00:00Z", "failing_since": None, "problem": None},
    "closures": {"public_holidays": ["2026-12-25", "2026-12-26"], "feed_days": ["2026-10-05"], "feed_times": []},
}
REVISED: Json = CALENDAR | {
    "version": 2,
    "created_at": "2026-03-02T09:00:00Z",
    "document": REVISIONS["Closed on New Year's Eve no longer"],
}
PREVIEW: Json = {
    "id": CALENDAR["id"],
    "version": 1,
    "name": "Berlin office",
    "time_zone": "Europe/Berlin",
    "days": [
        {
            "date": "2026-12-24",
            "open": [{"from_at": "2026-12-24T08:00:00Z", "to_at": "2026-12-24T11:00:00Z"}],
            "open_seconds": 10_800,
            "differs_by": "date_overrides",
        },
        {"date": "2026-12-25", "open": [], "open_seconds": 0, "differs_by": "holidays_of"},
    ],
    "open_seconds_by_month": {"2026-12": 10_800},
}
