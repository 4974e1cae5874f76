"""Where the time of a busy role goes: `python -m tests.bench.profiles`, a sampled profile of each role under load.

py-spy samples the process 200 times a second, native frames included, while it works; a sample belongs to the package
of its innermost frame that belongs to one. The kernel's share is system time by CPU time, and lies within the others'.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import uvloop

from opora_chassis.identifiers import new_id
from opora_chassis.topics import create_topics
from opora_cli.console import say
from opora_cli.waiting import came_true
from opora_contracts import Event, Topic
from opora_contracts.tickets import TicketClosed
from opora_contracts.topics import REQUESTS, TICKETS
from opora_contracts.vocabulary import ResolutionCode
from opora_embedded import Kafka, Postgres
from opora_embedded.ports import HOST, find_free_port
from tests.bench.clocks import complete_before, standing_clocks
from tests.bench.consumption import produce
from tests.bench.facts import created, fact, lives
from tests.bench.ground import Ground, settings_of
from tests.bench.http_load import press
from tests.bench.lines.due_clocks import overdue
from tests.bench.lines.intake_http import openings
from tests.bench.lines.intake_requests import submissions
from tests.bench.lines.notify_mail import open_database, plan
from tests.bench.lines.relay import fill
from tests.bench.report import replace_part

BEGIN = "<!-- profiles: written by `make bench-profiles` -->"
END = "<!-- /profiles -->"
_SECONDS = 8
_BEGUN_SECONDS = 60.0
_CLIENTS, _ROWS, _SUBMISSIONS, _TICKETS = 64, 400_000, 60_000, 50_000
_CLOCKS, _OVERDUE, _LETTERS, _OPENED = 10_000, 60_000, 5_000, 100_000
"""Enough that no role comes to its end while it is sampled."""
_SAMPLES_A_SECOND = 200
PACKAGES = {
    "opora": ("opora_",),
    "asyncpg": ("asyncpg",),
    "Kafka client": ("aiokafka", "faststream"),
    "pydantic": ("pydantic",),
    "web": ("starlette", "fastapi", "uvicorn", "httptools", "h11"),
    "mail": ("aiosmtplib", "email/", "smtplib"),
    "loop": ("uvloop", "asyncio"),
}
REST = "rest"
_WAITS = "SimpleQueue_get"


@dataclass(frozen=True, slots=True)
class Profile:
    """Of one role: which share of its samples belongs to whom, and which of its CPU time is the kernel's."""

    role: str
    shares: dict[str, float]
    kernel: float


def shares_of(stacks: Sequence[str]) -> dict[str, float]:
    """Of collapsed stacks (`outermost;…;innermost count`), the share of each package and of the rest.

    Threads that wait for work are left out: with native frames py-spy takes them for busy.
    """
    counts: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        if _WAITS not in frames:
            counts[_owner(frames.split(";"))] += int(count)
    whole = max(1, counts.total())
    return {name: counts[name] / whole for name in (*PACKAGES, REST)}


