"""Customers and organisations: registered, changed, and found for whoever asks for help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Customer, Open, Organization
from opora_intake.domain.customer import changed_customer, changed_organization, email_domain
from opora_intake.handlers.errors import AddressTaken, DomainTaken, Unknown, UnknownReference
from opora_intake.handlers.record import customer_event, organization_event
from opora_intake.store import customers as store


@dataclass(frozen=True, slots=True)
class Asked:
    """An opening, who asks for it, and in which trace."""

    opening: Open
    actor: str | None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Circle:
    """Who asks, as far as a batch of openings needs to know."""

    by_id: Mapping[UUID, Customer]
    by_email: Mapping[str, Customer]
    organizations: Mapping[UUID, Organization]

    def requester_of(self, opening: Open) -> Customer | None:
        """The person who asks. Raises UnknownReference for an id that nobody has."""
        if opening.requester_id is not None:
            requester = self.by_id.get(opening.requester_id)
            if requester is None:
                raise UnknownReference("requester_id", opening.requester_id)
            return requester
        return None if opening.requester_email is None else self.by_email[opening.requester_email.lower()]

    def organization_of(self, opening: Open) -> Organization | None:
        """The organisation named, or else the requester's. Raises UnknownReference for an id that none has."""
        if opening.organization_id is not None:
            organization = self.organizations.get(opening.organization_id)
            if organization is None:
                raise UnknownReference("organization_id", opening.organization_id)
            return organization
        requester = self.requester_of(opening)
        if requester is None or requester.organization_id is None:
            return None
        return self.organizations.get(requester.organization_id)


async def gather_circle(tx: Transaction, asked: Sequence[Asked]) -> Circle:
    """Everybody whom these openings name, in a few statements; unknown addresses are registered.

    A new person belongs to the organisation that the opening names, or to the one that owns the address's domain.
    """
    openings = [each.opening for each in asked]
    named = {each.opening.requester_email.lower(): each for each in reversed(asked) if each.opening.requester_email}
    addresses = [each.opening.requester_email for each in named.values() if each.opening.requester_email]
    by_email = await store.customers_by_email(tx, addresses)
    by_id = await store.customers_by_id(tx, {o.requester_id for o in openings if o.requester_id})
    owners = await store.domain_owners(tx, {email_domain(email) for email in named if email not in by_email})
    organization_ids = {o.organization_id for o in openings if o.organization_id}
    organization_ids |= {c.organization_id for c in (*by_email.values(), *by_id.values()) if c.organization_id}
    organizations = await store.organizations_by_id(tx, organization_ids | set(owners.values()))
    strangers = {
        stranger.id: (stranger, each)
        for email, each in named.items()
        if email not in by_email
        for stranger in [_stranger(tx, email, each.opening, owners, organizations)]
    }
    if strangers:
        by_email |= await _register(tx, strangers)
    return Circle(by_id, by_email, organizations)


def _stranger(
    tx: Transaction,
    email: str,
    opening: Open,
    owners: Mapping[str, UUID],
    organizations: Mapping[UUID, Organization],
) -> Customer:
    organization_id = opening.organization_id if opening.organization_id in organizations else None
    organization_id = organization_id or owners.get(email_domain(email))
    organization = organizations.get(organization_id) if organization_id else None
    return Customer(
        id=new_id(),
        name=opening.requester_name or (opening.requester_email or email).partition("@")[0],
        email=opening.requester_email,
        language=opening.language or "en",
        time_zone=organization.time_zone if organization else "UTC",
        organization_id=organization_id,
        version=1,
        last_time=tx.now,
    )


async def _register(tx: Transaction, strangers: Mapping[UUID, tuple[Customer, Asked]]) -> dict[str, Customer]:
    registered = await store.register_customers(tx, [customer for customer, _ in strangers.values()])
    for customer in registered:
        _, asked = strangers[customer.id]
        tx.emit(customer_event(customer, asked.actor, traceparent=asked.traceparent))
    known = {customer.email.lower(): customer for customer in registered if customer.email}
    missed = {c.email for c, _ in strangers.values() if c.email and c.email.lower() not in known}
    # Somebody else registered the same person between our look and our insert.
    return known | await store.customers_by_email(tx, missed)


async def register_customer(tx: Transaction, fields: Mapping[str, Any], actor: str | None) -> Customer:
    """A new customer, or the one who already has this address, changed to what the fields say.

    Raises UnknownReference for an organisation that does not exist.
    """
    email, organization_id = fields.get("email"), fields.get("organization_id")
    await _require_organization(tx, organization_id)
    if organization_id is None and email is not None:
        owners = await store.domain_owners(tx, [email_domain(email)])
        fields = {**fields, "organization_id": owners.get(email_domain(email))}
    registered = await store.register_customers(
        tx, [Customer(**{**fields, "id": new_id(), "version": 1, "last_time": tx.now})]
    )
    if registered:
        tx.emit(customer_event(registered[0], actor))
        return registered[0]
    known = await store.lock_customer_by_email(tx, email or "")
    if known is None:
        raise Unknown("customer", email or "")
    return await _save_changed(tx, known, {k: v for k, v in fields.items() if v is not None}, actor)


async def change_customer(
    tx: Transaction, customer_id: UUID, changes: Mapping[str, Any], actor: str | None
) -> Customer:
    """The customer with these fields. Raises Unknown, UnknownReference, or AddressTaken."""
    customer = await store.lock_customer(tx, customer_id)
    if customer is None:
        raise Unknown("customer", customer_id)
    await _require_organization(tx, changes.get("organization_id"))
    return await _save_changed(tx, customer, changes, actor)


async def _save_changed(tx: Transaction, customer: Customer, changes: Mapping[str, Any], actor: str | None) -> Customer:
    after = changed_customer(customer, changes, tx.now)
    if after is None:
        return customer
    try:
        await store.save_customer(tx, after)
    except asyncpg.UniqueViolationError as error:
        raise AddressTaken(after.email or "") from error
    tx.emit(customer_event(after, actor))
    return after


async def register_organization(tx: Transaction, fields: Mapping[str, Any], actor: str | None) -> Organization:
    """A new organisation. Raises DomainTaken when an e-mail domain belongs to another one."""
    organization = Organization(**{**fields, "id": new_id(), "version": 1, "last_time": tx.now})
    await _save_organization(tx, organization, actor)
    return organization


async def change_organization(
    tx: Transaction, organization_id: UUID, changes: Mapping[str, Any], actor: str | None
) -> Organization:
    """The organisation with these fields. Raises Unknown or DomainTaken."""
    organization = await store.lock_organization(tx, organization_id)
    if organization is None:
        raise Unknown("organization", organization_id)
    after = changed_organization(organization, changes, tx.now)
    if after is None:
        return organization
    await _save_organization(tx, after, actor)
    return after


async def _save_organization(tx: Transaction, organization: Organization, actor: str | None) -> None:
    owners = await store.domain_owners(tx, organization.domains)
    taken = tuple(domain for domain, owner in owners.items() if owner != organization.id)
    if taken:
        raise DomainTaken(taken)
    try:
        await store.save_organization(tx, organization)
    except asyncpg.UniqueViolationError as error:  # somebody else took one meanwhile
        raise DomainTaken(organization.domains) from error
    tx.emit(organization_event(organization, actor))


async def _require_organization(tx: Transaction, organization_id: UUID | None) -> None:
    if organization_id is not None and not await store.organizations_by_id(tx, [organization_id]):
        raise UnknownReference("organization_id", organization_id)
