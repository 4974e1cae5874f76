"""What the documentation of macros shows."""

from opora_intake.api.examples import ASSIGNED, Json, ticket

_DRAFT: Json = {
    "description": "The certificate is renewed: ask whether it works again.",
    "operations": [
        {"action": "assign", "data": {"group": "platform"}},
        {"action": "tag", "data": {"tags": ["certificate"]}},
        {
            "action": "reply",
            "data": {
                "body": "Dear {{requester_name|customer}},\n\nthe certificate is renewed ({{number}}). Does it work?"
            },
        },
        {"action": "hold", "data": {"waiting_on": "customer"}},
    ],
}
NEW_MACROS: Json = {"Four commands at once": {"name": "certificate-renewed", **_DRAFT}}
MACRO: Json = {
    "name": "certificate-renewed",
    **_DRAFT,
    "version": 1,
    "changed_at": "2026-03-02T08:14:05.120000Z",
    "changed_by": "agent:anna",
}
REPLACEMENTS: Json = {"Other operations": {**_DRAFT, "operations": _DRAFT["operations"][:3], "expected_version": 1}}
REPLACED: Json = MACRO | {"operations": _DRAFT["operations"][:3], "version": 2}
RUNS: Json = {"At once": {}}
OUTCOME: Json = {
    "ticket": ticket(ASSIGNED, version=6, waiting_on="customer", tags=["certificate"]),
    "message_ids": ["018f3a58-7d10-7a61-9b52-0c44f1d2e715"],
}
