"""The read models of sla, notify and feedback once more, from offset 0 of the log."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from opora_chassis.clock import host_now
from opora_chassis.migrations import all_migrations, migrate
from opora_cli import store
from opora_cli.chaos.log import rewind
from opora_cli.chaos.stage import Stage
from opora_cli.checks.gather import consumer_lags
from opora_cli.checks.rest import not_judged
from opora_cli.client import ServiceClient
from opora_cli.errors import CommandError
from opora_cli.stack import ProcessPlan, database_name, migrations_directory, new_api_token
from opora_cli.waiting import came_true
from opora_embedded.guarded import GuardedProcess
from opora_embedded.ports import find_free_port

SERVICES = ("sla", "notify", "feedback")
_NOT_IN_THE_LOG = {
    "sla": ("calendars", "agreements", "api_keys"),
    "notify": ("agents", "support_groups", "rule_sets", "webhook_endpoints"),
    "feedback": (),
}
"""What people told a service through its interface."""
_ROLES = {"sla": ("serve", "consume", "timers"), "notify": ("consume",), "feedback": ("consume",)}
"""No relay: what the rebuilt models say goes nowhere."""
_SECONDS = 90.0
_LOOK_SECONDS = 0.25


@asynccontextmanager
async def rebuilt(stage: Stage, directory: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of the rebuilt models, when everything on the log was taken in and every clock was judged.

    The services' own processes are stopped before, and stay so: their groups begin again at offset 0.
    Raises CommandError when it takes more than 90 s.
    """
    supervisor = stage.supervisor
    names = [name for name, running in supervisor.processes.items() if running.plan.service in SERVICES]
    supervisor.held.update(names)
    for name in names:
        stage.signal(name, signal.SIGTERM)
    await _expect(lambda: all(stage.process(name).pid is None for name in names), "the services' end")
    dsns = {service: await _prepare(stage, service) for service in SERVICES}
    for service in SERVICES:
        await rewind(stage.kafka.bootstrap, service)
    until = host_now()
    processes = {service: _start(stage, service, dsn, directory) for service, dsn in dsns.items()}
    try:
        await _caught_up(stage, processes["sla"][1], until)
        yield dsns
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.kill) for process, _ in processes.values()))


async def _prepare(stage: Stage, service: str) -> str:
    """An empty database with what is not in the log."""
    name, password = f"{database_name(service)}_rebuilt", new_api_token()
    await store.ensure_role_and_database(stage.postgres.dsn(), name, password)
    dsn = f"postgresql://{name}:{password}@127.0.0.1:{stage.postgres.port}/{name}"
    await migrate(dsn, all_migrations(service, migrations_directory(service)))
    live = stage.endpoints.services[service].database_dsn
    for table in _NOT_IN_THE_LOG[service]:
        await store.copy_table(live, dsn, table)
    return dsn


def _start(stage: Stage, service: str, dsn: str, directory: Path) -> tuple[GuardedProcess, str]:
    model = next(running for running in stage.supervisor.processes.values() if running.plan.service == service)
    plan = ProcessPlan(f"{service}-rebuilt", service, _ROLES[service], find_free_port())
    environment = {
        **model.order.environment,
        "OPORA_DATABASE_DSN": dsn,
        "OPORA_KAFKA_BOOTSTRAP": stage.kafka.bootstrap,
        "OPORA_HTTP_PORT": str(plan.port),
    }
    order = replace(
        model.order,
        command=plan.command,
        environment=environment,
        log_path=(directory / f"{plan.name}.log").resolve(),
        lock_path=(directory / f".{plan.name}.lock").resolve(),
    )
    return GuardedProcess(order), plan.url


async def _caught_up(stage: Stage, sla_url: str, until: datetime) -> None:
    sla = ServiceClient("sla", sla_url, stage.endpoints.api_key)

    async def judged() -> bool:
        lags = await consumer_lags(stage.kafka.bootstrap)
        return not any(lags[service] for service in SERVICES) and not await not_judged(sla, until)

    try:
        await _expect(judged, "the rebuilt models")
    finally:
        await sla.close()


async def _expect(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    if not await came_true(condition, _SECONDS, look_seconds=_LOOK_SECONDS):
        raise CommandError(f"waited {_SECONDS:.0f} s for {what}")
