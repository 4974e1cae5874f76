"""Customers: registered, changed, and found for whoever asks for help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Consent, Customer, Open, Organization
from opora_intake.domain.contacts import MOST_ADDRESSES
from opora_intake.domain.customer import advanced, changed_customer, email_domain, newest_consents, with_further
from opora_intake.domain.merging import AlreadyMerged, TooManyContacts
from opora_intake.handlers.errors import AddressTaken, FutureStatement, Unknown, UnknownReference
from opora_intake.handlers.record import customer_event
from opora_intake.store import customers as store
from opora_intake.store import organizations as organizations_store


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
    known = await store.customer_ids_by_email(tx, addresses)
    held = await store.hold_customers(tx, {*known.values(), *(o.requester_id for o in openings if o.requester_id)})
    by_email = {email: held[customer_id] for email, customer_id in known.items()}
    unknown_domains = {email_domain(email) for email in named if email not in by_email}
    owners = await organizations_store.domain_owners(tx, unknown_domains)
    organization_ids = {o.organization_id for o in openings if o.organization_id}
    organization_ids |= {c.organization_id for c in held.values() if c.organization_id}
    organizations = await organizations_store.organizations_by_id(tx, organization_ids | set(owners.values()))
    strangers = {
        stranger.id: (stranger, each)
        for email, each in named.items()
        if email not in by_email
        for stranger in [_stranger(tx, email, each.opening, owners, organizations)]
    }
    if strangers:
        by_email |= await _register(tx, strangers)
    return Circle(held, by_email, organizations)


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
        emails=() if opening.requester_email is None else (opening.requester_email,),
        language=opening.language or "en",
        time_zone=organization.time_zone if organization else "UTC",
        organization_id=organization_id,
        version=1,
        last_time=tx.now,
    )


async def _register(tx: Transaction, strangers: Mapping[UUID, tuple[Customer, Asked]]) -> dict[str, Customer]:
    registered = await store.register_strangers(tx, [customer for customer, _ in strangers.values()])
    for customer in registered:
        _, asked = strangers[customer.id]
        tx.emit(customer_event(customer, asked.actor, traceparent=asked.traceparent))
    known = {customer.email.lower(): customer for customer in registered if customer.email}
    missed = {c.email for c, _ in strangers.values() if c.email and c.email.lower() not in known}
    # Somebody else registered the same person between our look and our insert.
    others = await store.customer_ids_by_email(tx, missed)
    held = await store.hold_customers(tx, set(others.values()))
    return known | {email: held[customer_id] for email, customer_id in others.items()}


async def register_customer(tx: Transaction, fields: Mapping[str, Any], actor: str | None) -> Customer:
    """A new customer, or the one who already has one of these addresses, changed to what the fields say.

    Raises UnknownReference for an organisation that does not exist, AddressTaken for addresses of different customers.
    """
    emails: tuple[str, ...] = fields.get("emails", ())
    await _require_organization(tx, fields.get("organization_id"))
    owner = await organization_by_domain(tx, emails) if fields.get("organization_id") is None else None
    known = await _known_by_address(tx, emails)
    if known is not None:
        if known.organization_id is None and owner is not None:
            fields = {**fields, "organization_id": owner}
        return await _save_changed(tx, known, with_further(known, fields), actor)
    customer = Customer(**{"organization_id": owner, **fields, "id": new_id(), "version": 1, "last_time": tx.now})
    try:
        await store.insert_customers(tx, [customer])
    except store.AddressesTakenError as taken:
        # Somebody else registered the person at this moment; what we inserted goes with the transaction.
        raise AddressTaken(taken.owners) from taken
    tx.emit(customer_event(customer, actor))
    return customer


async def organization_by_domain(tx: Transaction, emails: Sequence[str]) -> UUID | None:
    """The organisation that owns the domain of the first of these addresses whose domain has an owner."""
    owners = await organizations_store.domain_owners(tx, [email_domain(email) for email in emails])
    return next((owners[domain] for email in emails if (domain := email_domain(email)) in owners), None)


async def _known_by_address(tx: Transaction, emails: Sequence[str]) -> Customer | None:
    owners = await store.customer_ids_by_email(tx, emails)
    if len(set(owners.values())) > 1:
        raise AddressTaken(owners)
    locked = await store.lock_customers(tx, set(owners.values()))
    for customer in locked.values():
        if customer.merged_into is not None:  # between our look and our lock
            raise AlreadyMerged(customer.id, customer.merged_into)
        return customer
    return None


async def change_customer(
    tx: Transaction, customer_id: UUID, changes: Mapping[str, Any], actor: str | None
) -> Customer:
    """The customer with these fields. Raises Unknown, UnknownReference, or AddressTaken."""
    customer = await locked_customer(tx, customer_id)
    await _require_organization(tx, changes.get("organization_id"))
    return await _save_changed(tx, customer, changes, actor)


async def locked_customer(tx: Transaction, customer_id: UUID) -> Customer:
    """The customer, locked. Raises Unknown, or AlreadyMerged for one that is another one by now."""
    customer = (await store.lock_customers(tx, [customer_id])).get(customer_id)
    if customer is None:
        raise Unknown("customer", customer_id)
    if customer.merged_into is not None:
        raise AlreadyMerged(customer_id, customer.merged_into)
    return customer


async def _save_changed(tx: Transaction, customer: Customer, changes: Mapping[str, Any], actor: str | None) -> Customer:
    after = changed_customer(customer, changes, tx.now)
    if after is None:
        return customer
    for what, contacts in (("addresses", after.emails), ("phones", after.phones)):
        if len(contacts) > MOST_ADDRESSES:
            raise TooManyContacts(what, len(contacts))
    try:
        await store.save_customer(tx, after)
    except store.AddressesTakenError as taken:
        raise AddressTaken(taken.owners) from taken
    tx.emit(customer_event(after, actor))
    return after


async def record_consent(tx: Transaction, customer_id: UUID, consent: Consent, actor: str | None) -> Customer:
    """The customer after a statement about a purpose; the statement that holds already is not recorded again.

    Raises Unknown, AlreadyMerged, or FutureStatement.
    """
    customer = await locked_customer(tx, customer_id)
    if consent.at > tx.now:
        raise FutureStatement(consent.at)
    return await keep_consents(tx, customer, [consent], actor)


async def keep_consents(
    tx: Transaction, customer: Customer, consents: Sequence[Consent], actor: str | None
) -> Customer:
    """The locked customer after these statements, of which those that hold already are left out."""
    said = {one.purpose: one for one in customer.consents}
    news = [one for one in consents if one != said.get(one.purpose)]
    if not news:
        return customer
    await store.add_statements(
        tx, [(new_id(), customer.id, one.purpose, one.given, one.at, one.source) for one in news], actor
    )
    after = replace(customer, consents=newest_consents(*customer.consents, *news))
    if after == customer:  # an older statement, for the record
        return customer
    after = advanced(customer, after, tx.now)
    await store.save_customer(tx, after)
    tx.emit(customer_event(after, actor))
    return after


async def _require_organization(tx: Transaction, organization_id: UUID | None) -> None:
    if organization_id is not None and not await organizations_store.organizations_by_id(tx, [organization_id]):
        raise UnknownReference("organization_id", organization_id)
