"""Facts about customers and organisations, published by intake on `opora.customers`, keyed by the id."""

from typing import Annotated
from uuid import UUID

from opora_contracts.fact import Fact, Identifier, Language, Personal, ShortText


class CustomerFact(Fact):
    """Who a customer is, as of this fact: each fact holds the whole state."""

    customer_id: UUID
    name: Annotated[ShortText, Personal]
    email: Annotated[ShortText | None, Personal] = None
    language: Language = "en"
    time_zone: Identifier = "UTC"
    organization_id: UUID | None = None


class CustomerRegistered(CustomerFact, event_type="customer.registered"):
    """A person is known from now on."""


class CustomerUpdated(CustomerFact, event_type="customer.updated"):
    """The person's record was changed to this."""


class OrganizationFact(Fact):
    """What an organisation is, as of this fact: each fact holds the whole state."""

    organization_id: UUID
    name: ShortText
    tier: Identifier | None = None
    time_zone: Identifier = "UTC"


class OrganizationRegistered(OrganizationFact, event_type="organization.registered"):
    """An organisation is known from now on."""


class OrganizationUpdated(OrganizationFact, event_type="organization.updated"):
    """The organisation's record was changed to this."""
