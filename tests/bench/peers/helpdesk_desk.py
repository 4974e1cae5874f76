"""django-helpdesk as it is run: gunicorn, two workers, token, its API on the same PostgreSQL, in a venv of its own."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from opora_cli.waiting import came_true
from opora_embedded.guarded import GuardedProcess, Order
from opora_embedded.ports import find_free_port, is_free
from tests.bench.ground import Ground
from tests.bench.peers.environment import install

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "helpdesk-requirements.txt"
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Helpdesk:
    """A running one."""

    address: str
    token: str
    queue: int


@asynccontextmanager
async def running_helpdesk(ground: Ground, workers: int) -> AsyncIterator[Helpdesk]:
    """Installed, migrated, with a queue and a user. Raises CalledProcessError when its packages cannot be had."""
    programs = await asyncio.to_thread(install, ground.directory / "helpdesk", _REQUIREMENTS)
    dsn = await asyncio.to_thread(ground.postgres.create_database, "bench_helpdesk")
    environment = {"HELPDESK_DSN": dsn, "PATH": os.defpath}
    made = await asyncio.to_thread(
        subprocess.run,
        [str(programs / "python"), str(_HERE / "helpdesk_site.py")],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    port = find_free_port()
    command = ("-w", str(workers), "-b", f"127.0.0.1:{port}", "--chdir", str(_HERE), "helpdesk_site:application")
    process = GuardedProcess(
        Order(
            command=(str(programs / "gunicorn"), *command),
            log_path=ground.directory / "helpdesk.log",
            lock_path=ground.directory / "helpdesk.lock",
            environment=environment,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGKILL,
        )
    )
    try:
        if not await came_true(lambda: not is_free(port), _START_SECONDS):
            raise TimeoutError(f"django-helpdesk does not listen: see {ground.directory / 'helpdesk.log'}")
        yield Helpdesk(f"http://127.0.0.1:{port}", **json.loads(made.stdout))
    finally:
        await asyncio.to_thread(process.kill)
