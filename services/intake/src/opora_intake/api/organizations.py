"""Organisations over HTTP."""

import re
from datetime import date
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field, model_validator
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_contracts.fact import Identifier, ShortText
from opora_intake.api import customer_examples as examples
from opora_intake.api.customer_views import OrganizationView, organization_view
from opora_intake.api.dependencies import CustomerWrite, ReadCustomers, broken_rules_as_problems
from opora_intake.domain.zones import TimeZone
from opora_intake.handlers import organizations as handlers
from opora_intake.store import organizations as store

router = APIRouter(prefix="/v1", tags=["customers"])

_DOMAIN_TAKEN = "Another organisation has one of these e-mail domains."
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def _clean_domains(domains: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = {domain.strip().lower() for domain in domains}
    for domain in cleaned:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"{domain!r} is no e-mail domain such as example.com")
    return tuple(sorted(cleaned))


Domains = Annotated[tuple[str, ...], Field(max_length=50), AfterValidator(_clean_domains)]


class _Contract(Input):
    tier: Identifier | None = None
    """The level of service that was agreed, such as gold."""
    contract_number: Identifier | None = None
    contract_valid_from: date | None = None
    """The first day of the contract."""
    contract_valid_until: date | None = None
    """The last day of the contract."""

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        first, last = self.contract_valid_from, self.contract_valid_until
        if first is not None and last is not None and last < first:
            raise ValueError(f"the contract ends on {last}, before it begins on {first}")
        return self


class NewOrganization(_Contract):
    """An organisation to be registered."""

    name: ShortText
    time_zone: TimeZone = "UTC"
    domains: Domains = ()
    """Whoever writes from one of these e-mail domains belongs to the organisation."""


class OrganizationChanges(_Contract):
    """What to change. An absent field keeps its value; null removes the tier, or a fact of the contract."""

    name: ShortText | None = None
    time_zone: TimeZone | None = None
    domains: Domains | None = None

    def changes(self) -> dict[str, Any]:
        """What was given."""
        given = self.model_dump(exclude_unset=True)
        return {name: value for name, value in given.items() if value is not None or name in _NULLABLE}


_NULLABLE = frozenset(_Contract.model_fields)


class OrganizationQuery(Input):
    """Which organisations to list: those that match every given filter."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The beginning of the name, in any letter case."""
    domain: str | None = None
    """The owner of this e-mail domain."""
    tier: str | None = None
    limit: Limit = 50
    cursor: str | None = None


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
    query: Annotated[OrganizationQuery, Query()], platform: PlatformDependency, _caller: ReadCustomers
) -> Page[OrganizationView]:
    """Organisations with their domains, tier and contract, newest first."""
    position = decode_cursor(query.cursor, before=UUID) or {"before": None}
    filters = query.model_dump(exclude={"limit", "cursor"})
    organizations = await store.list_organizations(platform.database, limit=query.limit + 1, **filters, **position)
    return page_of([organization_view(one) for one in organizations], query.limit, lambda one: {"before": one.id})


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
        changed = await handlers.change_organization(tx, organization_id, body.changes(), call.caller.actor)
        return organization_view(changed)

    with broken_rules_as_problems():
        return await call.run(work)
