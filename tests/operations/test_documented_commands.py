"""The commands of the operator's pages, run as they stand there, in order, on a real platform."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opora_chassis.testing import wait_until
from opora_cli.checks.gather import consumer_lags, read_services
from opora_cli.client import ServiceClient
from opora_cli.endpoints import read_endpoints, running_supervisor
from tests.operations.documents import blocks, run
from tests.operations.test_disasters import RUN_AT_WORK

PAGES = ("README.md", "doctor.md", "scaling.md", "sizing.md", "backup.md", "disaster.md")
"""In the order in which a reader goes through them; other tests run what stands on the other pages."""
RUN_ELSEWHERE = {
    "console compose": re.compile(r"docker (compose|volume) .+"),
    "console drill": re.compile(r"make drill"),
}
"""Blocks of other tests: tests/containers, and tests/operations/test_drill.py."""
NO_COMMANDS = {"text"}
PROGRAMS = {"opora", "mv"}


def test_every_block_says_who_runs_it() -> None:
    """No block of these pages is left to nobody, and what others run is theirs to run."""
    for block in (block for page in PAGES for block in blocks(page)):
        if block.info in NO_COMMANDS:
            continue
        allowed = RUN_ELSEWHERE.get(block.info)
        if allowed is None:
            assert block.info == "console", f"{block.place}: the info string {block.info!r} is nobody's"
            assert {shlex.split(line)[0] for line in block.lines} <= PROGRAMS, block.place
        else:
            assert all(allowed.fullmatch(line) for line in block.lines), block.place
    assert {block.heading for block in blocks("disaster.md")} >= RUN_AT_WORK


@pytest.mark.slow
async def test_the_commands_work_in_the_order_in_which_they_stand(working: Path) -> None:
    """Each command of each page ends with 0, on a platform that had tickets when the first page was done."""
    for page in PAGES:
        for block in blocks(page):
            if block.info == "console" and not (page == "disaster.md" and block.heading in RUN_AT_WORK):
                for line in block.lines:
                    await run(line, working)
        if page == "README.md":
            await fill(working / ".opora")
    kept = await asyncio.to_thread(lambda: sorted(path.name for path in (working / "backups").iterdir()))
    assert kept == ["after", "monday", "tuesday"]
    await expect_tickets(working / ".opora")


@pytest.fixture
async def working(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory to work in, with nothing in it; no platform is left running in it."""
    yield tmp_path
    for directory in (tmp_path / ".opora", tmp_path / "restored"):
        if running_supervisor(directory) is not None:
            await run(f"opora down --directory {directory}", tmp_path)


async def fill(directory: Path) -> None:
    """Some tickets, one of them answered and closed, and everything that follows from them."""
    endpoints = read_endpoints(directory)
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    for number in range(5):
        body = {"title": f"Ticket {number}", "requester_email": f"person-{number}@example.com"}
        ticket = await intake.post("/v1/tickets", body)
    for action in ("resolve", "close"):
        await intake.post(f"/v1/tickets/{ticket['id']}/{action}", {})
    await intake.close()

    async def consumed() -> bool:
        return not any((await consumer_lags(endpoints.kafka_bootstrap)).values())

    await wait_until(consumed, 60, what="everything consumed")


async def expect_tickets(directory: Path) -> None:
    """After every disaster on these pages the tickets are there, at every service."""
    endpoints = read_endpoints(directory)
    services = await read_services({name: service.database_dsn for name, service in endpoints.services.items()})
    assert {name: len(state.tickets) for name, state in services.items()} == {
        "intake": 5,
        "sla": 5,
        "notify": 5,
        "feedback": 1,
    }
