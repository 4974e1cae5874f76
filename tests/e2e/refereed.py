"""Agreements under which logs are judged, and the comparison with the referee that reads the log itself."""

import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.servicenow import has_ended, incidents, referee_rows
from tests.oracle.sla_oracle import judge

WORKDAYS = ("mon", "tue", "wed", "thu", "fri")
AGREEMENTS: dict[str, dict[str, Any]] = {
    "until closed": {
        "name": "Office hours in Berlin, until the case is over",
        "time_zone": "Europe/Berlin",
        "weekly_hours": {
            **{day: [["08:00", "12:00"], ["12:45", "17:30"]] for day in WORKDAYS},
            "sat": [["09:00", "13:00"]],
        },
        "holidays": ["2016-03-25", "2016-03-28", "2016-05-05", "2016-05-16", "2016-10-03"],
        "metrics": {
            "resolution": {
                "until": "closed",
                "pauses": ["customer", "third_party"],
                "targets": {"P1": {"hours": 12}, "P2": {"hours": 24}, "P3": {"hours": 44}, "P4": {"hours": 60}},
            }
        },
    },
    "until resolved": {
        "name": "Evenings and nights, until it works",
        "time_zone": "America/Sao_Paulo",
        "weekly_hours": {day: [["00:00", "02:00"], ["14:00", "24:00"]] for day in (*WORKDAYS, "sun")},
        "holidays": ["2016-04-21", "2016-11-02"],
        "metrics": {
            "resolution": {
                "until": "resolved",
                "pauses": ["customer", "change"],
                "targets": {"P1": {"hours": 4}, "P2": {"hours": 8}, "P3": {"hours": 20}, "P4": {"minutes": 90}},
            }
        },
    },
}


def expect_as_refereed(
    resolutions: Mapping[str, dict[str, Any]], log: Path, agreement: dict[str, Any], *, sample: int
) -> None:
    """Every sampled incident stands exactly as the referee finds it."""
    zone = ZoneInfo(agreement["time_zone"])
    stories = {number: referee_rows(rows, zone) for number, rows in incidents(log).items()}
    end_of_log = max(row.at for told in stories.values() for row in told)
    chosen = random.Random(len(stories)).sample(sorted(stories), sample)  # noqa: S311  the same sample every time
    expected, found = {}, {}
    for number in chosen:
        told = stories[number]
        verdict = judge(told, agreement, told[-1].at if has_ended(told) else end_of_log)
        assert verdict is not None
        expected[number] = verdict
        line = resolutions[number]
        found[number] = {**line, "due_at": line["due_at"] and datetime.fromisoformat(line["due_at"])}
    assert found == expected
    assert {"met", "breached"} <= {verdict["outcome"] for verdict in expected.values()}, "the sample shows too little"
