"""Logs of other help desks, replayed through the public interface, against a referee that lives minute by minute."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.refereed import AGREEMENTS, expect_as_refereed
from tests.e2e.servicenow import incidents, write_log
from tests.e2e.stack import Stack

ROOT = Path(__file__).parents[2]
REAL_LOG = "servicenow-incidents/sample_1000_incidents_events.csv.gz"
SAMPLE = 200
TABLES = (
    *(("intake", "timeline"), ("intake", "imports"), ("notify", "notifications"), ("feedback", "surveys")),
    *(("sla", "case_facts"), ("sla", "fired_steps"), ("sla", "agreements")),
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one run of the command left behind."""

    exit_code: int
    summary: dict[str, Any]
    outcomes: dict[str, dict[str, Any]]
    """By the incident's number."""
    text: str
    said: str

    @property
    def resolutions(self) -> dict[str, dict[str, Any]]:
        """How each incident's resolution came out."""
        return {number: line["metrics"]["resolution"] for number, line in self.outcomes.items()}


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
    expect_as_refereed(first.resolutions, log, AGREEMENTS[name], sample=60)
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
    expect_as_refereed(first.resolutions, log, AGREEMENTS[name], sample=SAMPLE)
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
