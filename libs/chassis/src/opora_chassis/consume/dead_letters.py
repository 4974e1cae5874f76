"""Dead letters and parked keys: what cannot be handled stays visible and in order, and holds up nobody else."""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.consume.record import Record
from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_contracts.envelope import identity_of

QUEUED = "queued"

_SUMMARY = 'id, consumer, topic, partition, "offset", key, source, event_id, reason_code, reason, attempts, created_at'


@dataclass(frozen=True, slots=True)
class Burial:
    """A record that is put aside, and why."""

    record: Record
    key: str
    reason_code: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that waits for a person: guilty itself, or queued behind a guilty one of its key."""

    id: UUID
    consumer: str
    key: str
    record: Record
    reason_code: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSummary:
    """What there is to say about a dead letter without showing what it holds."""

    id: UUID
    consumer: str
    topic: str
    partition: int
    offset: int
    key: str
    source: str | None
    """With `event_id`, the event as its publisher knows it, as far as that could be read."""
    event_id: str | None
    reason_code: str
    reason: str
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which dead letters are looked for: those that match everything that is given."""

    consumer: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    key: str | None = None
    source: str | None = None
    event_id: str | None = None
    reason_code: str | None = None


async def lock_parked(tx: Transaction, consumer: str, keys: Collection[str]) -> set[str]:
    """Of these keys, the parked ones; they can be neither parked anew nor unparked before the transaction ends."""
    # Waiting here for a redrive that unparks the key is what keeps the key's order.
    rows = await tx.fetch(
        "select key from parked_keys where consumer = $1 and key = any($2::text[]) order by key for update",
        consumer,
        sorted(set(keys)),
    )
    return {row["key"] for row in rows}


async def bury(tx: Transaction, consumer: str, burials: Sequence[Burial]) -> None:
    """Put records aside, in order, and park their keys. A record that is there already stays as it is."""
    if not burials:
        return
    await tx.execute(
        "insert into parked_keys (consumer, key) select $1, unnest($2::text[]) on conflict do nothing",
        consumer,
        sorted({burial.key for burial in burials}),
    )
    await tx.executemany(
        'insert into dead_letters (id, consumer, key, topic, partition, "offset", raw_key, value, headers, reason_code,'
        " reason, attempts, source, event_id)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict do nothing",
        [
            (
                new_id(),
                consumer,
                burial.key,
                burial.record.topic,
                burial.record.partition,
                burial.record.offset,
                burial.record.key,
                burial.record.value,
                _pack(burial.record.headers),
                burial.reason_code,
                burial.reason[:4000],
                burial.attempts,
                *identity_of(burial.record.value, burial.record.headers),
            )
            for burial in burials
        ],
    )


async def letters_of_key(tx: Transaction, consumer: str, key: str) -> list[DeadLetter]:
    """The letters of one key in their order, with the key locked. Empty when the key is not parked."""
    if not await lock_parked(tx, consumer, [key]):
        return []
    rows = await tx.fetch(
        "select * from dead_letters where consumer = $1 and key = $2 order by position", consumer, key
    )
    return [_letter(row) for row in rows]


async def remove(tx: Transaction, letter: DeadLetter) -> None:
    """The letter was handled or given up."""
    await tx.execute("delete from dead_letters where id = $1", letter.id)


async def keep_failing(tx: Transaction, letter: DeadLetter, reason: str) -> None:
    """The letter failed again, with this reason."""
    await tx.execute(
        "update dead_letters set attempts = attempts + 1, reason = $2,"
        " reason_code = case reason_code when 'queued' then 'handler_failed' else reason_code end where id = $1",
        letter.id,
        reason[:4000],
    )


async def unpark_when_empty(tx: Transaction, consumer: str, key: str) -> None:
    """Let the key's later events flow again once none waits."""
    await tx.execute(
        "delete from parked_keys where consumer = $1 and key = $2"
        " and not exists (select from dead_letters where consumer = $1 and key = $2)",
        consumer,
        key,
    )


async def parked_with_letter(
    reader: Database | Transaction, *, key: str | None, dead_letter_id: UUID | None
) -> list[tuple[str, str]]:
    """(consumer, key) of what is parked: all, or of one key, or of one letter, oldest first."""
    rows = await reader.fetch(
        "select consumer, key from parked_keys where ($1::text is null or key = $1)"
        " and ($2::uuid is null or (consumer, key) in (select consumer, key from dead_letters where id = $2))"
        " order by parked_at, key",
        key,
        dead_letter_id,
    )
    return [(row["consumer"], row["key"]) for row in rows]


async def find_letters(
    database: Database, search: Search, *, limit: int, after: UUID | None = None
) -> list[LetterSummary]:
    """Dead letters in the order in which they were put aside, those behind the letter `after`."""
    conditions, arguments = ["true"], list[Any]()
    for condition, value in (
        ("consumer = ${}", search.consumer),
        ("topic = ${}", search.topic),
        ("partition = ${}", search.partition),
        ('"offset" = ${}', search.offset),
        ("key = ${}", search.key),
        ("source = ${}", search.source),
        ("event_id = ${}", search.event_id),
        ("reason_code = ${}", search.reason_code),
        ("id > ${}", after),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    # Plan: dead_letters_of_event, dead_letters_of_key or the record's position where they are given; else the
    # primary key, whose order is the letters' age.
    rows = await database.fetch(
        f"select {_SUMMARY} from dead_letters where {' and '.join(conditions)} order by id limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [LetterSummary(**row) for row in rows]


async def find_letter(database: Database, letter_id: UUID) -> tuple[LetterSummary, Record] | None:
    """One dead letter with its record, or None: it was handled or given up meanwhile, or never there."""
    row = await database.fetchrow(
        f"select {_SUMMARY}, raw_key, value, headers from dead_letters where id = $1", letter_id
    )
    if row is None:
        return None
    summary = LetterSummary(**{name: row[name] for name in LetterSummary.__slots__})
    position = (summary.topic, summary.partition, summary.offset)
    return summary, Record(*position, row["raw_key"], row["value"], _unpack(row["headers"]))


async def counts(database: Database) -> tuple[int, int]:
    """(dead letters, parked keys)."""
    row = await database.fetchrow(
        "select (select count(*) from dead_letters) as letters, (select count(*) from parked_keys) as keys"
    )
    return (row["letters"], row["keys"]) if row else (0, 0)


def _pack(headers: Sequence[tuple[str, bytes | None]]) -> list[list[str | None]]:
    # PostgreSQL's JSON cannot hold U+0000, which a header's name may: such a name says nothing to any reader.
    return [
        [name.replace("\0", "\\x00"), None if value is None else base64.b64encode(value).decode()]
        for name, value in headers
    ]


def _unpack(headers: Any) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((name, None if value is None else base64.b64decode(value)) for name, value in headers)


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        consumer=row["consumer"],
        key=row["key"],
        record=Record(
            row["topic"], row["partition"], row["offset"], row["raw_key"], row["value"], _unpack(row["headers"])
        ),
        reason_code=row["reason_code"],
        reason=row["reason"],
        attempts=row["attempts"],
    )
