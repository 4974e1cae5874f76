"""The ledger of merged customers: what each merge moved, and back."""

from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import Consent
from opora_intake.domain.merging import MergeEntry
from opora_intake.store.rows import Reader

_ENTRY = "id, customer_id, into_id, emails, phones, moved_phones, organization_filled, merged_at, merged_by"
_MOVED = (
    # kind, table, the column that names the customer
    ("ticket", "tickets", "requester_id"),
    ("note", "customer_notes", "customer_id"),
    ("consent", "customer_consents", "customer_id"),
)


async def record_merge(tx: Transaction, entry: MergeEntry) -> None:
    """Enter a merge into the ledger and move what belonged to the merged customer. Both customers are locked."""
    await tx.execute(
        f"insert into customer_merges ({_ENTRY}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        entry.id,
        entry.customer_id,
        entry.into_id,
        list(entry.emails),
        list(entry.phones),
        list(entry.moved_phones),
        entry.organization_filled,
        entry.merged_at,
        entry.merged_by,
    )
    for kind, table, owner in _MOVED:
        # Plan: an index of each table begins with the customer.
        await tx.execute(
            f"with moved as (update {table} set {owner} = $2 where {owner} = $1 returning id)"
            " insert into customer_merge_moves (merge_id, kind, moved_id) select $3, $4, id from moved",
            entry.customer_id,
            entry.into_id,
            entry.id,
            kind,
        )


async def move_back(tx: Transaction, entry: MergeEntry, actor: str | None) -> None:
    """Give back what the ledger says, and mark the entry as undone. Both customers are locked.

    What meanwhile belongs to a third customer stays there.
    """
    for kind, table, owner in _MOVED:
        await tx.execute(
            f"update {table} set {owner} = $1 from customer_merge_moves as moves"
            f" where moves.merge_id = $3 and moves.kind = $4 and {table}.id = moves.moved_id and {table}.{owner} = $2",
            entry.customer_id,
            entry.into_id,
            entry.id,
            kind,
        )
    await tx.execute("update customer_merges set undone_at = $2, undone_by = $3 where id = $1", entry.id, tx.now, actor)


async def standing_merge(reader: Reader, customer_id: UUID) -> MergeEntry | None:
    """The merge of this customer that was not undone."""
    row = await reader.fetchrow(
        f"select {_ENTRY} from customer_merges where customer_id = $1 and undone_at is null", customer_id
    )
    return None if row is None else _entry(row)


async def moved_tickets(reader: Reader, merge_id: UUID) -> int:
    """How many tickets a merge moved."""
    row = await reader.fetchrow(
        "select count(*) as tickets from customer_merge_moves where merge_id = $1 and kind = 'ticket'", merge_id
    )
    return 0 if row is None else int(row["tickets"])


async def newest_consents_of(reader: Reader, customer_id: UUID) -> tuple[Consent, ...]:
    """The newest statement of each purpose, by purpose."""
    rows = await reader.fetch(
        "select distinct on (purpose) purpose, given, at, source from customer_consents where customer_id = $1"
        " order by purpose, at desc, id desc",
        customer_id,
    )
    return tuple(Consent(**row) for row in rows)


def _entry(row: Any) -> MergeEntry:
    lists = {name: tuple(row[name]) for name in ("emails", "phones", "moved_phones")}
    return MergeEntry(**{**row, **lists})
