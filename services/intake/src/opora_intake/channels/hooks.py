"""Webhooks that were kept are read and handled here, in the order in which each source sent them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_chassis.service import Loop
from opora_intake.api.dependencies import rules_of
from opora_intake.channels import leased
from opora_intake.channels.leased import MOST_ATTEMPTS, Tray
from opora_intake.domain.hook_sources import HookRules, HookSource
from opora_intake.domain.hooks import HookOutcome, HookReading, Unread
from opora_intake.handlers.hooks import handle_delivery
from opora_intake.hooks.reading import read_delivery
from opora_intake.settings import IntakeSettings
from opora_intake.store import hooks as store
from opora_intake.store.hooks import KeptDelivery

_LEASE_SECONDS = 60.0
"""Longer than reading 2 MiB of JSON and writing its tickets takes."""

DELIVERIES = Counter("opora_hook_deliveries_total", "Webhook deliveries handled, by what became of them", ["outcome"])
WAITING = Gauge("opora_hook_deliveries_waiting", "Webhook deliveries acknowledged and not handled yet")
OLDEST = Gauge("opora_hook_deliveries_oldest_seconds", "How long the oldest unhandled webhook delivery waits")
QUARANTINED = Gauge("opora_hook_deliveries_quarantined", "Webhook deliveries that could not be read or handled")
log = structlog.get_logger()

Read = Callable[[bytes, Mapping[str, str], HookRules], HookReading]


@dataclass(frozen=True, slots=True)
class HookDesk:
    """Handles the deliveries of one process."""

    platform: Platform
    read: Read = read_delivery
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def tray(self) -> Tray[KeptDelivery]:
        """Where the deliveries wait."""
        return Tray(
            what="hook_delivery",
            database=self.platform.database,
            clock=self.platform.clock,
            claim_next=store.claim_delivery,
            put_off=store.put_off,
            lease_seconds=_LEASE_SECONDS,
            woken=self.woken,
        )

    def loops(self) -> tuple[Loop, ...]:
        """What the role `timers` runs."""
        watched = partial(leased.watch, database=self.platform.database, look=look_at_deliveries)
        return (Loop("handle_hooks", self.run), Loop("watch_hooks", watched))

    async def run(self, stop: asyncio.Event) -> None:
        """Handle deliveries until told to stop, several sources at a time; then finish what is under way."""
        for outcome in HookOutcome:
            DELIVERIES.labels(outcome)
        async with asyncio.TaskGroup() as group:
            for _ in range(cast("IntakeSettings", self.platform.settings).intake_hook_workers):
                group.create_task(leased.work_through(self.tray, partial(attempt, self), stop))


async def look_at_deliveries(database: Database) -> None:
    """Show what waits, and what is in quarantine."""
    await leased.show_waiting(database, await store.waiting_deliveries(database), WAITING, OLDEST)
    QUARANTINED.set(await store.quarantined_deliveries(database))


async def attempt(of: HookDesk, claimed: KeptDelivery) -> None:
    """Read and handle a claimed delivery once. Never raises but for cancellation.

    What fails for reasons of the surroundings is tried again without end and is not counted against the delivery. What
    fails otherwise is tried again with growing pauses, and is quarantined after `MOST_ATTEMPTS`.
    """
    database = of.platform.database
    try:
        kept = await store.find_source(database, claimed.hook)
        source = None if kept is None else kept.source
        reading = await _reading(of, claimed, source)
        async with database.transaction() as tx:
            outcome = await handle_delivery(tx, claimed, reading, source, rules_of(of.platform))
    except Exception as error:  # noqa: BLE001  whatever it is, it is this delivery's alone
        await leased.put_back(of.tray, claimed, error)
    else:
        if outcome is None:
            log.warning("hook_delivery_lease_lost", delivery_id=str(claimed.id))
            return
        DELIVERIES.labels(outcome).inc()
        log.info("hook_delivery_handled", delivery_id=str(claimed.id), hook=claimed.hook, outcome=outcome)


async def _reading(of: HookDesk, claimed: KeptDelivery, source: HookSource | None) -> HookReading:
    if claimed.attempts > MOST_ATTEMPTS:
        return Unread(f"Given up after {MOST_ATTEMPTS} attempts: {claimed.reason or 'each ended without a word'}")
    if source is None:
        return Unread("Its source is gone.")
    raw = await store.raw_delivery(of.platform.database, claimed.id)
    # In a thread: what takes milliseconds must not hold up the HTTP of a process that runs every role.
    return await asyncio.to_thread(of.read, raw or b"", claimed.headers, source)
