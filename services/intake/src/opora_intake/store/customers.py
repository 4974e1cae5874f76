"""Customers and organisations."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import Customer, Organization
from opora_intake.store.rows import Reader, customer_of, organization_of, rows_json

_CUSTOMER_COLUMNS = ("id", "name", "email", "language", "time_zone", "organization_id", "version", "last_time")
_CUSTOMER = ", ".join(_CUSTOMER_COLUMNS)
_CUSTOMER_RECORD = (
    "id uuid, name text, email text, language text, time_zone text, organization_id uuid, version bigint,"
    " last_time timestamptz"
)
_ORGANIZATION = (
    "id, name, tier, time_zone, version, last_time,"
    " array(select domain from organization_domains where organization_id = organizations.id order by domain)"
    " as domains"
)


async def register_customers(tx: Transaction, customers: Sequence[Customer]) -> list[Customer]:
    """Insert these and return the ones that were new: an address that is known by now inserts nothing.

    A concurrent registration of the same address is waited for, so that the caller sees it afterwards.
    """
    rows = await tx.fetch(
        f"insert into customers ({_CUSTOMER}) select {_CUSTOMER}"
        f" from json_to_recordset($1::text::json) as customer ({_CUSTOMER_RECORD}) order by lower(email), id"
        f" on conflict (lower(email)) do nothing returning {_CUSTOMER}",
        rows_json(customers),
    )
    return [customer_of(row) for row in rows]


async def customers_by_email(reader: Reader, emails: Collection[str]) -> dict[str, Customer]:
    """Known customers by the given addresses, each in lower case. Plan: index scan of customers_email per address.

    Who is the same is for the database's lower case to say, which differs from Python's in some letters (Σ, İ): hand
    the addresses over as they were written.
    """
    if not emails:
        return {}
    rows = await reader.fetch(
        "select wanted.email as wanted, customers.* from unnest($1::text[]) as wanted (email)"
        " join customers on lower(customers.email) = lower(wanted.email)",
        list(emails),
    )
    return {row["wanted"].lower(): Customer(**{name: row[name] for name in _CUSTOMER_COLUMNS}) for row in rows}


async def customers_by_id(reader: Reader, ids: Collection[UUID]) -> dict[UUID, Customer]:
    """Known customers among these."""
    if not ids:
        return {}
    rows = await reader.fetch(f"select {_CUSTOMER} from customers where id = any($1::uuid[])", list(ids))
    return {row["id"]: customer_of(row) for row in rows}


async def lock_customer(tx: Transaction, customer_id: UUID) -> Customer | None:
    """The customer, locked until the transaction ends."""
    row = await tx.fetchrow(f"select {_CUSTOMER} from customers where id = $1 for update", customer_id)
    return None if row is None else customer_of(row)


async def lock_customer_by_email(tx: Transaction, email: str) -> Customer | None:
    """The customer with this address, whatever its letter case, locked until the transaction ends."""
    row = await tx.fetchrow(f"select {_CUSTOMER} from customers where lower(email) = lower($1) for update", email)
    return None if row is None else customer_of(row)


async def save_customer(tx: Transaction, customer: Customer) -> None:
    """Overwrite a customer that this transaction has locked."""
    await tx.execute(
        "update customers set name = $2, email = $3, language = $4, time_zone = $5, organization_id = $6,"
        " version = $7, last_time = $8 where id = $1",
        customer.id,
        customer.name,
        customer.email,
        customer.language,
        customer.time_zone,
        customer.organization_id,
        customer.version,
        customer.last_time,
    )


async def list_customers(
    reader: Reader,
    *,
    limit: int,
    before: UUID | None = None,
    email: str | None = None,
    organization_id: UUID | None = None,
) -> list[Customer]:
    """Customers, newest first. Plan: backward scan of the primary key, or of customers_of_organization."""
    conditions, arguments = ["true"], list[Any]()
    for condition, value in (
        ("id < ${}", before),
        ("lower(email) = lower(${})", email),
        ("organization_id = ${}", organization_id),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(len(arguments)))
    rows = await reader.fetch(
        f"select {_CUSTOMER} from customers where {' and '.join(conditions)}"
        f" order by id desc limit ${len(arguments) + 1}",
        *arguments,
        limit,
    )
    return [customer_of(row) for row in rows]


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
    row = await tx.fetchrow(f"select {_ORGANIZATION} from organizations where id = $1 for update", organization_id)
    return None if row is None else organization_of(row)


async def save_organization(tx: Transaction, organization: Organization) -> None:
    """Insert or overwrite an organisation with its domains. Raises asyncpg.UniqueViolationError for a taken domain."""
    await tx.execute(
        "insert into organizations (id, name, tier, time_zone, version, last_time) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (id) do update set name = excluded.name, tier = excluded.tier, time_zone = excluded.time_zone,"
        " version = excluded.version, last_time = excluded.last_time",
        organization.id,
        organization.name,
        organization.tier,
        organization.time_zone,
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


async def list_organizations(reader: Reader, *, limit: int, before: UUID | None = None) -> list[Organization]:
    """Organisations, newest first."""
    rows = await reader.fetch(
        f"select {_ORGANIZATION} from organizations where $1::uuid is null or id < $1 order by id desc limit $2",
        before,
        limit,
    )
    return [organization_of(row) for row in rows]
