"""The supervisor on real servers: it heals what is killed, keeps what it is told, and leaves nothing behind."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from opora_chassis.testing import wait_until
from opora_cli.client import ServiceClient
from opora_cli.doctor.commands import examine
from opora_cli.endpoints import Endpoints, running_supervisor
from opora_cli.stack import StackOptions
from opora_cli.supervisor import Supervisor, is_ready
from opora_embedded import Postgres

pytestmark = pytest.mark.slow
_SERVICES = ("intake", "sla")
_DEADLINE_SECONDS = 90.0


@pytest_asyncio.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    """Two services on servers of their own, watched."""
    supervisor = Supervisor(StackOptions(directory=tmp_path, services=_SERVICES))
    await supervisor.start()
    stop = asyncio.Event()
    watching = asyncio.create_task(supervisor.watch(stop))
    yield supervisor
    stop.set()
    await watching
    await supervisor.stop()


async def test_a_killed_service_comes_back_with_its_data_and_address(supervisor: Supervisor) -> None:
    """SIGKILL costs no acknowledged ticket: the same address serves it again, and the doctor finds nothing wrong."""
    endpoints = _endpoints(supervisor)
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    ticket = await intake.post("/v1/tickets", {"title": "Help"}, actor="agent:anna")
    before = {process.pid for process in _processes("opora_intake")}
    assert supervisor.kill("intake") == "intake"
    assert (await intake.get(f"/v1/tickets/{ticket['id']}"))["number"] == ticket["number"]
    await intake.close()
    assert {process.pid for process in _processes("opora_intake")}.isdisjoint(before)
    async with httpx.AsyncClient(trust_env=False) as client:
        await wait_until(lambda: is_ready(client, endpoints.services["intake"].url), _DEADLINE_SECONDS)
    diagnoses = await examine(endpoints, supervisor.options.directory)
    assert [diagnosis for diagnosis in diagnoses if diagnosis.problem] == []
    with pytest.raises(KeyError):
        supervisor.kill("notify")


def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """Kill -9 of `opora up` ends Kafka, PostgreSQL and every service; a new one starts where the old one was."""
    first = _up(tmp_path)
    ports = {name: service.url for name, service in _read(tmp_path).services.items()}
    children = psutil.Process(first.pid).children(recursive=True)
    assert len(children) > 6
    first.kill()
    first.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert running_supervisor(tmp_path) is None

    second = _up(tmp_path)
    assert {name: service.url for name, service in _read(tmp_path).services.items()} == ports
    children = psutil.Process(second.pid).children(recursive=True)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=60) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []


def _up(directory: Path) -> subprocess.Popen[bytes]:
    """`opora up` in the foreground, ready."""
    with (directory / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "opora_cli", "up", "--directory", str(directory)], stdout=log, stderr=log
        )

    def is_up() -> bool:
        if process.poll() is not None:
            raise AssertionError((directory / "up.log").read_text())
        path = directory / "endpoints.json"
        return path.exists() and json.loads(path.read_text())["supervisor_pid"] == process.pid

    try:
        _until(is_up)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the platform did not come up"
        time.sleep(0.05)


def _read(directory: Path) -> Endpoints:
    return Endpoints.model_validate_json((directory / "endpoints.json").read_text())


def _endpoints(supervisor: Supervisor) -> Endpoints:
    assert supervisor.endpoints is not None
    return supervisor.endpoints


def _processes(module: str) -> list[psutil.Process]:
    """Our own children that run this module."""
    return [process for process in psutil.Process().children(recursive=True) if module in " ".join(process.cmdline())]


async def test_a_server_that_does_not_start_is_tried_again(tmp_path: Path) -> None:
    """A server that ends on a full disk takes the supervisor with it neither then nor at its next start."""
    said: list[str] = []
    postgres = Postgres(tmp_path / "postgres")
    supervisor = Supervisor(StackOptions(directory=tmp_path), report=said.append)
    supervisor.servers["postgres"] = postgres
    postgres.start()
    postgres.stop()
    hidden = (tmp_path / "postgres/pgdata").rename(tmp_path / "postgres/hidden")
    (tmp_path / "postgres/pgdata").mkdir()
    stop = asyncio.Event()
    watching = asyncio.create_task(supervisor.watch(stop))
    try:
        await wait_until(lambda: any("does not start" in line for line in said), _DEADLINE_SECONDS)
        (tmp_path / "postgres/pgdata").rmdir()
        hidden.rename(tmp_path / "postgres/pgdata")
        await wait_until(lambda: postgres.running, _DEADLINE_SECONDS)
    finally:
        stop.set()
        await watching
        postgres.close()
