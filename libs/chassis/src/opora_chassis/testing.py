"""For the tests of services: a whole service in the test's own process, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol
from uuid import uuid4

import httpx

from opora_chassis.database import Database
from opora_chassis.http.keys import ADMIN, create_key
from opora_chassis.migrations import migrate
from opora_chassis.platform import Platform
from opora_chassis.process import Process
from opora_chassis.service import ROLES, Service
from opora_chassis.topics import create_topics, delete_topics

_START_SECONDS = 60.0
_POLL_SECONDS = 0.02

Condition = Callable[[], Awaitable[Any] | Any]


class Broker(Protocol):
    """Where Kafka is, as the fixtures say it."""

    @property
    def bootstrap(self) -> str:
        """host:port."""
        ...


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service under test. `client` carries a key that holds every scope."""

    client: httpx.AsyncClient
    platform: Platform
    process: Process

    @property
    def database(self) -> Database:
        """The service's own database, for looking inside."""
        return self.platform.database

    async def wait_until(self, condition: Condition, timeout_seconds: float = 20) -> Any:
        """See `wait_until`."""
        return await wait_until(condition, timeout_seconds)


async def wait_until(
    condition: Condition,
    timeout_seconds: float = 20,
    *,
    what: str | None = None,
    poll_seconds: float = _POLL_SECONDS,
) -> Any:
    """Poll a plain or async condition until it is truthy, and return its value.

    Raises AssertionError with `what`, or the condition's name, and its last value when the time is over. An
    AssertionError inside the condition counts as not yet.
    """
    last: Any = None
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    last = condition()
                    if isawaitable(last):
                        last = await last
                except AssertionError as error:
                    last = error
                else:
                    if last:
                        return last
                await asyncio.sleep(poll_seconds)
    except TimeoutError:
        name = what or getattr(condition, "__name__", "the condition")
        raise AssertionError(f"{name} did not hold within {timeout_seconds} s; last: {last!r}") from None


@asynccontextmanager
async def running_service(
    service: Service, kafka: Broker, dsn: str, *, roles: frozenset[str] = ROLES, **settings: Any
) -> AsyncIterator[RunningService]:
    """Migrate, create the topics, run the roles in this process and drain them at the end.

    The topics are this call's own and deleted afterwards, unless `topic_prefix` is given: then services can share them.

    Raises what a part crashed with, and AssertionError when the drain hung.
    """
    own_prefix = f"t{uuid4().hex[:10]}."
    prefix = settings.setdefault("topic_prefix", own_prefix)
    configured = service.settings(database_dsn=dsn, kafka_bootstrap=kafka.bootstrap, **settings)
    await migrate(dsn, service.all_migrations())
    await create_topics(kafka.bootstrap, prefix=prefix)
    process = Process(service, configured, roles)
    running = asyncio.create_task(process.run())
    try:
        started = asyncio.create_task(process.started.wait())
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if running.done():
            running.result()
        if process.platform is None:
            raise AssertionError("a started process has a platform")
        token = await create_key(process.platform.database, "test", [ADMIN])
        async with httpx.AsyncClient(
            base_url=process.address, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        ) as client:
            yield RunningService(client, process.platform, process)
        if running.done():
            running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        hung = await process.drain()
        if prefix == own_prefix:
            await delete_topics(kafka.bootstrap, prefix=prefix)
    if hung:
        raise AssertionError(f"these parts hung while draining: {', '.join(hung)}")
