"""What the documentation of webhooks shows."""

from typing import Any

Json = dict[str, Any]

ALERTMANAGER: Json = {
    "name": "alertmanager",
    "kind": "alertmanager",
    "secrets": ["a-token-of-your-own-making"],
    "defaults": {"group": "platform", "product": "identity"},
    "on_resolve": "close",
}
GENERIC: Json = {
    "name": "door-locks",
    "kind": "generic",
    "proof": "hmac_header",
    "hmac": {"header": "X-Lock-Signature", "prefix": "sha256="},
    "secrets": ["the secret that the sender signs with"],
    "mapping": {
        "key": "/door/id",
        "title": "/event/text",
        "body": "/event/details",
        "severity": "/event/level",
        "state": "/event/state",
        "resolved_values": ["closed"],
        "details": {"Building": "/door/building"},
    },
}
NEW_SOURCES: Json = {"Alertmanager": ALERTMANAGER, "Any system, by a mapping": GENERIC}
CHANGES: Json = {
    "Another group, and the next secret beside the old one": {
        "kind": "alertmanager",
        "secrets": ["a-token-of-your-own-making", "the-token-that-follows"],
        "defaults": {"group": "night-shift"},
        "on_resolve": "note",
    }
}

SOURCE: Json = {
    "name": "alertmanager",
    "kind": "alertmanager",
    "proof": "bearer",
    "hmac": {"header": None, "prefix": "", "encoding": "hex", "timestamp_header": None},
    "defaults": {
        "organization_id": None,
        "group": "platform",
        "product": "identity",
        "category": None,
        "kind": "incident",
        "language": None,
    },
    "severity_label": "severity",
    "severities": {},
    "on_resolve": "close",
    "one_ticket_per": "group",
    "mapping": None,
    "secret_count": 1,
    "created_at": "2026-03-02T08:00:00Z",
    "created_by": "key:operator",
    "changed_at": "2026-03-02T08:00:00Z",
    "changed_by": "key:operator",
}
DELIVERY: Json = {
    "id": "018f3a52-aa10-7d3e-8f21-6b1c0e9d4f55",
    "hook": "alertmanager",
    "received_at": "2026-03-02T08:14:05.120000Z",
    "delivery_key": None,
    "headers": {"content-type": "application/json", "user-agent": "Alertmanager/0.25.0"},
    "size_bytes": 1342,
    "state": "handled",
    "outcome": "opened",
    "reason": None,
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "attempts": 1,
    "due_at": None,
    "handled_at": "2026-03-02T08:14:05.190000Z",
}
WAITING = DELIVERY | {"state": "received", "outcome": None, "reason": "There is no alert in /alerts.", "attempts": 0}
WAITING |= {"due_at": "2026-03-02T09:00:00Z", "handled_at": None}
