"""What every line stands on: the embedded servers with fsync on, migrated databases, processes of services."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import httpx
import psutil

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http.keys import ADMIN, create_key
from opora_chassis.migrations import migrate
from opora_chassis.service import Service
from opora_cli.waiting import came_true
from opora_embedded import Kafka, Postgres
from opora_embedded.guarded import GuardedProcess, Order
from opora_embedded.ports import find_free_port

_START_SECONDS, _STOP_SECONDS = 60.0, 10.0


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """A migrated database of a service, and a key that holds every scope."""

    service: str
    dsn: str
    token: str


@dataclass(slots=True)
class Ground:
    """The servers of one run."""

    directory: Path
    kafka: Kafka
    postgres: Postgres
    full: bool
    """Whether the largest sizes are measured too."""
    _made: int = field(default=0)

    @property
    def rounds(self) -> int:
        """How often each contender is measured."""
        return 5

    async def database(self, service: str) -> ServiceDatabase:
        """A new one."""
        self._made += 1
        dsn = await asyncio.to_thread(self.postgres.create_database, f"bench_{service}_{self._made}")
        await migrate(dsn, service_of(service).all_migrations())
        database = await Database.open(dsn, service=service, clock=Clock(), pool_size=1)
        try:
            return ServiceDatabase(service, dsn, await create_key(database, "bench", [ADMIN]))
        finally:
            await database.close()

    def database_seconds(self) -> float:
        """Processor time that the database server has used up to now."""
        server = psutil.Process(self.postgres.pid)
        used = sum(server.cpu_times()[:4])  # with its children's that have ended
        for child in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                used += sum(child.cpu_times()[:2])
        return used

    @asynccontextmanager
    async def processes(self, commands: Sequence[Sequence[str]], **environment: str) -> AsyncIterator[list[str]]:
        """Python programs that serve HTTP on the port of OPORA_HTTP_PORT, ready; gives their addresses."""
        addresses: list[str] = []
        running: list[GuardedProcess] = []
        try:
            for command in commands:
                port = find_free_port()
                running.append(self._start(command, {**environment, "OPORA_HTTP_PORT": str(port)}, port))
                addresses.append(f"http://127.0.0.1:{port}")
            for address in addresses:
                if not await came_true(partial(_answers, address), _START_SECONDS):
                    raise TimeoutError(f"{address} does not answer: see the logs in {self.directory}")
            yield addresses
        finally:
            await asyncio.gather(*(asyncio.to_thread(process.stop, _STOP_SECONDS) for process in running))

    def _start(self, command: Sequence[str], environment: dict[str, str], port: int) -> GuardedProcess:
        return GuardedProcess(
            Order(
                command=(sys.executable, *command),
                log_path=self.directory / f"process-{port}.log",
                lock_path=self.directory / f"process-{port}.lock",
                environment={**os.environ, **environment},
                working_directory=Path.cwd(),
                stop_signal=signal.SIGTERM,
                death_signal=signal.SIGKILL,
            )
        )


def settings_of(ground: Ground, database: ServiceDatabase) -> dict[str, str]:
    """How a process is told where it stands."""
    return {
        "OPORA_DATABASE_DSN": database.dsn,
        "OPORA_KAFKA_BOOTSTRAP": ground.kafka.bootstrap,
    }


def service_of(name: str) -> Service:
    """A service by its name."""
    service: Service = import_module(f"opora_{name}.app").SERVICE
    return service


async def _answers(address: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        try:
            return (await client.get(f"{address}/health/live")).is_success
        except httpx.HTTPError:
            return False
