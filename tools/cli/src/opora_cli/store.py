"""The SQL of the command: making databases and roles, and looking at what every service's database has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,128}")
_CONNECT_SECONDS = 10


async def connect(dsn: str) -> asyncpg.Connection:
    """One connection. Raises OSError, TimeoutError or an asyncpg error when the server does not answer."""
    return await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, command_timeout=60)


async def ensure_role_and_database(superuser_dsn: str, name: str, password: str) -> None:
    """A login role and a database of the same name that belongs to it. Changes nothing when both exist.

    Raises ValueError for a name or password that could not stand in a statement as it is.
    """
    if not _NAME.fullmatch(name) or not _PASSWORD.fullmatch(password):
        raise ValueError(f"{name!r} and its password must consist of plain letters and digits")
    connection = await connect(superuser_dsn)
    try:
        if await connection.fetchval("select 1 from pg_roles where rolname = $1", name) is None:
            await connection.execute(f"create role {name} login")
        await connection.execute(f"alter role {name} password '{password}'")
        if await connection.fetchval("select 1 from pg_database where datname = $1", name) is None:
            await connection.execute(f"create database {name} owner {name}")
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What waits to be published."""

    depth: int
    oldest_age_seconds: float


async def outbox_state(connection: Any) -> OutboxState:
    """How many facts wait, and for how long the oldest has, in real time."""
    row = await connection.fetchrow(
        "select count(*) as depth,"
        " coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0) as age from outbox"
    )
    return OutboxState(depth=row["depth"], oldest_age_seconds=float(row["age"]))


async def parked_key_count(connection: Any) -> int:
    """How many keys wait behind a dead letter."""
    count: int = await connection.fetchval("select count(*) from parked_keys")
    return count


async def dead_letter_count(connection: Any) -> int:
    """How many events failed for good; those queued behind one of them are not counted."""
    count: int = await connection.fetchval("select count(*) from dead_letters where reason_code <> 'queued'")
    return count


async def database_time(connection: Any) -> datetime:
    """The server's own time."""
    now: datetime = await connection.fetchval("select clock_timestamp()")
    return now


async def dead_letters(connection: Any, *, limit: int) -> Sequence[Any]:
    """Dead letters, oldest first, without their bytes."""
    rows: Sequence[Any] = await connection.fetch(
        'select id, consumer, key, topic, partition, "offset", reason_code, reason, attempts, created_at'
        " from dead_letters order by position limit $1",
        limit,
    )
    return rows


async def dead_letter(connection: Any, dead_letter_id: Any) -> Any | None:
    """One dead letter with its bytes, or None."""
    return await connection.fetchrow(
        'select id, consumer, key, topic, partition, "offset", reason_code, reason, attempts, created_at,'
        " raw_key, value, headers::text as headers from dead_letters where id = $1",
        dead_letter_id,
    )
