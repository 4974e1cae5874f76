"""Customers and organisations: whole-state records, each change of which is a fact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts.customers import (
    CustomerRegistered,
    CustomerUpdated,
    OrganizationRegistered,
    OrganizationUpdated,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A person who asks for help. `email` is unique whatever its letter case."""

    id: UUID
    name: str
    email: str | None = None
    language: str = "en"
    time_zone: str = "UTC"
    organization_id: UUID | None = None
    version: int
    last_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A company with agreed service levels. Whoever writes from one of `domains` belongs to it."""

    id: UUID
    name: str
    tier: str | None = None
    time_zone: str = "UTC"
    domains: tuple[str, ...] = ()
    version: int
    last_time: datetime


def changed_customer(customer: Customer, changes: Mapping[str, Any], now: datetime) -> Customer | None:
    """The customer with these fields, one version further; None when that changes nothing."""
    after = replace(customer, **changes)
    if after == customer:
        return None
    return replace(after, version=customer.version + 1, last_time=max(now, customer.last_time))


def changed_organization(organization: Organization, changes: Mapping[str, Any], now: datetime) -> Organization | None:
    """The organisation with these fields, one version further; None when that changes nothing."""
    after = replace(organization, **changes)
    if after == organization:
        return None
    return replace(after, version=organization.version + 1, last_time=max(now, organization.last_time))


def customer_fact(customer: Customer) -> CustomerRegistered | CustomerUpdated:
    """What the customer's newest version publishes."""
    fact_type = CustomerRegistered if customer.version == 1 else CustomerUpdated
    return fact_type(
        customer_id=customer.id,
        name=customer.name,
        email=customer.email,
        language=customer.language,
        time_zone=customer.time_zone,
        organization_id=customer.organization_id,
    )


def organization_fact(organization: Organization) -> OrganizationRegistered | OrganizationUpdated:
    """What the organisation's newest version publishes."""
    fact_type = OrganizationRegistered if organization.version == 1 else OrganizationUpdated
    return fact_type(
        organization_id=organization.id,
        name=organization.name,
        tier=organization.tier,
        time_zone=organization.time_zone,
    )


def email_domain(email: str) -> str:
    """The part after the @, in lower case; empty when there is none."""
    return email.rpartition("@")[2].lower() if "@" in email else ""
