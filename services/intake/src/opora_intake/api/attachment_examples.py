"""What intake's documentation shows of files and diagnostic data."""

from opora_intake.api.examples import TICKET, Json, page

__all__ = ["ATTACHMENT", "DIAGNOSTIC", "DIAGNOSTICS", "page"]

ATTACHMENT: Json = {
    "id": "018f3c31-0a11-7f42-8c1e-51b0f2a3c405",
    "ticket_id": TICKET["id"],
    "message_id": None,
    "letter_id": None,
    "name": "screenshot.png",
    "size_bytes": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "type": "image/png",
    "claimed_type": "image/png",
    "content_id": None,
    "inline": False,
    "verdict": "clean",
    "finding": None,
    "actor": "agent:anna",
    "added_at": "2026-03-02T08:19:30Z",
}
DIAGNOSTIC: Json = {
    "id": "018f3c31-77c2-7b30-9d5f-0b2a3c4d5e06",
    "ticket_id": TICKET["id"],
    "kind": "trace",
    "name": "the failing sign-in",
    "value": "4bf92f3577b34da6a3ce929d0e0e4736",
    "url": None,
    "attachment_id": None,
    "actor": "agent:anna",
    "recorded_at": "2026-03-02T08:19:30Z",
}
DIAGNOSTICS: Json = {
    "A trace id": {"kind": "trace", "name": "the failing sign-in", "value": "4bf92f3577b34da6a3ce929d0e0e4736"},
    "Where the metrics are": {"kind": "metrics", "name": "5xx by route", "url": "https://metrics.example.org/d/http"},
    "What it runs on": {"kind": "environment", "name": "client", "value": "Firefox 148, Windows 11, app 4.2.1"},
}
