"""How much memory each role's process holds once many tickets have gone through the platform."""

from contextlib import AsyncExitStack
from functools import partial

import asyncpg

from opora_chassis.topics import create_topics
from opora_cli.metrics import total
from opora_cli.waiting import came_true
from opora_embedded.ports import HOST, find_free_port
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.http_load import post, pour
from tests.bench.lines.intake_http import openings
from tests.bench.metrics import RESIDENT_BYTES, ask
from tests.bench.row import Reach, Row

_TICKETS, _ALL_TICKETS = 30_000, 1_000_000
_CLOSED_EVERY = 50
"""So many-th ticket is resolved and closed."""
_FIRST_NUMBER = 1_001
_PER_SECOND, _CLIENTS = 5_000, 32
"""More than the machine does: a client asks as soon as it is answered."""
_BOUND_MEGABYTES = 150
_PREFIX = "memory."
_ROLES = {
    "intake": ("serve", "consume", "relay"),
    "feedback": ("serve", "consume", "relay", "timers"),
    "sla": ("serve", "consume", "relay", "timers"),
    "notify": ("serve", "consume", "relay", "timers"),
}
_THROUGH = {
    "intake": "select 0::bigint",
    "feedback": "select {closed} - count(*) from closings",
    "sla": "select {tickets} - count(*) from cases",
    "notify": "select {tickets} - count(*) from tickets",
}
"""How many each service has not taken in yet."""
_THROUGH_SECONDS = 3_600.0


async def measure(ground: Ground) -> list[Row]:
    """Every role of every service as a process of its own; all tickets are opened, some closed, letters leave."""
    tickets = _ALL_TICKETS if ground.full else _TICKETS
    databases = {service: await ground.database(service) for service in _ROLES}
    await create_topics(ground.kafka.bootstrap, prefix=_PREFIX)
    port = find_free_port()
    addresses: dict[str, list[str]] = {}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(ground.processes([["-m", "tests.bench.mail_sink"]], BENCH_SMTP_PORT=str(port)))
        for service, roles in _ROLES.items():
            settings = {
                **settings_of(ground, databases[service]),
                "OPORA_TOPIC_PREFIX": _PREFIX,
                "OPORA_SIGNING_SECRET": "memory" * 6,
                "OPORA_ASK_INTERVAL_DAYS": "0",
                "OPORA_SMTP_HOST": HOST,
                "OPORA_SMTP_PORT": str(port),
                "OPORA_SMTP_TLS": "none",
                "OPORA_FEEDBACK_URL": addresses["feedback"][0] if "feedback" in addresses else "",
                "OPORA_FEEDBACK_KEY": databases["feedback"].token,
            }
            commands = [["-m", f"opora_{service}", role] for role in roles]
            addresses[service] = await stack.enter_async_context(ground.processes(commands, **settings))
        closed = await _live(addresses["intake"][0], databases["intake"].token, tickets)
        for service, database in databases.items():
            await _until_through(database, _THROUGH[service].format(tickets=tickets, closed=closed))
        letters = await _value(databases["notify"], "select count(*) from notifications where state = 'delivered'")
        resident = {service: await ask(addresses[service], RESIDENT_BYTES) for service in _ROLES}
    return [
        _row(f"{service} {role} after {tickets:,} tickets", total(metrics, RESIDENT_BYTES) / 1e6, remark)
        for service, roles in _ROLES.items()
        for role, metrics in zip(roles, resident[service], strict=True)
        for remark in [f"{letters:,} letters had left" if (service, role) == ("notify", "timers") else ""]
    ]


async def _live(address: str, token: str, tickets: int) -> int:
    """Open so many tickets; resolve and close some, whose number is returned."""
    ask_all = partial(pour, address, clients=_CLIENTS, per_second=_PER_SECOND)
    await ask_all(openings(token), count=tickets)
    headers = {"Authorization": f"Bearer {token}"}
    closed = range(_FIRST_NUMBER, _FIRST_NUMBER + tickets, _CLOSED_EVERY)
    for command in ("resolve", "close"):
        requests = [post(f"/v1/tickets/OP-{number}/{command}", b"{}", headers) for number in closed]
        await ask_all(iter(requests).__next__, count=len(requests))
    return len(closed)


async def _until_through(database: ServiceDatabase, missing: str) -> None:
    """Wait until a service has taken in everything and published what came of it."""

    async def through() -> bool:
        waiting = await _value(database, "select count(*) from (select from outbox limit 1) as one")
        return await _value(database, missing) <= 0 and not waiting

    if not await came_true(through, _THROUGH_SECONDS, look_seconds=1):
        raise TimeoutError(f"{database.service} is not through after {_THROUGH_SECONDS:.0f} s")


async def _value(database: ServiceDatabase, query: str) -> int:
    connection = await asyncpg.connect(database.dsn)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


def _row(line: str, megabytes: float, remark: str) -> Row:
    return Row(
        f"memory of {line}",
        f"{megabytes:.0f} MB",
        "the bound",
        f"{_BOUND_MEGABYTES} MB",
        megabytes / _BOUND_MEGABYTES,
        Reach(1, at_most=True),
        remark,
    )
