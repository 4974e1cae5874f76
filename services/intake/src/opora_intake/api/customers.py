"""Customers and organisations over HTTP."""

import re
from typing import Annotated
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_contracts.fact import Identifier, Language, ShortText
from opora_intake.api import examples
from opora_intake.api.dependencies import CustomerWrite, ReadCustomers, broken_rules_as_problems
from opora_intake.api.views import CustomerView, OrganizationView, customer_view, organization_view
from opora_intake.domain.commands import EmailAddress
from opora_intake.handlers import customers as handlers
from opora_intake.store import customers as store

router = APIRouter(prefix="/v1", tags=["customers"])

_DOMAIN_TAKEN = "Another organisation has one of these e-mail domains."
_ZONES = frozenset(available_timezones())
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError("no time zone of the IANA database, such as Europe/Berlin")
    return name


def _clean_domains(domains: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = {domain.strip().lower() for domain in domains}
    for domain in cleaned:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"{domain!r} is no e-mail domain such as example.com")
    return tuple(sorted(cleaned))


TimeZone = Annotated[Identifier, AfterValidator(_known_zone)]
Domains = Annotated[tuple[str, ...], Field(max_length=50), AfterValidator(_clean_domains)]


class NewCustomer(Input):
    """A person to be registered. With an address that is known, that person is changed to this."""

    name: ShortText
    email: EmailAddress | None = None
    language: Language = "en"
    time_zone: TimeZone = "UTC"
    organization_id: UUID | None = None
    """Absent: the organisation that owns the address's domain, if any."""


class CustomerChanges(Input):
    """What to change. An absent field keeps its value; null removes an address or the organisation."""

    name: ShortText | None = None
    email: EmailAddress | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    organization_id: UUID | None = None


class NewOrganization(Input):
    """An organisation to be registered."""

    name: ShortText
    tier: Identifier | None = None
    """The level of service that was agreed, such as gold."""
    time_zone: TimeZone = "UTC"
    domains: Domains = ()
    """Whoever writes from one of these e-mail domains belongs to the organisation."""


class OrganizationChanges(Input):
    """What to change. An absent field keeps its value; null removes the tier."""

    name: ShortText | None = None
    tier: Identifier | None = None
    time_zone: TimeZone | None = None
    domains: Domains | None = None


_NULLABLE = frozenset({"email", "organization_id", "tier"})


def _changes(body: CustomerChanges | OrganizationChanges) -> dict[str, object]:
    given = body.model_dump(exclude_unset=True)
    return {name: value for name, value in given.items() if value is not None or name in _NULLABLE}


@router.post("/customers", status_code=201, response_model=CustomerView, summary="Register a customer")
@shown(examples.CUSTOMER, examples.NEW_CUSTOMERS)
async def post_customer(body: NewCustomer, call: CustomerWrite) -> Response:
    """Register a customer, or change the one who has this address."""

    async def work(tx: Transaction) -> CustomerView:
        fields = body.model_dump(exclude_unset=True)
        return customer_view(await handlers.register_customer(tx, fields, call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/customers", summary="List customers")
@shown(examples.page(examples.CUSTOMER))
async def list_customers(
    platform: PlatformDependency,
    _caller: ReadCustomers,
    email: str | None = None,
    organization_id: UUID | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[CustomerView]:
    """Customers, newest first."""
    position = decode_cursor(cursor, before=UUID) or {"before": None}
    customers = await store.list_customers(
        platform.database, limit=limit + 1, email=email, organization_id=organization_id, **position
    )
    return page_of([customer_view(one) for one in customers], limit, lambda one: {"before": one.id})


@router.get("/customers/{customer_id}", summary="Read a customer")
@shown(examples.CUSTOMER)
async def get_customer(customer_id: UUID, platform: PlatformDependency, _caller: ReadCustomers) -> CustomerView:
    """One customer."""
    found = await store.customers_by_id(platform.database, [customer_id])
    if customer_id not in found:
        raise NotFound("customer", customer_id)
    return customer_view(found[customer_id])


@router.patch("/customers/{customer_id}", response_model=CustomerView, summary="Change a customer")
@shown(examples.CHANGED_CUSTOMER, examples.CUSTOMER_CHANGES, conflict="Another customer has this address.")
async def patch_customer(customer_id: UUID, body: CustomerChanges, call: CustomerWrite) -> Response:
    """Change a customer."""

    async def work(tx: Transaction) -> CustomerView:
        return customer_view(await handlers.change_customer(tx, customer_id, _changes(body), call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/organizations", status_code=201, response_model=OrganizationView, summary="Register an organisation")
@shown(examples.ORGANIZATION, examples.NEW_ORGANIZATIONS, conflict=_DOMAIN_TAKEN)
async def post_organization(body: NewOrganization, call: CustomerWrite) -> Response:
    """Register an organisation."""

    async def work(tx: Transaction) -> OrganizationView:
        return organization_view(await handlers.register_organization(tx, body.model_dump(), call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/organizations", summary="List organisations")
@shown(examples.page(examples.ORGANIZATION))
async def list_organizations(
    platform: PlatformDependency, _caller: ReadCustomers, limit: Limit = 50, cursor: str | None = None
) -> Page[OrganizationView]:
    """Organisations, newest first."""
    position = decode_cursor(cursor, before=UUID) or {"before": None}
    organizations = await store.list_organizations(platform.database, limit=limit + 1, **position)
    return page_of([organization_view(one) for one in organizations], limit, lambda one: {"before": one.id})


@router.get("/organizations/{organization_id}", summary="Read an organisation")
@shown(examples.ORGANIZATION)
async def get_organization(
    organization_id: UUID, platform: PlatformDependency, _caller: ReadCustomers
) -> OrganizationView:
    """One organisation."""
    found = await store.organizations_by_id(platform.database, [organization_id])
    if organization_id not in found:
        raise NotFound("organization", organization_id)
    return organization_view(found[organization_id])


@router.patch("/organizations/{organization_id}", response_model=OrganizationView, summary="Change an organisation")
@shown(examples.CHANGED_ORGANIZATION, examples.ORGANIZATION_CHANGES, conflict=_DOMAIN_TAKEN)
async def patch_organization(organization_id: UUID, body: OrganizationChanges, call: CustomerWrite) -> Response:
    """Change an organisation. Tickets that exist keep the tier of the moment in which they were opened."""

    async def work(tx: Transaction) -> OrganizationView:
        changed = await handlers.change_organization(tx, organization_id, _changes(body), call.caller.actor)
        return organization_view(changed)

    with broken_rules_as_problems():
        return await call.run(work)
