"""Organisations, with their e-mail domains."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import Organization
from opora_intake.store.rows import Reader, organization_of

_ORGANIZATION = (
    "id, name, tier, time_zone, contract_number, contract_valid_from, contract_valid_until, version, last_time,"
    " array(select domain from organization_domains where organization_id = organizations.id order by domain)"
    " as domains"
)


async def organizations_by_id(reader: Reader, ids: Collection[UUID]) -> dict[UUID, Organization]:
    """Known organisations among these."""
    if not ids:
        return {}
    rows = await reader.fetch(f"select {_ORGANIZATION} from organizations where id = any($1::uuid[])", list(ids))
    return {row["id"]: organization_of(row) for row in rows}


async def domain_owners(reader: Reader, domains: Collection[str]) -> dict[str, UUID]:
    """Which organisation owns each of these e-mail domains."""
    if not domains:
        return {}
    rows = await reader.fetch(
        "select domain, organization_id from organization_domains where domain = any($1::text[])", list(domains)
    )
    return {row["domain"]: row["organization_id"] for row in rows}


async def lock_organization(tx: Transaction, organization_id: UUID) -> Organization | None:
    """The organisation, locked until the transaction ends."""
    await tx.execute("select from organizations where id = $1 for update", organization_id)
    # Read behind the lock: what the locking statement itself would see of domains may be older than the wait.
    return (await organizations_by_id(tx, [organization_id])).get(organization_id)


async def save_organization(tx: Transaction, organization: Organization) -> None:
    """Insert or overwrite an organisation with its domains. Raises asyncpg.UniqueViolationError for a taken domain."""
    await tx.execute(
        "insert into organizations (id, name, tier, time_zone, contract_number, contract_valid_from,"
        " contract_valid_until, version, last_time) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " on conflict (id) do update set name = excluded.name, tier = excluded.tier, time_zone = excluded.time_zone,"
        " contract_number = excluded.contract_number, contract_valid_from = excluded.contract_valid_from,"
        " contract_valid_until = excluded.contract_valid_until,"
        " version = excluded.version, last_time = excluded.last_time",
        organization.id,
        organization.name,
        organization.tier,
        organization.time_zone,
        organization.contract_number,
        organization.contract_valid_from,
        organization.contract_valid_until,
        organization.version,
        organization.last_time,
    )
    domains = list(organization.domains)
    await tx.execute(
        "delete from organization_domains where organization_id = $1 and domain <> all($2::text[])",
        organization.id,
        domains,
    )
    # A domain of another organisation violates the primary key; one of its own is kept.
    await tx.execute(
        "insert into organization_domains (domain, organization_id) select domain, $1 from unnest($2::text[]) as domain"
        " where not exists (select from organization_domains known"
        " where known.domain = domain.domain and known.organization_id = $1)",
        organization.id,
        domains,
    )


async def list_organizations(
    reader: Reader,
    *,
    limit: int,
    before: UUID | None = None,
    name: str | None = None,
    domain: str | None = None,
    tier: str | None = None,
) -> list[Organization]:
    """Organisations, newest first; `name` is the beginning of the name in any letter case.

    Plan: backward scan of the primary key, filtered; there are few organisations.
    """
    conditions, arguments = ["true"], list[Any]()
    for condition, value in (
        ("id < ${}", before),
        ("starts_with(lower(name), lower(${}))", name),
        ("id = (select organization_id from organization_domains where domain = lower(${}))", domain),
        ("tier = ${}", tier),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    rows = await reader.fetch(
        f"select {_ORGANIZATION} from organizations where {' and '.join(conditions)}"
        f" order by id desc limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [organization_of(row) for row in rows]
