"""What intake's documentation shows: one story, the ticket OP-1042, in requests and answers."""

from typing import Any

from opora_contracts.vocabulary import Step
from opora_intake.domain.transitions import ALLOWED

Json = dict[str, Any]

_TICKET_ID = "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003"
CUSTOMER_ID = "018f3a40-11aa-7b21-8e4f-0c9d5b7a1102"
ORGANIZATION_ID = "018f3a3f-7d10-7f4e-a6b0-5e2c8d914a01"
_OPENED = "2026-03-02T08:14:05.120000Z"


def page(*items: Json, next_cursor: str | None = None) -> Json:
    """A page of a list."""
    return {"items": list(items), "next_cursor": next_cursor}


def ticket(base: Json, **changes: Any) -> Json:
    """The ticket after a change, with the actions that are then possible."""
    changed = base | changes
    step, is_waiting = Step(changed["step"]), changed["waiting_on"] is not None
    actions = [
        action
        for action, steps in ALLOWED.items()
        if step in steps
        and (action != "resume" or is_waiting)
        and (action != "reopen" or changed["merged_into"] is None)
    ]
    return changed | {"allowed": actions}


TICKET = ticket(
    {
        "id": _TICKET_ID,
        "number": "OP-1042",
        "version": 1,
        "step": "received",
        "profile": "light",
        "waiting_on": None,
        "allowed": [],
        "title": "Login page answers 502",
        "channel": "web",
        "kind": "incident",
        "language": "en",
        "impact": "high",
        "urgency": "high",
        "priority": "P1",
        "priority_explicit": False,
        "requester_id": CUSTOMER_ID,
        "organization_id": ORGANIZATION_ID,
        "tier": "gold",
        "product": "identity",
        "category": "sign-in",
        "component": None,
        "tags": [],
        "watchers": [],
        "fields": {},
        "group": None,
        "assignee": None,
        "external_source": None,
        "external_id": None,
        "import_id": None,
        "merged_into": None,
        "cycle": 1,
        "resolution_code": None,
        "cause": None,
        "planned_for": None,
        "opened_at": _OPENED,
        "resolved_at": None,
        "closed_at": None,
        "last_time": _OPENED,
    }
)
ASSESSED = ticket(TICKET, version=2, step="assessed", last_time="2026-03-02T08:16:40Z")
ASSIGNED = ticket(ASSESSED, version=3, group="platform", assignee="anna", last_time="2026-03-02T08:17:02Z")
DIAGNOSED = ticket(
    ASSIGNED,
    version=4,
    step="diagnosed",
    cause="The certificate of the upstream had expired",
    last_time="2026-03-02T08:31:00Z",
)
PLANNED = ticket(
    DIAGNOSED, version=5, step="planned", planned_for="2026-03-02T09:00:00Z", last_time="2026-03-02T08:33:10Z"
)
RESOLVED = ticket(
    PLANNED,
    version=6,
    step="resolved",
    resolution_code="solved",
    resolved_at="2026-03-02T09:04:00Z",
    last_time="2026-03-02T09:04:00Z",
)
VERIFIED = ticket(RESOLVED, version=7, step="verified", last_time="2026-03-02T09:20:00Z")
CLOSED = ticket(VERIFIED, version=8, step="closed", closed_at="2026-03-03T09:20:00Z", last_time="2026-03-03T09:20:00Z")
REOPENED = ticket(
    RESOLVED,
    version=7,
    step="received",
    cycle=2,
    resolution_code=None,
    resolved_at=None,
    last_time="2026-03-02T10:02:00Z",
)
HELD = ticket(ASSIGNED, version=4, waiting_on="customer", last_time="2026-03-02T08:25:00Z")
RESUMED = ticket(HELD, version=5, waiting_on=None, last_time="2026-03-02T08:40:00Z")
UPDATED = ticket(ASSIGNED, version=4, category="certificates", last_time="2026-03-02T08:30:00Z")

_REPLY_ID = "018f3a55-02c4-7d11-b3a7-90e1c5f0d2aa"
_NOTE_ID = "018f3a56-7e20-7a08-9c41-3b8d2f6e1c55"
REPLIED = ASSIGNED | {"version": 4, "last_time": "2026-03-02T08:19:30Z", "message_id": _REPLY_ID}
NOTED = ASSIGNED | {"version": 5, "last_time": "2026-03-02T08:21:00Z", "message_id": _NOTE_ID}

