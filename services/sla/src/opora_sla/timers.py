"""The timers: judge by the watermark what time alone has brought. Any number of replicas share the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge, Histogram

from opora_chassis.clock import Clock
from opora_chassis.database import Transaction
from opora_chassis.platform import Platform
from opora_chassis.resting import rest
from opora_contracts.commitments import CommitmentBreached
from opora_contracts.sla import SlaBreached
from opora_contracts.topics import TICKETS
from opora_contracts.vocabulary import Evidence
from opora_sla.domain import Case, Decision, advance, needs_history
from opora_sla.settings import SlaSettings
from opora_sla.sight import Sight
from opora_sla.store import agreements as agreement_store
from opora_sla.store import cases as case_store
from opora_sla.store import decisions as decision_store

log = structlog.get_logger()

BLIND_SECONDS = Gauge("opora_sla_blind_seconds", "Real seconds for which the stillest watermark has not moved")
TIMER_LAG_SECONDS = Gauge("opora_sla_timer_lag_seconds", "Real seconds by which the oldest clock just judged was late")
BREACH_LAG_SECONDS = Histogram(
    "opora_sla_breach_lag_seconds",
    "Real seconds from a live clock's due date to its breach being declared",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120),
)
JUDGED = Counter("opora_sla_judged_cases_total", "Cases judged by the timers", ["evidence"])
OPEN_CLOCKS = Gauge("opora_sla_open_clocks", "Clocks of tickets that are neither met nor breached", ["metric"])

_CLAIM_LIMIT = 200
_COUNT_SECONDS = 10.0
_COUNT_PAUSE = 99
"""How many times as long as counting took the timers do not count: a count reads every open clock."""


class ClockWatch:
    """The loop of the timers. It keeps what it saw of the watermarks over its own restarts in one process."""

    def __init__(self, platform: Platform) -> None:
        settings = platform.settings
        if not isinstance(settings, SlaSettings):
            raise TypeError(f"sla runs on SlaSettings, not on {type(settings).__name__}")
        self._platform = platform
        self._settings = settings
        self._sight = Sight(TICKETS.partitions, time.monotonic())
        for evidence in Evidence:
            JUDGED.labels(evidence.value)  # shown from the start, so that the first blind judgement is a rise

    async def run(self, stop: asyncio.Event) -> None:
        """Judge until `stop`. Raises what the database raises; nothing is lost then, since every look begins anew."""
        database = self._platform.database
        next_count = 0.0
        while not stop.is_set():
            if time.monotonic() >= next_count:
                next_count = await self._count()
            live, due = await case_store.look(database)
            self._sight = self._sight.look(live, time.monotonic())
            BLIND_SECONDS.set(self._sight.blind_seconds)
            judged = 0
            if due:
                async with database.transaction() as tx:
                    judged = await judge_due(tx, self._platform.clock)
            else:
                TIMER_LAG_SECONDS.set(0)
            blind = self._sight.blind(self._settings.max_blind_seconds)
            if blind:
                async with database.transaction() as tx:
                    judged += await judge_blindly(
                        tx, self._platform.clock, blind, timedelta(seconds=self._settings.max_blind_seconds)
                    )
            if not judged:
                await rest(stop, self._settings.timer_poll_seconds)

    async def _count(self) -> float:
        """Count the open clocks; returns when to do so again: counting takes one second in a hundred at most."""
        began = time.monotonic()
        for metric, count in (await case_store.open_clocks(self._platform.database)).items():
            OPEN_CLOCKS.labels(metric).set(count)
        ended = time.monotonic()
        return ended + max(_COUNT_SECONDS, _COUNT_PAUSE * (ended - began))


async def judge_due(tx: Transaction, clock: Clock) -> int:
    """Judge cases that are due by their watermark, up to a limit per partition and domain; returns how many."""
    claimed = await case_store.claim_due(tx, _CLAIM_LIMIT)
    await _judge(tx, clock, claimed, Evidence.COMPLETE)
    return len(claimed)


async def judge_blindly(tx: Transaction, clock: Clock, partitions: list[int], max_blind: timedelta) -> int:
    """Judge live cases of partitions without news, by what was complete `max_blind` (real time) ago at the latest."""
    judged_by = tx.now - clock.virtual(max_blind)
    claimed = await case_store.claim_blind(tx, partitions, judged_by, _CLAIM_LIMIT)
    if claimed:
        log.warning("judged_without_evidence", cases=len(claimed), partitions=partitions, judged_by=judged_by)
    await _judge(tx, clock, claimed, Evidence.INCOMPLETE)
    return len(claimed)


async def _judge(
    tx: Transaction, clock: Clock, claimed: Mapping[UUID, tuple[Case, datetime]], evidence: Evidence
) -> None:
    if not claimed:
        return
    cases = {ticket_id: case for ticket_id, (case, _) in claimed.items()}
    cases |= await case_store.with_history(tx, [case for case in cases.values() if needs_history(case, [])])
    pins = {(case.agreement_id, case.agreement_version) for case in cases.values()}
    agreements = await agreement_store.pinned_agreements(tx, pins)
    decisions = [
        advance(
            case,
            [],
            agreements[case.agreement_id, case.agreement_version],
            judged_at=claimed[ticket_id][1],
            now=tx.now,
            evidence=evidence,
        )
        for ticket_id, case in cases.items()
    ]
    await decision_store.save(tx, decisions)
    tx.emit(*(event for decision in decisions for event in decision.events))
    tx.after_commit(lambda: _measure(clock, claimed, decisions, evidence))


def _measure(
    clock: Clock,
    claimed: Mapping[UUID, tuple[Case, datetime]],
    decisions: list[Decision],
    evidence: Evidence,
) -> None:
    JUDGED.labels(evidence.value).inc(len(decisions))
    late = [judged_by - case.next_fire_at for case, judged_by in claimed.values() if case.live and case.next_fire_at]
    TIMER_LAG_SECONDS.set(max((clock.real_seconds(each) for each in late), default=0))
    for event in (event for decision in decisions for event in decision.events):
        if isinstance(event.data, SlaBreached | CommitmentBreached) and event.import_id is None:
            BREACH_LAG_SECONDS.observe(clock.real_seconds(event.data.detected_at - event.data.due_at))
