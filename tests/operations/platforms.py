"""Whole platforms for tests that an operator's commands are tried on: started, stopped and looked at by commands."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from opora_chassis.testing import wait_until
from opora_cli.backup.drill.work import Desk
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints, read_endpoints, running_supervisor

_ENDED_SECONDS = 60.0
SETTINGS = {"OPORA_ASK_INTERVAL_DAYS": "0", "OPORA_LOG_LEVEL": "WARNING", "OPORA_LEASE_SECONDS": "25"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str


async def opora(*arguments: str, **variables: str) -> Ended:
    """Run the command line as an operator does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "opora_cli", *arguments),
        env={**inherited, **SETTINGS, **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return Ended(running.returncode or 0, output.decode(), errors.decode())


async def done(*arguments: str, **variables: str) -> Ended:
    """The same, of a command that must end well."""
    ended = await opora(*arguments, **variables)
    assert ended.code == 0, f"opora {' '.join(arguments)} ended with {ended.code}:\n{ended.output}{ended.errors}"
    return ended


async def started(directory: Path, *options: str) -> Endpoints:
    """A platform in this directory, ready."""
    await done("up", "--detach", "--directory", str(directory), *options)
    return read_endpoints(directory)


async def stopped(directory: Path) -> None:
    """The platform of this directory does not run any more, whatever state it is in."""
    if running_supervisor(directory) is not None:
        await done("down", "--directory", str(directory))


async def killed(directory: Path) -> None:
    """SIGKILL to the supervisor and its servers, as a power cut; returns when nothing of the platform is left."""
    endpoints = read_endpoints(directory)
    pids = [endpoints.supervisor_pid, endpoints.kafka_pid, endpoints.postgres_pid]
    processes = [psutil.Process(pid) for pid in pids if pid is not None]
    processes += [child for process in processes for child in process.children(recursive=True)]
    for pid in pids:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=_ENDED_SECONDS)
    assert alive == []


@asynccontextmanager
async def desk_at_work(endpoints: Endpoints) -> AsyncIterator[Desk]:
    """Agents and customers at work until the block ends; each acknowledgement is kept."""
    intake = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    desk = Desk(intake)
    working = asyncio.create_task(desk.work())
    try:
        yield desk
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await intake.close()


async def stories(desk: Desk, count: int) -> None:
    """Wait until so many more stories have come to their end."""
    enough = desk.stories + count
    await wait_until(lambda: desk.stories >= enough, 120, what=f"{count} more stories", poll_seconds=0.1)
