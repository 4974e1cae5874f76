"""Merging the records of one person, and taking them apart again."""

from dataclasses import dataclass
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Customer
from opora_intake.domain.merging import AlreadyMerged, Merged, NotMerged, merge, unmerge
from opora_intake.handlers.errors import AddressTaken, Unknown, UnknownReference
from opora_intake.handlers.record import customer_event
from opora_intake.store import customers as store
from opora_intake.store import merges


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    """Both records as they stand, and how many tickets the merge moved."""

    customer: Customer
    into: Customer
    tickets: int


async def merge_customers(tx: Transaction, customer_id: UUID, into_id: UUID, actor: str | None) -> MergeOutcome:
    """Let everything of one customer go over to another one; what is merged so already is left as it is.

    Both are locked in the order of their ids, so that of two merges that cross one waits and is refused then. Raises
    Unknown, UnknownReference, SameCustomer, AlreadyMerged or TooManyContacts.
    """
    locked = await store.lock_customers(tx, {customer_id, into_id})
    if customer_id not in locked:
        raise Unknown("customer", customer_id)
    if into_id not in locked:
        raise UnknownReference("into", into_id)
    customer, into = locked[customer_id], locked[into_id]
    standing = await merges.standing_merge(tx, customer_id)
    if standing is not None and standing.into_id == into_id:
        return MergeOutcome(customer, into, await merges.moved_tickets(tx, standing.id))
    merged = merge(customer, into, tx.now, merge_id=new_id(), actor=actor)
    await store.save_customer(tx, merged.customer)
    await store.save_customer(tx, merged.into)
    await merges.record_merge(tx, merged.entry)
    return await _told(tx, merged, actor)


async def unmerge_customer(tx: Transaction, customer_id: UUID, actor: str | None) -> MergeOutcome:
    """Give back exactly what the merge of this customer moved.

    Raises Unknown, NotMerged, AlreadyMerged when the other one was merged on, or AddressTaken when somebody else has
    got one of the addresses meanwhile; then nothing is changed.
    """
    found = await store.customers_by_id(tx, [customer_id])
    if customer_id not in found:
        raise Unknown("customer", customer_id)
    into_id = found[customer_id].merged_into
    if into_id is None:
        raise NotMerged(customer_id)
    locked = await store.lock_customers(tx, {customer_id, into_id})
    entry = await merges.standing_merge(tx, customer_id)
    if entry is None or entry.into_id != into_id:  # somebody was faster
        raise NotMerged(customer_id)
    customer, into = locked[customer_id], locked[into_id]
    if into.merged_into is not None:
        raise AlreadyMerged(into_id, into.merged_into)
    await merges.move_back(tx, entry, actor)
    separated = unmerge(
        customer,
        into,
        entry,
        tx.now,
        consents=await merges.newest_consents_of(tx, customer_id),
        into_consents=await merges.newest_consents_of(tx, into_id),
    )
    await store.save_customer(tx, separated.into)
    try:
        await store.save_customer(tx, separated.customer)
    except store.AddressesTakenError as taken:
        raise AddressTaken(taken.owners) from taken
    return await _told(tx, separated, actor)


async def _told(tx: Transaction, merged: Merged, actor: str | None) -> MergeOutcome:
    # First who has the addresses, then who has gone: a reader in between finds one of them at least.
    tx.emit(customer_event(merged.into, actor), customer_event(merged.customer, actor))
    stand = await store.customers_by_id(tx, [merged.customer.id, merged.into.id])  # with what is undeliverable now
    return MergeOutcome(
        stand[merged.customer.id], stand[merged.into.id], await merges.moved_tickets(tx, merged.entry.id)
    )
