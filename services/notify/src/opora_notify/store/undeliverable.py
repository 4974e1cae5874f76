"""Addresses that are not written to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from opora_chassis.database import Transaction
from opora_notify.store.reading import Reader


@dataclass(frozen=True, slots=True)
class UndeliverableAddress:
    """An address that is not written to, by its digest, and why."""

    address_digest: str
    recipient: str
    """Whose address it was when it was marked: `customer:<id>` or `agent:<id>`, never an address."""
    status: str
    """RFC 3463."""
    source: Literal["report", "refusal"]
    since: datetime


async def mark_addresses(tx: Transaction, marks: Collection[UndeliverableAddress]) -> None:
    """Write to these addresses no more; what is marked already stays as it is."""
    await tx.executemany(
        "insert into undeliverable_addresses (address_digest, recipient, status, source, since)"
        " values ($1, $2, $3, $4, $5) on conflict (address_digest) do nothing",
        [(one.address_digest, one.recipient, one.status, one.source, one.since) for one in marks],
    )


async def unmark_addresses(tx: Transaction, digests: Collection[str]) -> bool:
    """Write to these addresses again; whether any of them was marked."""
    tag = await tx.execute("delete from undeliverable_addresses where address_digest = any($1::text[])", list(digests))
    return tag != "DELETE 0"


async def find_mark(reader: Reader, digest: str) -> UndeliverableAddress | None:
    """Why the address is not written to; None where it is. Plan: the primary key."""
    row = await reader.fetchrow(
        "select address_digest, recipient, status, source, since from undeliverable_addresses"
        " where address_digest = $1",
        digest,
    )
    return None if row is None else UndeliverableAddress(**row)


async def list_marks(reader: Reader, *, after: str | None, limit: int) -> list[UndeliverableAddress]:
    """Addresses that are not written to, by their digests. Plan: a range of the primary key."""
    rows = await reader.fetch(
        "select address_digest, recipient, status, source, since from undeliverable_addresses"
        " where $1::text is null or address_digest > $1 order by address_digest limit $2",
        after,
        limit,
    )
    return [UndeliverableAddress(**row) for row in rows]
