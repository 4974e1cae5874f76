"""Tickets that exist already: a few that the platform wrote itself, copied inside its databases as often as asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import httpx

from opora_chassis.topics import create_topics
from opora_cli.waiting import came_true
from tests.bench.facts import BODY
from tests.bench.ground import Ground, ServiceDatabase

_PATTERN_FACTS = 4
_WRITTEN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class History:
    """The databases of intake and sla with so many tickets, each with its customer, and the topics of a platform."""

    tickets: int
    prefix: str
    intake: ServiceDatabase
    sla: ServiceDatabase


async def make_history(ground: Ground, tickets: int) -> History:
    """Every other ticket is open, with its clocks running; the rest were answered and resolved in time."""
    history = History(tickets, f"history{tickets}.", await ground.database("intake"), await ground.database("sla"))
    await create_topics(ground.kafka.bootstrap, prefix=history.prefix)
    await _write_patterns(ground, history)
    await _copy(history.intake, _INTAKE, tickets // 2 - 1)
    await _copy(history.sla, _SLA, tickets // 2 - 1)
    return history


async def _write_patterns(ground: Ground, history: History) -> None:
    settings = {"OPORA_KAFKA_BOOTSTRAP": ground.kafka.bootstrap, "OPORA_TOPIC_PREFIX": history.prefix}
    intake = {**settings, "OPORA_DATABASE_DSN": history.intake.dsn}
    sla = {**settings, "OPORA_DATABASE_DSN": history.sla.dsn}
    connection = await asyncpg.connect(history.sla.dsn)
    try:
        async with (
            ground.processes([["-m", "opora_intake", "serve", "relay"]], **intake) as addresses,
            ground.processes([["-m", "opora_sla", "consume"]], **sla),
            httpx.AsyncClient(
                base_url=addresses[0], headers={"Authorization": f"Bearer {history.intake.token}"}, trust_env=False
            ) as client,
        ):
            await _open(client, "open")
            ticket = await _open(client, "resolved")
            for path, command in (("replies", {"body": BODY}), ("resolve", {})):
                (await client.post(f"/v1/tickets/{ticket}/{path}", json=command)).raise_for_status()

            async def all_followed() -> bool:
                facts = await connection.fetchval("select coalesce(sum(last_sequence), 0) from cases")
                marked = await connection.fetchval("select exists (select from watermarks)")
                return bool(facts == _PATTERN_FACTS and marked)

            if not await came_true(all_followed, _WRITTEN_SECONDS):
                raise TimeoutError(f"sla does not have the first tickets after {_WRITTEN_SECONDS:.0f} s")
    finally:
        await connection.close()


async def _open(client: httpx.AsyncClient, who: str) -> str:
    opening = {"title": "The printer prints every page twice", "body": BODY, "channel": "web", "product": "printing"}
    answer = await client.post(
        "/v1/tickets",
        json={**opening, "requester_email": f"{who}@history.example"},
        headers={"Idempotency-Key": uuid4().hex},
    )
    return str(answer.raise_for_status().json()["id"])


async def _copy(database: ServiceDatabase, tables: Mapping[str, Mapping[str, str]], times: int) -> None:
    """Add `times` copies of every row; what tells a copy from its pattern is given as SQL per column."""
    connection = await asyncpg.connect(database.dsn)
    try:
        await connection.execute("truncate outbox")
        for table, changes in tables.items():
            changed = ", ".join(f"'{column}', {expression}" for column, expression in changes.items())
            await connection.execute(
                f"insert into {table} select made.* from {table} as pattern"
                f" cross join generate_series(1, {times}) as copy"
                f" cross join lateral jsonb_populate_record(pattern, jsonb_build_object({changed})) as made"
            )
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


def _id(column: str) -> str:
    """Another UUIDv7, the same wherever the same id stands: a day earlier, and a millisecond later with each copy."""
    digits = f"replace({column}::text, '-', '')"
    return (
        f"lpad(to_hex(('x' || left({digits}, 12))::bit(48)::bigint - 86400000 + copy), 12, '0') || substr({digits}, 13)"
    )


_INTAKE = {
    "customers": {"id": _id("id"), "email": "copy || '.' || email"},
    "tickets": {
        "id": _id("id"),
        "number": "nextval('ticket_numbers')",
        "requester_id": _id("requester_id"),
        "opened_at": "opened_at + (copy - 86400000) * interval '1 ms'",
    },
    "messages": {"id": _id("id"), "ticket_id": _id("ticket_id")},
    "timeline": {"ticket_id": _id("ticket_id")},
    "idempotency_keys": {"key": "key || copy"},
}
_SLA = {
    "cases": {
        "ticket_id": _id("ticket_id"),
        "partition": "(partition + copy) % 12",
        "next_fire_at": "next_fire_at + copy * interval '1 ms'",
    },
    "case_facts": {"ticket_id": _id("ticket_id")},
    "fired_steps": {"ticket_id": _id("ticket_id")},
    "clocks": {"ticket_id": _id("ticket_id")},
    "applied": {"subject": f"({_id('subject')})::uuid"},
}
