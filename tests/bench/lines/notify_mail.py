"""Letters that stand in notify's ledger, handed to a mail server."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from email.message import EmailMessage
from functools import partial

import aiosmtplib
import httpx

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.identifiers import new_id
from opora_contracts.customers import CustomerRegistered
from opora_embedded.ports import HOST, find_free_port
from opora_notify import store
from opora_notify.channels import email
from opora_notify.handlers import Planning, follow_customers, follow_tickets
from opora_notify.settings import NotifySettings
from opora_notify.sources import Source, Sources
from tests.bench.consumption import rate_of_program
from tests.bench.facts import created, fact
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.row import Reach, Row, alternate, per_second, ratio

_LETTERS, _ALL_LETTERS = 500, 2_500
_CONNECTIONS, _ALL_CONNECTIONS = (4, 16), (4, 16, 64)
"""The first is what notify takes when it is told nothing."""
_BATCH_EVENTS = 500


async def measure(ground: Ground) -> list[Row]:
    """From the ledger until the mail server has taken the letter, against a loop that only sends the same letters."""
    letters = _ALL_LETTERS if ground.full else _LETTERS
    port = find_free_port()
    rows: list[Row] = []
    async with ground.processes([["-m", "tests.bench.mail_sink"]], BENCH_SMTP_PORT=str(port)):
        written = await _write(ground, letters)
        for connections in _ALL_CONNECTIONS if ground.full else _CONNECTIONS:
            figures = await alternate(
                {
                    "ours": partial(_notify, ground, port, letters, connections),
                    "bare": partial(_send, port, written, connections),
                },
                ground.rounds,
            )
            rows.append(
                Row(
                    f"notify, {letters:,} letters over {connections} connections",
                    per_second(figures["ours"]),
                    "aiosmtplib over as many connections",
                    per_second(figures["bare"]),
                    ratio(figures["ours"], figures["bare"]),
                    Reach(0.5),
                )
            )
    return rows


async def _notify(ground: Ground, port: int, letters: int, connections: int) -> float:
    database = await ground.database("notify")
    opened = await open_database(database)
    await plan(opened, letters)
    await opened.close()
    settings = {
        **settings_of(ground, database),
        "OPORA_SMTP_HOST": HOST,
        "OPORA_SMTP_PORT": str(port),
        "OPORA_SMTP_TLS": "none",
        "OPORA_WORKERS": str(connections),
    }
    return await rate_of_program(
        ground,
        ["-m", "opora_notify", "timers"],
        settings,
        table="notifications",
        count="select count(*) from notifications where state = 'delivered'",
        whole=letters,
    )


async def _send(port: int, letters: Sequence[tuple[EmailMessage, str]], connections: int) -> float:
    waiting = deque(letters)

    async def use() -> None:
        async with aiosmtplib.SMTP(hostname=HOST, port=port, use_tls=False, start_tls=False) as connection:
            while waiting:
                letter, recipient = waiting.popleft()
                await connection.send_message(letter, recipients=[recipient])

    began = time.perf_counter()
    await asyncio.gather(*(use() for _ in range(connections)))
    return len(letters) / (time.perf_counter() - began)


async def _write(ground: Ground, letters: int) -> list[tuple[EmailMessage, str]]:
    """The letters that notify would send, each with its recipient."""
    database = await ground.database("notify")
    settings = NotifySettings(database_dsn=database.dsn, kafka_bootstrap=ground.kafka.bootstrap)
    opened = await open_database(database)
    try:
        await plan(opened, letters)
        planned = await store.list_notifications(opened, ticket_id=None, state=None, before=None, limit=letters)
        async with httpx.AsyncClient() as client:
            sources = Sources(client, Source("intake", None, None), Source("feedback", None, None))
            return [await email._write(notification, opened, sources, settings) for notification in planned]
    finally:
        await opened.close()


async def open_database(database: ServiceDatabase) -> Database:
    return await Database.open(database.dsn, service="notify", clock=Clock(), pool_size=2)


async def plan(database: Database, letters: int) -> None:
    """Put letters into the ledger as notify's consumer does: one to the requester of each new ticket."""
    planning = Planning(stale_after=timedelta(days=1), new_id=new_id, wake=lambda: None)
    for first in range(0, letters, _BATCH_EVENTS):
        people = {number: new_id() for number in range(first, min(letters, first + _BATCH_EVENTS))}
        async with database.transaction() as tx:
            registered = [
                fact(1, CustomerRegistered(customer_id=person, name="Ida", email=f"{number}@bench.example"), tx.now)
                for number, person in people.items()
            ]
            opened = [fact(1, created(new_id(), number, person), tx.now) for number, person in people.items()]
            await follow_customers(registered, tx, planning=planning)
            await follow_tickets(opened, tx, planning=planning)
