"""The table of bad input holds: every case against a real platform, and the kit against one that does not validate."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import typer
from typer.testing import CliRunner

from opora_cli.conformance.command import conformance
from opora_cli.conformance.run import Report, clean, run_cases
from opora_cli.endpoints import Endpoints, ProcessEndpoint, ServiceEndpoint, write_endpoints
from opora_cli.errors import CommandError
from opora_contracts.conformance import CASES, Answer, Run
from opora_embedded.testing import KafkaServer
from tests.conformance.kit import DEADLINE_SECONDS, target_of
from tests.e2e.stack import Databases, Stack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARELESS = Path(__file__).parent / "careless"
"""Holds a sitecustomize that takes the validation out of a process."""

command = typer.Typer()
command.command()(conformance)


@pytest.mark.parametrize("name", [case.name for case in CASES])
async def test_the_platform_answers_as_the_table_says(report: Report, name: str) -> None:
    """Published to a real broker, the case is answered by a real intake exactly as the documentation's table says."""
    (verdict,) = [verdict for verdict in report.verdicts if verdict.case.name == name]
    assert verdict.ok, f"{verdict.answer}: {'; '.join(verdict.problems)}"


async def test_no_case_has_an_effect_beside_its_own(report: Report, platform: Stack) -> None:
    """Under the run's source stand the tickets that the cases asked for, and not one more."""
    assert list(report.strays) == []
    expected = sum(case.tickets for case in CASES)
    assert len(report.tickets) == expected + 1  # the run's own, which its marks reply to
    async with platform.databases() as connections:
        sources = await connections["intake"].fetch("select distinct external_source as source from tickets")
    assert not [row["source"] for row in sources if row["source"].lower().startswith("/opora")]


async def test_two_megabytes_do_not_reach_the_topic(report: Report) -> None:
    """On a broker with Kafka's own limit, the producer learns at once that the record is too large."""
    (verdict,) = [verdict for verdict in report.verdicts if verdict.case.name == "two-megabytes"]
    assert verdict.answer == Answer.REFUSED_BY_BROKER


async def test_the_command_reports_for_scripts_and_cleans_up(platform: Stack) -> None:
    """`--json` tells each case with what was expected and seen, exit 0; after `--clean` nothing of the run is left."""
    only = ["minimal-binary", "nan", "second-submission", "behind-a-dead-letter", "key-with-nul"]
    named = [word for name in only for word in ("--only", name)]
    result = await invoke(platform, *named, "--json", "--clean")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["ok"]
    assert {case["name"]: case["seen"] for case in document["cases"]}["nan"] == "dead letter bad_json"
    assert sorted(case["name"] for case in document["cases"]) == sorted(only)
    assert "closed 3 tickets and discarded 5 dead letters" in result.stderr
    async with platform.client("intake") as intake:
        letters = (await intake.get("/dead-letters", params={"source": document["source"]})).json()["items"]
        tickets = (await intake.get("/tickets", params={"external_source": document["source"]})).json()["items"]
    assert letters == []
    assert {ticket["step"] for ticket in tickets} == {"closed"}


async def test_the_command_shows_a_table(platform: Stack) -> None:
    """For people it prints a line per case and the sum, and says what is left and how to get rid of it."""
    result = await invoke(platform, "--only", "infinity")
    assert result.exit_code == 0, result.output
    assert "1 of 1 cases answered as the contract says" in result.stdout
    assert ": 1 open tickets, 1 dead letters with parked keys; next time --clean" in result.stderr
    assert "opora dead-letters discard ID" in result.stderr


async def test_the_command_finds_the_platform_by_its_directory(platform: Stack, tmp_path: Path) -> None:
    """Without options the broker, intake and the key are those of the platform that the directory describes."""
    key_file = tmp_path / "api-key"
    key_file.write_text(platform.api_key)
    url = platform.urls["intake"]
    serve = ProcessEndpoint(name="intake-serve", roles=("serve",), url=url)
    intake = ServiceEndpoint(url=url, database_dsn=platform.dsns["intake"], processes=(serve,))
    described = Endpoints(
        kafka_bootstrap=platform.kafka_bootstrap, services={"intake": intake}, api_key_file=key_file, smtp="localhost:9"
    )
    write_endpoints(tmp_path, described)
    words = ["--directory", str(tmp_path), "--prefix", platform.prefix, "--only", "minimal-structured", "--clean"]
    result = await asyncio.to_thread(CliRunner().invoke, command, words)
    assert result.exit_code == 0, result.output
    assert "closed 2 tickets and discarded 0 dead letters" in result.stderr


