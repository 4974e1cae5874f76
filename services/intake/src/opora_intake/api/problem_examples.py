"""What the documentation of problems shows."""

from opora_intake.api.examples import Json, page

_PROBLEM_ID = "018f3a60-1c20-7b44-8d3e-5f0a9c2b6d10"
_INCIDENT_ID = "018f3a52-7c10-7e21-9b3f-2d4c6e8f1a05"
KNOWN_ERROR: Json = {
    "ticket_id": _PROBLEM_ID,
    "number": "OP-1017",
    "title": "Certificates are not renewed",
    "step": "diagnosed",
    "cause": "The job that renews them has no right to write",
    "workaround": "Renew the certificate by hand: run the job as root.",
    "version": 1,
    "changed_at": "2026-03-02T09:10:00Z",
    "changed_by": "agent:lena",
}
KNOWN_ERROR_DRAFTS: Json = {
    "What helps meanwhile": {"workaround": "Renew the certificate by hand: run the job as root."}
}
INCIDENTS = page(
    {
        "ticket_id": _INCIDENT_ID,
        "number": "OP-1042",
        "title": "Login page answers 502",
        "step": "assessed",
        "requester_id": "018f3a40-11aa-7b21-8e4f-0c9d5b7a1102",
        "since": "2026-03-02T08:50:00Z",
    }
)
ANNOUNCEMENT: Json = {
    "id": "018f3a70-2b31-7c55-9e4f-6a1b0d3c7e21",
    "problem_id": _PROBLEM_ID,
    "body": "The certificates are renewed by themselves again. Please log in once more.",
    "after": "resolved",
    "resolves": True,
    "resolution_code": "solved",
    "asked_at": "2026-03-02T09:20:00Z",
    "asked_by": "agent:lena",
    "told": 0,
    "resolved": 0,
    "passed_over": 0,
    "finished_at": None,
    "withdrawn_at": None,
}
DRAFTS: Json = {
    "When the problem is resolved, with all its incidents": {
        "body": ANNOUNCEMENT["body"],
        "after": "resolved",
        "resolves": True,
    },
    "Meanwhile": {"body": "We found the cause. Until it is mended, please use the second address."},
}
WITHDRAWN: Json = ANNOUNCEMENT | {"withdrawn_at": "2026-03-02T09:25:00Z"}
ANNOUNCED = page({"ticket_id": _INCIDENT_ID, "number": "OP-1042", "outcome": "resolved", "reason": None})
