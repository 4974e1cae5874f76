"""A part of a platform is lost: the rest brings it back, nothing acknowledged is missing, nothing is said twice."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from opora_chassis.clock import host_now
from opora_cli.backup.drill.outside import Expected, look, read_log
from opora_cli.backup.drill.work import Acknowledgement, make_agreement
from opora_cli.checks.gather import SurveyMail
from opora_cli.checks.rest import settle
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints, read_endpoints
from tests.operations.documents import commands_of, run
from tests.operations.platforms import SETTINGS, desk_at_work, killed, started, stopped, stories

pytestmark = pytest.mark.slow


ONE_SERVICE = "One service's database is lost"
THE_LOG = "The broker has lost its log"
RUN_AT_WORK = {ONE_SERVICE, THE_LOG}
"""The sections of docs/operations/disaster.md whose commands are run here."""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    """Where an operator works: below it runs a platform under whose agreement a forgotten ticket is soon breached."""
    endpoints = await started(tmp_path / ".opora")
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    await make_agreement(sla)
    await sla.close()
    yield tmp_path
    await stopped(tmp_path / ".opora")


async def test_a_service_whose_database_is_lost_is_caught_up_from_the_log(home: Path) -> None:
    """Sla, notify and feedback, each from a backup and the log: no breach, survey or letter comes a second time.

    Also what time alone had brought since the backup, ratings, and surveys whose links lie in mailboxes.
    """
    endpoints = read_endpoints(home / ".opora")
    async with desk_at_work(endpoints) as desk:
        await stories(desk, 8)
        await run("opora backup create backups/tuesday", home)
        await stories(desk, 8)
    acknowledged = list(desk.acknowledged)
    await settle(endpoints, host_now())
    mail = SurveyMail(home / ".opora/mail")
    rated = await rate_newest(endpoints, mail)
    await settle(endpoints, host_now())
    letters = letters_in(home)
    told = await told_facts(endpoints)

    down, restore, *up_again = commands_of("disaster.md", ONE_SERVICE)
    await run(down, home)
    assert "say --replace" in await run(restore.replace(" --replace", ""), home, codes=(2,))
    for service in ("sla", "notify", "feedback"):
        await run(restore.replace("--service sla", f"--service {service}"), home, variables=SETTINGS)
    for line in up_again:
        await run(line, home, variables=SETTINGS)

    endpoints = read_endpoints(home / ".opora")
    await settle(endpoints, host_now())
    assert letters_in(home) == letters, "a letter left a second time, or under another identity"
    assert await told_facts(endpoints) == told, "something was told again"
    assert await rating_of(endpoints, rated) == 2
    async with desk_at_work(endpoints) as desk:
        await stories(desk, 6)
    acknowledged += desk.acknowledged
    await expect_all(endpoints, acknowledged, home / ".opora/mail")


async def test_a_lost_log_is_published_again(home: Path) -> None:
    """The broker's data is gone in the middle of the work, the databases are not: every ticket reaches every service.

    With a backup, the log is whole up to it; tickets and customers are whole to the end.
    """
    endpoints = read_endpoints(home / ".opora")
    async with desk_at_work(endpoints) as desk:
        await stories(desk, 6)
        await run("opora backup create backups/tuesday", home)
        await stories(desk, 8)
        await killed(home / ".opora")
    _, move, republish, *up_again = commands_of("disaster.md", THE_LOG)
    assert "had records already" in await run(republish, home, codes=(2,))
    await run(move, home)
    said = await run(republish, home, codes=(0, 1))
    assert "published again" in said
    for line in up_again:
        await run(line, home, variables=SETTINGS)

    endpoints = read_endpoints(home / ".opora")
    async with desk_at_work(endpoints) as later:
        await stories(later, 6)
    await settle(endpoints, host_now())
    log = await read_log(endpoints.kafka_bootstrap)
    assert [gap for gap in log.gaps if gap.startswith(("opora.tickets", "opora.customers"))] == []
    on_the_log = {subject: last for (topic, _, subject), last in log.last.items() if topic == "opora.tickets"}
    versions = newest([*desk.acknowledged, *later.acknowledged])
    # What was committed when the power went, and not acknowledged any more, may be there as well.
    missing = {ticket: version for ticket, version in versions.items() if on_the_log.get(ticket, 0) < version}
    assert missing == {}
    for service, table in (("sla", "cases"), ("notify", "tickets")):
        known = set(await column(endpoints, service, f"select ticket_id::text from {table}"))
        assert versions.keys() <= known, service
    for service in endpoints.services:
        assert await column(endpoints, service, "select key from parked_keys") == [], service
    confirmed = await column(
        endpoints, "notify", "select ticket_id::text from notifications where template = 'ticket_created'"
    )
    assert {ticket: times for ticket, times in Counter(confirmed).items() if times > 1} == {}
    assert versions.keys() <= set(confirmed)


def letters_in(home: Path) -> list[str]:
    """Every letter in the sink."""
    return sorted(path.name for path in (home / ".opora/mail").glob("*.eml"))


async def told_facts(endpoints: Endpoints) -> dict[str, str]:
    """What sla, notify and feedback have told, by event id: the same fact delivered twice is told once."""
    log = await read_log(endpoints.kafka_bootstrap)
    return {
        event.id: f"{event.type} of {event.subject}"
        for topic in ("opora.sla", "opora.feedback", "opora.notifications")
        for event in log.live[topic]
    }


async def rate_newest(endpoints: Endpoints, mail: SurveyMail) -> str:
    """Rate the ticket of the newest letter that asks for it with a 2; returns its number."""
    mail.look()
    number = max(mail.tokens, key=lambda name: int(name.removeprefix("OP-")))
    (token,) = mail.tokens[number]
    async with httpx.AsyncClient(base_url=endpoints.services["feedback"].url, timeout=30, trust_env=False) as browser:
        answer = await browser.post(f"/s/{token}", data={"score": "2", "comment": "It took long."})
    assert answer.is_success, answer.text
    return number


async def rating_of(endpoints: Endpoints, number: str) -> int | None:
    """What was answered about the ticket of this number."""
    ticket = (await column(endpoints, "notify", f"select ticket_id::text from tickets where number = '{number}'"))[0]
    scores = await column(endpoints, "feedback", f"select score from surveys where ticket_id = '{ticket}'")
    return None if not scores else scores[0]


async def column(endpoints: Endpoints, service: str, query: str) -> list:  # type: ignore[type-arg]  # of the query's type
    """The first column of a query's rows."""
    connection = await asyncpg.connect(endpoints.services[service].database_dsn, timeout=10)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


def newest(acknowledged: list[Acknowledgement]) -> dict[str, int]:
    """The highest version of each ticket that was acknowledged."""
    versions: dict[str, int] = {}
    for one in acknowledged:
        versions[one.ticket_id] = max(one.version, versions.get(one.ticket_id, 0))
    return versions


async def expect_all(endpoints: Endpoints, acknowledged: list[Acknowledgement], mail_directory: Path) -> None:
    """Every invariant of the drill, with nothing that may be missing."""
    until = host_now()
    await settle(endpoints, until)
    expected = Expected(
        taken_at=datetime.max.replace(tzinfo=until.tzinfo),
        acknowledged=acknowledged,
        history_tickets=0,
        api_key=endpoints.api_key,
        mail_directory=mail_directory,
    )
    findings, _ = await look(endpoints, expected, until)
    assert {finding.invariant: finding.violations for finding in findings if not finding.holds} == {}
