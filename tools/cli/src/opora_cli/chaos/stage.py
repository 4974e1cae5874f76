"""The platform that is broken: many processes on the embedded servers, every part of it within reach."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import psutil

from opora_chassis.clock import host_now
from opora_cli.chaos.links import Link
from opora_cli.chaos.plan import LINKS
from opora_cli.chaos.policy import Promise
from opora_cli.chaos.record import Sample
from opora_cli.chaos.sinks import Hookbox, Letterbox
from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import CommandError
from opora_cli.metrics import Metrics, read_metrics, total
from opora_cli.stack import Crew, StackOptions
from opora_cli.supervisor import RunningProcess, Supervisor, is_ready
from opora_cli.waiting import came_true
from opora_embedded import Kafka, Postgres

FIRST_RESPONSE_SECONDS = 4
RESOLUTION_SECONDS = 15
COMMITMENT_SECONDS = {"update": 6, "operational:network": 3, "underpinning": 1}
"""As the oracle names them."""
_CALENDAR = "Chaos hours"
CALLS = {(1, 0): 1, (1, 1): 3, (1, 2): 5}
"""The ladder of every clock: seconds after its due date by level and repetition."""
_LADDER = {
    "steps": [
        {"after_due": {"seconds": 1}, "tell": ["lead"], "repeat": {"every": {"seconds": 2}, "times": 2}},
    ],
    "stops_on": [],
}
HOOK_TYPES = ("ticket.created", "sla.breached")
TASKS = "opora_event_loop_tasks"

_SETTINGS = {
    # Everybody is asked after each closing, so that one survey per closed resolution can be checked.
    "OPORA_ASK_INTERVAL_DAYS": "0",
    "OPORA_LOG_LEVEL": "INFO",
    "OPORA_ALLOW_PRIVATE_WEBHOOKS": "true",
    # A letter that a killed process had in hand is sent by another when its lease ends.
    "OPORA_SEND_TIMEOUT_SECONDS": "4",
    "OPORA_WEBHOOK_TIMEOUT_SECONDS": "4",
    "OPORA_LEASE_SECONDS": "6",
    "OPORA_RETRY_BASE_SECONDS": "0.5",
    "OPORA_RETRY_CAP_SECONDS": "5",
    "OPORA_MAX_ATTEMPTS": "100",
    "OPORA_DATABASE_POOL_SIZE": "5",
    "OPORA_MAX_BLIND_SECONDS": "60",
}
_READY_SECONDS = 120.0


@dataclass(slots=True)
class Stage:
    """A running platform, its sinks, and the links between its services and its servers."""

    supervisor: Supervisor
    letterbox: Letterbox
    hookbox: Hookbox
    links: dict[str, Link]
    crews: tuple[Crew, ...]
    promise: Promise = field(init=False)
    """Known when the platform is ready."""
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: asyncio.Task[None] = field(init=False)
    _samples: dict[tuple[str, int], Metrics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._watching = asyncio.create_task(self.supervisor.watch(self._stop), name="supervisor")

    async def stop(self) -> None:
        """Stop everything, whatever state it is in. Raises what ended the supervisor, if anything did."""
        self._stop.set()
        for name in (*self.supervisor.processes, *self.supervisor.servers):
            self.signal(name, signal.SIGCONT)
        try:
            await self._watching
        finally:
            await self.supervisor.stop()

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is. Raises RuntimeError before the start."""
        if self.supervisor.endpoints is None:
            raise RuntimeError("the platform is not up")
        return self.supervisor.endpoints

    @property
    def kafka(self) -> Kafka:
        """The broker."""
        return cast("Kafka", self.supervisor.servers["kafka"])

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return cast("Postgres", self.supervisor.servers["postgres"])

    def urls(self, service: str) -> list[str]:
        """The addresses at which a service's interface answers."""
        processes = self.endpoints.services[service].processes
        return [process.url for process in processes if {"serve", "all"} & set(process.roles)]

    def process(self, name: str) -> RunningProcess:
        """One process. Raises CommandError for a name that is none."""
        try:
            return self.supervisor.processes[name]
        except KeyError:
            known = ", ".join(sorted(self.supervisor.processes))
            raise CommandError(f"there is no process {name}; there are {known}") from None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process or server, if it runs."""
        part = self.supervisor.servers.get(name) or self.process(name).process
        if part is not None and part.running:
            with suppress(ProcessLookupError):
                os.kill(part.pid, number)

    async def ready(self, *names: str) -> None:
        """Return when each of these processes is ready. Raises CommandError when one is not within two minutes."""
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for name in names:
                left = deadline - asyncio.get_running_loop().time()
                if not await came_true(partial(self._is_ready, client, name), left):
                    log = self.process(name).order.log_path
                    raise CommandError(f"{name} is not ready after {_READY_SECONDS:.0f} s: see {log}")

    async def _is_ready(self, client: httpx.AsyncClient, name: str) -> bool:
        running = self.process(name)
        return running.process is not None and running.process.running and await is_ready(client, running.plan.url)

    async def server_up(self, name: str) -> None:
        """Return when a server runs again that the supervisor restarts."""
        server = self.supervisor.servers[name]
        if not await came_true(lambda: server.running, _READY_SECONDS):
            raise CommandError(f"{name} is not up again after {_READY_SECONDS:.0f} s")

    async def heal(self) -> None:
        """Whatever was broken is whole: nothing is held, suspended or cut, and every process is ready."""
        self.supervisor.held.clear()
        for name in self.supervisor.processes:
            self.signal(name, signal.SIGCONT)
        for link in self.links.values():
            link.pass_through()
        self.letterbox.accept()
        self.hookbox.accept()
        for name in self.supervisor.servers:
            await self.server_up(name)
        await self.ready(*self.supervisor.processes)

    def counted(self, metric: str, **labels: str) -> float:
        """The sum of a counter over all processes that ever were, as of the last `sample` of each."""
        return sum(total(metrics, metric, **labels) for metrics in self._samples.values())

    async def sample(self, counters: Sequence[str]) -> list[Sample]:
        """What each process that answers uses now; the counters are remembered for `counted`."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            answers = await asyncio.gather(
                *(self._sample(client, running, counters) for running in self.supervisor.processes.values())
            )
        return [sample for sample in answers if sample is not None]

    async def _sample(
        self, client: httpx.AsyncClient, running: RunningProcess, counters: Sequence[str]
    ) -> Sample | None:
        process = running.process
        if process is None:
            return None
        try:
            text = (await client.get(f"{running.plan.url}/metrics")).text
            used = psutil.Process(process.pid)
            resident, connections = used.memory_info().rss, used.net_connections("tcp")
        except (httpx.HTTPError, psutil.Error):
            return None
        metrics = read_metrics(text, (TASKS, *counters))
        self._samples[running.plan.name, process.pid] = metrics
        ports = self._database_ports(running.plan.service)
        return Sample(
            process=running.plan.name,
            pid=process.pid,
            at=host_now(),
            resident_bytes=resident,
            database_connections=sum(
                1 for each in connections if each.status == psutil.CONN_ESTABLISHED and each.raddr.port in ports
            ),
            tasks=int(total(metrics, TASKS)),
        )

    def _database_ports(self, service: str) -> set[int]:
        ports = {self.postgres.port}
        link = self.links.get(f"{service}>postgres")
        return ports if link is None else {*ports, link.port}


