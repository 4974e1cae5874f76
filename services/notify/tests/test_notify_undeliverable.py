"""Addresses that are not written to, on a real Kafka, a real PostgreSQL and a real SMTP server."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from opora_contracts.customers import CustomerDeliverable, CustomerUndeliverable, CustomerUpdated
from opora_contracts.mail_addresses import address_digest, is_address_at_fault
from opora_contracts.notifications import NotificationSuppressed

Notify = Callable[..., AbstractAsyncContextManager[Any]]
MARKED = "select count(*) from undeliverable_addresses where address_digest = $1"


def test_only_what_is_about_the_address_counts() -> None:
    """No such mailbox, no such domain and no reason at all are; size, policy, a full mailbox and the sender are not."""
    about = ["5.0.0", "5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.0", "5.2.1", "5.4.4"]
    not_about = [
        "5.1.7",
        "5.1.8",
        "5.2.2",
        "5.2.3",
        "5.3.4",
        "5.4.1",
        "5.5.1",
        "5.6.0",
        "5.7.1",
        "4.1.1",
        "2.1.5",
        "",
        "5.1",
    ]
    assert [status for status in [*about, *not_about] if is_address_at_fault(status)] == about


def test_a_digest_is_the_same_whatever_the_letter_case() -> None:
    """Both services find the same 64 digits for an address, and the digits hold nothing of it."""
    assert address_digest("Olga@Example.org") == address_digest("olga@example.org ")
    assert address_digest("olga@example.org") == "0450de3d14dfa2d080b7743d08227dbfe9e1f0515b84a9af58451d63b07148f5"


async def test_an_address_that_letters_come_back_from_is_not_written_to(notify: Notify, mail_server: Any) -> None:
    """A told address is suppressed with the way to clear it; another one, or the same once cleared, is written to."""
    digest = address_digest("olga@example.org")
    async with notify() as post:
        customer = await post.register(email="Olga@example.org")
        known: dict[str, Any] = {"customer_id": customer.customer_id, "address_digest": digest}
        await post.publish(CustomerUndeliverable(**known, status="5.1.1"), times=2)
        await post.service.wait_until(lambda: post.database.fetchval(MARKED, digest))
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "suppressed")
        (fact,) = await post.told(1)
        assert mail_server.letters == []
        assert isinstance(fact.data, NotificationSuppressed)
        assert fact.data.reason == entry["reason"]
        assert "come back (5.1.1)" in entry["reason"]
        assert digest in entry["reason"]
        assert "olga" not in fact.data.model_dump_json().lower()
        (shown,) = (await post.client.get("/v1/undeliverable")).json()["items"]
        assert (shown["recipient"], shown["source"]) == (f"customer:{customer.customer_id}", "report")

        await post.publish(CustomerUpdated(customer_id=customer.customer_id, name="Olga", email="new@example.org"))
        moved = "select 1 from customers where customer_id = $1 and email = 'new@example.org'"
        await post.service.wait_until(lambda: post.database.fetchval(moved, customer.customer_id))
        await post.notifications(await post.open_ticket(customer.customer_id), "delivered")

        await post.publish(CustomerUpdated(customer_id=customer.customer_id, name="Olga", email="olga@example.org"))
        await post.publish(CustomerDeliverable(**known))
        gone = "select 1 where not exists (select from undeliverable_addresses)"
        await post.service.wait_until(lambda: post.database.fetchval(gone))
        assert (await post.client.post(f"/v1/notifications/{entry['notification_id']}/resend")).status_code == 200
        await post.notifications(ticket_id, "delivered")
    assert [letter["To"] for letter in mail_server.letters] == ["Olga <new@example.org>", "Olga <olga@example.org>"]


async def test_a_recipient_that_our_mail_server_refuses_is_not_tried_again(notify: Notify, mail_server: Any) -> None:
    """Who does not exist is remembered until it is cleared by hand; a refusal that is about the letter is not."""
    mail_server.refusals += ["550 5.7.1 looks like spam", "550 5.1.1 <olga@example.org>: no such user"]
    async with notify() as post:
        customer = await post.register()
        for expected in ("550: 5.7.1 looks like spam", "550: 5.1.1 <the recipient>: no such user"):
            (entry,) = await post.notifications(await post.open_ticket(customer.customer_id), "failed")
            assert entry["reason"] == f"the mail server answered {expected}"
        (entry,) = await post.notifications(await post.open_ticket(customer.customer_id), "suppressed")
        (shown,) = (await post.client.get("/v1/undeliverable")).json()["items"]
        assert (shown["status"], shown["source"]) == ("5.1.1", "refusal")
        place = f"/v1/undeliverable/{shown['address_digest']}"
        assert (await post.client.delete(place)).status_code == 204
        assert (await post.client.delete(place)).status_code == 404
        await post.notifications(await post.open_ticket(customer.customer_id), "delivered")
    assert len(mail_server.letters) == 1
