"""Merging and its undoing: whatever is merged and taken apart, everybody has what they had."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from opora_intake.domain.contacts import checked_email, checked_phone
from opora_intake.domain.customer import Consent, Customer, changed_customer, newest_consents
from opora_intake.domain.merging import AlreadyMerged, MergeEntry, SameCustomer, merge, unmerge

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PHONES = ("+4930901820", "+4940428280", "+16502530000")
MOST = st.integers(0, 3)


class Merging(RuleBasedStateMachine):
    """Four people, merged and taken apart in any order, beside a model that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.people: dict[int, Customer] = {}
        self.before: list[tuple[MergeEntry, Customer, Customer]] = []
        for n in range(4):
            self.people[n] = Customer(
                id=UUID(int=n + 1),
                name=f"P{n}",
                emails=(f"p{n}@example.com", f"q{n}@example.com")[: n % 3],
                phones=PHONES[: n % 4],
                organization_id=uuid4() if n % 2 else None,
                consents=(Consent("surveys", bool(n % 2), NOON + timedelta(hours=n), f"c{n}"),),
                version=1,
                last_time=NOON,
            )
        self.addresses = {email for one in self.people.values() for email in one.emails}

    def put(self, *customers: Customer) -> None:
        """Keep the new states."""
        for one in customers:
            self.people[one.id.int - 1] = one

    @rule(n=MOST, into=MOST)
    def merges(self, n: int, into: int) -> None:
        """One into another, or a refusal that changes nothing."""
        self.now += timedelta(minutes=1)
        one, other = self.people[n], self.people[into]
        try:
            merged = merge(one, other, self.now, merge_id=uuid4(), actor=None)
        except (AlreadyMerged, SameCustomer):
            assert n == into or one.merged_into or other.merged_into
            return
        assert (merged.customer.version, merged.into.version) == (one.version + 1, other.version + 1)
        self.before.append((merged.entry, one, other))
        self.put(merged.customer, merged.into)

    @rule()
    def takes_the_last_one_apart(self) -> None:
        """What was merged last stands as it stood before."""
        if not self.before:
            return
        entry, one, other = self.before.pop()
        self.now += timedelta(minutes=1)
        customer, into = self.people[entry.customer_id.int - 1], self.people[entry.into_id.int - 1]
        parted = unmerge(customer, into, entry, self.now, consents=one.consents, into_consents=other.consents)
        for after, was in ((parted.customer, one), (parted.into, other)):
            assert replace(after, version=was.version, last_time=was.last_time) == was
        self.put(parted.customer, parted.into)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """Every address belongs to exactly one person who stands alone."""
        kept = [email for one in self.people.values() for email in one.emails]
        assert sorted(kept) == sorted(self.addresses)
        assert all(not one.emails and not one.phones for one in self.people.values() if one.merged_into)


def test_no_order_of_merges_and_undoings_loses_or_doubles_anything() -> None:
    """Whatever is merged and taken apart, each address has one owner, and whoever is taken apart has what they had."""
    run_state_machine_as_test(Merging)


def test_what_came_since_stays_where_it_came() -> None:
    """An address that the other one got after the merge is no part of its undoing, nor is a new organisation."""
    one = Customer(id=uuid4(), name="A", emails=("a@x.example",), organization_id=uuid4(), version=1, last_time=NOON)
    other = Customer(id=uuid4(), name="B", emails=("b@x.example",), version=1, last_time=NOON)
    merged = merge(one, other, NOON, merge_id=uuid4(), actor=None)
    assert merged.into.organization_id == one.organization_id
    company = uuid4()
    grown = changed_customer(
        merged.into, {"emails": ("c@x.example", *merged.into.emails), "organization_id": company}, NOON
    )
    assert grown is not None
    parted = unmerge(merged.customer, grown, merged.entry, NOON, consents=(), into_consents=())
    assert parted.customer.emails == ("a@x.example",)
    assert parted.into.emails == ("c@x.example", "b@x.example")
    assert parted.into.organization_id == company


def test_of_two_consents_the_newer_holds() -> None:
    """Whoever withdrew last has withdrawn, whichever record it stood on."""
    given = Consent("surveys", given=True, at=NOON, source="portal")
    withdrawn = Consent("surveys", given=False, at=NOON + timedelta(days=1), source="call")
    assert newest_consents(withdrawn, given) == newest_consents(given, withdrawn) == (withdrawn,)


@pytest.mark.parametrize("text", ["+49 30 901820", "+49(0)30-901820", "tel:+49-30-901820", "＋４９30901820"])
def test_a_phone_has_one_spelling(text: str) -> None:
    """E.164, however it was written."""
    assert checked_phone(text) == "+4930901820"


@pytest.mark.parametrize(
    "text", ["030 901820", "+49 30 901820 ext. 3", "+999 1234567", "+1 555 000 0000", "", "x" * 1000]
)
def test_what_is_no_phone_says_what_to_write(text: str) -> None:
    """Without a country's code, with an extension, in no numbering plan."""
    with pytest.raises(ValueError, match="phone number"):
        checked_phone(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" Anna@EXAMPLE.com ", "Anna@example.com"),
        ("anna@intranet.local", "anna@intranet.local"),
        ("x@xn--mller-kva.example", "x@müller.example"),
        ('"a b"@example.com', '"a b"@example.com'),
    ],
)
def test_an_address_has_one_spelling(text: str, kept: str) -> None:
    """The domain in lower case and Unicode, the local part as it was; intranets have addresses too."""
    assert checked_email(text) == kept


@pytest.mark.parametrize(
    "text", ["nobody", "a@b@c", "a b@example.com", "a@", "@example.com", f"{'a' * 200}@example.com"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing that a letter could not be sent to is kept."""
    with pytest.raises(ValueError, match="address"):
        checked_email(text)
