"""Addresses from which letters come back for good: marked by a proven report, cleared by hand or by a letter."""

from collections.abc import Sequence
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_contracts import NewEvent
from opora_contracts.customers import CustomerDeliverable, CustomerUndeliverable
from opora_contracts.mail_addresses import address_digest, is_address_at_fault
from opora_intake.domain import Customer
from opora_intake.domain.customer import advanced
from opora_intake.handlers.customers import locked_customer
from opora_intake.mail.letter import DeliveryFact
from opora_intake.store import customers as customer_store
from opora_intake.store import undeliverable as store
from opora_intake.store.undeliverable import UndeliverableAddress


async def mark_returned(
    tx: Transaction, participant_id: UUID, facts: Sequence[DeliveryFact], letter_id: UUID, actor: str
) -> None:
    """Mark those of the participant's addresses that a report names as failed for good, and tell of each.

    The report returned a letter that we wrote to this participant, which the caller has seen proven; what it says of
    other people's addresses marks nothing.
    """
    failed = [fact for fact in facts if fact.permanent and is_address_at_fault(fact.status)]
    survivors = await customer_store.survivors_of(tx, [participant_id]) if failed else {}
    if not survivors:
        return
    customer = (await customer_store.lock_customers(tx, survivors.values())).get(survivors[participant_id])
    if customer is None or customer.merged_into is not None:  # merged at this moment: the next report will find it
        return
    for fact in failed:
        mark = UndeliverableAddress(
            id=new_id(),
            address=fact.recipient,
            status=fact.status,
            diagnostic=fact.diagnostic,
            letter_id=letter_id,
            since=tx.now,
        )
        if customer.has_address(fact.recipient) and await store.mark_address(tx, mark):
            told = CustomerUndeliverable(
                customer_id=customer.id, address_digest=address_digest(fact.recipient), status=fact.status
            )
            customer = await _told(tx, customer, told, actor)


async def clear_address(tx: Transaction, customer_id: UUID, address: str, actor: str | None) -> Customer:
    """Write to the customer's address again; one that is not marked is left as it is. Raises Unknown, AlreadyMerged."""
    customer = await locked_customer(tx, customer_id)
    if not customer.has_address(address) or not await store.unmark_address(tx, address):
        return customer
    return await _told(tx, customer, _deliverable(customer, address), actor)


async def hear_from(tx: Transaction, address: str, actor: str) -> None:
    """A letter came from this address: where it was marked, it can be written to again."""
    if not await store.is_marked(tx, address):
        return
    owner = (await customer_store.customer_ids_by_email(tx, [address])).get(address.lower())
    customers = {} if owner is None else await customer_store.lock_customers(tx, [owner])
    if await store.unmark_address(tx, address):
        for customer in customers.values():
            await _told(tx, customer, _deliverable(customer, address), actor)


def _deliverable(customer: Customer, address: str) -> CustomerDeliverable:
    return CustomerDeliverable(customer_id=customer.id, address_digest=address_digest(address))


async def _told(
    tx: Transaction, customer: Customer, fact: CustomerDeliverable | CustomerUndeliverable, actor: str | None
) -> Customer:
    """The locked customer one version further, as it stands now, with the fact published under that version."""
    after = advanced(customer, customer, tx.now)
    await customer_store.save_customer(tx, after)
    tx.emit(NewEvent(data=fact, subject=str(after.id), sequence=after.version, time=after.last_time, actor=actor))
    return (await customer_store.customers_by_id(tx, [after.id]))[after.id]
