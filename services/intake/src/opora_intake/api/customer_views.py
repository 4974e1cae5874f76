"""What intake answers with about customers and organisations."""

from datetime import date, datetime
from uuid import UUID

from opora_intake.api.views import View
from opora_intake.domain import Consent, Customer, Organization
from opora_intake.handlers.merging import MergeOutcome


class ConsentView(View):
    """What the customer said last about one purpose."""

    purpose: str
    given: bool
    at: datetime
    """When it was given, or withdrawn."""
    source: str
    """Where that is known from."""


class UndeliverableView(View):
    """An address to which letters come back for good: notify writes to it no more."""

    address: str
    status: str
    """Why, by RFC 3463: `5.1.1` is a mailbox that does not exist."""
    diagnostic: str
    """What the mail server said."""
    since: datetime


class CustomerView(View):
    """A customer as it stands."""

    id: UUID
    name: str
    email: str | None
    """The address that is written to: the first of `emails`."""
    emails: list[str]
    phones: list[str]
    """E.164; the first is the one to call."""
    language: str
    time_zone: str
    organization_id: UUID | None
    consents: list[ConsentView]
    undeliverable: list[UndeliverableView]
    """Those of `emails` that letters come back from; a letter from there ends that, or
    `POST /v1/customers/{customer_id}/deliverable`."""
    merged_into: UUID | None
    """Who this is by now. The record holds nothing of its own any more; its id goes on to work."""
    version: int


class StatementView(ConsentView):
    """What the customer said at some time about one purpose."""

    id: UUID
    recorded_at: datetime
    recorded_by: str | None


class NoteView(View):
    """What an agent keeps in mind about a customer."""

    id: UUID
    body: str
    author: str | None
    written_at: datetime


class MergeView(View):
    """Both records after a merge or its undoing."""

    customer: CustomerView
    into: CustomerView
    tickets: int
    """How many tickets went over, or back."""


class OrganizationView(View):
    """An organisation as it stands."""

    id: UUID
    name: str
    tier: str | None
    time_zone: str
    contract_number: str | None
    contract_valid_from: date | None
    contract_valid_until: date | None
    domains: list[str]
    version: int


def customer_view(customer: Customer, merged_into: UUID | None = None) -> CustomerView:
    """The customer for callers; `merged_into` is the end of its merges, where that is not the next one."""
    view = CustomerView.model_validate(customer)
    return view if merged_into is None else view.model_copy(update={"merged_into": merged_into})


def merge_view(outcome: MergeOutcome) -> MergeView:
    """What a merge did, for callers."""
    return MergeView(
        customer=customer_view(outcome.customer), into=customer_view(outcome.into), tickets=outcome.tickets
    )


def consent_view(consent: Consent) -> ConsentView:
    """The statement for callers."""
    return ConsentView.model_validate(consent)


def organization_view(organization: Organization) -> OrganizationView:
    """The organisation for callers."""
    return OrganizationView.model_validate(organization)
