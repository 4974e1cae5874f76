"""The platform on containers, as an operator and a foreign system meet it. The tests run in this order."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from opora_chassis.testing import wait_until
from opora_cli.checks.gather import SurveyMail
from tests.containers.compose import ROLES, Compose, docker

_LARGEST_IMAGE_BYTES = 250_000_000
_RESPONSE_SECONDS = 6


def test_images_are_small(images: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    """Each image stays below 250 MB; the sizes are printed."""
    with capsys.disabled():
        print("\nimages: " + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in images.items()))  # noqa: T201
    assert {name: size for name, size in images.items() if size >= _LARGEST_IMAGE_BYTES} == {}


def test_the_third_party_layer_is_shared(images: dict[str, int]) -> None:
    """The images of the services differ only in what is ours: every lower layer is the same."""
    names = ("intake", "sla", "notify", "feedback", "cli")
    layers = [
        json.loads(docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", f"opora-{name}:local")) for name in names
    ]
    assert len({tuple(each[:-1]) for each in layers}) == 1
    assert len({each[-1] for each in layers}) == len(names)


def test_no_process_is_root(platform: Compose) -> None:
    """By the kernel's own account no process of any container runs as root, nor could become it."""
    seen = 0
    for container in platform.containers():
        for pid in docker("top", container["ID"], "-eo", "pid").split()[1:]:
            status = Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert "0" not in fields["Uid"].split(), f"{container['Name']}: {fields['Name']}"
            assert int(fields["CapEff"], 16) == 0, f"{container['Name']}: {fields['Name']}"
            assert fields["NoNewPrivs"] == "1", f"{container['Name']}: {fields['Name']}"
            seen += 1
    assert seen >= len(ROLES) + 3


def test_nothing_inside_can_write_its_own_image(platform: Compose) -> None:
    """The root file system is read-only: what breaks in cannot stay."""
    for role in ("intake-serve", "notify-timers"):
        said = platform.run("exec", "--no-TTY", role, "sh", "-c", "touch /opt/opora/x 2>&1 || true")
        assert "Read-only file system" in said


def test_a_service_reaches_only_its_own_database(platform: Compose) -> None:
    """The login role of one service may not connect to the database of another."""
    settings = platform.settings
    probe = (
        "import asyncio, asyncpg\n"
        f"asyncio.run(asyncpg.connect('postgresql://opora_sla:{settings['OPORA_SLA_DATABASE_PASSWORD']}"
        "@postgres:5432/opora_intake'))"
    )
    said = platform.run("exec", "--no-TTY", "sla-serve", "sh", "-c", f'python -c "{probe}" 2>&1 || true')
    assert "permission denied for database" in said


async def test_an_event_from_outside_becomes_a_ticket_a_breach_a_mail_and_a_survey(
    platform: Compose, tmp_path: Path
) -> None:
    """Published by kcat, with nothing of Opora's: everything that should follow does."""
    source, subject = "//kcat.example", f"disk-{uuid4().hex[:8]}"
    async with platform.client("sla") as sla:
        agreement = {
            "name": "Answers in seconds",
            "metrics": {"first_response": {"targets": {"P3": {"seconds": _RESPONSE_SECONDS}}}},
        }
        (await sla.post("/agreements", json=agreement)).raise_for_status()
    data = {"title": "Disk almost full on db-7", "requester_email": "ops@kcat.example"}
    for _ in range(2):  # the same event twice: one ticket
        await asyncio.to_thread(kcat, platform.kafka, subject, source, "ticket.submitted", data)
    async with platform.client("intake") as intake, platform.client("sla") as sla:
        ticket = await found_ticket(intake, source, subject)
        await until_breached(sla, ticket["id"], "first_response")
        for step, body in (("assess", {"impact": "medium", "urgency": "medium"}), ("resolve", {}), ("close", {})):
            (await intake.post(f"/tickets/{ticket['id']}/{step}", json=body)).raise_for_status()
        assert len((await intake.get("/tickets", params={"external_source": source})).json()["items"]) == 1
    token = await until_survey(platform, ticket["number"], tmp_path)
    async with httpx.AsyncClient(base_url=platform.url("feedback"), trust_env=False) as browser:
        assert (await browser.get(f"/s/{token}/5")).status_code == 200
        assert (await browser.post(f"/s/{token}", data={"score": "5"})).status_code == 200


async def test_a_role_is_scaled_under_load_without_loss_or_double(platform: Compose) -> None:
    """Consumers 1 → 3 → 1 and intake's HTTP 1 → 2 → 1 while a desk works: every invariant holds at the end."""
    desk = asyncio.create_task(asyncio.to_thread(work_a_day, platform, 75, 60))
    await asyncio.to_thread(platform.scale, "sla-consume", 3)
    await asyncio.to_thread(platform.scale, "intake-serve", 2)
    await asyncio.to_thread(platform.scale, "notify-consume", 2)
    assert len(platform.ids("sla-consume")) == 3
    for role in ("sla-consume", "intake-serve", "notify-consume"):
        await asyncio.to_thread(platform.scale, role, 1)
    report = await desk
    assert report["tickets"] >= 60
    assert [finding for finding in report["findings"] if finding["violations"]] == []


