"""What the rows of a file do to customers: each registers one, changes one, changes nothing, or is refused. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from opora_intake.domain.contacts import MOST_ADDRESSES, without_twins
from opora_intake.domain.customer import (
    Consent,
    Customer,
    Purpose,
    advanced,
    email_domain,
    newest_consents,
)
from opora_intake.domain.customer_files import CustomerRow, RefusedRow


@dataclass(slots=True)
class Register:
    """The customers whom some rows name, and what became of them so far. Every customer is locked or new."""

    now: datetime
    source: str
    """Whence consents are known."""
    customers: dict[UUID, Customer]
    owners: dict[str, UUID]
    """Who has each address, in lower case."""
    organizations: frozenset[UUID]
    domains: Mapping[str, UUID]
    """Which organisation owns each e-mail domain."""
    registered: list[UUID] = field(default_factory=list)
    states: list[Customer] = field(default_factory=list)
    """Every new state, in order: each is a fact."""
    statements: list[tuple[UUID, Consent]] = field(default_factory=list)
    changed: int = 0
    unchanged: int = 0

    def apply(self, line: int, row: CustomerRow, new_id: UUID) -> RefusedRow | None:
        """Carry out one row; None unless it is refused. The same row again changes nothing."""
        if row.organization_id is not None and row.organization_id not in self.organizations:
            return RefusedRow(
                line, "organization_id", f"There is no organization {row.organization_id}", "register it first"
            )
        known = self._found(line, row)
        if isinstance(known, RefusedRow):
            return known
        if known is None:
            return self._register(line, row, new_id)
        return self._change(line, row, known)

    def _found(self, line: int, row: CustomerRow) -> Customer | RefusedRow | None:
        named = self.customers.get(row.id) if row.id is not None else None
        owners = {self.owners[email.lower()] for email in row.emails if email.lower() in self.owners}
        people = owners if named is None else owners | {named.id}
        if named is not None and named.merged_into is not None:
            return RefusedRow(line, "id", f"{named.id} was merged into {named.merged_into}", "leave the row out")
        if len(people) > 1:
            told = " and ".join(str(one) for one in sorted(people))
            reason = f"The row is about more than one customer: {told}"
            return RefusedRow(line, "emails", reason, "merge them if they are one person, else take an address away")
        if people:
            return self.customers[people.pop()]
        if row.emails:
            return None
        same = [one for one in self.customers.values() if _is_named_so(one, row)]
        if len(same) > 1:
            return RefusedRow(line, "phones", f"{len(same)} customers have this name and phone", "give the id")
        return same[0] if same else None

    def _register(self, line: int, row: CustomerRow, new_id: UUID) -> RefusedRow | None:
        if row.name is None:
            return RefusedRow(line, "name", "A new customer needs a name", "give 1 to 200 characters")
        if not row.emails and not row.phones:
            return RefusedRow(
                line,
                "emails",
                "Nothing tells by which the customer is found again",
                "give an address, a phone, or the id of a customer who exists",
            )
        owner = next((self.domains[d] for email in row.emails if (d := email_domain(email)) in self.domains), None)
        consents = self._news(row, ())
        customer = Customer(
            id=new_id,
            name=row.name,
            emails=row.emails,
            phones=row.phones,
            language=row.language or "en",
            time_zone=row.time_zone or "UTC",
            organization_id=row.organization_id or owner,
            consents=newest_consents(*consents),
            version=1,
            last_time=self.now,
        )
        self.registered.append(customer.id)
        self._keep(customer, consents)
        return None

    def _change(self, line: int, row: CustomerRow, known: Customer) -> RefusedRow | None:
        news = self._news(row, known.consents)
        after = replace(
            known,
            name=row.name or known.name,
            emails=without_twins((*known.emails, *row.emails)),
            phones=without_twins((*known.phones, *row.phones)),
            language=row.language or known.language,
            time_zone=row.time_zone or known.time_zone,
            organization_id=row.organization_id or known.organization_id,
            consents=newest_consents(*known.consents, *news),
        )
        for name, contacts in (("emails", after.emails), ("phones", after.phones)):
            if len(contacts) > MOST_ADDRESSES:
                reason = f"Customer {known.id} would have {len(contacts)} {name}, at most {MOST_ADDRESSES} are possible"
                return RefusedRow(line, name, reason, "remove some first")
        if after == known:
            self.unchanged += 1
            return None
        self.changed += 1
        self._keep(advanced(known, after, self.now), news)
        return None

    def _news(self, row: CustomerRow, known: Iterable[Consent]) -> list[Consent]:
        said = {one.purpose: one.given for one in known}
        given = {purpose.value: getattr(row, purpose.value) for purpose in Purpose}
        return [
            Consent(purpose, answer == "given", self.now, self.source)
            for purpose, answer in given.items()
            if answer is not None and said.get(purpose) != (answer == "given")
        ]

    def _keep(self, customer: Customer, consents: Iterable[Consent]) -> None:
        self.customers[customer.id] = customer
        self.owners |= {email.lower(): customer.id for email in customer.emails}
        self.states.append(customer)
        self.statements += [(customer.id, consent) for consent in consents]


def _is_named_so(customer: Customer, row: CustomerRow) -> bool:
    is_alone = customer.merged_into is None
    return is_alone and customer.name == row.name and bool(set(customer.phones) & set(row.phones))
