"""How decisions become durable: state, audit trail and outbox in one transaction, whatever asked for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts import Event, NewEvent
from opora_intake.domain import Customer, Decision, Organization
from opora_intake.domain.customer import customer_fact, organization_fact
from opora_intake.store import steps
from opora_intake.store import tickets as store


@dataclass(frozen=True, slots=True)
class Change:
    """One decision with who took it and why."""

    decision: Decision
    actor: str | None
    cause: Event[Any] | None = None
    import_id: UUID | None = None
    """Set on history: its facts carry the import."""
    traceparent: str | None = None
    """Of the request that asked for it, where a transaction carries out several."""


async def record_changes(tx: Transaction, changes: Sequence[Change]) -> None:
    """Save each ticket's last state, all messages, records and facts, and publish the facts in the given order.

    The tickets are new or locked by this transaction.
    """
    tickets = {change.decision.ticket.id: change.decision.ticket for change in changes}
    facts = [(fact, change.actor) for change in changes for fact in change.decision.facts]
    records = [change.decision.record for change in changes if change.decision.record is not None]
    messages = [change.decision.message for change in changes if change.decision.message is not None]
    if tickets:
        await store.save_tickets(tx, tickets.values())
    if facts:
        await store.add_timeline(tx, facts)
    if messages:
        await store.add_messages(tx, messages)
    if records:
        await steps.add_records(tx, records)
    tx.emit(
        *(
            NewEvent(
                data=fact.data,
                subject=str(change.decision.ticket.id),
                sequence=fact.sequence,
                time=fact.time,
                actor=change.actor,
                import_id=None if change.import_id is None else str(change.import_id),
                cause=change.cause,
                traceparent=change.traceparent,
            )
            for change in changes
            for fact in change.decision.facts
        )
    )


def customer_event(customer: Customer, actor: str | None, *, traceparent: str | None = None) -> NewEvent:
    """What the customer's newest version publishes."""
    return NewEvent(
        data=customer_fact(customer),
        subject=str(customer.id),
        sequence=customer.version,
        time=customer.last_time,
        actor=actor,
        traceparent=traceparent,
    )


def organization_event(organization: Organization, actor: str | None) -> NewEvent:
    """What the organisation's newest version publishes."""
    return NewEvent(
        data=organization_fact(organization),
        subject=str(organization.id),
        sequence=organization.version,
        time=organization.last_time,
        actor=actor,
    )
