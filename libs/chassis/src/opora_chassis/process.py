"""One process of a service: its roles from start to drained.

A part that ends before it is told to ends the process (exit 1), so that a supervisor starts it afresh; a database or
broker that does not answer does not: the process waits, and says so in readiness and log.
"""

import asyncio
import gc
import random
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import Counter, Gauge

from opora_chassis.back_off import back_off, outage_pause
from opora_chassis.clock import Clock
from opora_chassis.consume import Consumers
from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_chassis.http.application import build_app
from opora_chassis.http.health import Check, database_check
from opora_chassis.http.idempotency import forget_old_keys
from opora_chassis.migrations import pending_migrations
from opora_chassis.platform import Platform
from opora_chassis.relay import Relay
from opora_chassis.resting import rest
from opora_chassis.service import Loop, Parts, Service, StartError
from opora_chassis.settings import ServiceSettings
from opora_chassis.topics import check_topics

log = structlog.get_logger()

LOOP_FAILURES = Counter("opora_loop_failures_total", "Times a loop raised and was begun again", ["service", "loop"])
TASKS = Gauge("opora_event_loop_tasks", "Tasks of the process' event loop that have not ended", ["service"])

_RELAY_STALLED_SECONDS = 30.0
_LOOP_IS_WELL_SECONDS = 5.0
_PARTS_SHARE_OF_GRACE = 0.8
"""The rest is the relay's, which drains what the other parts have written until their end."""

_GARBAGE_THRESHOLDS = (20_000, 20, 50)
"""Objects made and not yet freed before the young are looked at; how many such looks before the older are."""

Answer = TypeVar("Answer")


async def run_roles(service: Service, settings: ServiceSettings, roles: frozenset[str]) -> int:
    """Run the roles until SIGTERM or SIGINT, then drain. Returns 0, or 1 when a part crashed or hung.

    Raises StartError when the process must not start.
    """
    _spare_the_garbage_collector()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    process = Process(service, settings, roles)
    running = asyncio.create_task(process.run(), name="process")
    stopping = asyncio.create_task(asked_to_stop.wait(), name="signal")
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    crashed = running.done()
    stopping.cancel()
    running.cancel()
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    hung = await process.drain()
    if isinstance(outcome, StartError):
        raise outcome
    if crashed:
        log.error("process_crashed", exc_info=outcome)
    log.info("stopped")
    return 1 if crashed or hung else 0


