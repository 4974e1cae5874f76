"""What the demonstration's customers were promised: one agreement per tier."""

from collections.abc import Mapping
from typing import Any

from opora_cli.demo.people import DESK_TIME_ZONE

MINUTE = 60
HOUR = 3600
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
_OFFICE_WEEK = ("mon", "tue", "wed", "thu", "fri")

FIRST_RESPONSE_MINUTES: Mapping[str, tuple[int, ...]] = {
    "premium": (15, 30, 60, 120, 240),
    "standard": (30, 60, 120, 180, 300),
    "basic": (60, 90, 150, 240, 360),
}
RESOLUTION_MINUTES: Mapping[str, tuple[int, ...]] = {
    "premium": (90, 150, 240, 360, 480),
    "standard": (150, 240, 330, 450, 600),
    "basic": (240, 330, 420, 510, 600),
}
"""Minutes of working time for P1 … P5."""


def agreement_documents(times_as_fast: float = 1.0) -> list[dict[str, Any]]:
    """The documents that the sla service is given: premium round the clock, the others in the desk's working hours.

    For a day that is played faster than the platform's clock runs, all targets shrink so and every hour counts.
    """
    return [_document(tier, times_as_fast) for tier in FIRST_RESPONSE_MINUTES]


def _document(tier: str, times_as_fast: float) -> dict[str, Any]:
    first_response = FIRST_RESPONSE_MINUTES[tier]
    document: dict[str, Any] = {
        "name": f"Orbit {tier}",
        "time_zone": DESK_TIME_ZONE,
        "conditions": {"tier": [tier]},
        "metrics": {
            "first_response": {"targets": _targets(first_response, times_as_fast)},
            "next_response": {"targets": _targets(tuple(2 * minutes for minutes in first_response), times_as_fast)},
            "resolution": {
                "until": "resolved",
                "pauses": ["customer", "third_party"],
                "targets": _targets(RESOLUTION_MINUTES[tier], times_as_fast),
                "warn_at_percent": [75],
            },
        },
    }
    if times_as_fast != 1.0:
        document["name"] += f", {times_as_fast:g} times as fast"
        return document
    if tier == "standard":
        document["weekly_hours"] = {day: [["07:00", "22:00"]] for day in (*_OFFICE_WEEK, "sat", "sun")}
    if tier == "basic":
        document["weekly_hours"] = {day: [["08:00", "13:00"], ["14:00", "19:00"]] for day in _OFFICE_WEEK}
    return document


def _targets(minutes: tuple[int, ...], times_as_fast: float) -> dict[str, dict[str, int]]:
    return {
        priority: {"seconds": max(1, round(amount * MINUTE / times_as_fast))}
        for priority, amount in zip(PRIORITIES, minutes, strict=True)
    }
