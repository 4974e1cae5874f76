"""Two records of one person become one, and two again. Pure: what moves is said here and kept in a ledger."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from opora_intake.domain.contacts import MOST_ADDRESSES, without_twins
from opora_intake.domain.customer import Consent, Customer, advanced, newest_consents
from opora_intake.domain.errors import RuleBroken


@dataclass
class SameCustomer(RuleBroken):
    """A record cannot be merged into itself."""

    customer_id: UUID

    def __str__(self) -> str:
        return f"The customer {self.customer_id} is one record already: name another one in `into`"


@dataclass
class AlreadyMerged(RuleBroken):
    """The record stands for another customer by now."""

    customer_id: UUID
    merged_into: UUID

    def __str__(self) -> str:
        return f"The customer {self.customer_id} was merged into {self.merged_into}: use that one, or unmerge it first"


@dataclass
class NotMerged(RuleBroken):
    """There is nothing to take apart."""

    customer_id: UUID

    def __str__(self) -> str:
        return f"The customer {self.customer_id} is not merged into anybody"


@dataclass
class TooManyContacts(RuleBroken):
    """One customer would have more addresses or phones than it may."""

    what: str
    count: int

    def __str__(self) -> str:
        return f"Together they have {self.count} {self.what}, at most {MOST_ADDRESSES} are possible: remove some first"


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeEntry:
    """The ledger's entry of one merge."""

    id: UUID
    customer_id: UUID
    into_id: UUID
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    moved_phones: tuple[str, ...]
    organization_filled: UUID | None
    merged_at: datetime
    merged_by: str | None


@dataclass(frozen=True, slots=True)
class Merged:
    """Both records after a merge or its undoing, and the ledger's entry of it."""

    customer: Customer
    into: Customer
    entry: MergeEntry


def merge(customer: Customer, into: Customer, now: datetime, *, merge_id: UUID, actor: str | None) -> Merged:
    """Everything of `customer` goes over to `into`, whose own name, language, zone and first contacts stay.

    Of two consents to one purpose the newer holds. Raises SameCustomer, AlreadyMerged or TooManyContacts.
    """
    if customer.id == into.id:
        raise SameCustomer(customer.id)
    for one in (customer, into):
        if one.merged_into is not None:
            raise AlreadyMerged(one.id, one.merged_into)
    emails = without_twins((*into.emails, *customer.emails))
    phones = without_twins((*into.phones, *customer.phones))
    for what, contacts in (("addresses", emails), ("phones", phones)):
        if len(contacts) > MOST_ADDRESSES:
            raise TooManyContacts(what, len(contacts))
    filled = customer.organization_id if into.organization_id is None else None
    after = replace(
        into,
        emails=emails,
        phones=phones,
        consents=newest_consents(*customer.consents, *into.consents),
        organization_id=into.organization_id or filled,
    )
    emptied = replace(customer, emails=(), phones=(), consents=(), merged_into=into.id)
    entry = MergeEntry(
        id=merge_id,
        customer_id=customer.id,
        into_id=into.id,
        emails=customer.emails,
        phones=customer.phones,
        moved_phones=tuple(phone for phone in customer.phones if phone not in into.phones),
        organization_filled=filled,
        merged_at=now,
        merged_by=actor,
    )
    return Merged(advanced(customer, emptied, now), advanced(into, after, now), entry)


def unmerge(
    customer: Customer,
    into: Customer,
    entry: MergeEntry,
    now: datetime,
    *,
    consents: tuple[Consent, ...],
    into_consents: tuple[Consent, ...],
) -> Merged:
    """Everything that the merge moved goes back; what the other one got since stays with it.

    `consents` and `into_consents` are what holds once the statements have gone back. Raises AlreadyMerged when the
    other one was merged on meanwhile: that has to be taken apart first.
    """
    if into.merged_into is not None:
        raise AlreadyMerged(into.id, into.merged_into)
    going = {address.lower() for address in entry.emails}
    is_still_filled = entry.organization_filled is not None and into.organization_id == entry.organization_filled
    left = replace(
        into,
        emails=tuple(address for address in into.emails if address.lower() not in going),
        phones=tuple(phone for phone in into.phones if phone not in entry.moved_phones),
        organization_id=None if is_still_filled else into.organization_id,
        consents=into_consents,
    )
    restored = replace(customer, emails=entry.emails, phones=entry.phones, consents=consents, merged_into=None)
    return Merged(advanced(customer, restored, now), advanced(into, left, now), entry)
