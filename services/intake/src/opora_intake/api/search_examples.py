"""What intake's documentation shows of searching and of views."""

from opora_intake.api.examples import TICKET, Json

FOUND: Json = {
    "items": [
        {
            "ticket": TICKET,
            "title": "<mark>Login</mark> page answers 502",
            "excerpt": "Since 08:12 UTC every sign-in ends in a 502. The <mark>login</mark> page is blank.",
        }
    ],
    "next_cursor": None,
    "corrected": None,
}
SIMILAR: Json = {"items": [{"ticket": TICKET, "likeness": 0.61}]}

_QUERY: Json = {"assignee": "@me", "open": True}
VIEW: Json = {
    "id": "018f3c20-5d11-7a42-9c1e-70b1f2a3c405",
    "name": "Mine, open",
    "query": _QUERY,
    "owner": "agent:anna",
    "shared": True,
    "position": 1,
    "changed_at": "2026-03-02T08:14:05.120000Z",
    "count": None,
}
VIEWS: Json = {"items": [VIEW | {"count": 12}]}
NEW_VIEWS: Json = {
    "What is mine, for everybody": {"name": "Mine, open", "query": _QUERY, "shared": True, "position": 1},
    "A search": {"name": "Certificates", "query": {"text": "certificate expired", "step": ["received", "assessed"]}},
}
CHANGED_VIEW = VIEW | {"name": "Mine"}
VIEW_CHANGES: Json = {"Another name": {"name": "Mine"}, "Further up": {"position": 0}}
