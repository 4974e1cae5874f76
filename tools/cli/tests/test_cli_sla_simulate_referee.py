"""`opora sla simulate` against the referee that reads the log itself and lives through it minute by minute."""

import json
import os
import random
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from opora_cli.main import app
from tests.e2e.servicenow import has_ended, incidents, referee_rows, write_log
from tests.oracle.sla_oracle import judge

ROOT = Path(__file__).parents[3]
REAL_LOG = "servicenow-incidents/incident_event_log_full.csv.gz"
REAL_INCIDENTS = 24_918
LONGEST_SECONDS = 60
WORKDAYS = ("mon", "tue", "wed", "thu", "fri")
AGREEMENTS: dict[str, dict[str, Any]] = {
    "until closed": {
        "name": "Office hours in Berlin, until the case is over",
        "time_zone": "Europe/Berlin",
        "weekly_hours": {day: [["08:00", "12:00"], ["12:45", "17:30"]] for day in WORKDAYS},
        "holidays": ["2016-03-25", "2016-03-28", "2016-10-03"],
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


@pytest.mark.parametrize("name", AGREEMENTS)
def test_a_log_of_our_own_is_judged_as_the_referee_does(tmp_path: Path, name: str) -> None:
    """Holds, reopenings, priorities and both changes of the clocks: every incident."""
    log = tmp_path / "own.csv.gz"
    write_log(log, tickets=80, seed=20_160_320)
    outcomes, report = simulated(tmp_path, log, AGREEMENTS[name])
    assert (report["malformed_lines"], report["tickets"]) == (1, 80)
    expect_as_refereed(outcomes, log, AGREEMENTS[name], sample=80)


@pytest.mark.slow
@pytest.mark.parametrize("name", AGREEMENTS)
def test_the_real_log_is_judged_as_the_referee_does(tmp_path: Path, name: str) -> None:
    """A year of a company's incidents within a minute; a random sample is judged again."""
    log = Path(os.environ.get("OPORA_DATA", ROOT.parent / "shared" / "data")) / REAL_LOG
    if not log.is_file():
        pytest.skip(f"the public data set is not here: set OPORA_DATA to a folder that holds {REAL_LOG}")
    began = time.monotonic()
    outcomes, report = simulated(tmp_path, log, AGREEMENTS[name])
    took = time.monotonic() - began
    assert (report["tickets"], len(outcomes)) == (REAL_INCIDENTS, REAL_INCIDENTS)
    assert took < LONGEST_SECONDS
    expect_as_refereed(outcomes, log, AGREEMENTS[name], sample=150)


def simulated(
    directory: Path, log: Path, agreement: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The outcomes by incident, and the report."""
    draft, out = directory / "draft.json", directory / "outcomes.jsonl"
    draft.write_text(json.dumps(agreement))
    words = ["--agreement", str(draft), "--log", f"servicenow:{log}", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, ["sla", "simulate", *words])
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return {line["source_id"]: line["metrics"]["resolution"] for line in lines}, json.loads(result.stdout)


def expect_as_refereed(
    outcomes: dict[str, dict[str, Any]], log: Path, agreement: dict[str, Any], *, sample: int
) -> None:
    """Every sampled incident stands exactly as the referee finds it."""
    zone = ZoneInfo(agreement["time_zone"])
    stories = {number: referee_rows(rows, zone) for number, rows in incidents(log).items()}
    end_of_log = max(row.at for told in stories.values() for row in told)
    chosen = random.Random(len(stories)).sample(sorted(stories), sample)  # noqa: S311  the same sample every time
    expected, found = {}, {}
    for number in chosen:
        told = stories[number]
        expected[number] = judge(told, agreement, told[-1].at if has_ended(told) else end_of_log)
        line = outcomes[number]
        found[number] = {**line, "due_at": line["due_at"] and datetime.fromisoformat(line["due_at"])}
    assert found == expected
    assert {"met", "breached"} <= {line["outcome"] for line in found.values()}, "the sample shows too little"
