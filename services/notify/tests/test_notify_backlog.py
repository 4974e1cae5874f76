"""What notify tells of the messages that wait."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from prometheus_client import REGISTRY

from opora_contracts.vocabulary import MessageChannel
from opora_notify import backlog, store

Notify = Callable[..., AbstractAsyncContextManager[Any]]
WITHOUT_TIMERS = frozenset({"serve", "consume", "relay"})


def told(metric: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"channel": "email"})


async def test_messages_that_nobody_takes_are_told(notify: Notify) -> None:
    """Without a worker a message waits and grows overdue; a webhook that nobody ordered does not."""
    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        (entry,) = await post.notifications(ticket_id, "pending")
        due_at = datetime.fromisoformat(entry["due_at"])
        assert await store.backlog(post.database, MessageChannel.EMAIL) == (1, due_at)
        assert await store.backlog(post.database, MessageChannel.WEBHOOK) == (0, None)
        stop = asyncio.Event()
        watching = asyncio.create_task(backlog.watch_backlog(stop, platform=post.service.platform))

        async def it_is_told() -> bool:
            return told("opora_notifications_waiting") == 1 and (told("opora_notifications_overdue_seconds") or 0) > 0

        await post.service.wait_until(it_is_told)
        stop.set()
        await watching
