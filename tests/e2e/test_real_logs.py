"""Logs of other help desks, replayed through the public interface, against a referee that lives minute by minute."""

import asyncio
import json
import os
import random
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.servicenow import has_ended, incidents, referee_rows, write_log
from tests.e2e.stack import Stack
from tests.oracle.sla_oracle import judge

ROOT = Path(__file__).parents[2]
REAL_LOG = "servicenow-incidents/sample_1000_incidents_events.csv.gz"
SAMPLE = 200
TABLES = (
    *(("intake", "timeline"), ("intake", "imports"), ("notify", "notifications"), ("feedback", "surveys")),
    *(("sla", "case_facts"), ("sla", "fired_steps"), ("sla", "agreements")),
)
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


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one run of the command left behind."""

    exit_code: int
    summary: dict[str, Any]
    outcomes: dict[str, dict[str, Any]]
    """By the incident's number."""
    text: str
    said: str


@pytest.mark.slow
@pytest.mark.parametrize("name", AGREEMENTS)
async def test_a_log_of_our_own_ends_as_the_referee_says(platform: Stack, tmp_path: Path, name: str) -> None:
    """Holds, reopenings, priorities and both changes of the clocks; a broken line is named and spoils nothing else."""
    log = tmp_path / "own.csv.gz"
    broken_line = write_log(log, tickets=60, seed=20_160_320)
    first = await replayed(platform, log, AGREEMENTS[name])
    assert first.exit_code == 1
    assert f"own.csv.gz:{broken_line}: " in first.said
    assert "INC9999999" not in first.outcomes
    expect_as_refereed(first, log, AGREEMENTS[name], sample=60)
    await expect_no_false_breach(platform, first)
    await expect_unchanged_by(platform, first, log, AGREEMENTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", AGREEMENTS)
async def test_a_real_log_ends_as_the_referee_says(platform: Stack, tmp_path: Path, name: str) -> None:
    """A year of a company's incidents: a random sample is judged again, and the same command changes nothing."""
    log = Path(os.environ.get("OPORA_DATA", ROOT.parent / "shared" / "data")) / REAL_LOG
    if not log.is_file():
        pytest.skip(f"the public data set is not here: set OPORA_DATA to a folder that holds {REAL_LOG}")
    first = await replayed(platform, log, AGREEMENTS[name])
    assert first.exit_code == 0, first.said
    assert len(first.outcomes) == len(incidents(log))
    expect_as_refereed(first, log, AGREEMENTS[name], sample=SAMPLE)
    await expect_no_false_breach(platform, first)
    await expect_unchanged_by(platform, first, log, AGREEMENTS[name])


async def replayed(platform: Stack, log: Path, agreement: dict[str, Any]) -> Replayed:
    """Run `opora replay servicenow` against the platform."""
    directory = platform.directory
    paths = {"--agreement": directory / "agreement.json", "--api-key-file": directory / "key"}
    out_path = directory / "outcomes.jsonl"
    await asyncio.to_thread(paths["--agreement"].write_text, json.dumps(agreement))
    await asyncio.to_thread(paths["--api-key-file"].write_text, platform.api_key)
    options = [str(word) for pair in {**paths, "--out": out_path}.items() for word in pair]
    replaying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "opora_cli", "replay", "servicenow", str(log), *options, "--json"),
        *("--intake-url", platform.urls["intake"], "--sla-url", platform.urls["sla"]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, said = await asyncio.wait_for(replaying.communicate(), 180)
    finally:
        if replaying.returncode is None:
            replaying.kill()
            await replaying.wait()
    assert output, said.decode()
    text = await asyncio.to_thread(out_path.read_text, "utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    outcomes = {line["source_id"]: line for line in lines}
    return Replayed(replaying.returncode or 0, json.loads(output), outcomes, text, said.decode())


def expect_as_refereed(first: Replayed, log: Path, agreement: dict[str, Any], *, sample: int) -> None:
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
        line = first.outcomes[number]["metrics"]["resolution"]
        found[number] = {**line, "due_at": line["due_at"] and datetime.fromisoformat(line["due_at"])}
    assert found == expected
    assert {"met", "breached"} <= {verdict["outcome"] for verdict in expected.values()}, "the sample shows too little"


async def expect_no_false_breach(platform: Stack, first: Replayed) -> None:
    """A breach was said of exactly the clocks that are breached in the end, not of others on the way."""
    tickets = [line["ticket_id"] for line in first.outcomes.values()]
    async with platform.databases() as connections:
        said = await connections["sla"].fetch(
            "select ticket_id, cycle from fired_steps"
            " where step = 'breached' and metric = 'resolution' and ticket_id = any($1::uuid[])",
            tickets,
        )
        stand = await connections["sla"].fetch(
            "select ticket_id, cycle from clocks"
            " where outcome = 'breached' and metric = 'resolution' and ticket_id = any($1::uuid[])",
            tickets,
        )
    assert {tuple(row) for row in said} == {tuple(row) for row in stand}
    assert len(said) == len(stand) > 0


async def expect_unchanged_by(platform: Stack, first: Replayed, log: Path, agreement: dict[str, Any]) -> None:
    """The same command once more reads the same outcomes and adds no fact anywhere."""
    before = await counted(platform)
    again = await replayed(platform, log, agreement)
    assert again.exit_code == first.exit_code
    assert (again.summary["entries_applied"], again.summary["facts"]) == (0, first.summary["facts"])
    assert again.text == first.text
    assert await counted(platform) == before


async def counted(platform: Stack) -> dict[str, int]:
    """How much each service has."""
    async with platform.databases() as connections:
        return {
            table: await connections[service].fetchval(f"select count(*) from {table}") for service, table in TABLES
        }