async def test_the_command_says_what_keeps_it_from_working(platform: Stack) -> None:
    """A key that is not valid is exit 2 with the scopes to ask for, topics that do not exist are exit 3."""
    wrong_key = (await invoke(platform, "--only", "nan", key="opk_" + "0" * 43)).exception
    assert isinstance(wrong_key, CommandError)
    assert (wrong_key.exit_code, "unknown, expired or revoked" in wrong_key.message) == (2, True)
    assert "--scope dead-letters:read" in str(wrong_key.next_command)
    wrong_prefix = (await invoke(platform, "--only", "nan", prefix="nowhere.")).exception
    assert isinstance(wrong_prefix, CommandError)
    assert wrong_prefix.exit_code == 3
    assert "topic nowhere.opora.requests does not exist" in wrong_prefix.message


async def invoke(stack: Stack, *words: str, key: str | None = None, prefix: str | None = None) -> Any:
    """Run the command on this stack, in a thread of its own as a process would; the key comes from the environment."""
    target = target_of(stack)
    options = ["--bootstrap", target.bootstrap, "--intake", target.intake_url, "--prefix", prefix or target.prefix]
    environment = {"OPORA_API_KEY": key or target.api_key}
    return await asyncio.to_thread(CliRunner().invoke, command, [*options, *words], env=environment)


async def test_without_a_consumer_the_kit_gives_up_in_time(platform: Stack) -> None:
    """Where nobody takes requests up, the run ends after its deadline and says what to look at."""
    target = target_of(platform)
    platform.pause("intake consume relay")
    try:
        with pytest.raises(CommandError, match=r"took up nothing from opora\.requests within 1 s"):
            await run_cases(target, CASES[:1], Run(uuid4().hex), deadline_seconds=1, say=lambda _: None)
    finally:
        platform.resume("intake consume relay")


MUST_TURN_RED = {
    "nan",
    "infinity",
    "duplicate-key",
    "nested-duplicate-key",
    "depth-33",
    "nul-in-text",
    "empty-title",
    "title-of-251-characters",
    "bidi-controlled-title",
    "number-as-title",
    "time-in-2262",
    "time-in-year-0",
    "time-without-zone",
    "id-of-201-characters",
    "xml",
    "newer-major",
    "value-over-1-mib",
    "reserved-source",
}


async def test_the_kit_turns_red_on_a_platform_that_does_not_validate(
    kafka: KafkaServer, databases: Databases, tmp_path: Path
) -> None:
    """Against an intake whose consumer skips validation the same kit names the cases; the plain ones stay green."""
    careless = {"PYTHONPATH": str(CARELESS), "OPORA_FUSE_LIMIT": "1000"}
    async with running_stack(tmp_path, kafka, databases, ["intake all"], settings=careless) as stack:
        target = target_of(stack)
        report = await run_cases(target, CASES, Run(uuid4().hex), deadline_seconds=DEADLINE_SECONDS, say=lambda _: None)
        red = {verdict.case.name: verdict.answer for verdict in report.verdicts if not verdict.ok}
        green = {verdict.case.name for verdict in report.verdicts if verdict.ok}
        assert not report.ok
        assert red.keys() >= MUST_TURN_RED, MUST_TURN_RED - red.keys()
        assert green >= {"minimal-binary", "full-structured", "same-event-twice", "unknown-field", "reply"}
        assert red["duplicate-key"].startswith("ticket OP-")
        await clean(target, report)


async def test_a_dead_letter_is_found_by_what_the_broker_told(report: Report, platform: Stack) -> None:
    """A publisher who only kept partition and offset of its record reads there what was wrong with it."""
    (verdict,) = [verdict for verdict in report.verdicts if verdict.case.name == "no-cloudevent"]
    where = {"partition": verdict.seen.partition, "offset": verdict.seen.offset}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(
            f"{platform.urls['intake']}/v1/dead-letters",
            params={"topic": f"{platform.prefix}opora.requests", **where},
            headers={"Authorization": f"Bearer {platform.api_key}"},
        )
    (letter,) = answer.json()["items"]
    assert "no ce_specversion header" in letter["reason"]
