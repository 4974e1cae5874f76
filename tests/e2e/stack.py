"""A platform for tests: chosen services as processes of their own, one per role or several in one, on real servers.

A process is named by its command line: `sla consume`, `sla relay serve`, `intake all`; a second replica of the same
roles is `sla timers #2`. Nothing of it outlives the test session, however that ends.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http.keys import ADMIN, create_key
from opora_chassis.migrations import all_migrations, migrate
from opora_chassis.testing import wait_until
from opora_chassis.topics import create_topics, delete_topics
from opora_cli.stack import SERVICES, ProcessPlan, Secrets, migrations_directory, new_api_token, service_settings
from opora_cli.supervisor import is_ready
from opora_embedded.guarded import GuardedProcess, Order
from opora_embedded.ports import HOST, find_free_port
from opora_embedded.testing import KafkaServer, PostgresServer

_READY_SECONDS = 120.0
_MIGRATE_SECONDS = 120.0
_DRAIN_SECONDS = 30.0
_TAIL_LINES = 40
_NOBODY_LISTENS = f"{HOST}:9"
_NOTIFY_SCOPES = {"intake": ("notify_intake_key", "messages:read"), "feedback": ("notify_feedback_key", "surveys:read")}


class Databases:
    """Migrated databases on one server: each service is migrated once, and every stack gets a copy.

    `by_command` migrates as an operator does, with the service's own command; else in this process, which is faster.
    """

    def __init__(self, server: PostgresServer, *, by_command: bool = True) -> None:
        self._server = server
        self._by_command = by_command
        self._mark = uuid4().hex[:8]
        self._templates: dict[str, asyncio.Task[str]] = {}
        self._made: list[str] = []

    async def fresh(self, service: str) -> tuple[str, str]:
        """The name and connection string of a migrated database with nothing in it."""
        if service not in self._templates:
            self._templates[service] = asyncio.ensure_future(self._migrated(service))
        template = await self._templates[service]
        name = f"test_{service}_{uuid4().hex}"
        connection = await asyncpg.connect(self._server.dsn())
        try:
            await connection.execute(f'create database "{name}" template "{template}"')
        finally:
            await connection.close()
        self._made.append(name)
        return name, self._server.dsn(name)

    def drop(self, name: str) -> None:
        """Drop a database that `fresh` gave, and cut off whoever is connected to it."""
        self._server.drop_database(name)
        self._made.remove(name)

    def close(self) -> None:
        """Drop everything that is left."""
        for service in self._templates:
            self._server.drop_database(self._template(service))
        for name in list(self._made):
            self.drop(name)

    def _template(self, service: str) -> str:
        return f"template_{service}_{self._mark}"

    async def _migrated(self, service: str) -> str:
        name = self._template(service)
        dsn = await asyncio.to_thread(self._server.create_database, name)
        if self._by_command:
            await _migrate_by_command(service, dsn)
        else:
            await migrate(dsn, all_migrations(service, migrations_directory(service)))
        return name


@dataclass(slots=True)
class Stack:
    """A running platform, or a part of one. Its processes are handled by name; see the module."""

    directory: Path
    kafka_bootstrap: str
    prefix: str
    """Stands before every topic name."""
    api_key: str
    """Holds every scope, at every service."""
    dsns: Mapping[str, str]
    urls: Mapping[str, str]
    """The API of each service."""
    orders: Mapping[str, Order]
    process_urls: Mapping[str, str]
    running: dict[str, GuardedProcess] = field(default_factory=dict)

    async def start(self, *names: str) -> float:
        """Start these processes and wait until each says that it is ready; returns when that was (monotonic)."""
        for name in names:
            assert name not in self.running, f"{name} runs already"
            self.running[name] = await asyncio.to_thread(GuardedProcess, self.orders[name])
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for name in names:
                ready = partial(self._ready, client, name)
                await wait_until(ready, _READY_SECONDS, what=f"readiness of {name}", poll_seconds=0.05)
        return time.monotonic()

    async def stop(self, name: str) -> int | None:
        """SIGTERM; returns the exit code when the process has drained."""
        process = self.running.pop(name)
        await asyncio.to_thread(process.stop, _DRAIN_SECONDS)
        return process.exit_code

    async def kill(self, name: str) -> None:
        """SIGKILL, as the kernel does when memory is short."""
        await asyncio.to_thread(self.running.pop(name).kill)

    def pause(self, name: str) -> None:
        """SIGSTOP: the process stands still and keeps everything it has."""
        os.kill(self.running[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.running[name].pid, signal.SIGCONT)

    @asynccontextmanager
    async def client(self, service: str, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client of one service whose key holds every scope."""
        async with httpx.AsyncClient(
            base_url=f"{self.urls[service]}/v1",
            headers={"Authorization": f"Bearer {self.api_key}", **headers},
            timeout=30,
            trust_env=False,
        ) as client:
            yield client

    @asynccontextmanager
    async def databases(self) -> AsyncIterator[dict[str, asyncpg.Connection]]:
        """A connection to the database of each service, for looking inside."""
        async with AsyncExitStack() as cleanup:
            connections: dict[str, asyncpg.Connection] = {}
            for service, dsn in self.dsns.items():
                connections[service] = await asyncpg.connect(dsn, timeout=5)
                cleanup.push_async_callback(connections[service].close, timeout=5)
            yield connections

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a process, for commands beside it."""
        return dict(self.orders[name].environment)

    def log(self, name: str) -> list[dict[str, Any]]:
        """What a process has logged, over all its starts; lines that are not of the platform's form are left out."""
        return list(_entries(self.orders[name].log_path))

    def log_tails(self) -> Iterator[tuple[str, str]]:
        """The end of each process' log."""
        for name, order in self.orders.items():
            lines = order.log_path.read_text(errors="replace").splitlines() if order.log_path.exists() else []
            yield name, "\n".join(lines[-_TAIL_LINES:])

    def close(self) -> None:
        """SIGKILL whatever still runs."""
        while self.running:
            _, process = self.running.popitem()
            process.kill()

    async def _ready(self, client: httpx.AsyncClient, name: str) -> bool:
        process = self.running[name]
        if not process.running:
            # An AssertionError would count as not yet.
            raise RuntimeError(f"{name} ended while starting, see {self.orders[name].log_path}")
        return await is_ready(client, self.process_urls[name])