MESSAGE: Json = {
    "id": _REPLY_ID,
    "ticket_id": _TICKET_ID,
    "visibility": "public",
    "author_kind": "agent",
    "author": "agent:anna",
    "channel": "email",
    "body": "We see it too and are on it. Next word in fifteen minutes.",
    "written_at": "2026-03-02T08:19:30Z",
    "sequence": 4,
}
FACT: Json = {
    "sequence": 2,
    "type": "ticket.assessed",
    "time": "2026-03-02T08:16:40Z",
    "recorded_at": "2026-03-02T08:16:40Z",
    "actor": "agent:anna",
    "data": {"ticket_id": _TICKET_ID, "impact": "high", "urgency": "high", "priority": "P1"},
}

OPENINGS: Json = {
    "A customer writes on the web": {
        "title": "Login page answers 502",
        "body": "Since 08:12 UTC every sign-in ends in a 502.",
        "requester_email": "maria.keller@example.com",
        "requester_name": "Maria Keller",
        "channel": "web",
        "impact": "high",
        "urgency": "high",
        "product": "identity",
        "category": "sign-in",
    },
    "As little as possible": {"title": "The invoice shows a wrong amount"},
    "An agent logs a call of a while ago": {
        "title": "Cannot print since the update",
        "body": "Called from reception; the queue stays empty.",
        "channel": "phone",
        "kind": "service_request",
        "priority": "P3",
        "group": "workplace",
        "assignee": "boris",
        "occurred_at": "2026-03-02T07:50:00Z",
    },
}

REPLIES: Json = {
    "An agent answers": {
        "body": "We see it too and are on it. Next word in fifteen minutes.",
        "author": "agent:anna",
        "channel": "email",
    },
    "The customer writes back": {"body": "Thank you. It works again.", "author_kind": "customer"},
}

IMPORT: Json = {
    "id": "018f3b10-4c21-7e90-8d13-6f0a2b9c7e40",
    "name": "servicenow-2025",
    "state": "open",
    "watermark": None,
    "tickets": 0,
    "facts": 0,
    "closed_at": None,
    "joined_at": None,
}
IMPORT_UNDER_WAY = IMPORT | {"watermark": "2025-11-03T10:00:00Z", "tickets": 1, "facts": 2}
CLOSED_IMPORT = IMPORT_UNDER_WAY | {
    "state": "closed",
    "closed_at": "2026-03-02T12:00:00Z",
    "joined_at": "2026-03-02T12:00:01Z",
}
NEW_IMPORTS: Json = {"A year of another desk": {"name": "servicenow-2025"}}
ENTRIES: Json = {
    "A case from its opening to its resolution": {
        "entries": [
            {
                "source_id": "INC0000045",
                "ordinal": 1,
                "at": "2025-11-03T08:00:00Z",
                "action": "create",
                "data": {"title": "VPN drops every hour", "channel": "phone", "impact": "medium", "urgency": "high"},
                "actor": "agent:17",
            },
            {
                "source_id": "INC0000045",
                "ordinal": 2,
                "at": "2025-11-03T09:30:00Z",
                "action": "resolve",
                "data": {"resolution_code": "solved"},
            },
        ],
        "watermark": "2025-11-03T10:00:00Z",
    },
    "Nothing happened until then": {"entries": [], "watermark": "2025-11-04T00:00:00Z"},
}
IMPORTED: Json = {
    "applied": 2,
    "skipped": 0,
    "refused": [],
    "watermark": "2025-11-03T10:00:00Z",
    "tickets": 1,
    "facts": 2,
}

_LETTER_ID = "018f3a52-9a11-7e0c-8b21-5d1f0c7a9e04"

LETTER: Json = {
    "id": _LETTER_ID,
    "received_at": _OPENED,
    "channel": "lmtp",
    "envelope_from": "anna@example.com",
    "envelope_to": ["support@example.org"],
    "message_id": "20260302081400.4711@example.com",
    "size_bytes": 4312,
    "state": "handled",
    "outcome": "opened",
    "reason": None,
    "ticket_id": _TICKET_ID,
    "attempts": 1,
    "due_at": None,
    "handled_at": _OPENED,
}

DELIVERY: Json = {
    "id": "018f3a52-9d40-7a35-9f6e-1c2b3a4d5e06",
    "recipient": "boris@example.com",
    "outcome": "failed",
    "status": "5.1.1",
    "permanent": True,
    "diagnostic": "550 5.1.1 no such user",
    "original_message_id": "018f3a52.4711@example.org",
    "letter_id": _LETTER_ID,
    "reported_at": _OPENED,
}

MAILBOXES: list[Json] = [
    {
        "name": "support",
        "polled_at": _OPENED,
        "failing_since": None,
        "last_error": None,
        "wanted": 0,
        "uid_validity": 1764201600,
        "next_uid": 4712,
    }
]
