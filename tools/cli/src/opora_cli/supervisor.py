"""The supervisor: starts a whole platform in the right order, restarts what dies, stops it all, leaves no orphan."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from opora_chassis.back_off import back_off
from opora_chassis.migrations import all_migrations, migrate
from opora_chassis.topics import create_topics
from opora_cli import store
from opora_cli.endpoints import Endpoints, ProcessEndpoint, ServiceEndpoint, described_endpoints, write_endpoints
from opora_cli.errors import NOT_STARTED, CommandError, StartError
from opora_cli.first_keys import ensure_keys
from opora_cli.mail_sink import MailSink
from opora_cli.stack import (
    ProcessPlan,
    StackOptions,
    database_name,
    load_secrets,
    migrations_directory,
    plan_processes,
    service_settings,
)
from opora_embedded import EmbeddedServerError, Kafka, Postgres, cache_directory, prepare_jars
from opora_embedded.guarded import GuardedProcess, Order
from opora_embedded.server import EmbeddedServer

Report = Callable[[str], None]

_READY_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_LOG_LOOK_SECONDS = 5.0
_LOG_KEPT_BYTES = 10_000_000
_STEADY_SECONDS = 10.0
"""A process that ran so long is restarted at once when it dies; one that dies sooner waits longer each time."""
_GIVE_UP_CRASHES = 4
_SERVER_PAUSE_SECONDS = 2.0


@dataclass(slots=True)
class RunningProcess:
    """One process of the platform while it is watched."""

    plan: ProcessPlan
    order: Order
    process: GuardedProcess | None = None
    started_at: float = 0.0
    restarts: int = 0
    crashes_in_a_row: int = 0
    next_start_at: float = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return None if self.process is None else self.process.pid


@dataclass(slots=True)
class Supervisor:
    """One platform. `start`, then `watch` until told to stop, then `stop`; every wait has a deadline.

    Everything it starts is guarded: however this process ends, kill -9 included, nothing of it is left running.
    """

    options: StackOptions
    report: Report = lambda _line: None
    processes: dict[str, RunningProcess] = field(default_factory=dict)
    endpoints: Endpoints | None = None
    mail_sink: MailSink | None = None
    servers: dict[str, EmbeddedServer] = field(default_factory=dict)
    """`kafka` and `postgres`."""
    held: set[str] = field(default_factory=set)
    """Processes and servers that stay down when they end."""
    _servers_starting: asyncio.Future[Any] | None = None
    _server_start_at: dict[str, float] = field(default_factory=dict)

    async def start(self) -> Endpoints:
        """Bring everything up and return where it is, once every process is ready.

        Raises StartError with the log to look at, or CommandError with what keeps a server from starting; what was
        started is stopped again before.
        """
        try:
            return await self._start()
        except EmbeddedServerError as error:
            await self.stop()
            raise CommandError(str(error), exit_code=NOT_STARTED) from error
        except BaseException:
            await self.stop()
            raise

    async def watch(self, stop: asyncio.Event) -> None:
        """Restart what dies and keep logs small, until `stop` is set."""
        logs_due_at = 0.0
        while not stop.is_set():
            for running in self.processes.values():
                await self._keep_alive(running)
            await self._keep_servers()
            if time.monotonic() >= logs_due_at:
                logs_due_at = time.monotonic() + _LOG_LOOK_SECONDS
                await asyncio.to_thread(self._shorten_logs)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    async def stop(self, deadline_seconds: float = 30.0) -> None:
        """Stop services (gently, in parallel), then the servers; what is left at the deadline is killed."""
        grace_seconds = deadline_seconds / 2
        if self._servers_starting is not None:
            await asyncio.wait([self._servers_starting])
        started = [running for running in self.processes.values() if running.process is not None]
        await asyncio.gather(*(asyncio.to_thread(_end, running, grace_seconds) for running in started))
        await asyncio.gather(*(asyncio.to_thread(server.stop, grace_seconds) for server in self.servers.values()))
        if self.mail_sink is not None:
            await asyncio.to_thread(self.mail_sink.stop)

    def kill(self, service: str) -> str:
        """SIGKILL one process of the service, as a crash would, and return its name; `watch` restarts it.

        Raises KeyError when no process of that name or service runs.
        """
        for running in self.processes.values():
            if service in {running.plan.name, running.plan.service} and running.process is not None:
                os.kill(running.process.pid, signal.SIGKILL)
                return running.plan.name
        raise KeyError(service)

    async def _start(self) -> Endpoints:
        options = self.options
        for directory in (options.directory, options.data_directory, options.log_directory):
            directory.mkdir(parents=True, exist_ok=True)
        known = load_secrets(options)
        previous = described_endpoints(options.directory)
        plans = plan_processes(options, previous)
        if not cache_directory().is_dir():
            await asyncio.to_thread(prepare_jars, report=self.report)
        self.report("starting Apache Kafka and PostgreSQL")
        kafka = Kafka(options.data_directory / "kafka", further_listeners=options.kafka_listeners)
        postgres = Postgres(options.data_directory / "postgres")
        self.servers |= {"kafka": kafka, "postgres": postgres}
        self._servers_starting = asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(postgres.start))
        # A thread cannot be cancelled: whoever stops us while the servers start waits for them first.
        await asyncio.shield(self._servers_starting)
        self.report("preparing topics and databases")
        smtp = options.smtp or await self._start_mail_sink()
        _, dsn_of = await asyncio.gather(
            create_topics(kafka.bootstrap), _prepare_databases(postgres, options.services, known.database_passwords)
        )
        await asyncio.gather(
            *(ensure_keys(service, dsn, known.api_key, known.internal_keys) for service, dsn in dsn_of.items())
        )
        self.report("starting the services")
        urls = {plan.service: plan.url for plan in reversed(plans)}
        further = options.settings_at_launch()
        for plan in plans:
            route = partial(options.route, plan.service)
            postgres_address = f"127.0.0.1:{postgres.port}"
            settings = service_settings(
                plan,
                urls=urls,
                dsn=dsn_of[plan.service].replace(postgres_address, route("postgres", postgres_address)),
                kafka_bootstrap=route("kafka", _kafka_address(kafka, plan.service, options.kafka_listeners)),
                smtp=route("smtp", smtp),
                known=known,
                files=options.directory / "files",
            )
            self.processes[plan.name] = RunningProcess(plan, self._order(plan, {**settings, **further}))
        await asyncio.gather(*(self._launch(running) for running in self.processes.values()))
        await self._wait_until_ready()
        self.endpoints = Endpoints(
            supervisor_pid=os.getpid(),
            kafka_bootstrap=kafka.bootstrap,
            kafka_pid=kafka.pid,
            postgres_pid=postgres.pid,
            services={
                service: ServiceEndpoint(
                    url=urls[service],
                    database_dsn=dsn_of[service],
                    processes=tuple(
                        ProcessEndpoint(name=plan.name, roles=plan.roles, url=plan.url)
                        for plan in plans
                        if plan.service == service
                    ),
                )
                for service in options.services
            },
            api_key_file=options.api_key_file.resolve(),
            smtp=smtp,
            mail_directory=options.mail_directory.resolve() if self.mail_sink else None,
            log_directory=options.log_directory.resolve(),
        )
        write_endpoints(options.directory, self.endpoints)
        return self.endpoints

    async def _start_mail_sink(self) -> str:
        self.mail_sink = MailSink(self.options.mail_directory)
        await asyncio.to_thread(self.mail_sink.start)
        return self.mail_sink.address

    def _order(self, plan: ProcessPlan, settings: dict[str, str]) -> Order:
        inherited = {name: value for name, value in os.environ.items() if name not in settings}
        return Order(
            command=plan.command,
            log_path=(self.options.log_directory / f"{plan.name}.log").resolve(),
            lock_path=(self.options.log_directory / f".{plan.name}.lock").resolve(),
            environment={**inherited, **settings, "PYTHONUNBUFFERED": "1"},
            working_directory=self.options.directory.resolve(),
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGKILL,
            lock_deadline_seconds=5.0,
        )

    async def _launch(self, running: RunningProcess) -> None:
        running.process = await asyncio.to_thread(GuardedProcess, running.order)
        running.started_at = time.monotonic()

    async def _keep_alive(self, running: RunningProcess) -> None:
        if running.process is not None:
            if running.process.running:
                return
            exit_code = await asyncio.to_thread(_collect, running.process)
            running.process = None
            running.restarts += 1
            steady = time.monotonic() - running.started_at >= _STEADY_SECONDS
            running.crashes_in_a_row = 0 if steady else running.crashes_in_a_row + 1
            wait_seconds = (
                back_off(running.crashes_in_a_row, base_seconds=0.2, cap_seconds=10.0, jitter=1.0)
                if running.crashes_in_a_row > 1
                else 0.0
            )
            running.next_start_at = time.monotonic() + wait_seconds
            self.report(f"{running.plan.name} ended ({_exit_words(exit_code)}); restarting in {wait_seconds:.1f} s")
        if time.monotonic() >= running.next_start_at and running.plan.name not in self.held:
            await self._launch(running)

    async def _keep_servers(self) -> None:
        for name, server in self.servers.items():
            due_at = self._server_start_at.get(name, 0.0)
            if server.running or name in self.held or time.monotonic() < due_at:
                continue
            self.report(f"{name} ended; restarting it")
            try:
                await asyncio.to_thread(server.start)
            except (EmbeddedServerError, OSError) as error:
                # A full disk, for instance: whoever makes room must not have to start the platform as well.
                self._server_start_at[name] = time.monotonic() + _SERVER_PAUSE_SECONDS
                self.report(f"{name} does not start; again in {_SERVER_PAUSE_SECONDS:.0f} s: {error}")

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        waiting = dict(self.processes)
        async with httpx.AsyncClient(timeout=5) as client:
            while waiting:
                for name, running in list(waiting.items()):
                    await self._keep_alive(running)
                    if await is_ready(client, running.plan.url):
                        self.report(f"{name} is ready at {running.plan.url}")
                        del waiting[name]
                    elif running.crashes_in_a_row >= _GIVE_UP_CRASHES or time.monotonic() > deadline:
                        reason = "it ended again and again" if running.crashes_in_a_row else "it did not become ready"
                        raise StartError(name, reason, running.order.log_path)
                if waiting:
                    await asyncio.sleep(_LOOK_SECONDS)

    def _shorten_logs(self) -> None:
        for path in self.options.log_directory.glob("*.log"):
            if path.stat().st_size > _LOG_KEPT_BYTES:
                with contextlib.suppress(OSError):  # no room for the copy: the disk is the operator's to clear
                    shorten_log(path)


async def is_ready(client: httpx.AsyncClient, url: str) -> bool:
    """Whether the process answers that it is ready."""
    try:
        response = await client.get(f"{url}/health/ready")
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK


def shorten_log(path: Path) -> None:
    """Keep what the log has as `<name>.log.1` and begin it anew; its writer appends, so it needs not know."""
    shutil.copyfile(path, path.with_suffix(".log.1"))
    os.truncate(path, 0)


def _kafka_address(kafka: Kafka, service: str, listeners: Mapping[str, int]) -> str:
    name = service.upper()
    return f"127.0.0.1:{kafka.listener_port(name)}" if name in listeners else kafka.bootstrap


async def _prepare_databases(
    postgres: Postgres, services: Sequence[str], passwords: Mapping[str, str]
) -> dict[str, str]:
    dsns = await asyncio.gather(*(_prepare_database(service, postgres, passwords[service]) for service in services))
    return dict(zip(services, dsns, strict=True))


async def _prepare_database(service: str, postgres: Postgres, password: str) -> str:
    """Role, database and migrations of one service; returns its connection string."""
    name = database_name(service)
    await store.ensure_role_and_database(postgres.dsn(), name, password)
    dsn = f"postgresql://{name}:{password}@127.0.0.1:{postgres.port}/{name}"
    await migrate(dsn, all_migrations(service, migrations_directory(service)))
    return dsn


def _end(running: RunningProcess, grace_seconds: float) -> None:
    if running.process is not None:
        running.process.stop(grace_seconds)
        running.process = None


def _collect(process: GuardedProcess) -> int | None:
    process.wait(1.0)
    return process.exit_code


def _exit_words(exit_code: int | None) -> str:
    if exit_code is None:
        return "killed"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
