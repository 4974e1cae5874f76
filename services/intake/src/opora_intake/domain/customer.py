"""Customers and organisations: whole-state records, each change of which is a fact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from opora_contracts.customers import (
    ConsentStatement,
    CustomerMerged,
    CustomerRegistered,
    CustomerUpdated,
    OrganizationRegistered,
    OrganizationUpdated,
)
from opora_intake.domain.contacts import without_twins
from opora_intake.domain.errors import RuleBroken


class Purpose(StrEnum):
    """What a customer may consent to."""

    SURVEYS = "surveys"
    NEWSLETTER = "newsletter"


@dataclass
class ContractEndsEarly(RuleBroken):
    """A contract lasts a day at least."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"The contract ends on {self.last}, before it begins on {self.first}: give a later end, or null for none"


@dataclass(frozen=True, slots=True)
class Consent:
    """What a customer said last about one purpose, and where that is known from."""

    purpose: str
    given: bool
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """An address to which letters come back for good, and what the server said of it."""

    address: str
    status: str
    """RFC 3463."""
    diagnostic: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A person who asks for help. Each address belongs to one customer, whatever its letter case."""

    id: UUID
    name: str
    emails: tuple[str, ...] = ()
    """The first is written to."""
    phones: tuple[str, ...] = ()
    """E.164; the first is called."""
    language: str = "en"
    time_zone: str = "UTC"
    organization_id: UUID | None = None
    consents: tuple[Consent, ...] = ()
    """The newest statement of each purpose, by purpose."""
    merged_into: UUID | None = None
    """Who this is in truth: the record holds nothing of its own any more."""
    undeliverable: tuple[Undeliverable, ...] = ()
    """Those of the addresses that letters come back from; kept beside the record, by address."""
    version: int
    last_time: datetime

    @property
    def email(self) -> str | None:
        """The address that is written to."""
        return self.emails[0] if self.emails else None

    def has_address(self, address: str) -> bool:
        """Whether the person is known by this address."""
        return address.casefold() in {email.casefold() for email in self.emails}


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A company with agreed service levels. Whoever writes from one of `domains` belongs to it."""

    id: UUID
    name: str
    tier: str | None = None
    time_zone: str = "UTC"
    contract_number: str | None = None
    contract_valid_from: date | None = None
    contract_valid_until: date | None = None
    domains: tuple[str, ...] = ()
    version: int
    last_time: datetime


def changed_customer(customer: Customer, changes: Mapping[str, Any], now: datetime) -> Customer | None:
    """The customer with these fields, one version further; None when that changes nothing.

    `email` replaces the first address and leaves the others; null takes the first one away.
    """
    fields = dict(changes)
    if "email" in fields:
        primary = fields.pop("email")
        fields["emails"] = without_twins((*(() if primary is None else (primary,)), *customer.emails[1:]))
    after = replace(customer, **fields)
    return None if after == customer else advanced(customer, after, now)


def advanced(before: Customer, after: Customer, now: datetime) -> Customer:
    """`after` as the version that follows `before`."""
    return replace(after, version=before.version + 1, last_time=max(now, before.last_time))


def with_further(customer: Customer, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a registration as changes of a customer who is known: lists lead, what was known stays behind them."""
    changes = {name: value for name, value in fields.items() if value is not None}
    for name, known in (("emails", customer.emails), ("phones", customer.phones)):
        if name in changes:
            changes[name] = without_twins((*changes[name], *known))
    return changes


def newest_consents(*statements: Consent) -> tuple[Consent, ...]:
    """The newest statement of each purpose, by purpose; of two at one instant the later one given."""
    newest: dict[str, Consent] = {}
    for statement in sorted(statements, key=lambda one: one.at):
        newest[statement.purpose] = statement
    return tuple(newest[purpose] for purpose in sorted(newest))


def changed_organization(organization: Organization, changes: Mapping[str, Any], now: datetime) -> Organization | None:
    """The organisation with these fields, one version further; None when nothing changes. Raises ContractEndsEarly."""
    after = replace(organization, **changes)
    if after == organization:
        return None
    first, last = after.contract_valid_from, after.contract_valid_until
    if first is not None and last is not None and last < first:
        raise ContractEndsEarly(first, last)
    return replace(after, version=organization.version + 1, last_time=max(now, organization.last_time))


def customer_fact(customer: Customer) -> CustomerRegistered | CustomerUpdated | CustomerMerged:
    """What the customer's newest version publishes."""
    if customer.merged_into is not None:
        return CustomerMerged(customer_id=customer.id, merged_into=customer.merged_into)
    fact_type = CustomerRegistered if customer.version == 1 else CustomerUpdated
    return fact_type(
        customer_id=customer.id,
        name=customer.name,
        email=customer.email,
        language=customer.language,
        time_zone=customer.time_zone,
        organization_id=customer.organization_id,
        other_emails=customer.emails[1:],
        phones=customer.phones,
        consents=tuple(ConsentStatement(purpose=one.purpose, given=one.given, at=one.at) for one in customer.consents),
    )


def organization_fact(organization: Organization) -> OrganizationRegistered | OrganizationUpdated:
    """What the organisation's newest version publishes."""
    fact_type = OrganizationRegistered if organization.version == 1 else OrganizationUpdated
    return fact_type(
        organization_id=organization.id,
        name=organization.name,
        tier=organization.tier,
        time_zone=organization.time_zone,
        contract_number=organization.contract_number,
        contract_valid_from=organization.contract_valid_from,
        contract_valid_until=organization.contract_valid_until,
    )


def email_domain(email: str) -> str:
    """The part after the @, in lower case; empty when there is none."""
    return email.rpartition("@")[2].lower() if "@" in email else ""
