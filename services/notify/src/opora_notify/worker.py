"""The delivery loop: claim, send outside any transaction, record. One loop per channel, so none waits for another.

A crash between sending and recording sends the message again when the lease is over, under the same Message-ID or
webhook-id: messages leave at least once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram

from opora_chassis.clock import Clock
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_contracts.vocabulary import MessageChannel
from opora_notify import handlers, store
from opora_notify.domain import delivery
from opora_notify.domain.delivery import FINISHED, Delayed, Notification, Outcome, Refused, RetryPolicy, State
from opora_notify.domain.envelopes import event_in

Send = Callable[[Notification], Awaitable[Outcome]]

ATTEMPTS = Counter(
    "opora_notification_attempts_total", "Attempts to send, by what became of the message", ["channel", "state"]
)
SEND_SECONDS = Histogram("opora_notification_send_seconds", "Time of one attempt to send", ["channel"])
LEASES_LOST = Counter("opora_notification_leases_lost_total", "Attempts that ended after their lease", ["channel"])
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ended:
    """What an attempt came to."""

    notification: Notification
    outcome: Outcome


@dataclass(slots=True)
class Recording:
    """Attempts that have ended and wait to be written down, each with who waits for it."""

    gathered: list[tuple[Ended, asyncio.Future[None]]] = field(default_factory=list)
    under_way: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One channel's delivery: how it sends, and within which bounds. Seconds are real ones."""

    channel: MessageChannel
    send: Send
    database: Database
    clock: Clock
    retry_policy: RetryPolicy
    workers: int
    attempt_seconds: float
    lease_seconds: float
    poll_seconds: float
    woken: asyncio.Event
    recording: Recording = field(default_factory=Recording)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver what is due until told to stop; then finish what is under way."""
        # Shown from the start, so that the first failure is a rise.
        LEASES_LOST.labels(self.channel)
        for state in FINISHED | {State.PENDING}:
            ATTEMPTS.labels(self.channel, state)
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                self.woken.clear()
                free = self.workers - len(running)
                claimed = await self._claim(free) if free else []
                for notification in claimed:
                    task = group.create_task(attempt(self, notification))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if len(claimed) < free:
                    await self._rest(stop)
                elif running:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    async def _claim(self, limit: int) -> list[Notification]:
        """Claim; nothing while the database is away, so that what is being sent meanwhile is not cut off."""
        try:
            return await claim(self, limit)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_put_off", channel=self.channel, error=repr(error))
            return []

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait for a commit of this process, the next poll, or the end."""
        waits = [asyncio.ensure_future(self.woken.wait()), asyncio.ensure_future(stop.wait())]
        try:
            await asyncio.wait(waits, timeout=self.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def claim(of: Delivery, limit: int) -> list[Notification]:
    """Take at most `limit` due messages for this worker, in a transaction of their own."""
    async with of.database.transaction() as tx:
        lease = of.clock.virtual(timedelta(seconds=of.lease_seconds))
        return await store.claim_notifications(tx, of.channel, limit, delivery.lease_ends_at(tx.now, lease))


async def attempt(of: Delivery, notification: Notification) -> None:
    """Send a claimed message once and record what became of it. Never raises but for cancellation.

    While the database is away the recording is tried again as long as the lease holds, so that an outage does not
    send twice what has already left. After that the message is sent again.
    """
    lease_ends_at = time.monotonic() + of.lease_seconds
    started = time.perf_counter()
    outcome = await _outcome(of, notification)
    SEND_SECONDS.labels(of.channel).observe(time.perf_counter() - started)
    while True:
        try:
            await _written_down(of, Ended(notification, outcome))
        except Exception as error:
            if is_transient(error) and time.monotonic() < lease_ends_at:
                await asyncio.sleep(of.poll_seconds)
                continue
            log.exception("notification_not_recorded", notification_id=str(notification.notification_id))
        return


async def _written_down(of: Delivery, ended: Ended) -> None:
    """Return when an attempt's outcome is durable. Attempts that end while others are written down go together then.

    Raises what the database raised; what is wrong with one of them fails that one alone.
    """
    recording, waiting = of.recording, asyncio.get_running_loop().create_future()
    recording.gathered.append((ended, waiting))
    if recording.under_way is None:
        recording.under_way = asyncio.create_task(_write_down(of), name=f"recording {of.channel}")
    await waiting


async def _write_down(of: Delivery) -> None:
    recording = of.recording
    try:
        while recording.gathered:
            group, recording.gathered = recording.gathered, []
            await _settle(of, group)
    finally:
        recording.under_way = None


async def _settle(of: Delivery, group: Sequence[tuple[Ended, asyncio.Future[None]]]) -> None:
    """Write a group down and tell those who wait. Never raises but for cancellation."""
    try:
        await record(of, [ended for ended, _ in group])
    except Exception as error:  # noqa: BLE001  it belongs to those who wait
        if len(group) > 1 and not is_transient(error):
            for one in group:
                await _settle(of, [one])
            return
        for _, waiting in group:
            if not waiting.done():
                waiting.set_exception(error)
    else:
        for _, waiting in group:
            if not waiting.done():
                waiting.set_result(None)


async def record(of: Delivery, attempts: Sequence[Ended]) -> None:
    """Write down in one transaction what attempts came to, and tell of each message that is at its end.

    A worker whose lease was taken over meanwhile records nothing: the number of attempts tells them apart.
    """
    settled: list[Notification] = []
    async with of.database.transaction() as tx:
        locked = await store.lock_notifications(tx, {ended.notification.notification_id for ended in attempts})
        for ended in attempts:
            after = _after(of, tx, locked.get(ended.notification.notification_id), ended)
            if after is not None:
                settled.append(after)
        if settled:
            await store.save_progress(tx, settled)
    for after in settled:
        ATTEMPTS.labels(of.channel, after.state).inc()
        log.info(
            "notification_attempted",
            notification_id=str(after.notification_id),
            channel=after.channel,
            recipient=after.recipient,
            template=after.template,
            state=after.state,
            attempts=after.attempts,
            reason=after.reason,
        )


def _after(of: Delivery, tx: Transaction, now: Notification | None, ended: Ended) -> Notification | None:
    """The message after the attempt, and its news emitted; None for a worker whose lease is lost."""
    notification = ended.notification
    if now is None or now.state is not State.SENDING or now.attempts != notification.attempts:
        LEASES_LOST.labels(of.channel).inc()
        log.warning("notification_lease_lost", notification_id=str(notification.notification_id))
        return None
    settlement = delivery.settle(
        now,
        ended.outcome,
        now=tx.now,
        policy=of.retry_policy,
        jitter=random.random(),  # noqa: S311  spreads retries
    )
    wait = of.clock.virtual(timedelta(seconds=settlement.wait_seconds or 0))
    after = handlers.settled(now, settlement, tx, wait)
    if settlement.fact is not None:
        tx.emit(handlers.told(after, settlement.fact, tx, event_in(now.event)))
    return after


async def _outcome(of: Delivery, notification: Notification) -> Outcome:
    if delivery.is_overdrawn(notification, of.retry_policy):
        return Refused(f"given up: {of.retry_policy.max_attempts} attempts ended without a word from their worker")
    try:
        async with asyncio.timeout(of.attempt_seconds):
            return await of.send(notification)
    except TimeoutError:
        return Delayed(f"not sent within {of.attempt_seconds:g} s")
    except Exception as error:
        log.exception("notification_attempt_failed", notification_id=str(notification.notification_id))
        return Delayed(f"{type(error).__name__}: {error}")
