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


def agreement_documents() -> list[dict[str, Any]]:
    """The documents that the sla service is given: premium round the clock, the others in the desk's working hours."""
    return [_document(tier) for tier in FIRST_RESPONSE_MINUTES]


def _document(tier: str) -> dict[str, Any]:
    first_response = FIRST_RESPONSE_MINUTES[tier]
    document: dict[str, Any] = {
        "name": f"Orbit {tier}",
        "time_zone": DESK_TIME_ZONE,
        "conditions": {"tier": [tier]},
        "metrics": {
            "first_response": {"targets": _targets(first_response)},
            "next_response": {"targets": _targets(tuple(2 * minutes for minutes in first_response))},
            "resolution": {
                "until": "resolved",
                "pauses": ["customer", "third_party"],
                "targets": _targets(RESOLUTION_MINUTES[tier]),
                "warn_at_percent": [75],
            },
        },
    }
    if tier == "standard":
        document["weekly_hours"] = {day: [["07:00", "22:00"]] for day in (*_OFFICE_WEEK, "sat", "sun")}
    if tier == "basic":
        document["weekly_hours"] = {day: [["08:00", "13:00"], ["14:00", "19:00"]] for day in _OFFICE_WEEK}
    return document


def _targets(minutes: tuple[int, ...]) -> dict[str, dict[str, int]]:
    return {priority: {"minutes": amount} for priority, amount in zip(PRIORITIES, minutes, strict=True)}
