"""Where other systems take events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_notify.store.reading import Reader


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where another system takes events. A disabled one gets none."""

    endpoint_id: UUID
    url: str
    event_types: tuple[str, ...]
    secret: str
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_reason: str | None


async def insert_endpoint(tx: Transaction, endpoint: WebhookEndpoint) -> None:
    """Keep a new endpoint."""
    await tx.execute(
        "insert into webhook_endpoints (endpoint_id, url, event_types, secret, created_at, created_by)"
        " values ($1, $2, $3, $4, $5, $6)",
        endpoint.endpoint_id,
        endpoint.url,
        list(endpoint.event_types),
        endpoint.secret,
        endpoint.created_at,
        endpoint.created_by,
    )


async def find_endpoint(reader: Reader, endpoint_id: UUID) -> WebhookEndpoint | None:
    """One endpoint, with its secret."""
    row = await reader.fetchrow("select * from webhook_endpoints where endpoint_id = $1", endpoint_id)
    return None if row is None else _endpoint(row)


async def list_endpoints(reader: Reader) -> list[WebhookEndpoint]:
    """Every endpoint, oldest first."""
    return [_endpoint(row) for row in await reader.fetch("select * from webhook_endpoints order by endpoint_id")]


async def disable_endpoint(tx: Transaction, endpoint_id: UUID, at: datetime, reason: str) -> bool:
    """Send nothing to an endpoint from now on; False when there is no such endpoint. The first reason is kept."""
    tag = await tx.execute(
        "update webhook_endpoints set disabled_at = coalesce(disabled_at, $2),"
        " disabled_reason = coalesce(disabled_reason, $3) where endpoint_id = $1",
        endpoint_id,
        at,
        reason,
    )
    return tag == "UPDATE 1"


def _endpoint(row: Any) -> WebhookEndpoint:
    return WebhookEndpoint(**{**row, "event_types": tuple(row["event_types"])})
