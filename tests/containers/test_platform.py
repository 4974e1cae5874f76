"""The platform on containers, as an operator and a foreign system meet it. The tests run in this order."""

import asyncio
import json
import os
import re
import shutil
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
from opora_embedded import prepare_jars
from tests.containers.compose import ROLES, ROOT, Compose, docker
from tests.programs import program

EXAMPLES = ROOT / "docs" / "examples"
KCAT_GUIDE = ROOT / "docs" / "guides" / "kcat.md"
SHELL_BLOCK = re.compile(r"^```sh\n(.+?)^```$", re.MULTILINE | re.DOTALL)
_LARGEST_IMAGE_BYTES = 250_000_000
_RESPONSE_SECONDS = 6
_SOURCE = "//monitoring.example"


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


@pytest.mark.parametrize("client", ["kcat", "java", "node"])
async def test_an_event_from_outside_becomes_a_ticket_a_breach_a_mail_and_a_survey(
    platform: Compose, tmp_path: Path, client: str
) -> None:
    """Published twice by a foreign client, with nothing of Opora's: one ticket, and everything that should follow."""
    async with platform.client("sla") as sla:
        targets = {priority: {"seconds": _RESPONSE_SECONDS} for priority in ("P1", "P2", "P3", "P4", "P5")}
        agreement = {"name": "Answers in seconds", "metrics": {"first_response": {"targets": targets}}}
        (await sla.post("/agreements", json=agreement)).raise_for_status()
    subject = f"disk-{uuid4().hex[:8]}"
    command, directory = await asyncio.to_thread(prepare_client, client, tmp_path)
    for _ in range(2):
        await asyncio.to_thread(run_client, [*command, f"{subject}-full", subject], directory, platform.kafka)
    async with platform.client("intake") as intake, platform.client("sla") as sla:
        ticket = await found_ticket(intake, _SOURCE, subject)
        await until_breached(sla, ticket["id"], "first_response")
        for step, body in (("assess", {"impact": "medium", "urgency": "medium"}), ("resolve", {}), ("close", {})):
            (await intake.post(f"/tickets/{ticket['id']}/{step}", json=body)).raise_for_status()
        found = await intake.get("/tickets", params={"external_source": _SOURCE, "external_id": subject})
        assert len(found.json()["items"]) == 1
    token = await until_survey(platform, ticket["number"], tmp_path / "mail")
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


async def test_prometheus_sees_every_replica_and_judges_the_rules(platform: Compose) -> None:
    """With the profile `observe` each process of each role is a target that answers, a second replica as well."""
    await asyncio.to_thread(platform.scale, "feedback-serve", 2)
    await asyncio.to_thread(platform.run, "--profile", "observe", "up", "-d", "--wait", "--no-build", "prometheus")
    address = f"http://127.0.0.1:{platform.settings['OPORA_PROMETHEUS_PORT']}/api/v1"
    async with httpx.AsyncClient(base_url=address, trust_env=False) as prometheus:

        async def all_answer() -> bool:
            answer = await prometheus.get("/query", params={"query": 'count by (service, role) (up{job="opora"} == 1)'})
            result = answer.json()["data"]["result"]
            seen = {f"{one['metric']['service']}-{one['metric']['role']}": int(one["value"][1]) for one in result}
            return seen == dict.fromkeys(ROLES, 1) | {"feedback-serve": 2}

        await wait_until(answered(all_answer), 90, what="every process as a target", poll_seconds=1)
        groups = (await prometheus.get("/rules")).json()["data"]["groups"]
    assert len({rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"}) >= 10
    await asyncio.to_thread(platform.scale, "feedback-serve", 1)


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


def prepare_client(client: str, directory: Path) -> tuple[list[str], Path]:
    """The command of a guide's publisher, ready to run in the directory; it takes an id and a subject."""
    if client == "kcat":
        program("kcat", "kcat")
        publish = SHELL_BLOCK.findall(KCAT_GUIDE.read_text())[0]
        script = publish.replace("SUBJECT=disk-db-7\nALERT=alert-2231\n", 'ALERT="$1"\nSUBJECT="$2"\n', 1)
        return ["bash", "-euo", "pipefail", "-c", script, "kcat"], directory
    if client == "java":
        program("javac", "default-jdk-headless")
        return ["java", "-cp", f"{prepare_jars()[0].parent}/*", str(EXAMPLES / "java/PublishEvent.java")], directory
    program("npm", "npm")
    sources = shutil.copytree(EXAMPLES / "node", directory / "node", ignore=shutil.ignore_patterns("node_modules"))
    run_client(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], sources, "")
    return ["node", "publish-event.mjs"], sources


def run_client(command: list[str], directory: Path, bootstrap: str) -> None:
    """Run a foreign program to its end, which must be good."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def work_a_day(platform: Compose, seconds: int, tickets: int) -> dict[str, Any]:
    """The demonstration's desk at work for so long; its report. The desk runs in a container of its own."""
    text = platform.run(
        *("run", "--rm", "--no-deps", "desk", "desk", "--json", "--asks-always", "--mail", "/mail"),
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
        directory.mkdir(exist_ok=True)
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
