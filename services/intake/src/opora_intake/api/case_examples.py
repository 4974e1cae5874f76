"""What the documentation of the case shows: its settings, and what its steps leave behind."""

from opora_intake.api.examples import ASSIGNED, Json, ticket

_MATRIX: Json = {
    "high/high": "P1",
    "high/medium": "P2",
    "high/low": "P3",
    "medium/high": "P2",
    "medium/medium": "P3",
    "medium/low": "P4",
    "low/high": "P3",
    "low/medium": "P4",
    "low/low": "P5",
}
SETTINGS: Json = {
    "version": 0,
    "changed_at": None,
    "changed_by": None,
    "profiles": {},
    "priorities": _MATRIX,
    "categories": [],
    "components": [],
    "fields": [],
    "close_after_hours": {},
    "reopen_within_hours": {},
}
_AFFECTED: Json = {
    "name": "affected",
    "label": "How many people are affected",
    "type": "number",
    "kinds": ["incident"],
    "required": False,
    "published": True,
    "choices": [],
    "max_length": 200,
    "minimum": 0.0,
    "maximum": None,
}
CHANGED_SETTINGS: Json = SETTINGS | {
    "version": 1,
    "changed_at": "2026-03-02T07:00:00Z",
    "changed_by": "agent:anna",
    "profiles": {"problem": "strict"},
    "priorities": _MATRIX | {"high/low": "P2"},
    "fields": [_AFFECTED],
}
SETTINGS_CHANGES: Json = {
    "What is solved is closed after a week, and a reply reopens it for another": {
        "close_after_hours": {"incident": 168, "question": 168},
        "reopen_within_hours": {"incident": 168, "question": 168},
    },
    "Problems are worked step by step": {"profiles": {"problem": "strict"}},
    "One pair has another priority": {"priorities": {"high/low": "P2"}},
    "Incidents have a number of affected people": {
        "fields": [
            {
                "name": "affected",
                "label": "How many people are affected",
                "type": "number",
                "kinds": ["incident"],
                "published": True,
                "minimum": 0,
            }
        ]
    },
    "Any category may be given again": {"categories": []},
}
RECORD: Json = {
    "cycle": 1,
    "step": "diagnosed",
    "sequence": 4,
    "time": "2026-03-02T08:31:00Z",
    "actor": "agent:anna",
    "cause": "The certificate of the upstream had expired",
    "evidence": "openssl s_client: notAfter=Mar  2 08:10:00 2026 GMT",
}

TAGGED = ticket(ASSIGNED, version=4, tags=["outage-2026-03", "vip"], last_time="2026-03-02T08:20:00Z")
UNTAGGED = ticket(TAGGED, version=5, tags=["vip"], last_time="2026-03-02T10:00:00Z")
WATCHED = ticket(ASSIGNED, version=4, watchers=["agent:boris"], last_time="2026-03-02T08:20:00Z")
UNWATCHED = ticket(WATCHED, version=5, watchers=[], last_time="2026-03-02T10:00:00Z")
FIELDS_SET = ticket(ASSIGNED, version=4, fields={"affected": 40}, last_time="2026-03-02T08:20:00Z")
