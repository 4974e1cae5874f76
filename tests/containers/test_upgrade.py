"""A rolling upgrade as docs/operations/upgrade.md describes it, from the release before, while people work."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from opora_cli.chaos.release import previous_release, unpack
from opora_cli.checks.gather import TopicReader
from opora_contracts.tickets import TicketCreated
from tests.containers.compose import ROLES, ROOT, Compose, built_images, docker, new_project

_PAUSE_SECONDS = 0.05


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tag of the images of the release before, built from the commit that CHANGELOG.md names."""
    release = previous_release()
    assert release is not None, "CHANGELOG.md names no release with its commit, or this is no checkout with its history"
    version, commit = release
    source = tmp_path_factory.mktemp("previous")
    unpack(commit, source)
    built_images(version, source)
    return version


@pytest.fixture
def platform(previous: str, images: dict[str, int], tmp_path: Path) -> Iterator[Compose]:
    """A platform of the release before, two of each that answers people, at work."""
    compose = new_project(tmp_path)
    compose.tag = previous
    compose.scales = {"intake-serve": 2, "sla-serve": 2}
    try:
        compose.up()
        yield compose
    finally:
        compose.down(volumes=True)


@dataclass(slots=True)
class Driver:
    """Opens tickets and answers them, one after the other, and keeps what it was told."""

    client: httpx.AsyncClient
    accepted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def work(self, done: asyncio.Event) -> None:
        """Until told to stop. A request is sent once: what fails counts as failed."""
        while not done.is_set():
            ticket = await self._post("/tickets", {"title": f"Number {len(self.accepted)}", "urgency": "high"})
            if ticket is not None:
                self.accepted.append(ticket)
                await self._post(f"/tickets/{ticket}/replies", {"body": "We look into it.", "author_kind": "agent"})
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _post(self, path: str, body: dict[str, str]) -> str | None:
        try:
            answer = await self.client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex})
        except httpx.HTTPError as error:
            self.failures.append(f"POST {path}: {error!r}")
            return None
        if not answer.is_success:
            self.failures.append(f"POST {path}: {answer.status_code} {answer.text[:200]}")
            return None
        return str(answer.json()["id"])


async def test_a_rolling_upgrade_fails_no_request_and_leaves_no_dead_letter(platform: Compose) -> None:
    """Pre-migrations, then role by role the new code beside the old, then post-migrations: nobody notices."""
    done = asyncio.Event()
    async with platform.client("intake") as client:
        driver = Driver(client)
        working = asyncio.create_task(driver.work(done))
        await asyncio.to_thread(upgrade, platform)
        done.set()
        await working
    assert driver.failures == []
    assert len(driver.accepted) > 100
    versions = {docker("inspect", "-f", "{{.Config.Image}}", *platform.ids(role)).split()[0] for role in ROLES}
    assert {version.partition(":")[2] for version in versions} == {"local"}
    await expect_everything_arrived(platform, driver)


def upgrade(platform: Compose) -> None:
    """The documented sequence."""
    platform.tag = "local"
    platform.opora("migrate", "pre")
    platform.opora("topics", "create")
    for role in ROLES:
        done = subprocess.run(
            [str(ROOT / "deploy/rollout.sh"), role],
            env={**os.environ, **platform.environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{role}\n{done.stdout}\n{done.stderr}"
    platform.opora("migrate", "post")


async def expect_everything_arrived(platform: Compose, driver: Driver) -> None:
    """Each acknowledged ticket stands on the topic once and is known everywhere; nothing became a dead letter."""
    await asyncio.to_thread(platform.wait_until_well)
    reader = TopicReader(platform.kafka)
    await reader.start()
    try:
        await reader.read_to_end()
    finally:
        await reader.stop()
    created = Counter(
        str(event.data.ticket_id) for event in reader.events["opora.tickets"] if isinstance(event.data, TicketCreated)
    )
    assert {ticket: created[ticket] for ticket in driver.accepted if created[ticket] != 1} == {}