def _owner(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        for name, marks in PACKAGES.items():
            if any(mark in frame for mark in marks):
                return name
    return REST


async def profile(role: str, address: str, folder: Path) -> Profile:
    """Sample the process that listens there for 8 s. Raises RuntimeError when py-spy cannot."""
    port = urlsplit(address).port
    listening = ((one.pid, *one.laddr) for one in psutil.net_connections("tcp") if one.status == "LISTEN")
    (pid,) = {pid for pid, *address in listening if address[1:] == [port]}
    process = psutil.Process(pid)
    before, output = process.cpu_times(), folder / f"{pid}.txt"
    spy = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--native", "--format", "raw"),
        *("--rate", str(_SAMPLES_A_SECOND), "--duration", str(_SECONDS), "--output", str(output), "--full-filenames"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await spy.communicate()
    if spy.returncode:
        raise RuntimeError(f"py-spy could not sample {role}: {said.decode(errors='replace')}")
    after = process.cpu_times()
    system, user = after.system - before.system, after.user - before.user
    return Profile(role, shares_of(output.read_text().splitlines()), system / max(system + user, 0.01))


def table(profiles: Sequence[Profile]) -> str:
    """In Markdown."""
    names = (*PACKAGES, REST)
    lines = [f"| role | {' | '.join(names)} | kernel |", "|" + "---|" * (len(names) + 2)]
    for one in profiles:
        cells = [f"{one.shares[name]:.0%}" for name in names]
        lines.append(f"| {one.role} | {' | '.join(cells)} | {one.kernel:.0%} |")
    return "\n".join(lines)


@contextlib.asynccontextmanager
async def _serving(ground: Ground) -> AsyncIterator[str]:
    database = await ground.database("intake")
    async with ground.processes([["-m", "opora_intake", "serve"]], **settings_of(ground, database)) as addresses:
        pressing = asyncio.create_task(
            press(addresses, openings(database.token), clients=_CLIENTS, seconds=_SECONDS + 2.0, warm_up_seconds=0)
        )
        try:
            yield addresses[0]
            await pressing
        finally:
            pressing.cancel()


@contextlib.asynccontextmanager
async def _relaying(ground: Ground) -> AsyncIterator[str]:
    database = await ground.database("intake")
    await create_topics(ground.kafka.bootstrap)
    await fill(database, _ROWS)
    async with ground.processes([["-m", "opora_intake", "relay"]], **settings_of(ground, database)) as addresses:
        yield addresses[0]


@contextlib.asynccontextmanager
async def _consuming(
    ground: Ground, service: str, topic: Topic, events: Iterable[Event[Any]], begun: str
) -> AsyncIterator[str]:
    database, prefix = await ground.database(service), f"profile-{service}."
    await create_topics(ground.kafka.bootstrap, prefix=prefix)
    await produce(ground, prefix + topic.name, events)
    settings = {**settings_of(ground, database), "OPORA_TOPIC_PREFIX": prefix, "OPORA_SIGNING_SECRET": token_hex(32)}
    async with (
        asyncpg.create_pool(database.dsn, min_size=1, max_size=1) as pool,
        ground.processes([["-m", f"opora_{service}", "consume"]], **settings) as addresses,
    ):
        if not await came_true(partial(pool.fetchval, begun), _BEGUN_SECONDS, look_seconds=0.05):
            raise TimeoutError(f"{service} consumes nothing within {_BEGUN_SECONDS:.0f} s")
        yield addresses[0]


@contextlib.asynccontextmanager
async def _judging(ground: Ground) -> AsyncIterator[str]:
    database = await standing_clocks(ground, _CLOCKS)
    connection = await asyncpg.connect(database.dsn)
    try:
        async with (
            overdue(connection, _OVERDUE),
            ground.processes([["-m", "opora_sla", "timers"]], **settings_of(ground, database)) as addresses,
        ):
            await complete_before(connection, await connection.fetchval("select clock_timestamp()"))
            yield addresses[0]
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _mailing(ground: Ground) -> AsyncIterator[str]:
    database, port = await ground.database("notify"), find_free_port()
    opened = await open_database(database)
    try:
        await plan(opened, _LETTERS)
    finally:
        await opened.close()
    server = {"OPORA_SMTP_HOST": HOST, "OPORA_SMTP_PORT": str(port), "OPORA_SMTP_TLS": "none"}
    async with (
        ground.processes([["-m", "tests.bench.mail_sink"]], BENCH_SMTP_PORT=str(port)),
        ground.processes(
            [["-m", "opora_notify", "timers"]], **settings_of(ground, database), **server, OPORA_WORKERS="16"
        ) as addresses,
    ):
        yield addresses[0]


def _opened() -> Iterator[Event[Any]]:
    """Tickets that were opened just now, each by somebody else."""
    now = datetime.now(UTC)
    return (fact(1, created(new_id(), number, new_id()), now) for number in range(_OPENED))


def _closed() -> Iterator[Event[Any]]:
    """Tickets of as many customers, each closed as its first fact."""
    now = datetime.now(UTC)
    for _ in range(_OPENED):
        closed = TicketClosed(ticket_id=new_id(), cycle=1, resolution_code=ResolutionCode.SOLVED, requester_id=new_id())
        yield fact(1, closed, now)


def _subjects(ground: Ground) -> dict[str, contextlib.AbstractAsyncContextManager[str]]:
    return {
        f"intake serve, {_CLIENTS} clients": _serving(ground),
        "intake relay": _relaying(ground),
        "intake consume": _consuming(
            ground, "intake", REQUESTS, submissions(_SUBMISSIONS), "select exists (select from tickets)"
        ),
        "sla consume": _consuming(ground, "sla", TICKETS, lives(_TICKETS), "select exists (select from cases)"),
        "sla timers, a storm of breaches": _judging(ground),
        "notify consume": _consuming(ground, "notify", TICKETS, _opened(), "select exists (select from notifications)"),
        "notify timers, 16 connections": _mailing(ground),
        "feedback consume": _consuming(ground, "feedback", TICKETS, _closed(), "select exists (select from closings)"),
    }


async def _profile_all() -> list[Profile]:
    profiles: list[Profile] = []
    with tempfile.TemporaryDirectory(prefix="opora-profiles-") as place:
        directory = Path(place)
        kafka, postgres = Kafka(directory / "kafka"), Postgres(directory / "postgres")
        try:
            await asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(postgres.start))
            for role, subject in _subjects(Ground(directory, kafka, postgres, full=False)).items():
                say(role)
                async with subject as address:
                    profiles.append(await profile(role, address, directory))
        finally:
            await asyncio.gather(asyncio.to_thread(kafka.stop), asyncio.to_thread(postgres.stop))
    return profiles


def main() -> int:
    """Sample every role; exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profiles", description="Where a role's time goes.")
    parser.add_argument("--page", type=Path, help="the page whose table is replaced")
    options = parser.parse_args()
    text = table(uvloop.run(_profile_all()))
    say(text)
    if options.page is not None:
        replace_part(options.page, BEGIN, END, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
