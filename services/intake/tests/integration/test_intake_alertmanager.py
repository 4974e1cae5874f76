"""A real Alertmanager of Debian's packages posts to us."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from opora_chassis.testing import wait_until
from services.intake.tests.hook_payloads import SECRET
from services.intake.tests.mailroom import free_ports
from tests.programs import program

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIGURATION = """
route:
  receiver: opora
  group_by: [alertname]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1s
receivers:
  - name: opora
    webhook_configs:
      - url: {url}
        send_resolved: true
        http_config:
          authorization: {{credentials: "{token}"}}
"""


@asynccontextmanager
async def running_alertmanager(folder: Path, url: str) -> AsyncIterator[str]:
    """Its address, once it is ready; ended at the end."""
    (port,) = free_ports(1)
    file = folder / "alertmanager.yml"
    file.write_text(CONFIGURATION.format(url=url, token=SECRET), "utf-8")
    process = await asyncio.create_subprocess_exec(
        program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def ready() -> bool:
                try:
                    return (await client.get(f"{address}/-/ready")).is_success
                except httpx.TransportError:
                    return False

            await wait_until(ready, 60)
        yield address
    finally:
        process.terminate()
        await process.wait()


async def test_a_real_alertmanager_opens_and_closes_one_ticket(desk: Any, tmp_path: Path) -> None:
    """Firing opens it, repetitions add nothing, resolved closes it."""
    hook, name = f"alertmanager-{uuid4().hex[:8]}", f"Disk{uuid4().hex[:8]}"
    source = {"name": hook, "kind": "alertmanager", "secrets": [SECRET], "on_resolve": "close"}
    await desk.post("/hook-sources", source)
    alert = {
        "labels": {"alertname": name, "severity": "critical", "instance": "db-1:9100"},
        "annotations": {"summary": "The disk is full"},
        "generatorURL": "https://prometheus.example.org/graph",
    }

    async def outcomes() -> list[str | None]:
        return [each["outcome"] for each in (await desk.get("/hook-deliveries", hook=hook))["items"]]

    async def came(outcome: str) -> bool:
        return outcome in await outcomes()

    url = f"{desk.service.process.address}/v1/hooks/{hook}"
    async with running_alertmanager(tmp_path, url) as alertmanager, httpx.AsyncClient(trust_env=False) as client:

        async def post(**fields: str) -> None:
            answer = await client.post(f"{alertmanager}/api/v2/alerts", json=[alert | fields])
            assert answer.is_success, answer.text

        await post()
        await wait_until(partial(came, "opened"), 60)
        await wait_until(partial(came, "repeated"), 60)
        await post(endsAt="2020-01-01T00:00:00Z")
        await wait_until(partial(came, "ended"), 60)
    (ticket,) = (await desk.get("/tickets", external_source=hook))["items"]
    assert ticket["title"] == f"{name}: The disk is full"
    assert (ticket["step"], ticket["priority"], ticket["resolution_code"]) == ("closed", "P1", "solved")
    assert set(await outcomes()) <= {"opened", "repeated", "ended"}
    messages = (await desk.get(f"/tickets/{ticket['id']}/messages"))["items"]
    assert [message["visibility"] for message in messages] == ["public", "internal"]
