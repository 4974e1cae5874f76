"""The SQL of the command: making databases and roles, and looking at what every service's database has."""

import re
from collections.abc import AsyncIterator, Sequence
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


async def copy_table(source_dsn: str, target_dsn: str, table: str) -> None:
    """Make the target's table hold exactly the rows of the source's; both have the same columns."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"{table!r} is no plain name")
    source, target = await connect(source_dsn), await connect(target_dsn)
    try:
        rows = bytearray()

        async def take(chunk: bytes) -> None:
            rows.extend(chunk)

        async def given() -> AsyncIterator[bytes]:
            yield bytes(rows)

        await source.copy_from_table(table, output=take, format="binary")
        async with target.transaction():
            await target.execute(f"delete from {table}")
            await target.copy_to_table(table, source=given(), format="binary")
    finally:
        await source.close()
        await target.close()


async def terminate_session(dsn: str, share: float) -> str:
    """End one of the database's sessions, as an administrator would, and name it; `share` (0 to 1) says which.

    Returns "none" when there is no other session of this role.
    """
    connection = await connect(dsn)
    try:
        sessions = await connection.fetch(
            "select pid, application_name from pg_stat_activity where datname = current_database()"
            " and usename = current_user and backend_type = 'client backend' and pid <> pg_backend_pid() order by pid"
        )
        if not sessions:
            return "none"
        victim = sessions[min(len(sessions) - 1, int(len(sessions) * share))]
        await connection.execute("select pg_terminate_backend($1)", victim["pid"])
        return str(victim["application_name"])
    finally:
        await connection.close()


async def forget_guards(dsn: str) -> None:
    """Lose what a service's consumers know of the facts that they have applied."""
    connection = await connect(dsn)
    try:
        await connection.execute("delete from applied")
    finally:
        await connection.close()
