"""Addresses to which letters come back for good."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.store.rows import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeliverableAddress:
    """What the report said by which an address was marked, and in which letter it came."""

    id: UUID
    address: str
    status: str
    diagnostic: str
    letter_id: UUID
    since: datetime


async def mark_address(tx: Transaction, mark: UndeliverableAddress) -> bool:
    """Mark an address; False when it was marked within the hour before.

    A later report means that somebody still writes there: it renews the mark, to be told again.
    """
    tag = await tx.execute(
        "insert into undeliverable_addresses (id, address, status, diagnostic, letter_id, since)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (lower(address)) do update"
        " set status = excluded.status, diagnostic = excluded.diagnostic, letter_id = excluded.letter_id,"
        " since = excluded.since where undeliverable_addresses.since < excluded.since - interval '1 hour'",
        mark.id,
        mark.address,
        mark.status,
        mark.diagnostic,
        mark.letter_id,
        mark.since,
    )
    return tag == "INSERT 0 1"


async def unmark_address(tx: Transaction, address: str) -> bool:
    """Take the mark away; False when there is none."""
    tag = await tx.execute("delete from undeliverable_addresses where lower(address) = lower($1)", address)
    return tag == "DELETE 1"


async def is_marked(reader: Reader, address: str) -> bool:
    """Whether letters to the address come back. Plan: a look into undeliverable_addresses_once."""
    row = await reader.fetchrow(
        "select 1 as found from undeliverable_addresses where lower(address) = lower($1)", address
    )
    return row is not None
