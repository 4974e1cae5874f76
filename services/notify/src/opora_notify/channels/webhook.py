"""Signed webhooks (Standard Webhooks 1.0): the event as a structured CloudEvent, POSTed to an endpoint."""

import json
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from standardwebhooks import Webhook

from opora_chassis.addresses import ForbiddenAddressError, check_url, resolve_public
from opora_chassis.clock import host_now
from opora_chassis.database import Database
from opora_contracts.envelope import STRUCTURED_CONTENT_TYPE
from opora_notify.domain.delivery import Delayed, Delivered, Notification, Outcome, Refused, Withheld
from opora_notify.settings import NotifySettings
from opora_notify.store import endpoints
from opora_notify.store.endpoints import WebhookEndpoint

_GONE = 410


async def send(
    notification: Notification, *, database: Database, client: httpx.AsyncClient, settings: NotifySettings
) -> Outcome:
    """POST the event to its endpoint. Any 2xx is taken; 410 disables the endpoint; everything else is tried again."""
    endpoint = await endpoints.find_endpoint(database, UUID(notification.recipient.partition(":")[2]))
    if endpoint is None or endpoint.disabled_at is not None:
        return Withheld("the endpoint is disabled")
    try:
        request = await _request(client, endpoint, notification, settings, host_now())
        answer = await client.send(request, stream=True)
        await answer.aclose()
    except ForbiddenAddressError as error:
        return Refused(f"the endpoint's address is forbidden: {error}")
    except (httpx.HTTPError, OSError) as error:
        return Delayed(f"the endpoint cannot be reached: {type(error).__name__}")
    if answer.status_code == _GONE:
        async with database.transaction() as tx:
            await endpoints.disable_endpoint(tx, endpoint.endpoint_id, tx.now, "the endpoint answered 410 Gone")
        return Refused("the endpoint answered 410 Gone and is disabled")
    return Delivered() if answer.is_success else Delayed(f"the endpoint answered {answer.status_code}")


async def _request(
    client: httpx.AsyncClient,
    endpoint: WebhookEndpoint,
    notification: Notification,
    settings: NotifySettings,
    signed_at: datetime,
) -> httpx.Request:
    """The signed request. It goes to the very address that was checked, so a second name lookup cannot mislead it.

    The signature's time is real time: receivers refuse old ones by their own clock.
    """
    check_url(endpoint.url, allow_private=settings.allow_private_webhooks)
    body = json.dumps(notification.event, ensure_ascii=False, separators=(",", ":"))
    message_id = str(notification.notification_id)
    headers = {
        "content-type": STRUCTURED_CONTENT_TYPE,
        "user-agent": "opora-notify",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(signed_at.timestamp())),
        "webhook-signature": Webhook(endpoint.secret).sign(message_id, signed_at, body),
    }
    if settings.allow_private_webhooks:
        return client.build_request("POST", endpoint.url, content=body.encode(), headers=headers)
    parts = urlsplit(endpoint.url)
    host = parts.hostname or ""
    address = await resolve_public(host, parts.port or 443)
    url = httpx.URL(endpoint.url)
    return client.build_request(
        "POST",
        url.copy_with(host=address),
        content=body.encode(),
        headers={**headers, "host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": host},
    )
