"""The program that every service is: what it refuses, what it waits for, and how it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.http import create_key
from opora_chassis.migrations import CHASSIS_MIGRATIONS, migrate, read_set
from opora_chassis.testing import wait_until
from opora_chassis.topics import create_topics

SAMPLE = Path(__file__).parent / "sample.py"
GATE = 4711
LIMIT_SECONDS = 90


@dataclass(slots=True)
class Program:
    """The toy service, started as a process, with what it has logged so far."""

    child: asyncio.subprocess.Process
    log: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, event: str) -> dict[str, Any]:
        """Read the log up to the event. Fails when the program ends without it."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while line := await self._line():
                if line["event"] == event:
                    return line
        raise AssertionError(f"no {event} in {self.log}")

    async def end(self) -> int:
        """Its exit code, once it has ended."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while await self._line():
                pass
            return await self.child.wait()

    async def _line(self) -> dict[str, Any] | None:
        if self.child.stdout is None:
            raise AssertionError("the log is a pipe")
        text = await self.child.stdout.readline()
        if not text:
            return None
        line: dict[str, Any] = json.loads(text)
        self.log.append(line)
        return line


@asynccontextmanager
async def started(*words: str, dsn: str, bootstrap: str = "127.0.0.1:1", **settings: str) -> AsyncIterator[Program]:
    """Run the toy service and end it at the latest with the block."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPORA_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SAMPLE),
        *words,
        stdout=asyncio.subprocess.PIPE,
        env=inherited | {"OPORA_DATABASE_DSN": dsn, "OPORA_KAFKA_BOOTSTRAP": bootstrap} | settings,
    )
    try:
        yield Program(child)
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.fixture
async def migrated(database: str) -> str:
    """A database with the chassis' tables."""
    await migrate(database, read_set("chassis", CHASSIS_MIGRATIONS))
    return database


async def test_pending_migrations_refuse_the_start(database: str) -> None:
    """Exit 2, naming what is missing and the command that mends it; after that command it starts."""
    async with started("serve", dsn=database) as program:
        refusal = await program.until("cannot_start")
        assert "chassis/0001_pre_chassis.sql" in refusal["reason"]
        assert "python -m opora_sample migrate pre" in refusal["reason"]
        assert await program.end() == 2
    async with started("migrate", dsn=database) as program:
        assert "chassis/0002_pre_http.sql" in (await program.until("migrated"))["applied"]
        assert await program.end() == 0
    async with started("serve", dsn=database) as program:
        await program.until("started")


async def test_missing_settings_refuse_the_start() -> None:
    """Exit 2, naming the environment variable."""
    async with started("serve", dsn="postgresql://x", OPORA_HTTP_PORT="99999") as program:
        assert "OPORA_HTTP_PORT" in (await program.until("cannot_start"))["reason"]
        assert await program.end() == 2


async def test_a_database_that_does_not_answer_is_waited_for() -> None:
    """The process says what it waits for, and ends at once with 0 when it is told to."""
    async with started("serve", dsn="postgresql://nobody@127.0.0.1:1/nothing") as program:
        assert (await program.until("waiting_for"))["what"] == "database"
        program.child.send_signal(signal.SIGTERM)
        assert await program.end() == 0


async def test_a_broker_that_does_not_answer_makes_the_process_unready(migrated: str) -> None:
    """HTTP serves while the broker is away; readiness tells that the process is not complete."""
    async with started("all", dsn=migrated) as program:
        address = (await program.until("listening"))["address"]
        assert (await program.until("waiting_for"))["what"] == "broker"
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            ready = await client.get("/health/ready")
            assert ready.status_code == 503
            assert {"name": "process", "ok": False, "detail": "starting"} in ready.json()["checks"]
            assert (await client.get("/health/live")).status_code == 200
        program.child.send_signal(signal.SIGTERM)
        assert await program.end() == 0


async def test_sigterm_finishes_what_is_in_hand(migrated: str, kafka: Any) -> None:
    """A request that runs when SIGTERM comes is answered, new ones are not taken, and the exit code is 0."""
    await create_topics(kafka.bootstrap)
    holder = await asyncpg.connect(migrated)
    await holder.execute("select pg_advisory_lock($1)", GATE)
    token = await key_of(migrated)
    async with started("all", dsn=migrated, bootstrap=kafka.bootstrap) as program:
        address = (await program.until("listening"))["address"]
        await program.until("started")
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=LIMIT_SECONDS) as client:
            headers = {"Authorization": f"Bearer {token}"}
            slow = asyncio.create_task(client.post("/v1/slow", headers=headers))
            await wait_until(lambda: is_waiting(holder))
            program.child.send_signal(signal.SIGTERM)
            await wait_until(lambda: refuses(address))
            await holder.execute("select pg_advisory_unlock($1)", GATE)
            answer = await slow
        assert (answer.status_code, answer.json()) == (200, {"service": "sample"})
        assert await program.end() == 0
    await holder.close()


async def test_a_part_that_does_not_end_is_named(migrated: str) -> None:
    """Exit 1 after the grace period, with the name of the loop that hung."""
    async with started("timers", dsn=migrated, OPORA_GRACE_SECONDS="0.5", OPORA_SAMPLE_FAULT="deaf loop") as program:
        await program.until("started")
        program.child.send_signal(signal.SIGTERM)
        assert (await program.until("drain_hung"))["parts"] == ["turning"]
        assert await program.end() == 1


async def test_a_relay_that_cannot_go_on_ends_the_process(migrated: str, kafka: Any) -> None:
    """Exit 1 with the reason, so that a supervisor starts it afresh."""
    await create_topics(kafka.bootstrap)
    async with started("relay", dsn=migrated, bootstrap=kafka.bootstrap, OPORA_SAMPLE_FAULT="relay") as program:
        assert "the relay cannot go on" in (await program.until("process_crashed"))["exception"]
        assert await program.end() == 1


@pytest.mark.parametrize("words", [["fly"], ["migrate", "now"], ["serve", "migrate"], ["redrive"]])
async def test_a_wrong_command_line_is_refused(words: list[str]) -> None:
    """Exit 2 with the usage."""
    async with started(*words, dsn="postgresql://x") as program:
        assert await program.end() == 2


async def test_redriving_nothing_succeeds(migrated: str) -> None:
    """With no dead letters there is nothing to do: exit 0, and the counts say so."""
    async with started("redrive", "--all", dsn=migrated) as program:
        report = await program.until("redriven")
        assert (report["redriven"], report["failed"], report["remaining"]) == (0, 0, 0)
        assert await program.end() == 0


async def key_of(dsn: str) -> str:
    """A key that may do everything."""
    database = await Database.open(dsn, service="sample", clock=Clock())
    token = await create_key(database, "test", ["admin"])
    await database.close()
    return token


async def is_waiting(connection: asyncpg.Connection) -> bool:
    """Whether the slow write has come to its lock."""
    return bool(
        await connection.fetchval("select count(*) > 0 from pg_locks where locktype = 'advisory' and not granted")
    )


async def refuses(address: str) -> bool:
    """Whether new connections are refused."""
    host, _, port = address.removeprefix("http://").partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return True
    writer.close()
    await writer.wait_closed()
    return False
