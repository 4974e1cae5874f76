"""What feedback's documentation shows: the survey after the ticket OP-1042."""

from typing import Any

Json = dict[str, Any]

_TOKEN = "AY86YHGvdJCLkkHVBvxHrAAAAABpuRzAZafnO52WC0eYnl0jjbsqa9ZI"  # noqa: S105  an example that opens nothing


def page(*items: Json, next_cursor: str | None = None) -> Json:
    """A page of a list."""
    return {"items": list(items), "next_cursor": next_cursor}


SURVEY: Json = {
    "survey_id": "018f3a60-71af-7490-8b92-41d506fc47ac",
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "cycle": 1,
    "customer_id": "018f3a40-11aa-7b21-8e4f-0c9d5b7a1102",
    "language": "en",
    "state": "answered",
    "requested_at": "2026-03-03T09:20:00.300000Z",
    "expires_at": "2026-03-17T09:20:00.300000Z",
    "score": 2,
    "comment": "It took a whole day, and nobody said why.",
    "answered_at": "2026-03-03T11:02:41Z",
    "alerted_at": "2026-03-03T11:02:41Z",
    "assignee": "anna",
    "group": "platform",
    "product": "identity",
    "category": "sign-in",
}
LINKS: Json = {str(score): f"https://feedback.example.com/s/{_TOKEN}/{score}" for score in range(1, 6)}
SCORES: Json = {
    "by": "group",
    "items": [
        {"key": "platform", "n": 41, "mean": 4.2, "csat": 0.8293, "csat_low": 0.6872, "csat_high": 0.9148},
        {"key": None, "n": 3, "mean": 3.0, "csat": 0.3333, "csat_low": 0.0615, "csat_high": 0.7923},
    ],
}
