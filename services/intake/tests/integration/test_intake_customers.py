"""Customers over HTTP: addresses, phones, consents, notes; organisations with their contracts."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from opora_contracts.requests import TicketSubmitted
from opora_contracts.topics import CUSTOMERS
from services.intake.tests.integration.test_intake_requests import asked, ticket_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


def address(name: str = "anna") -> str:
    """An address that nobody has yet."""
    return f"{name}.{uuid4().hex}@Example.com"


async def test_a_customer_has_several_addresses_and_phones(desk: Any) -> None:
    """The first of each list leads; domains and numbers are kept in one spelling, and the fact tells them."""
    first, second = address(), address()
    customer = await desk.post(
        "/customers", {"name": "Anna", "emails": [first, second, first.upper()], "phones": ["+49 30 901820"]}
    )
    kept = [one.replace("Example.com", "example.com") for one in (first, second)]
    assert (customer["email"], customer["emails"]) == (kept[0], kept)
    assert customer["phones"] == ["+4930901820"]
    (fact,) = await desk.published(CUSTOMERS.name, customer["id"], 1)
    assert (fact.type, fact.data.email, fact.data.other_emails) == ("customer.registered", kept[0], (kept[1],))
    assert fact.data.phones == ("+4930901820",)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", "nobody", "no e-mail address such as anna@example.com"),
        ("phones", ["030 901820"], "with its country code, such as +49 30 901820"),
        ("phones", ["+1 555 000 0000"], "numbering plan"),
        ("emails", [f"a{n}@example.com" for n in range(21)], "at most 20"),
        ("phones", ["+4930901820"] * 21, "at most 20"),
        ("time_zone", "Mars/Olympus", "IANA"),
        ("language", "German", "pattern"),
    ],
)
async def test_what_cannot_be_a_contact_is_refused(desk: Any, field: str, value: Any, said: str) -> None:
    """The refusal names the field and says what to write instead."""
    problem = await desk.post("/customers", {"name": "Anna", field: value}, status=422)
    assert field in problem["errors"][0]["field"]
    assert said in problem["errors"][0]["rule"]


async def test_an_address_is_given_once(desk: Any) -> None:
    """Either `email` or `emails`: both might contradict each other."""
    problem = await desk.post("/customers", {"name": "A", "email": address(), "emails": [address()]}, status=422)
    assert "give email or emails, not both" in problem["detail"]


async def test_a_person_is_known_by_any_of_the_addresses(desk: Any) -> None:
    """A ticket over HTTP, one from Kafka and a registration find the person by a further address in any letter case."""
    first, second = address(), address("zweit")
    customer = await desk.post("/customers", {"name": "Anna", "emails": [first, second]})
    ticket = await desk.opened(requester_email=second.upper())
    assert ticket["requester_id"] == customer["id"]
    subject = uuid4().hex
    await desk.request(asked(subject, TicketSubmitted(title="x", requester_email=second)))
    assert (await ticket_of(desk, subject))["requester_id"] == customer["id"]
    again = await desk.post("/customers", {"name": "Anna B.", "email": second})
    assert (again["id"], again["name"]) == (customer["id"], "Anna B.")
    assert [one.lower() for one in again["emails"]] == [second.lower(), first.lower()]


async def test_an_address_belongs_to_one_customer(desk: Any) -> None:
    """Nobody gets an address of somebody else; the refusal says whose it is and what to do."""
    taken = address()
    owner = await desk.post("/customers", {"name": "Anna", "emails": [address(), taken]})
    other = await desk.post("/customers", {"name": "Boris", "email": address()})
    problem = await desk.patch(f"/customers/{other['id']}", {"emails": [taken.upper()]}, status=409)
    assert owner["id"] in problem["detail"]
    assert "merge them" in problem["detail"]
    problem = await desk.post("/customers", {"name": "C", "emails": [taken, other["email"]]}, status=409)
    assert owner["id"] in problem["detail"]
    assert other["id"] in problem["detail"]
    assert (await desk.get(f"/customers/{other['id']}"))["version"] == 1


async def test_the_first_address_is_changed_and_removed_alone(desk: Any) -> None:
    """`email` stands for the first of the list: another one replaces it, null lets the next one lead."""
    first, second, third = (address().lower() for _ in range(3))
    customer = await desk.post("/customers", {"name": "Anna", "emails": [first, second]})
    path = f"/customers/{customer['id']}"
    assert (await desk.patch(path, {"email": third}))["emails"] == [third, second]
    assert (await desk.patch(path, {"email": None}))["emails"] == [second]
    freed = await desk.post("/customers", {"name": "Boris", "email": first})
    assert freed["id"] != customer["id"]
    assert (await desk.patch(path, {"emails": []}))["email"] is None


async def test_customers_are_found_by_address_phone_and_name(desk: Any) -> None:
    """Any address in any letter case, any phone in any spelling, the beginning of the name; wildcards are letters."""
    mark = uuid4().hex
    phone = f"+4930{int(mark[:7], 16) % 10_000_000:07d}"
    customer = await desk.post(
        "/customers", {"name": f"{mark} Ann_a", "emails": [address(), address()], "phones": [phone]}
    )
    for filters in (
        {"email": customer["emails"][1].upper()},
        {"phone": f"{phone[:3]} {phone[3:5]} {phone[5:]}"},
        {"name": f"{mark.upper()} ann_"},
    ):
        found = await desk.get("/customers", **filters)
        assert [one["id"] for one in found["items"]] == [customer["id"]], filters
    assert (await desk.get("/customers", name=f"{mark} ann%"))["items"] == []
    await desk.get("/customers", phone="901820", status=422)


async def test_consent_is_kept_with_its_source(desk: Any) -> None:
    """Each statement is kept, the newest holds and is told; what holds already is not recorded again."""
    customer = await desk.post("/customers", {"name": "Anna"})
    path = f"/customers/{customer['id']}/consents"
    given = {"given": True, "source": "portal", "at": "2026-01-01T10:00:00Z"}
    for _ in range(2):
        answer = (await desk.service.client.put(f"/v1{path}/surveys", json=given)).json()
        assert answer["version"] == 2
    assert answer["consents"] == [{"purpose": "surveys", **given}]
    withdrawn = {"given": False, "source": "call", "at": "2026-02-01T10:00:00Z"}
    assert (await desk.service.client.put(f"/v1{path}/surveys", json=withdrawn)).json()["consents"][0]["given"] is False
    late = {"given": True, "source": "an old form", "at": "2025-12-01T10:00:00Z"}
    answer = (await desk.service.client.put(f"/v1{path}/surveys", json=late)).json()
    assert (answer["consents"], answer["version"]) == ([{"purpose": "surveys", **withdrawn}], 3)
    statements = (await desk.get(path))["items"]
    assert [one["source"] for one in statements] == ["an old form", "call", "portal"]
    facts = await desk.published(CUSTOMERS.name, customer["id"], 3)
    assert [[one.given for one in fact.data.consents] for fact in facts] == [[], [True], [False]]
    future = await desk.service.client.put(f"/v1{path}/surveys", json={**given, "at": "2200-01-01T00:00:00Z"})
    assert (future.status_code, "future" in future.json()["detail"]) == (422, True)
    assert (await desk.service.client.put(f"/v1{path}/tracking", json=given)).status_code == 404


async def test_notes_stay_inside(desk: Any) -> None:
    """A note is read by agents and travels in no event."""
    customer = await desk.post("/customers", {"name": "Anna"})
    path = f"/customers/{customer['id']}/notes"
    secret = uuid4().hex
    note = await desk.post(path, {"body": f"Prefers calls {secret}"})
    assert (await desk.get(path))["items"] == [note]
    await desk.patch(f"/customers/{customer['id']}", {"name": "Anna B."})
    facts = await desk.published(CUSTOMERS.name, customer["id"], 2)
    assert all(secret not in fact.data.model_dump_json() for fact in facts)
    await desk.post(f"/customers/{uuid4()}/notes", {"body": "x"}, status=404)
    await desk.post(path, {"body": "x" * 10_001}, status=422)


async def test_an_organisation_has_its_contract(desk: Any) -> None:
    """Number and first and last day are kept and told; one that ends before it begins is refused."""
    mark = uuid4().hex
    domain = f"{mark}.example"
    given = {
        "name": f"{mark} GmbH",
        "tier": mark,
        "contract_number": "S-17",
        "contract_valid_from": "2026-01-01",
        "contract_valid_until": "2026-12-31",
        "domains": [domain],
    }
    organization = await desk.post("/organizations", given)
    assert {name: organization[name] for name in given} == given
    for filters in ({"domain": domain.upper()}, {"tier": mark}, {"name": mark.upper()}):
        assert [one["id"] for one in (await desk.get("/organizations", **filters))["items"]] == [organization["id"]]
    path = f"/organizations/{organization['id']}"
    assert (await desk.patch(path, {"contract_valid_until": None}))["contract_valid_until"] is None
    facts = await desk.published(CUSTOMERS.name, organization["id"], 2)
    assert [str(fact.data.contract_valid_until) for fact in facts] == ["2026-12-31", "None"]
    problem = await desk.post("/organizations", {**given, "contract_valid_until": "2025-12-31"}, status=422)
    assert "before it begins" in problem["detail"]
    customer = await desk.post("/customers", {"name": "Anna", "emails": [address(), f"a@{domain}"]})
    assert UUID(customer["organization_id"]) == UUID(organization["id"])


async def test_a_contract_never_ends_before_it_begins(desk: Any) -> None:
    """Also where the two days are changed one after the other."""
    organization = await desk.post("/organizations", {"name": "Keller", "contract_valid_from": "2026-05-01"})
    problem = await desk.patch(
        f"/organizations/{organization['id']}", {"contract_valid_until": "2026-04-30"}, status=422
    )
    assert "before it begins" in problem["detail"]
