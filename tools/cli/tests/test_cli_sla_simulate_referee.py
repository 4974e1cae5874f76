"""`opora sla simulate` against the referee that reads the log itself and lives through it minute by minute."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opora_cli.main import app
from tests.e2e.refereed import AGREEMENTS, expect_as_refereed
from tests.e2e.servicenow import write_log

ROOT = Path(__file__).parents[3]
REAL_LOG = "servicenow-incidents/incident_event_log_full.csv.gz"
REAL_INCIDENTS = 24_918
LONGEST_SECONDS = 60


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
