"""What sla's documentation shows of agreements that change under open tickets."""

from typing import Any

from opora_sla.api_examples import AGREEMENT, DOCUMENT, TICKET, page

__all__ = ["CHANGE", "CHANGES", "DRAFTS", "PREVIEW", "page"]

Json = dict[str, Any]

DRAFTS: Json = {
    "Four hours less for P3": {
        "document": DOCUMENT
        | {
            "metrics": {
                "resolution": DOCUMENT["metrics"]["resolution"]
                | {"targets": {"P1": {"hours": 4}, "P2": {"hours": 8}, "P3": {"hours": 20}}}
            }
        },
        "limit": 200,
    }
}
PREVIEW: Json = {
    "examined": 1,
    "effects": {"due_earlier": 1},
    "changes": [
        {
            "ticket_id": TICKET["ticket_id"],
            "number": TICKET["number"],
            "metric": "resolution",
            "cycle": 1,
            "effect": "due_earlier",
            "before": {
                "outcome": "open",
                "due_at": "2026-03-05T08:00:00Z",
                "used_seconds": 2_700,
                "target_seconds": 86_400,
            },
            "after": {
                "outcome": "open",
                "due_at": "2026-03-04T12:00:00Z",
                "used_seconds": 2_700,
                "target_seconds": 72_000,
            },
        }
    ],
    "next_cursor": None,
}
CHANGES: Json = {
    "All that are open, to the newest version": {},
    "Tickets of this year": {"created_from": "2026-01-01T00:00:00Z"},
}
CHANGE: Json = {
    "id": "018f3b10-4c21-7e90-8d13-6f0a2b9c7e41",
    "agreement_id": AGREEMENT["id"],
    "to_version": 2,
    "created_from": None,
    "requested_at": "2026-03-02T09:00:00Z",
    "requested_by": "operations",
    "examined": 412,
    "migrated": 412,
    "effects": {"newly_breached": 3, "due_earlier": 251},
    "finished_at": "2026-03-02T09:00:02Z",
}
