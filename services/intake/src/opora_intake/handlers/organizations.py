"""Organisations: registered and changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Organization
from opora_intake.domain.customer import changed_organization
from opora_intake.handlers.errors import DomainTaken, Unknown
from opora_intake.handlers.record import organization_event
from opora_intake.store import organizations as store


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
