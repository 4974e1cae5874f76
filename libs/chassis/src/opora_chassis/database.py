"""The service's own PostgreSQL: a pool, and transactions that carry state and facts together."""

import asyncio
import json
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from prometheus_client import Counter, Gauge

from opora_chassis import outbox
from opora_chassis.clock import Clock
from opora_contracts import NewEvent

EMITTED = Counter(
    "opora_emitted_events_total",
    "Facts committed, by type and by whether they are live or imported history",
    ["service", "type", "origin"],
)
POOL_IN_USE = Gauge("opora_database_pool_in_use", "Connections that somebody works on", ["service"])
POOL_LIMIT = Gauge("opora_database_pool_limit", "Connections that the pool may have", ["service"])
POOL_TIMEOUTS = Counter("opora_database_pool_timeouts_total", "Times nobody got a connection in time", ["service"])

_ACQUIRE_SECONDS = 5.0


async def _keep_session(_connection: Any) -> None:
    """Nothing to reset: no code here leaves session state on a pooled connection, and a reset costs a round trip."""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog", format="text")


class Transaction:
    """One open database transaction. State changes and the facts they cause become durable together, or not at all."""

    def __init__(self, connection: Any, *, now: datetime, source: str) -> None:
        self.now = now
        """When the transaction had just begun, on the platform's clock: live facts of this transaction carry it."""
        self._connection = connection
        self._source = source
        self._emitted: list[NewEvent] = []
        self._written: Tally[tuple[str, str]] = Tally()
        self._after_commit: list[Callable[[], None]] = []

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self._connection.fetch(sql, *arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        row: asyncpg.Record | None = await self._connection.fetchrow(sql, *arguments)
        return row

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or None."""
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Run a statement; returns PostgreSQL's command tag."""
        tag: str = await self._connection.execute(sql, *arguments)
        return tag

    async def executemany(self, sql: str, arguments: Iterable[Sequence[Any]]) -> None:
        """Run a statement once per row of arguments, pipelined."""
        await self._connection.executemany(sql, arguments)

    def emit(self, *events: NewEvent) -> None:
        """Publish these facts, in this order, if and only if this transaction commits.

        Call it after the aggregate's row is locked or inserted: outbox ids of one key then follow commit order.
        """
        self._emitted.extend(events)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the transaction is durable; a hint only, since a crash may come in between."""
        self._after_commit.append(callback)

    async def flush(self) -> bool:
        """Write the emitted facts into the outbox; True when there were any."""
        if not self._emitted:
            return False
        await outbox.write(self._connection, self._source, self._emitted)
        self._written.update(
            (event.data.event_type, "live" if event.import_id is None else "import") for event in self._emitted
        )
        self._emitted.clear()
        return True

    def committed(self) -> None:
        """Tell those who asked, and count what was emitted."""
        service = self._source.rpartition("/")[2]
        for (fact_type, origin), count in self._written.items():
            EMITTED.labels(service, fact_type, origin).inc(count)
        for callback in self._after_commit:
            callback()


class Database:
    """A pool of connections to one service's database."""

    def __init__(self, pool: asyncpg.Pool, *, service: str, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock
        self.source = f"/opora/{service}"
        self._timeouts = POOL_TIMEOUTS.labels(service)
        self.outbox_written = asyncio.Event()
        """Set after a commit that wrote facts: the relay of this process need not wait for its poll."""

    @classmethod
    async def open(cls, dsn: str, *, service: str, clock: Clock, pool_size: int = 10) -> "Database":
        """Connect. Raises OSError or an asyncpg error when the server does not answer within 5 s."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=pool_size,
            init=_prepare,
            reset=_keep_session,
            timeout=5,
            command_timeout=60,
            server_settings={"application_name": f"opora-{service}", "idle_in_transaction_session_timeout": "60s"},
        )
        POOL_LIMIT.labels(service).set(pool_size)
        POOL_IN_USE.labels(service).set_function(lambda: pool.get_size() - pool.get_idle_size())
        return cls(pool, service=service, clock=clock)

    async def close(self) -> None:
        """Close every connection; what still runs after 5 s is cut off."""
        try:
            await asyncio.wait_for(self.pool.close(), timeout=5)
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """BEGIN … COMMIT; an exception rolls everything back, emitted facts included.

        Waits at most 5 s for a free connection, then raises TimeoutError. After an error *in* COMMIT the outcome is
        unknown to this process; whoever repeats the work is protected by idempotency keys, sequences or the inbox.
        """
        async with self._connection() as connection:
            async with connection.transaction():
                # Not now(): that is read before the transaction can be seen by others, which progress marks rely on.
                now = self.clock.warp(await connection.fetchval("select clock_timestamp()"))
                tx = Transaction(connection, now=now, source=self.source)
                yield tx
                wrote = await tx.flush()
            tx.committed()
            if wrote:
                self.outbox_written.set()

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows, read outside a transaction."""
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None, read outside a transaction."""
        async with self._connection() as connection:
            row: asyncpg.Record | None = await connection.fetchrow(sql, *arguments)
            return row

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or None, read outside a transaction."""
        async with self._connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def now(self) -> datetime:
        """The database's current time on the platform's clock."""
        return self.clock.warp(await self.fetchval("select clock_timestamp()"))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """One of the pool's connections, waited for at most 5 s; then TimeoutError is raised, and counted."""
        try:
            # The pool's own timeout costs a task and a turn of the loop each time.
            async with asyncio.timeout(_ACQUIRE_SECONDS):
                connection = await self.pool.acquire()
        except TimeoutError:
            self._timeouts.inc()
            raise
        try:
            yield connection
        finally:
            await self.pool.release(connection)
