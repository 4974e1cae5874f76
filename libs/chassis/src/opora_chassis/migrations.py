"""Schema migrations: plain SQL files, applied once each, in order, each in a transaction of its own.

A file is named `NNNN_pre_name.sql` (needed before the new code runs) or `NNNN_post_name.sql` (after the old code is
gone). The chassis' own files come first, under the set name `chassis`; a service's under its own name.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import asyncpg

Phase = Literal["pre", "post"]
CHASSIS_MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^(\d{4})_(pre|post)_[a-z0-9_]+\.sql$")
_LOCK = 7_082_026_001
"""Advisory lock that makes runners take turns; any number will do, as long as it stays the same."""


class MigrationError(Exception):
    """The migration files and the database disagree; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of one set."""

    set_name: str
    number: int
    phase: Phase
    file_name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text: an applied file must never change."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_set(set_name: str, directory: Path) -> list[Migration]:
    """The files of a set in order. Raises MigrationError for a bad name or a number used twice."""
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name it NNNN_pre_what.sql or NNNN_post_what.sql")
        phase: Phase = "pre" if match[2] == "pre" else "post"
        migrations.append(Migration(set_name, int(match[1]), phase, path.name, path.read_text("utf-8")))
    numbers = [migration.number for migration in migrations]
    if len(set(numbers)) != len(numbers):
        raise MigrationError(f"{directory}: a migration number is used twice")
    return migrations


def all_migrations(service: str, directory: Path) -> list[Migration]:
    """The chassis' migrations, then the service's."""
    return [*read_set("chassis", CHASSIS_MIGRATIONS), *read_set(service, directory)]


async def migrate(dsn: str, migrations: Sequence[Migration], phases: Sequence[Phase] = ("pre", "post")) -> list[str]:
    """Apply what is pending and return the names applied. Safe with several runners: they take turns.

    Raises MigrationError when an applied file was changed afterwards; nothing is applied then.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "create table if not exists migrations (set_name text not null, number integer not null,"
            " file_name text not null, checksum text not null, applied_at timestamptz not null default now(),"
            " primary key (set_name, number))"
        )
        pending = await _pending(connection, migrations)
        applied: list[str] = []
        for migration in pending:
            if migration.phase not in phases:
                continue
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into migrations (set_name, number, file_name, checksum) values ($1, $2, $3, $4)",
                    migration.set_name,
                    migration.number,
                    migration.file_name,
                    migration.checksum,
                )
            applied.append(f"{migration.set_name}/{migration.file_name}")
        return applied
    finally:
        await connection.close()


async def pending_migrations(dsn: str, migrations: Sequence[Migration]) -> list[str]:
    """Names of the files that the database has not seen. Raises MigrationError as `migrate` does."""
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("select to_regclass('migrations')") is None:
            return [f"{migration.set_name}/{migration.file_name}" for migration in migrations]
        return [f"{m.set_name}/{m.file_name}" for m in await _pending(connection, migrations)]
    finally:
        await connection.close()


async def _pending(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[Migration]:
    rows = await connection.fetch("select set_name, number, checksum from migrations")
    done = {(row["set_name"], row["number"]): row["checksum"] for row in rows}
    for migration in migrations:
        checksum = done.get((migration.set_name, migration.number))
        if checksum is not None and checksum != migration.checksum:
            raise MigrationError(
                f"{migration.set_name}/{migration.file_name} was changed after it had been applied:"
                " restore the file and put the change into a new migration"
            )
    return [migration for migration in migrations if (migration.set_name, migration.number) not in done]
