"""Letters as they came, and what mail servers reported about deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain.floods import Recent
from opora_intake.store.rows import Reader, rows_json

_KEPT = (
    "id, received_at, channel, envelope_from, envelope_to, message_id, state, outcome, reason, ticket_id, attempts,"
    " due_at, handled_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """What is known of a letter without its bytes."""

    id: UUID
    received_at: datetime
    channel: str
    envelope_from: str | None
    envelope_to: tuple[str, ...]
    message_id: str | None
    state: str
    outcome: str | None
    reason: str | None
    ticket_id: UUID | None
    attempts: int
    due_at: datetime | None
    handled_at: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What a mail server reported about one recipient, and in which letter."""

    id: UUID
    recipient: str
    outcome: str
    status: str
    permanent: bool
    diagnostic: str
    original_message_id: str | None
    letter_id: UUID
    reported_at: datetime


async def keep_letter(
    tx: Transaction,
    letter_id: UUID,
    raw: bytes,
    *,
    channel: str,
    envelope_from: str | None,
    envelope_to: Sequence[str],
    sha256: bytes,
    identity: bytes,
    message_id: str | None,
) -> UUID | None:
    """Keep a letter that is due at once; None when a copy of it is kept already.

    A copy that another transaction is keeping is waited for. Plan: the unique index letters_once.
    """
    kept: UUID | None = await tx.fetchval(
        "insert into letters (id, received_at, channel, envelope_from, envelope_to, raw, sha256, identity, message_id,"
        " due_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $2) on conflict (identity) do nothing returning id",
        letter_id,
        tx.now,
        channel,
        envelope_from,
        list(envelope_to),
        raw,
        sha256,
        identity,
        message_id,
    )
    return kept


async def letter_by_identity(reader: Reader, identity: bytes) -> UUID | None:
    """The letter of which such a copy is one."""
    row = await reader.fetchrow("select id from letters where identity = $1", identity)
    return None if row is None else row["id"]


async def claim_letters(tx: Transaction, limit: int, lease_ends_at: datetime) -> list[KeptLetter]:
    """Take letters that are due, or whose lease is over; no other claim gets them before `lease_ends_at`.

    Plan: the partial index letters_waiting, so that a tick with nothing to do reads no row.
    """
    rows = await tx.fetch(
        "update letters set attempts = attempts + 1, due_at = $3 where id in ("
        " select id from letters where state = 'received' and due_at <= $1 order by due_at limit $2"
        f" for update skip locked) returning {_KEPT}, octet_length(raw) as size_bytes",
        tx.now,
        limit,
        lease_ends_at,
    )
    return sorted((_kept(row) for row in rows), key=lambda letter: letter.id)


async def raw_letter(reader: Reader, letter_id: UUID) -> bytes | None:
    """The letter's bytes as they came."""
    row = await reader.fetchrow("select raw from letters where id = $1", letter_id)
    return None if row is None else row["raw"]


async def find_letter(reader: Reader, letter_id: UUID) -> KeptLetter | None:
    """One letter without its bytes."""
    row = await reader.fetchrow(
        f"select {_KEPT}, octet_length(raw) as size_bytes from letters where id = $1", letter_id
    )
    return None if row is None else _kept(row)


async def lock_letter(tx: Transaction, letter_id: UUID) -> KeptLetter | None:
    """The letter without its bytes, locked until the transaction ends."""
    row = await tx.fetchrow(
        f"select {_KEPT}, octet_length(raw) as size_bytes from letters where id = $1 for update", letter_id
    )
    return None if row is None else _kept(row)


async def save_outcome(
    tx: Transaction,
    letter_id: UUID,
    *,
    state: str,
    outcome: str,
    reason: str | None,
    ticket_id: UUID | None,
    sender: str | None = None,
) -> None:
    """What became of a letter that this transaction has locked; nobody looks at it again."""
    await tx.execute(
        "update letters set state = $2, outcome = $3, reason = $4, ticket_id = $5, handled_at = $6, due_at = null,"
        " sender = $7 where id = $1",
        letter_id,
        state,
        outcome,
        reason,
        ticket_id,
        tx.now,
        sender,
    )


