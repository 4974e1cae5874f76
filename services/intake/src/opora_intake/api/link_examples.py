"""What the documentation of links shows."""

from opora_intake.api.examples import ASSIGNED, MESSAGE, TICKET, Json, page, ticket

MESSAGE_ID: str = MESSAGE["id"]
_OTHER_ID = "018f3a60-1c20-7b44-8d3e-5f0a9c2b6d10"
LINKS = page(
    {
        "relation": "caused_by",
        "ticket_id": _OTHER_ID,
        "number": "OP-1017",
        "title": "Certificates are not renewed",
        "step": "diagnosed",
        "since": "2026-03-02T08:50:00Z",
        "actor": "agent:anna",
    }
)
LINKED: Json = ticket(ASSIGNED, version=4, last_time="2026-03-02T08:50:00Z")
UNLINKED: Json = ticket(ASSIGNED, version=5, last_time="2026-03-02T08:55:00Z")
MERGED: Json = ticket(
    ASSIGNED,
    version=5,
    step="closed",
    resolution_code="duplicate",
    merged_into=_OTHER_ID,
    closed_at="2026-03-02T08:52:00Z",
    last_time="2026-03-02T08:52:00Z",
)
FOLLOW_UP: Json = ticket(
    TICKET,
    id=_OTHER_ID,
    number="OP-1043",
    version=2,
    channel="phone",
    opened_at="2026-03-09T09:00:00Z",
    last_time="2026-03-09T09:00:00Z",
)
SPLIT: Json = ticket(
    TICKET,
    id=_OTHER_ID,
    number="OP-1043",
    version=2,
    title="The invoice is wrong too",
    opened_at="2026-03-02T09:00:00Z",
    last_time="2026-03-02T09:00:00Z",
)