async def test_a_killed_broker_and_a_killed_database_come_back(platform: Compose) -> None:
    """Their first processes die as in a crash; the engine restarts them, nothing acknowledged is lost."""
    subject = f"kill-{uuid4().hex[:8]}"
    async with platform.client("intake") as intake:
        for role in ("kafka", "postgres"):
            os.kill(platform.pid(role), signal.SIGKILL)
            accepted = await until_accepted(intake, {"title": f"While {role} was gone", "product": subject})
            await asyncio.to_thread(platform.wait)
            await until_known_to_sla(platform, accepted["id"])
    await asyncio.to_thread(platform.wait_until_well)


async def test_down_and_up_again_keeps_everything(platform: Compose) -> None:
    """The data lies in named volumes; containers are only what runs."""
    async with platform.client("intake") as intake:
        before = (await intake.post("/tickets", json={"title": "Before the pause"})).json()
    await asyncio.to_thread(platform.down)
    await asyncio.to_thread(platform.up)
    async with platform.client("intake") as intake:
        assert (await intake.get(f"/tickets/{before['id']}")).json()["number"] == before["number"]
        after = (await intake.post("/tickets", json={"title": "After the pause"})).json()
    await until_known_to_sla(platform, after["id"])


def kcat(bootstrap: str, subject: str, source: str, event_type: str, data: dict[str, Any]) -> None:
    """Publish one event in binary mode with kcat."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"{subject}-1",
        "ce_source": source,
        "ce_type": event_type,
        "ce_subject": subject,
        "ce_time": "2026-03-01T09:30:00Z",
        "content-type": "application/json",
    }
    options = [word for name, value in headers.items() for word in ("-H", f"{name}={value}")]
    subprocess.run(
        ["kcat", "-P", "-b", bootstrap, "-t", "opora.requests", "-k", subject, "-X", "acks=all", *options],  # noqa: S607
        input=json.dumps(data).encode(),
        check=True,
        timeout=60,
    )


def work_a_day(platform: Compose, seconds: int, tickets: int) -> dict[str, Any]:
    """The demonstration's desk at work for so long; its report. The desk runs in a container of its own."""
    text = platform.run(
        *("run", "--rm", "--no-deps", "desk", "desk", "--json", "--mail", "/mail"),
        *("--seconds", str(seconds), "--tickets", str(tickets)),
        seconds=seconds + 240,
    )
    report: dict[str, Any] = json.loads(text)
    return report


async def found_ticket(intake: httpx.AsyncClient, source: str, subject: str) -> dict[str, Any]:
    """The one ticket that intake made of a foreign event."""

    async def look() -> list[Any]:
        page = await intake.get("/tickets", params={"external_source": source, "external_id": subject})
        items: list[Any] = page.json()["items"]
        return items

    (ticket,) = await wait_until(look, 60, what="the ticket of the event", poll_seconds=0.2)
    assert isinstance(ticket, dict)
    return ticket


async def until_breached(sla: httpx.AsyncClient, ticket_id: str, metric: str) -> None:
    """Wait until the ticket's clock of this metric is breached."""

    async def look() -> bool:
        page = await sla.get(f"/tickets/{ticket_id}")
        page.raise_for_status()
        return (metric, "breached") in {(clock["metric"], clock["outcome"]) for clock in page.json()["clocks"]}

    await wait_until(answered(look), 60, what=f"the breach of {metric}", poll_seconds=0.2)


async def until_survey(platform: Compose, number: str, directory: Path) -> str:
    """The token of the survey that was mailed about the ticket."""
    mail = SurveyMail(directory)

    def look() -> frozenset[str]:
        platform.run("cp", "mail:/mail/.", str(directory))
        mail.look()
        return mail.tokens.get(number, frozenset())

    (token,) = await wait_until(lambda: asyncio.to_thread(look), 60, what=f"the survey of {number}", poll_seconds=1)
    return str(token)


async def until_accepted(intake: httpx.AsyncClient, ticket: dict[str, str]) -> dict[str, Any]:
    """Open a ticket as a patient client does: the same key again until it is acknowledged."""
    key = uuid4().hex

    async def attempt() -> dict[str, Any]:
        answer = await intake.post("/tickets", json=ticket, headers={"Idempotency-Key": key})
        answer.raise_for_status()
        accepted: dict[str, Any] = answer.json()
        return accepted

    accepted = await wait_until(answered(attempt), 120, what="an accepted ticket", poll_seconds=0.5)
    assert isinstance(accepted, dict)
    return accepted


async def until_known_to_sla(platform: Compose, ticket_id: str) -> None:
    """Wait until sla knows the ticket."""
    async with platform.client("sla") as sla:

        async def look() -> bool:
            return (await sla.get(f"/tickets/{ticket_id}")).is_success

        await wait_until(answered(look), 90, what=f"{ticket_id} in sla", poll_seconds=0.5)


def answered(ask: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """The same question, for which no answer, or one that it is too early, is not yet the truth."""

    async def condition() -> Any:
        try:
            return await ask()
        except httpx.HTTPError:
            return None

    return condition
