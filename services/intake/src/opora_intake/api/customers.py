"""Customers over HTTP."""

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, model_validator
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_contracts.fact import Language, ShortText
from opora_intake.api import customer_examples as examples
from opora_intake.api.customer_views import CustomerView, customer_view
from opora_intake.api.dependencies import CustomerWrite, ReadCustomers, broken_rules_as_problems
from opora_intake.domain.contacts import CheckedEmail, CheckedPhone, Emails, Phones
from opora_intake.domain.zones import TimeZone
from opora_intake.handlers import customers as handlers
from opora_intake.store import customers as store

router = APIRouter(prefix="/v1", tags=["customers"])

_TAKEN = "An address belongs to another customer, or the customer was merged into another one."


class _Contacts(Input):
    email: CheckedEmail | None = None
    """The address that is written to. Either this or `emails`."""
    emails: Emails | None = None
    """All addresses, at most 20; the first is written to. Each belongs to one customer, whatever its letter case."""
    phones: Phones | None = None
    """All telephone numbers with their country codes, at most 20; the first is the one to call. Kept in E.164."""

    @model_validator(mode="after")
    def _says_addresses_once(self) -> Self:
        if {"email", "emails"} <= self.model_fields_set:
            raise ValueError("give email or emails, not both: the first of emails is the one that is written to")
        return self


class NewCustomer(_Contacts):
    """A person to be registered. With an address that is known, that person is changed to this."""

    name: ShortText
    language: Language = "en"
    time_zone: TimeZone = "UTC"
    organization_id: UUID | None = None
    """Absent: the organisation that owns an address's domain, if any."""

    def fields(self) -> dict[str, Any]:
        """What was given, by the domain's names."""
        given = self.model_dump(exclude_unset=True, exclude_none=True)
        if "email" in given:
            given["emails"] = (given.pop("email"),)
        return given


class CustomerChanges(_Contacts):
    """What to change. An absent field keeps its value; null removes the first address or the organisation."""

    name: ShortText | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    organization_id: UUID | None = None

    def changes(self) -> dict[str, Any]:
        """What was given, by the domain's names."""
        given = self.model_dump(exclude_unset=True)
        return {name: value for name, value in given.items() if value is not None or name in _NULLABLE}


_NULLABLE = frozenset({"email", "organization_id"})


class CustomerQuery(Input):
    """Which customers to list: those that match every given filter."""

    email: str | None = None
    """Any of the addresses, in any letter case."""
    phone: CheckedPhone | None = None
    """Any of the telephone numbers, with its country code."""
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The beginning of the name, in any letter case."""
    organization_id: UUID | None = None
    limit: Limit = 50
    cursor: str | None = None


@router.post("/customers", status_code=201, response_model=CustomerView, summary="Register a customer")
@shown(examples.CUSTOMER, examples.NEW_CUSTOMERS, conflict=_TAKEN)
async def post_customer(body: NewCustomer, call: CustomerWrite) -> Response:
    """Register a customer, or change the one who has one of these addresses."""

    async def work(tx: Transaction) -> CustomerView:
        return customer_view(await handlers.register_customer(tx, body.fields(), call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work, status=201)


@router.get("/customers", summary="List customers")
@shown(examples.page(examples.CUSTOMER))
async def list_customers(
    query: Annotated[CustomerQuery, Query()], platform: PlatformDependency, _caller: ReadCustomers
) -> Page[CustomerView]:
    """Customers, newest first; those who were merged into another one are left out."""
    position = decode_cursor(query.cursor, before=UUID) or {"before": None}
    filters = query.model_dump(exclude={"limit", "cursor"})
    customers = await store.list_customers(platform.database, limit=query.limit + 1, **filters, **position)
    return page_of([customer_view(one) for one in customers], query.limit, lambda one: {"before": one.id})


@router.get("/customers/{customer_id}", summary="Read a customer")
@shown(examples.CUSTOMER)
async def get_customer(customer_id: UUID, platform: PlatformDependency, _caller: ReadCustomers) -> CustomerView:
    """One customer. One who was merged is answered too, and `merged_into` says who that is now."""
    found = await store.customers_by_id(platform.database, [customer_id])
    if customer_id not in found:
        raise NotFound("customer", customer_id)
    if found[customer_id].merged_into is None:
        return customer_view(found[customer_id])
    survivors = await store.survivors_of(platform.database, [customer_id])
    return customer_view(found[customer_id], survivors.get(customer_id))


@router.patch("/customers/{customer_id}", response_model=CustomerView, summary="Change a customer")
@shown(examples.CHANGED_CUSTOMER, examples.CUSTOMER_CHANGES, conflict=_TAKEN)
async def patch_customer(customer_id: UUID, body: CustomerChanges, call: CustomerWrite) -> Response:
    """Change a customer. A list that is given replaces the one that was."""

    async def work(tx: Transaction) -> CustomerView:
        return customer_view(await handlers.change_customer(tx, customer_id, body.changes(), call.caller.actor))

    with broken_rules_as_problems():
        return await call.run(work)