@asynccontextmanager
async def running_stack(
    directory: Path,
    kafka: KafkaServer,
    databases: Databases,
    names: Sequence[str],
    *,
    prefix: str | None = None,
    smtp: str = _NOBODY_LISTENS,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """The named processes, ready, on topics and databases of their own; all of it is gone afterwards.

    `settings` are further `OPORA_…` variables of every process. An empty `prefix` is for a broker of one's own: its
    topics stay.
    """
    prefix = f"e{uuid4().hex[:8]}." if prefix is None else prefix
    services = sorted({name.split()[0] for name in names})
    made = dict(zip(services, await asyncio.gather(*(databases.fresh(service) for service in services)), strict=True))
    dsns = {service: dsn for service, (_, dsn) in made.items()}
    known = Secrets(
        database_passwords={},
        api_key=new_api_token(),
        internal_keys={key_name: new_api_token() for key_name, _ in _NOTIFY_SCOPES.values()},
        signing_secret=uuid4().hex,
    )
    await asyncio.gather(
        create_topics(kafka.bootstrap, prefix=prefix),
        *(_create_keys(service, dsn, known) for service, dsn in dsns.items()),
    )
    plans = {name: _plan(name) for name in names}
    urls = dict.fromkeys(SERVICES, f"http://{_NOBODY_LISTENS}")
    urls |= {plan.service: plan.url for plan in plans.values() if {"serve", "all"} & set(plan.roles)}
    orders = {}
    for name, plan in plans.items():
        own = service_settings(
            plan,
            urls=urls,
            dsn=dsns[plan.service],
            kafka_bootstrap=kafka.bootstrap,
            smtp=smtp,
            known=known,
            files=directory / "files",
        )
        orders[name] = _order(directory, plan, {**own, "OPORA_TOPIC_PREFIX": prefix, **(settings or {})})
    stack = Stack(
        directory=directory,
        kafka_bootstrap=kafka.bootstrap,
        prefix=prefix,
        api_key=known.api_key,
        dsns=dsns,
        urls=urls,
        orders=orders,
        process_urls={name: plan.url for name, plan in plans.items()},
    )
    try:
        await stack.start(*names)
        yield stack
    finally:
        await asyncio.to_thread(stack.close)
        for name, _ in made.values():
            await asyncio.to_thread(databases.drop, name)
        if prefix:
            await delete_topics(kafka.bootstrap, prefix=prefix)


def _plan(name: str) -> ProcessPlan:
    service, *words = name.split()
    roles = tuple(word for word in words if not word.startswith("#"))
    return ProcessPlan(name.replace(" ", "-").replace("#", ""), service, roles, find_free_port())


def _order(directory: Path, plan: ProcessPlan, settings: Mapping[str, str]) -> Order:
    return Order(
        command=plan.command,
        log_path=directory / f"{plan.name}.log",
        lock_path=directory / f".{plan.name}.lock",
        environment={**_inherited(), **settings, "PYTHONUNBUFFERED": "1"},
        working_directory=directory,
        stop_signal=signal.SIGTERM,
        death_signal=signal.SIGKILL,
        lock_deadline_seconds=5.0,
    )


def _inherited() -> dict[str, str]:
    """This process' environment without what would set a service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}


async def _migrate_by_command(service: str, dsn: str) -> None:
    environment = {
        **_inherited(),
        "OPORA_DATABASE_DSN": dsn,
        "OPORA_KAFKA_BOOTSTRAP": _NOBODY_LISTENS,
        "OPORA_SIGNING_SECRET": "no link is signed here",
    }
    migrating = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"opora_{service}", "migrate"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(migrating.communicate(), _MIGRATE_SECONDS)
    finally:
        if migrating.returncode is None:
            migrating.kill()
            await migrating.wait()
    assert migrating.returncode == 0, f"migrating {service} failed:\n{output.decode()}"


async def _create_keys(service: str, dsn: str, known: Secrets) -> None:
    database = await Database.open(dsn, service=service, clock=Clock(), pool_size=2)
    try:
        await create_key(database, "test", [ADMIN], known.api_key)
        if service in _NOTIFY_SCOPES:
            key_name, scope = _NOTIFY_SCOPES[service]
            await create_key(database, "notify", [scope], known.internal_keys[key_name])
    finally:
        await database.close()


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
