"""Notify as a whole, by webhook: signed, tried again, and never to an address inside."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from opora_chassis.identifiers import new_id
from opora_contracts.codec import UnknownEvent, decode
from opora_contracts.tickets import TicketAssigned, TicketCreated, TicketNoted

Notify = Callable[..., AbstractAsyncContextManager[Any]]


async def add_endpoint(post: Any, url: str, *event_types: str) -> dict[str, Any]:
    """Register an endpoint; returns it with its secret."""
    answer = await post.client.post("/v1/webhooks", json={"url": url, "event_types": event_types})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_webhook_is_signed_and_holds_the_event(notify: Notify, web_server: Any) -> None:
    """The receiver verifies the signature with the standard library and reads the event as any CloudEvent."""
    async with notify(allow_private_webhooks=True) as post:
        endpoint = await add_endpoint(post, f"{web_server.url}/hook", "ticket.created")
        ticket_id = await post.open_ticket(None)
        await post.publish(TicketNoted(ticket_id=ticket_id, message_id=new_id()))
        (entry,) = await post.notifications(ticket_id, "delivered")
        listed = (await post.client.get("/v1/webhooks")).json()["items"]
    ((path, headers, body),) = web_server.requests
    assert path == "/hook"
    assert headers["webhook-id"] == entry["notification_id"]
    assert headers["content-type"] == "application/cloudevents+json"
    assert Webhook(endpoint["secret"]).verify(body, headers)["type"] == "ticket.created"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint["secret"]).verify(body.replace(b"VPN", b"LAN"), headers)
    event = decode(None, body, [("content-type", headers["content-type"].encode())])
    assert not isinstance(event, UnknownEvent)
    assert isinstance(event.data, TicketCreated)
    assert (event.id, event.source, event.sequence) == (entry["event_id"], "/opora/intake", 1)
    assert endpoint["secret"].startswith("whsec_")
    assert "secret" not in listed[0]


async def test_a_failing_endpoint_is_tried_again_under_the_same_id(notify: Notify, web_server: Any) -> None:
    """Server errors, client errors and redirects are tried again; each attempt has the same webhook-id."""
    web_server.answers["/hook"] = [(500, {}), (404, {}), (302, {}), (204, None)]
    async with notify(allow_private_webhooks=True) as post:
        await add_endpoint(post, f"{web_server.url}/hook", "ticket.*")
        ticket_id = await post.open_ticket(None)
        (entry,) = await post.notifications(ticket_id, "delivered")
    assert entry["attempts"] == 4
    assert {headers["webhook-id"] for _, headers, _ in web_server.requests} == {entry["notification_id"]}


async def test_an_endpoint_that_is_gone_is_disabled(notify: Notify, web_server: Any) -> None:
    """410 ends the message and the endpoint: later events do not even enter the ledger."""
    web_server.answers["/hook"] = [(410, {})]
    async with notify(allow_private_webhooks=True) as post:
        await add_endpoint(post, f"{web_server.url}/hook", "ticket.*")
        ticket_id = await post.open_ticket(None)
        (entry,) = await post.notifications(ticket_id, "failed")
        (endpoint,) = (await post.client.get("/v1/webhooks")).json()["items"]
        await add_endpoint(post, f"{web_server.url}/other", "ticket.assigned")
        await post.publish(TicketAssigned(ticket_id=ticket_id, assignee="anna"))
        await post.notifications(ticket_id, "failed", "delivered", count=2)
    assert entry["reason"] == "the endpoint answered 410 Gone and is disabled"
    assert endpoint["disabled_reason"] == "the endpoint answered 410 Gone"
    assert [path for path, _, _ in web_server.requests] == ["/hook", "/other"]


async def test_a_removed_endpoint_gets_nothing(notify: Notify, web_server: Any) -> None:
    """After its removal an endpoint is listed as disabled, and gets no event."""
    async with notify(allow_private_webhooks=True) as post:
        endpoint = await add_endpoint(post, f"{web_server.url}/hook", "ticket.*")
        await add_endpoint(post, f"{web_server.url}/other", "ticket.*")
        removed = await post.client.delete(f"/v1/webhooks/{endpoint['endpoint_id']}")
        assert (removed.status_code, removed.content) == (204, b"")
        assert (await post.client.delete(f"/v1/webhooks/{new_id()}")).status_code == 404
        ticket_id = await post.open_ticket(None)
        await post.notifications(ticket_id, "delivered")
    assert [path for path, _, _ in web_server.requests] == ["/other"]


async def test_inner_addresses_are_refused(notify: Notify, web_server: Any) -> None:
    """Without the operator's word no webhook goes inside: not by number, and not by a name that leads there."""
    async with notify() as post:
        for url in (f"{web_server.url}/hook", "https://10.0.0.8/hook", "https://[::ffff:127.0.0.1]/hook"):
            answer = await post.client.post("/v1/webhooks", json={"url": url, "event_types": ["*"]})
            assert answer.status_code == 422
        port = web_server.url.rpartition(":")[2]
        await add_endpoint(post, f"https://localhost:{port}/hook", "*")
        ticket_id = await post.open_ticket(None)
        (entry,) = await post.notifications(ticket_id, "failed")
    assert entry["reason"].startswith("the endpoint's address is forbidden: ")
    assert web_server.requests == []


async def test_an_endpoint_asks_for_events_that_exist(notify: Notify) -> None:
    """An unknown type is refused and the known ones are named; customers' own records are not among them."""
    async with notify(roles=frozenset({"serve"})) as post:
        for event_type in ("ticket.exploded", "customer.registered"):
            body = {"url": "https://example.com/hook", "event_types": [event_type]}
            answer = await post.client.post("/v1/webhooks", json=body)
            assert answer.status_code == 422
            assert "ticket.created" in json.dumps(answer.json())
