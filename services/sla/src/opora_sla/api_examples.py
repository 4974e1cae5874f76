"""What sla's documentation shows: one agreement, and the clocks of the ticket OP-1042 under it."""

from typing import Any

Json = dict[str, Any]

_TICKET_ID = "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003"
_AGREEMENT_ID = "018f3a3f-9e02-7b44-8c1d-7a5f20c3b6e8"
_CREATED_EVENT = "018f3a52-9b3d-7006-8a00-4d1e6c2b0006"
_REPLIED_EVENT = "018f3a55-02c5-7e18-9a44-1d7c3b8f6011"
_JUDGED = "2026-03-02T08:45:00Z"


def page(*items: Json, next_cursor: str | None = None) -> Json:
    """A page of a list."""
    return {"items": list(items), "next_cursor": next_cursor}


DOCUMENT: Json = {
    "name": "Office hours, gold",
    "time_zone": "Europe/Berlin",
    "weekly_hours": {
        "mon": [["08:00", "12:00"], ["13:00", "17:00"]],
        "tue": [["08:00", "12:00"], ["13:00", "17:00"]],
        "wed": [["08:00", "12:00"], ["13:00", "17:00"]],
        "thu": [["08:00", "12:00"], ["13:00", "17:00"]],
        "fri": [["08:00", "15:00"]],
    },
    "holidays": ["2026-12-25", "2026-12-26"],
    "metrics": {
        "first_response": {"targets": {"P1": {"minutes": 15}, "P2": {"hours": 1}, "P3": {"hours": 4}}},
        "resolution": {
            "until": "resolved",
            "pauses": ["customer", "third_party"],
            "targets": {"P1": {"hours": 4}, "P2": {"hours": 8}, "P3": {"hours": 24}},
            "warn_at_percent": [50, 75],
        },
    },
    "conditions": {"tier": ["gold"]},
    "rank": 10,
}
AGREEMENTS: Json = {
    "Office hours for one tier": DOCUMENT,
    "Round the clock, resolution only": {
        "name": "Round the clock",
        "metrics": {"resolution": {"targets": {"P1": {"hours": 2}, "P2": {"hours": 6}}}},
        "conditions": {"kind": ["incident"]},
    },
    "Hours of a calendar that agreements share": {
        "name": "Silver",
        "calendar": "24x7",
        "metrics": {"resolution": {"targets": {"P1": {"hours": 6}}}},
        "conditions": {"tier": ["silver"]},
    },
}
REVISIONS: Json = {
    "P1 is answered within ten minutes": DOCUMENT
    | {
        "metrics": {
            "first_response": {"targets": {"P1": {"minutes": 10}}},
            "resolution": DOCUMENT["metrics"]["resolution"],
        }
    }
}

AGREEMENT: Json = {
    "id": _AGREEMENT_ID,
    "version": 1,
    "created_at": "2026-03-01T10:00:00Z",
    "document": DOCUMENT,
    "calendar": None,
}
REVISED = AGREEMENT | {
    "version": 2,
    "created_at": "2026-04-01T09:30:00Z",
    "document": REVISIONS["P1 is answered within ten minutes"],
}

_FIRST_RESPONSE: Json = {
    "metric": "first_response",
    "cycle": 1,
    "outcome": "met",
    "state": "stopped",
    "started_at": "2026-03-02T08:14:05.120000Z",
    "due_at": "2026-03-02T08:29:05.120000Z",
    "stopped_at": "2026-03-02T08:19:30Z",
    "used_seconds": 325,
    "target_seconds": 900,
    "priority": "P1",
    "party": None,
}
_RESOLUTION: Json = {
    "metric": "resolution",
    "cycle": 1,
    "outcome": "open",
    "state": "running",
    "started_at": "2026-03-02T08:14:05.120000Z",
    "due_at": "2026-03-02T13:14:05.120000Z",
    "stopped_at": None,
    "used_seconds": 1854,
    "target_seconds": 14400,
    "priority": "P1",
    "party": None,
}
_PINNED: Json = {"id": _AGREEMENT_ID, "version": 1, "name": "Office hours, gold"}

TICKET: Json = {
    "ticket_id": _TICKET_ID,
    "number": "OP-1042",
    "external_source": None,
    "external_id": None,
    "import_id": None,
    "priority": "P1",
    "agreement": _PINNED,
    "judged_at": _JUDGED,
    "next_fire_at": "2026-03-02T10:14:05.120000Z",
    "clocks": [_FIRST_RESPONSE, _RESOLUTION],
}
EXPLAINED: Json = {
    "ticket_id": _TICKET_ID,
    "number": "OP-1042",
    "agreement": _PINNED,
    "judged_at": _JUDGED,
    "clocks": [
        _FIRST_RESPONSE
        | {
            "words": "Met: 5 min 25 s of 15 min working time used when it stopped.",
            "intervals": [
                {
                    "from_at": "2026-03-02T08:14:05.120000Z",
                    "to_at": "2026-03-02T08:19:30Z",
                    "counted": True,
                    "working_seconds": 325,
                    "began_by": _CREATED_EVENT,
                    "ended_by": _REPLIED_EVENT,
                    "waited_for": [],
                    "words": "From the creation until the agent's reply: 5 min 25 s of working time counted.",
                }
            ],
        }
    ],
}
LISTED_CLOCK = _RESOLUTION | {"ticket_id": _TICKET_ID, "number": "OP-1042", "judged_at": _JUDGED}
OUTCOME: Json = {
    "source_id": "INC0000045",
    "ticket_id": _TICKET_ID,
    "priority": "P3",
    "metrics": {
        "resolution": {
            "due_at": "2016-03-10T08:00:00Z",
            "outcome": "met",
            "used_seconds": 158400,
            "target_seconds": 259200,
        }
    },
}
IMPORT: Json = {
    "import_id": "018f3b10-4c21-7e90-8d13-6f0a2b9c7e40",
    "cases": 1,
    "facts_applied": 2,
    "waiting_for_judgement": 0,
    "not_joined": 1,
    "watermarks": {"0": "2025-11-03T10:00:00Z", "1": "2025-11-03T10:00:00Z"},
}
STATUS: Json = {
    "cases": 45,
    "open_cases": 12,
    "facts_applied": 335,
    "waiting_for_judgement": 0,
    "clocks": {
        "first_response": {"met": 41, "breached": 3, "open": 1},
        "resolution": {"met": 27, "breached": 3, "open": 12, "cancelled": 3},
    },
    "watermarks": {"0": _JUDGED, "1": _JUDGED},
}
