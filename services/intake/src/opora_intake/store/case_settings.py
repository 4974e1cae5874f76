"""How cases are worked, in versions."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain import CaseSettings
from opora_intake.store.rows import Reader

_VERSION = "version, changed_at, changed_by, document"
_WRITERS = 7_310_001
"""The advisory lock of those who write settings."""


@dataclass(frozen=True, slots=True)
class SettingsVersion:
    """One version of the settings. Version 0 is what holds before anybody changed them."""

    version: int
    changed_at: datetime | None
    changed_by: str | None
    settings: CaseSettings


UNCHANGED = SettingsVersion(0, None, None, CaseSettings())


async def newest_settings(reader: Reader) -> SettingsVersion:
    """The version in force. Plan: a backward scan of the primary key, one row."""
    row = await reader.fetchrow(f"select {_VERSION} from case_settings order by version desc limit 1")
    return UNCHANGED if row is None else _version_of(row)


async def lock_settings(tx: Transaction) -> SettingsVersion:
    """The version in force; nobody else writes another one before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _WRITERS)
    return await newest_settings(tx)


async def add_settings(tx: Transaction, version: SettingsVersion) -> None:
    """Put the version in force; the settings must be locked by this transaction."""
    await tx.execute(
        f"insert into case_settings ({_VERSION}) values ($1, $2, $3, $4)",
        version.version,
        version.changed_at,
        version.changed_by,
        version.settings.model_dump(mode="json", exclude_defaults=True),
    )


async def list_settings(reader: Reader, *, before: int | None, limit: int) -> list[SettingsVersion]:
    """The versions, newest first."""
    rows = await reader.fetch(
        f"select {_VERSION} from case_settings where $1::bigint is null or version < $1 order by version desc limit $2",
        before,
        limit,
    )
    return [_version_of(row) for row in rows]


def _version_of(row: asyncpg.Record) -> SettingsVersion:
    return SettingsVersion(
        row["version"], row["changed_at"], row["changed_by"], CaseSettings.model_validate(row["document"])
    )
