"""The SQL of the doctor."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from opora_chassis.relay import SHARD_LOCKS

_NUMBERS = {
    "intake": (
        "select id::text as subject, version as sequence from tickets where id = any($1::uuid[])"
        " union all select id::text, version from customers where id = any($1::uuid[])"
        " union all select id::text, version from organizations where id = any($1::uuid[])"
    ),
    "sla": (
        "select ticket_id::text as subject, emitted_sequence as sequence from cases where ticket_id = any($1::uuid[])"
    ),
    "notify": (
        "select notification_id::text as subject, told as sequence from notifications"
        " where notification_id = any($1::uuid[])"
    ),
    "feedback": "select ticket_id::text as subject, sequence from journals where ticket_id = any($1::uuid[])",
}


async def numbers_of(connection: Any, service: str, subjects: Collection[str]) -> Mapping[str, int]:
    """How many facts the service has published about each of these subjects, as its database has it."""
    # Plan: one primary key probe per subject.
    rows = await connection.fetch(_NUMBERS[service], list(subjects))
    return {row["subject"]: row["sequence"] for row in rows}


async def held_shards(connection: Any) -> int:
    """How many shards of this database's outbox relays hold."""
    count: int = await connection.fetchval(
        "select count(*) from pg_locks where locktype = 'advisory' and classid = $1::bigint::oid and granted"
        " and database = (select oid from pg_database where datname = current_database())",
        SHARD_LOCKS,
    )
    return count


async def live_watermarks(connection: Any) -> dict[int, datetime]:
    """Of sla: until when each partition was seen whole."""
    rows = await connection.fetch("select partition, complete_before from watermarks where domain = ''")
    return {row["partition"]: row["complete_before"] for row in rows}


async def applied_migrations(connection: Any) -> Sequence[str]:
    """`set/file` of every migration that the database has seen."""
    if await connection.fetchval("select to_regclass('migrations')") is None:
        return ()
    rows = await connection.fetch("select set_name, file_name from migrations order by set_name, number")
    return tuple(f"{row['set_name']}/{row['file_name']}" for row in rows)
