"""What the documentation of sla's reports shows."""

from typing import Any

Json = dict[str, Any]

COMPLIANCE: Json = {
    "by": "agreement",
    "metric": "resolution",
    "from_at": "2026-03-01T00:00:00Z",
    "to_at": "2026-04-01T00:00:00Z",
    "rows": [
        {
            "key": "018f3a3f-9e02-7b44-8c1d-7a5f20c3b6e8",
            "name": "Office hours, gold",
            "metric": "resolution",
            "n": 120,
            "met": 114,
            "breached": 6,
            "open": 9,
            "cancelled": 1,
            "compliance": 0.95,
            "compliance_low": 0.8952,
            "compliance_high": 0.9769,
            "used_seconds": {"n": 119, "p50": 5400, "p90": 12240, "p95": 14380, "p99": 21600},
            "used_share": {"n": 119, "p50": 0.375, "p90": 0.85, "p95": 0.9986, "p99": 1.5},
        }
    ],
    "left_out": 0,
}
BREACHES: Json = {
    "by": "waiting",
    "metric": "resolution",
    "from_at": "2026-03-01T00:00:00Z",
    "to_at": "2026-04-01T00:00:00Z",
    "metrics": [{"metric": "resolution", "breached": 6, "examined": 6}],
    "rows": [
        {
            "metric": "resolution",
            "cause": "us_outside_hours",
            "n": 5,
            "largest_in": 3,
            "spent_seconds": 201600,
            "share": 0.56,
        },
        {
            "metric": "resolution",
            "cause": "us_inside_hours",
            "n": 6,
            "largest_in": 2,
            "spent_seconds": 86400,
            "share": 0.24,
        },
        {
            "metric": "resolution",
            "cause": "third_party",
            "n": 1,
            "largest_in": 1,
            "spent_seconds": 72000,
            "share": 0.2,
        },
    ],
}
TIMES: Json = {
    "by": "step",
    "from_at": "2026-03-01T00:00:00Z",
    "to_at": "2026-04-01T00:00:00Z",
    "tickets": 130,
    "examined": 130,
    "rows": [
        {
            "key": "assessed",
            "n": 121,
            "elapsed_seconds": {"p50": 9300, "p90": 91800, "p95": 176400, "p99": 432000},
            "handled_seconds": {"p50": 4980, "p90": 11700, "p95": 14100, "p99": 20700},
            "handled_seconds_sum": 742300,
        }
    ],
}
PAUSE: Json = {
    "ticket_id": "018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003",
    "number": "OP-1042",
    "metric": "resolution",
    "cycle": 1,
    "waiting_on": "customer",
    "from_at": "2026-03-02T12:59:30Z",
    "to_at": "2026-03-02T15:10:00Z",
    "working_seconds": 7800,
    "priority": "P1",
    "group": "network",
    "assignee": "anna",
    "target_seconds": 14400,
    "remaining_seconds": 875,
    "breached_before": False,
    "shortly_before": True,
    "hold_event": "018f3b57-6b10-7d42-8c55-0b9d3e7a4018",
    "hold_sequence": 6,
    "began_by": "018f3b57-6b10-7d42-8c55-0b9d3e7a4018",
    "ended_by": "018f3bce-e5c0-7a09-b1f2-6c8e4d2a7021",
    "party": None,
}
