"""How far each mailbox was read, and every message that was seen in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.store.rows import Reader

_POSITION = "name, uid_validity, next_uid, first_contact_at, polled_at, failing_since, last_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a mailbox was read; `uid_validity` is None before the first contact."""

    name: str
    uid_validity: int | None
    next_uid: int
    first_contact_at: datetime | None
    polled_at: datetime | None
    failing_since: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A mailbox, and how many of its messages are not kept here yet."""

    position: Position
    wanted: int


async def lease_mailbox(tx: Transaction, name: str, lease_id: UUID, until: datetime) -> Position | None:
    """Take the mailbox, or keep it under the same lease, until then; None when another process has it."""
    await tx.execute("insert into mailboxes (name) values ($1) on conflict do nothing", name)
    row = await tx.fetchrow(
        "update mailboxes set leased_until = $3, lease_id = $2"
        f" where name = $1 and (leased_until is null or leased_until <= $4 or lease_id = $2) returning {_POSITION}",
        name,
        lease_id,
        until,
        tx.now,
    )
    return None if row is None else _position(row)


async def newest_refresh_token(reader: Reader, name: str, configured: str) -> str | None:
    """What the server gave last in place of this configured refresh token; None where it gave none."""
    row = await reader.fetchrow(
        "select refresh_token from mailbox_refresh_tokens where mailbox = $1 and configured = $2",
        name,
        hashlib.sha256(configured.encode()).digest(),
    )
    return None if row is None else row["refresh_token"]


async def save_refresh_token(tx: Transaction, name: str, configured: str, refresh_token: str) -> None:
    """Remember what the server gave in place of the configured refresh token."""
    await tx.execute(
        "insert into mailbox_refresh_tokens (mailbox, configured, refresh_token, saved_at) values ($1, $2, $3, $4)"
        " on conflict (mailbox) do update set configured = excluded.configured,"
        " refresh_token = excluded.refresh_token, saved_at = excluded.saved_at",
        name,
        hashlib.sha256(configured.encode()).digest(),
        refresh_token,
        tx.now,
    )


async def release_mailbox(tx: Transaction, name: str, lease_id: UUID) -> None:
    """Leave the mailbox to whoever comes next."""
    await tx.execute("update mailboxes set leased_until = null where name = $1 and lease_id = $2", name, lease_id)


async def save_position(
    tx: Transaction, name: str, *, uid_validity: int, next_uid: int, first_contact_at: datetime
) -> None:
    """Every message below `next_uid` is known. A smaller one of the same UIDVALIDITY changes nothing."""
    await tx.execute(
        "update mailboxes set uid_validity = $2, next_uid ="
        " case when uid_validity = $2 then greatest(next_uid, $3) else $3 end,"
        " first_contact_at = coalesce(first_contact_at, $4) where name = $1",
        name,
        uid_validity,
        next_uid,
        first_contact_at,
    )


async def save_health(tx: Transaction, name: str, *, error: str | None) -> None:
    """The poll went well, or why it did not."""
    await tx.execute(
        "update mailboxes set last_error = $3,"
        " polled_at = case when $3::text is null then $2 else polled_at end,"
        " failing_since = case when $3::text is null then null else coalesce(failing_since, $2) end where name = $1",
        name,
        tx.now,
        error,
    )


async def add_wanted(tx: Transaction, name: str, uid_validity: int, uids: Sequence[int]) -> None:
    """These messages are to be fetched; those that are known already stay as they are."""
    await tx.execute(
        "insert into mailbox_messages (mailbox, uid_validity, uid) select $1, $2, unnest($3::bigint[])"
        " on conflict do nothing",
        name,
        uid_validity,
        list(uids),
    )


async def open_messages(
    reader: Reader, name: str, uid_validity: int, state: str, *, limit: int, after_uid: int = 0
) -> list[int]:
    """UIDs in this state, smallest first. Plan: the partial index mailbox_messages_open."""
    rows = await reader.fetch(
        "select uid from mailbox_messages where mailbox = $1 and uid_validity = $2 and state = $3"
        " and state in ('wanted', 'taken') and uid > $4 order by uid limit $5",
        name,
        uid_validity,
        state,
        after_uid,
        limit,
    )
    return [row["uid"] for row in rows]


async def save_messages(
    tx: Transaction, name: str, uid_validity: int, uids: Sequence[int], state: str, *, letter_id: UUID | None = None
) -> None:
    """What became of these messages; `letter_id` when they were taken."""
    await tx.execute(
        "update mailbox_messages set state = $4, letter_id = coalesce($5, letter_id)"
        " where mailbox = $1 and uid_validity = $2 and uid = any($3::bigint[])",
        name,
        uid_validity,
        list(uids),
        state,
        letter_id,
    )


async def give_up_other_validity(tx: Transaction, name: str, uid_validity: int) -> None:
    """The UIDs of another UIDVALIDITY name nothing any more (RFC 9051 §2.3.1.1)."""
    await tx.execute(
        "update mailbox_messages set state = case when letter_id is null then 'gone' else 'settled' end"
        " where mailbox = $1 and uid_validity <> $2 and state in ('wanted', 'taken')",
        name,
        uid_validity,
    )


async def list_mailboxes(reader: Reader) -> list[Standing]:
    """Every mailbox that was polled, by name. Plan: one look into mailbox_messages_open for each."""
    rows = await reader.fetch(
        f"select {_POSITION}, (select count(*) from mailbox_messages where mailbox = name and state = 'wanted'"
        " and state in ('wanted', 'taken')) as wanted from mailboxes order by name"
    )
    return [Standing(_position(row), row["wanted"]) for row in rows]


def _position(row: asyncpg.Record) -> Position:
    return Position(**{name: row[name] for name in Position.__slots__})