def _spare_the_garbage_collector() -> None:
    """Let it pass over what was imported, and look at what a batch makes less often: little of that is ever a cycle.

    A batch of facts is tens of thousands of objects; at Python's own thresholds looking at them costs as much again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


class Process:
    """What runs here. `run` starts everything and watches; `drain` ends it in order. Each is called once."""

    def __init__(self, service: Service, settings: ServiceSettings, roles: frozenset[str]) -> None:
        self.service = service
        self.settings = settings
        self.roles = roles
        self.started = asyncio.Event()
        """Every part runs."""
        self.platform: Platform | None = None
        self.address = ""
        """http://host:port, once HTTP listens."""
        self._phase = "starting"
        self._stop = asyncio.Event()
        self._stop_relay = asyncio.Event()
        self._parts: dict[str, asyncio.Task[None]] = {}
        self._server: _HttpServer | None = None
        self._consumers: Consumers | None = None
        self._relay: Relay | None = None

    async def run(self) -> None:
        """Start what the roles need, in the order in which it can be of use, and watch it. Returns only by raising."""
        TASKS.labels(self.service.name).set_function(partial(_task_count, asyncio.get_running_loop()))
        platform = self.platform = await open_platform(self.service, self.settings)
        parts = self.service.compose(platform)
        self._start_http(platform, parts)
        if "serve" in self.roles:
            self._start_part("idempotency", forget_old_keys(platform.database, self._stop))
        if "timers" in self.roles:
            for loop in parts.loops:
                self._start_part(loop.name, _keep_running(self.service.name, loop, self._stop))
        await self._watch(self._start_broker_parts(platform, parts))
        self._phase = "running"
        self.started.set()
        log.info("started", roles=sorted(self.roles))
        await self._watch(asyncio.Event().wait())

    async def drain(self) -> list[str]:
        """Finish what is in hand within the grace period; returns the names of the parts that hung and were cut off."""
        self._phase = "draining"
        now, grace_seconds = asyncio.get_running_loop().time(), self.settings.grace_seconds
        hung: list[str] = []

        async def finish(name: str, ending: Awaitable[object], deadline: float) -> None:
            try:
                async with asyncio.timeout_at(deadline):
                    await ending
            except TimeoutError:
                hung.append(name)
            except Exception:
                log.exception("drain_failed", part=name)  # the other parts still have to end well

        relay = self._parts.pop("relay", None)
        self._stop.set()
        if self._server is not None:
            self._server.should_exit = True
        parts_deadline = now + _PARTS_SHARE_OF_GRACE * grace_seconds
        endings = [finish(name, task, parts_deadline) for name, task in self._parts.items()]
        if self._consumers is not None:
            endings.append(finish("consumers", self._consumers.stop(), parts_deadline))
        await asyncio.gather(*endings)
        self._stop_relay.set()
        if relay is not None:
            await finish("relay", relay, now + grace_seconds)
        if self.platform is not None:
            if hung:
                self.platform.database.pool.terminate()
            await self.platform.database.close()
        if hung:
            log.error("drain_hung", parts=hung, grace_seconds=grace_seconds)
        return hung

    async def checks(self) -> Sequence[Check]:
        """How this process' own parts stand."""
        checks = [Check("process", ok=self._phase == "running", detail=self._phase)]
        if self._consumers is not None:
            checks += [Check(name, ok, detail) for name, ok, detail in self._consumers.checks()]
        if self._relay is not None:
            stalled = self._relay.stalled_seconds()
            checks.append(Check("relay", stalled < _RELAY_STALLED_SECONDS, f"last progress {stalled:.1f} s ago"))
        return checks

    def _start_http(self, platform: Platform, parts: Parts) -> None:
        routers = parts.served() if "serve" in self.roles else ()
        sources = (self.checks, database_check(platform.database))
        app = build_app(platform, routers, sources, form_paths=parts.form_paths, uploads=parts.uploads)
        # An answer without an end, such as a stream of events, must end by itself for the server to stop.
        app.state.stopping = self._stop
        host, port = self.settings.http_host, self.settings.http_port
        try:
            listener = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
            )
        except OSError as error:
            raise StartError(
                f"cannot listen on {host}:{port} ({error}): set OPORA_HTTP_PORT, 0 takes a free one"
            ) from error
        # Accepted connections inherit it; without it, plain asyncio lets each small answer wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._server = _HttpServer(app)
        self._start_part("http", self._server.serve(sockets=[listener]))
        log.info("listening", host=host, port=port, address=self.address)

    async def _start_broker_parts(self, platform: Platform, parts: Parts) -> None:
        if not self.roles & {"consume", "relay"}:
            return
        bootstrap, prefix = self.settings.kafka_bootstrap, self.settings.topic_prefix
        problems = await until_answered("broker", lambda: check_topics(bootstrap, prefix=prefix))
        if problems:
            raise StartError("; ".join(problems))
        if "relay" in self.roles:
            self._relay = Relay(platform, parts.publish_marks)
            self._start_part("relay", self._relay.run(self._stop_relay))
        if "consume" in self.roles and parts.subscriptions:
            self._consumers = await until_answered("broker", lambda: _start_consumers(platform, parts))
            self._start_part("consumers' watch", self._consumers.run(self._stop))

    def _start_part(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._parts[name] = asyncio.create_task(work, name=name)

    async def _watch(self, work: Awaitable[object]) -> None:
        """Wait for `work`; raises as soon as a part that was started before ends by itself."""
        waiting = asyncio.ensure_future(work)
        try:
            await asyncio.wait({waiting, *self._parts.values()}, return_when=asyncio.FIRST_COMPLETED)
            for name, part in self._parts.items():
                if part.done():
                    part.result()
                    raise RuntimeError(f"the part {name} ended without being told to")
            await waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


def _task_count(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


async def open_platform(service: Service, settings: ServiceSettings) -> Platform:
    """The platform on an open database, which is waited for. Raises StartError when migrations are pending."""
    dsn = settings.database_dsn.get_secret_value()
    try:
        clock = Clock.from_settings(settings)
    except ValueError as error:
        raise StartError(str(error)) from error
    needed = [migration for migration in service.all_migrations() if migration.phase == "pre"]
    pending = await until_answered("database", lambda: pending_migrations(dsn, needed))
    if pending:
        command = f"python -m opora_{service.name} migrate pre"
        raise StartError(f"the database lacks {', '.join(pending)}: run `{command}`")
    database = await until_answered(
        "database",
        lambda: Database.open(dsn, service=service.name, clock=clock, pool_size=settings.database_pool_size),
    )
    return Platform(service.name, settings, database, clock)


async def until_answered(what: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of a database or a broker, asked again with growing pauses, 2 s at most, until there is one.

    Raises StartError when the database answers that it will never let us in; whatever is not transient passes.
    """
    attempt = 0
    while True:
        try:
            return await ask()
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise StartError(f"the database refuses us: {error}; look at OPORA_DATABASE_DSN") from error
        except Exception as error:
            if not is_transient(error):
                raise
            attempt += 1
            seconds = outage_pause(attempt, jitter=random.random())  # noqa: S311
            log.warning("waiting_for", what=what, attempt=attempt, seconds=round(seconds, 2), error=repr(error))
            await asyncio.sleep(seconds)


async def _start_consumers(platform: Platform, parts: Parts) -> Consumers:
    consumers = Consumers(platform, parts.subscriptions, parts.follow_marks)
    try:
        await consumers.start()
    except BaseException:
        with suppress(Exception):
            await consumers.stop()
        raise
    return consumers


async def _keep_running(service: str, loop: Loop, stop: asyncio.Event) -> None:
    """Run the loop until `stop`; failures are logged, and pauses keep it from failing hot: 30 s at most, or 2 s while a
    server is away. A loop that ran well in between begins with short pauses again.
    """
    failures = 0
    counted = LOOP_FAILURES.labels(service, loop.name)
    clock = asyncio.get_running_loop()
    while not stop.is_set():
        began = clock.time()
        try:
            await loop.run(stop)
        except Exception as error:  # noqa: BLE001  one loop's failure must not end the others
            counted.inc()
            reason: BaseException | None = error
        else:
            reason = None
        if stop.is_set():
            return
        failures = 1 if clock.time() - began > _LOOP_IS_WELL_SECONDS else failures + 1
        seconds = loop_pause(failures, reason, jitter=random.random())  # noqa: S311
        log.error("loop_ended", loop=loop.name, failures=failures, seconds=round(seconds, 2), exc_info=reason)
        await rest(stop, seconds)


def loop_pause(failures: int, reason: BaseException | None, *, jitter: float) -> float:
    """Seconds until a loop is begun again that failed so often in a row; `reason` is None when it just returned."""
    if reason is not None and is_transient(reason):
        return outage_pause(failures, jitter=jitter)
    return back_off(failures, base_seconds=0.2, cap_seconds=30, jitter=jitter)


class _HttpServer(uvicorn.Server):
    """uvicorn without its own signals and logs: the process decides when to end."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False)
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield
