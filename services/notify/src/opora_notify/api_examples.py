"""What notify's documentation shows: one desk's rules, address book and messages."""

from typing import Any

Json = dict[str, Any]

_ENDPOINT_ID = "018f3a41-6f5e-7c02-a9d7-2b8e4c1f7730"


def page(*items: Json, next_cursor: str | None = None) -> Json:
    """A page of a list."""
    return {"items": list(items), "next_cursor": next_cursor}


def listed(*items: Json) -> Json:
    """A list that fits into one answer."""
    return {"items": list(items)}


NOTIFICATION: Json = {
    "notification_id": "018f3a52-a001-7d3b-8e60-5c9f1a2b3d44",
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "event_source": "/opora/intake",
    "event_id": "018f3a52-9b3d-7006-8a00-4d1e6c2b0006",
    "event_type": "ticket.created",
    "rule": "requester.ticket_created",
    "template": "ticket_created",
    "channel": "email",
    "recipient": "customer:018f3a40-11aa-7b21-8e4f-0c9d5b7a1102",
    "state": "delivered",
    "attempts": 1,
    "resends": 0,
    "reason": None,
    "created_at": "2026-03-02T08:14:05.410000Z",
    "due_at": None,
    "finished_at": "2026-03-02T08:14:06.020000Z",
}
UNDELIVERABLE: Json = {
    "address_digest": "83a6bb3ec3f1c51a9dc8ab0ad6c2eb9b0a6d8b30e04dd0ac4c92ab3a9cd7b2d6",
    "recipient": "customer:018f3a40-11aa-7b21-8e4f-0c9d5b7a1102",
    "status": "5.1.1",
    "source": "report",
    "since": "2026-03-02T08:20:41Z",
}
RESENT = NOTIFICATION | {
    "state": "pending",
    "attempts": 0,
    "resends": 1,
    "due_at": "2026-03-02T09:00:00Z",
    "finished_at": None,
}

_RULES: list[Json] = [
    {
        "name": "requester.ticket_created",
        "event_type": "ticket.created",
        "conditions": {},
        "audience": ["requester"],
        "channels": ["email"],
        "template": "ticket_created",
        "enabled": True,
    },
    {
        "name": "desk.p1_breached",
        "event_type": "sla.breached",
        "conditions": {"priority": ["P1"]},
        "audience": ["assignee", "lead", "address:duty@example.com"],
        "channels": ["email"],
        "template": "sla_breached",
        "enabled": True,
    },
    {
        "name": "systems.tickets",
        "event_type": "ticket.*",
        "conditions": {},
        "audience": ["webhooks"],
        "channels": ["webhook"],
        "template": "event",
        "enabled": True,
    },
]
RULES: Json = {"version": 1, "rules": _RULES}
NEW_RULES: Json = {
    "After editing version 0": {"version": 0, "rules": _RULES},
    "Whatever holds now": {"rules": _RULES[:1]},
}

AGENT: Json = {
    "agent_id": "anna",
    "name": "Anna Petrova",
    "email": "anna@example.com",
    "language": "ru",
    "time_zone": "Europe/Moscow",
    "groups": ["platform", "on-call"],
}
AGENTS: Json = {
    "An agent of two groups": {name: value for name, value in AGENT.items() if name != "agent_id"},
    "As little as possible": {"name": "Boris Lang", "email": "boris@example.com"},
}
GROUP: Json = {"name": "platform", "lead": "anna", "on_call": "boris"}
GROUPS: Json = {"Who leads it": {"lead": "anna"}, "Who is on call too": {"lead": "anna", "on_call": "boris"}}

WEBHOOK: Json = {
    "endpoint_id": _ENDPOINT_ID,
    "url": "https://hooks.example.com/opora",
    "event_types": ["sla.breached", "ticket.*"],
    "created_at": "2026-03-01T10:00:00Z",
    "created_by": "key:office",
    "disabled_at": None,
    "disabled_reason": None,
}
NEW_WEBHOOK = WEBHOOK | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwM3kX0o5q2vA="}
WEBHOOKS: Json = {
    "Breaches and whatever happens to tickets": {
        "url": "https://hooks.example.com/opora",
        "event_types": ["sla.breached", "ticket.*"],
    }
}
