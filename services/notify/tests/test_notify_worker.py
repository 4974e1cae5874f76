"""The delivery loop under stress: crashes between sending and recording, and several workers at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import httpx
import pytest

from opora_contracts.vocabulary import MessageChannel
from opora_notify import worker
from opora_notify.channels import email
from opora_notify.channels.email import Mailbag
from opora_notify.domain.delivery import Delivered, Notification, Outcome, RetryPolicy
from opora_notify.settings import settings_of
from opora_notify.sources import Source, Sources
from opora_notify.worker import Delivery, Ended, Send

Notify = Callable[..., AbstractAsyncContextManager[Any]]
WITHOUT_TIMERS = frozenset({"serve", "consume", "relay"})


def delivery(post: Any, send: Send, *, workers: int = 4, lease_seconds: float = 60) -> Delivery:
    """A worker process's mail delivery, driven by the test."""
    return Delivery(
        channel=MessageChannel.EMAIL,
        send=send,
        database=post.database,
        clock=post.service.platform.clock,
        retry_policy=RetryPolicy(base_seconds=0.05),
        workers=workers,
        attempt_seconds=10,
        lease_seconds=lease_seconds,
        poll_seconds=0.02,
        woken=asyncio.Event(),
    )


async def test_a_crash_between_sending_and_recording_sends_again_under_the_same_id(
    notify: Notify, mail_server: Any
) -> None:
    """A worker that dies after sending leaves a lease; when it ends the letter is sent again, recognisably the same."""
    async with notify(roles=WITHOUT_TIMERS) as post, httpx.AsyncClient() as client:
        settings = settings_of(post.service.platform)
        nowhere = Source("intake", None, None)
        sources = Sources(client, intake=nowhere, feedback=nowhere)
        mailbag = Mailbag(settings)
        send = partial(email.send, database=post.database, sources=sources, mailbag=mailbag, settings=settings)
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        await post.notifications(ticket_id, "pending")

        async def customer_is_known() -> bool:
            return bool(await post.database.fetchval("select count(*) from customers"))

        await post.service.wait_until(customer_is_known)
        crashing, living = delivery(post, send, lease_seconds=0.3), delivery(post, send)
        (claimed,) = await worker.claim(crashing, 5)
        assert await send(claimed) == Delivered()
        assert await worker.claim(living, 5) == []

        stop = asyncio.Event()
        running = asyncio.create_task(living.run(stop))
        (entry,) = await post.notifications(ticket_id, "delivered")
        stop.set()
        await running
        await worker.record(crashing, [Ended(claimed, Delivered())])
        await post.told(1)
        await mailbag.close()
    assert entry["attempts"] == 2
    assert [letter["Message-ID"] for letter in mail_server.letters] == [f"<{entry['notification_id']}@example.com>"] * 2


async def test_two_workers_never_send_the_same_message(notify: Notify) -> None:
    """Sixty messages and two worker processes: each message is sent exactly once."""
    sent: Counter[str] = Counter()

    async def send(notification: Notification) -> Outcome:
        sent[str(notification.notification_id)] += 1
        await asyncio.sleep(0)
        return Delivered()

    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        for _ in range(60):
            await post.open_ticket(customer.customer_id)
        stop = asyncio.Event()
        running = [asyncio.create_task(delivery(post, send).run(stop)) for _ in range(2)]
        await post.told(60)
        stop.set()
        await asyncio.gather(*running)
    assert len(sent) == 60
    assert set(sent.values()) == {1}


async def test_a_message_that_kills_every_worker_is_given_up(notify: Notify) -> None:
    """A message whose worker dies each time is not tried for ever: after the last attempt it fails unsent."""
    sent: list[Notification] = []

    async def send(notification: Notification) -> Outcome:
        sent.append(notification)
        return Delivered()

    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        await post.notifications(ticket_id, "pending")
        dying = delivery(post, send, lease_seconds=0)
        for _ in range(RetryPolicy().max_attempts):
            assert len(await worker.claim(dying, 1)) == 1
        stop = asyncio.Event()
        running = asyncio.create_task(delivery(post, send).run(stop))
        (entry,) = await post.notifications(ticket_id, "failed")
        stop.set()
        await running
    assert sent == []
    assert entry["reason"] == "given up: 8 attempts ended without a word from their worker"


async def test_an_outage_while_recording_sends_nothing_twice(notify: Notify, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose database is away after the sending keeps the outcome and records it when it is back."""
    sent: list[Notification] = []
    outages = [ConnectionRefusedError("the database restarts"), TimeoutError("no connection is free")]
    really_record = worker.record

    async def send(notification: Notification) -> Outcome:
        sent.append(notification)
        return Delivered()

    async def record(of: Delivery, attempts: Sequence[Ended]) -> None:
        if outages:
            raise outages.pop(0)
        await really_record(of, attempts)

    monkeypatch.setattr(worker, "record", record)
    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        stop = asyncio.Event()
        running = asyncio.create_task(delivery(post, send).run(stop))
        await post.notifications(ticket_id, "delivered")
        stop.set()
        await running
    assert len(sent) == 1


async def test_attempts_that_end_together_are_recorded_together(
    notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends while others are written down shares the next transaction; a fault in one of them is its own."""
    guilty: list[Notification] = []
    groups: list[int] = []
    all_sending, really_record = asyncio.Barrier(8), worker.record

    async def send(notification: Notification) -> Outcome:
        await all_sending.wait()
        if not guilty:
            guilty.append(notification)
        return Delivered()

    async def record(of: Delivery, attempts: Sequence[Ended]) -> None:
        groups.append(len(attempts))
        if any(ended.notification.notification_id == guilty[0].notification_id for ended in attempts):
            raise LookupError("a bug")
        await really_record(of, attempts)

    monkeypatch.setattr(worker, "record", record)
    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        tickets = [await post.open_ticket(customer.customer_id) for _ in range(8)]
        for ticket_id in tickets:
            await post.notifications(ticket_id, "pending")
        stop = asyncio.Event()
        running = asyncio.create_task(delivery(post, send, workers=8).run(stop))
        await post.told(7)
        stop.set()
        await running
        states = await post.database.fetch("select notification_id, state from notifications")
    assert max(groups) > 1
    assert {row["notification_id"] for row in states if row["state"] == "sending"} == {guilty[0].notification_id}


async def test_a_broken_channel_delays_and_does_not_stop_the_loop(notify: Notify) -> None:
    """An error that nobody foresaw is kept as the reason, and the message is tried again."""
    failures = [RuntimeError("a bug"), TimeoutError("too slow")]

    async def send(_notification: Notification) -> Outcome:
        if failures:
            raise failures.pop(0)
        return Delivered()

    async with notify(roles=WITHOUT_TIMERS) as post:
        customer = await post.register()
        ticket_id = await post.open_ticket(customer.customer_id)
        stop = asyncio.Event()
        running = asyncio.create_task(delivery(post, send).run(stop))
        (entry,) = await post.notifications(ticket_id, "delivered")
        stop.set()
        await running
    assert entry["attempts"] == 3