@asynccontextmanager
async def running_stage(
    directory: Path,
    crews: tuple[Crew, ...],
    *,
    linked: Sequence[str] = LINKS,
    runner: tuple[str, ...] = ("-m",),
    report: Callable[[str], None] = lambda _line: None,
) -> AsyncIterator[Stage]:
    """A platform of these processes, ready, with an agreement and a webhook endpoint; stopped afterwards, data kept.

    `linked` are the links that can be broken, `service>server`; what is not linked goes straight.
    Raises StartError or CommandError when it does not start.
    """
    links = {name: Link(name, protocol=name.rpartition(">")[2]) for name in linked}
    letterbox, hookbox = Letterbox(directory / "letters"), Hookbox(directory / "hooks.jsonl")
    async with AsyncExitStack() as cleanup:
        parts: list[Link | Letterbox | Hookbox] = [*links.values(), letterbox, hookbox]
        for part in parts:
            await part.start()
            cleanup.push_async_callback(part.stop)
        options = StackOptions(
            directory=directory,
            crews=crews,
            smtp=letterbox.address,
            settings_at_launch=lambda: _SETTINGS,
            kafka_listeners={
                name.partition(">")[0].upper(): link.port for name, link in links.items() if name.endswith(">kafka")
            },
            route=partial(_route, links),
            runner=runner,
        )
        supervisor = Supervisor(options, report=report)
        await supervisor.start()
        stage = Stage(supervisor, letterbox, hookbox, links, crews)
        cleanup.push_async_callback(stage.stop)
        stage.promise = await _set_up(stage)
        yield stage


def _route(links: Mapping[str, Link], service: str, server: str, address: str) -> str:
    link = links.get(f"{service}>{server}")
    if link is None:
        return address
    host, _, port = address.rpartition(":")
    link.target = (host, int(port))
    return f"127.0.0.1:{link.port}"


def _commitment(name: str) -> dict[str, Any]:
    return {"targets": {"P3": {"seconds": COMMITMENT_SECONDS[name]}}, "escalation": _LADDER}


async def _set_up(stage: Stage) -> Promise:
    """Agree on short targets by a calendar that is always open, and ask for webhooks."""
    endpoints = stage.endpoints
    sla = ServiceClient("sla", stage.urls("sla")[0], endpoints.api_key)
    notify = ServiceClient("notify", stage.urls("notify")[0], endpoints.api_key)
    try:
        calendar = await sla.post("/v1/calendars", {"name": _CALENDAR})
        agreement = await sla.post(
            "/v1/agreements",
            {
                "name": "Chaos",
                "calendar": _CALENDAR,
                "metrics": {
                    "first_response": {"targets": {"P3": {"seconds": FIRST_RESPONSE_SECONDS}}, "escalation": _LADDER},
                    "resolution": {"targets": {"P3": {"seconds": RESOLUTION_SECONDS}}, "escalation": _LADDER},
                    "update": _commitment("update"),
                    "operational": {"network": _commitment("operational:network")},
                    "underpinning": _commitment("underpinning"),
                },
            },
        )
        await notify.post("/v1/webhooks", {"url": stage.hookbox.url, "event_types": list(HOOK_TYPES)})
    finally:
        await asyncio.gather(sla.close(), notify.close())
    return Promise(agreement["id"], calendar["id"], _CALENDAR)
