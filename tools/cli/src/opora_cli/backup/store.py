"""The SQL of backup and restore."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from opora_chassis.marks import BACKUP_APPLICATION

_CONNECT_SECONDS = 10
_STATEMENT_SECONDS = 120
_SET_UP_BY_OPERATORS = ("migrations", "api_keys", "idempotency_keys", "watermarks")
"""Tables that fill before anybody used the platform."""
_ROWS_AT_FIRST = {"agreements": 1, "calendars": 1}
"""What migrations write: the default agreement, and the calendar that is always open."""
_SHIFT = 1 << 60
"""Further away than any offset: numbers moved by it collide with none."""


async def connect(dsn: str) -> asyncpg.Connection:
    """One connection that progress marks do not wait for. Raises as asyncpg does when the server does not answer."""
    return await asyncpg.connect(
        dsn,
        timeout=_CONNECT_SECONDS,
        command_timeout=_STATEMENT_SECONDS,
        server_settings={"application_name": BACKUP_APPLICATION},
    )


async def hold_writers(connection: Any, timeout_seconds: float) -> None:
    """Within the caller's transaction: no transaction that publishes facts can commit until it ends.

    Raises asyncpg.LockNotAvailableError when one that is under way does not end in time; nothing is held then.
    """
    await connection.execute(f"set local lock_timeout = {int(timeout_seconds * 1000)}")
    # SHARE lets everybody read and lets nobody insert or delete.
    await connection.execute("lock table outbox in share mode")


async def export_snapshot(connection: Any) -> str:
    """The name of this transaction's snapshot, for pg_dump."""
    snapshot: str = await connection.fetchval("select pg_export_snapshot()")
    return snapshot


async def server_major(connection: Any) -> int:
    """The server's major version."""
    number: int = await connection.fetchval("select current_setting('server_version_num')::integer")
    return number // 10_000


async def applied_migrations(connection: Any) -> tuple[str, ...]:
    """`set/file` of every migration that was applied, in order; empty for a database without any."""
    if await connection.fetchval("select to_regclass('migrations')") is None:
        return ()
    rows = await connection.fetch("select set_name, file_name from migrations order by applied_at, set_name, number")
    return tuple(f"{row['set_name']}/{row['file_name']}" for row in rows)


async def filled_tables(connection: Any) -> list[str]:
    """Tables with anything in them that was not there before the platform was first used."""
    rows = await connection.fetch(
        "select tablename from pg_tables where schemaname = 'public' and tablename <> all($1::text[])"
        " order by tablename",
        list(_SET_UP_BY_OPERATORS),
    )
    filled = []
    for row in rows:
        least = _ROWS_AT_FIRST.get(row["tablename"], 0)
        if await connection.fetchval(f'select exists (select from "{row["tablename"]}" offset {least})'):
            filled.append(row["tablename"])
    return filled


async def drop_everything(connection: Any) -> None:
    """Drop every table, view, sequence, function of the caller's role in this database; the database itself stays."""
    await connection.execute("drop owned by current_user cascade")


async def other_sessions(connection: Any) -> list[str]:
    """The names of the applications that are connected to this database, but for the backup's own."""
    rows = await connection.fetch(
        "select distinct coalesce(nullif(application_name, ''), 'an application without a name') as name"
        " from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend' and application_name <> $1 order by 1",
        BACKUP_APPLICATION,
    )
    return [row["name"] for row in rows]


async def letters_of_topics(connection: Any) -> Sequence[Any]:
    """Where each dead letter's record stood: id, topic, partition, offset."""
    rows: Sequence[Any] = await connection.fetch('select id, topic, partition, "offset" from dead_letters')
    return rows


async def renumber_letters(connection: Any, offsets: Mapping[Any, int]) -> None:
    """Give these letters the offsets at which their records stand now."""
    async with connection.transaction():
        # In two steps, so that no letter meets another one's old offset on its way.
        await connection.execute(
            'update dead_letters set "offset" = "offset" + $2 where id = any($1::uuid[])', list(offsets), _SHIFT
        )
        await connection.execute(
            'update dead_letters set "offset" = moved.at from unnest($1::uuid[], $2::bigint[]) as moved (id, at)'
            " where dead_letters.id = moved.id",
            list(offsets),
            list(offsets.values()),
        )


async def skip_ticket_numbers(connection: Any, count: int) -> int:
    """Leave out so many ticket numbers, and return the last that was left out."""
    last: int = await connection.fetchval(
        "select setval('ticket_numbers', nextval('ticket_numbers') + $1::bigint - 1)", count
    )
    return last


async def drop_database(superuser_dsn: str, name: str) -> None:
    """Drop a database that nobody is connected to, if it exists."""
    connection = await connect(superuser_dsn)
    try:
        await connection.execute(f'drop database if exists "{name}"')
    finally:
        await connection.close()
