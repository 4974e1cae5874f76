"""Facts about customers and organisations, published by intake on `opora.customers`, keyed by the id."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from opora_contracts.fact import Fact, Identifier, Instant, Language, Personal, ShortText

PhoneNumber = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{1,14}$")]
"""ITU-T E.164: a plus, the country's code, the number; nothing else."""


AddressDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Stands for an address that the reader may know: SHA-256 of it in lower case, as hexadecimal digits."""


class ConsentStatement(BaseModel):
    """What the customer said last about one purpose."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    purpose: Identifier
    """`surveys` or `newsletter`; more may come."""
    given: bool
    """False: withdrawn, or refused."""
    at: Instant


class CustomerFact(Fact):
    """Who a customer is, as of this fact: each fact holds the whole state."""

    customer_id: UUID
    name: Annotated[ShortText, Personal]
    email: Annotated[ShortText | None, Personal] = None
    language: Language = "en"
    time_zone: Identifier = "UTC"
    organization_id: UUID | None = None
    other_emails: Annotated[tuple[ShortText, ...], Personal] = ()
    """Further addresses by which the person is known; `email` is the one that is written to."""
    phones: Annotated[tuple[PhoneNumber, ...], Personal] = ()
    """The first is the one to call."""
    consents: tuple[ConsentStatement, ...] = ()
    """A purpose about which nothing was said is absent."""


class CustomerRegistered(CustomerFact, event_type="customer.registered"):
    """A person is known from now on."""


class CustomerUpdated(CustomerFact, event_type="customer.updated"):
    """The person's record was changed to this. After `customer.merged`: the person stands alone again."""


class CustomerMerged(Fact, event_type="customer.merged"):
    """Two records were one person: whoever names this customer means the other one from now on."""

    customer_id: UUID
    merged_into: UUID
    """It may itself be merged into another one: follow until one stands alone."""


class CustomerUndeliverable(Fact, event_type="customer.undeliverable"):
    """Letters to one of the customer's addresses come back for good: nobody should write to it any more."""

    customer_id: UUID
    address_digest: Annotated[AddressDigest, Personal]
    status: Identifier
    """Why, by RFC 3463: `5.1.1` is a mailbox that does not exist."""


class CustomerDeliverable(Fact, event_type="customer.deliverable"):
    """An address of which `customer.undeliverable` was told can be written to again."""

    customer_id: UUID
    address_digest: Annotated[AddressDigest, Personal]


class OrganizationFact(Fact):
    """What an organisation is, as of this fact: each fact holds the whole state."""

    organization_id: UUID
    name: ShortText
    tier: Identifier | None = None
    time_zone: Identifier = "UTC"
    contract_number: Identifier | None = None
    contract_valid_from: date | None = None
    """The first day of the contract; absent: without beginning."""
    contract_valid_until: date | None = None
    """The last day of the contract; absent: without end."""


class OrganizationRegistered(OrganizationFact, event_type="organization.registered"):
    """An organisation is known from now on."""


class OrganizationUpdated(OrganizationFact, event_type="organization.updated"):
    """The organisation's record was changed to this."""