async def recent_of_sender(tx: Transaction, sender: str, ticket_id: UUID | None, since: datetime) -> Recent:
    """What the sender's letters became since then; others of the same sender wait until this transaction ends.

    Plan: a range of the index letters_of_sender, as long as the flood is.
    """
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('letters of ' || $1, 0))", sender)
    row = await tx.fetchrow(
        "select count(*) filter (where outcome in ('opened', 'unverified')) as opened,"
        " count(*) filter (where outcome in ('replied', 'noted') and ticket_id = $2) as appended,"
        " count(*) filter (where outcome = 'flood' and ($2::uuid is null or ticket_id = $2)) as flooded"
        " from letters where sender = $1 and handled_at > $3",
        sender,
        ticket_id,
        since,
    )
    return Recent(0, 0, 0) if row is None else Recent(**row)


async def put_off(
    tx: Transaction, letter_id: UUID, *, attempts: int, claimed_attempts: int, due_at: datetime, reason: str
) -> None:
    """Look at the letter again later; nothing when another worker has taken it over meanwhile."""
    await tx.execute(
        "update letters set attempts = $2, due_at = $3, reason = $4 where id = $1 and state = 'received'"
        " and attempts = $5",
        letter_id,
        attempts,
        due_at,
        reason,
        claimed_attempts,
    )


async def list_letters(
    reader: Reader, *, limit: int, before: UUID | None = None, **filters: str | UUID
) -> list[KeptLetter]:
    """Letters that match every filter (state, outcome, ticket_id), newest first.

    Plan: a backward scan of letters_by_state, letters_of_ticket or the primary key.
    """
    conditions, arguments = ["true"], list[Any]()
    for name, value in {"before": before, **filters}.items():
        if value is not None:
            arguments.append(value)
            conditions.append(f"{'id <' if name == 'before' else _FILTERS[name]} ${len(arguments)}")
    rows = await reader.fetch(
        f"select {_KEPT}, octet_length(raw) as size_bytes from letters where {' and '.join(conditions)}"
        f" order by id desc limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [_kept(row) for row in rows]


_FILTERS = {"state": "state =", "outcome": "outcome =", "ticket_id": "ticket_id ="}


async def waiting_letters(reader: Reader) -> tuple[int, datetime | None]:
    """How many letters wait to be handled, and since when the oldest one does. Plan: the index letters_waiting."""
    row = await reader.fetchrow(
        "select count(*) as waiting, min(received_at) as oldest from letters where state = 'received'"
    )
    return (0, None) if row is None else (row["waiting"], row["oldest"])


async def add_deliveries(tx: Transaction, deliveries: Sequence[Delivered]) -> None:
    """Keep what a report says, one row per recipient."""
    await tx.execute(
        "insert into deliveries (id, recipient, outcome, status, permanent, diagnostic, original_message_id, letter_id,"
        " reported_at) select * from json_to_recordset($1::text::json) as delivery (id uuid, recipient text,"
        " outcome text, status text, permanent boolean, diagnostic text, original_message_id text, letter_id uuid,"
        " reported_at timestamptz)",
        rows_json(deliveries),
    )


async def list_deliveries(
    reader: Reader, *, limit: int, before: UUID | None = None, recipient: str | None = None
) -> list[Delivered]:
    """Reports, newest first. Plan: a backward scan of deliveries_to, or of the primary key."""
    conditions, arguments = ["true"], list[Any]()
    for condition, value in (("id < ${}", before), ("lower(recipient) = lower(${})", recipient)):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    rows = await reader.fetch(
        "select id, recipient, outcome, status, permanent, diagnostic, original_message_id, letter_id, reported_at"
        f" from deliveries where {' and '.join(conditions)} order by id desc limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [Delivered(**row) for row in rows]


def _kept(row: asyncpg.Record) -> KeptLetter:
    return KeptLetter(**{**row, "envelope_to": tuple(row["envelope_to"])})
