"""Handling of one batch: guard, apply, dead letters, outbox, in one transaction; one by one when something fails."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.back_off import back_off, outage_pause
from opora_chassis.consume import dead_letters, guards
from opora_chassis.consume.dead_letters import QUEUED, Burial
from opora_chassis.consume.fuse import Fuse, FuseBlownError
from opora_chassis.consume.record import Delivery, Record, read
from opora_chassis.consume.subscription import Guard, Subscription
from opora_chassis.database import Database, Transaction
from opora_chassis.errors import PermanentError, is_transient
from opora_chassis.telemetry import span_from
from opora_contracts import Event
from opora_contracts.attributes import reserved_source_problem
from opora_contracts.codec import UnknownEvent
from opora_contracts.errors import UndecodableEvent

log = structlog.get_logger()

CONSUMED = Counter("opora_consumed_events_total", "Events by what became of them", ["service", "topic", "outcome"])
FUSE_BLOWN = Gauge("opora_consumer_fuse_blown", "1 while consumption stands still", ["service", "topic"])

_ATTEMPTS = 3
_TRANSIENT_PATIENCE = 6
"""Transient failures waited out in place (about 30 s) before the batch goes back to the broker and is polled anew."""


_LANES = 2
"""A batch is divided into so many parts by key: while the database works on one, this process does on another."""
_LEAST_RECORDS_OF_A_LANE = 50
"""Smaller parts would cost more commits than they gain."""


class BatchConsumer:
    """Applies the batches of one subscription, one batch at a time."""

    def __init__(
        self, database: Database, subscription: Subscription, *, fuse_limit: int, fuse_retry_seconds: float
    ) -> None:
        self._database = database
        self._subscription = subscription
        self._service = database.source.rsplit("/", 1)[-1]
        self._fuse_retry_seconds = fuse_retry_seconds
        self.fuse = Fuse(fuse_limit)
        FUSE_BLOWN.labels(self._service, subscription.consumer).set(0)

    async def handle(self, records: Sequence[Record]) -> None:
        """Give every record its effect, or its place among the dead letters, exactly once; then return.

        Records of one key have their effect in order; several transactions may carry those of a large batch.
        Raises a transient error when the surroundings do not recover, or FuseBlownError: nothing may be acknowledged
        then, and the same records must come again.
        """
        if self.fuse.blown:
            await asyncio.sleep(self._fuse_retry_seconds)
        lanes = _lanes([read(record) for record in records])
        outcomes = await asyncio.gather(*(self._handle_lane(lane) for lane in lanes), return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if errors:
            raise next((error for error in errors if isinstance(error, FuseBlownError)), errors[0])

    async def _handle_lane(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self._persist(deliveries)
        except Exception as error:
            if is_transient(error) or len(deliveries) == 0:
                raise
            for delivery in deliveries:
                await self._handle_alone(delivery)

    async def _persist(self, deliveries: Sequence[Delivery]) -> None:
        """Apply together; a transient failure is waited out a few times."""
        for attempt in range(1, _TRANSIENT_PATIENCE + 1):
            try:
                tally = await self._apply_together(deliveries)
            except Exception as error:
                if not is_transient(error) or attempt == _TRANSIENT_PATIENCE:
                    raise
                pause = outage_pause(attempt, jitter=random.random())  # noqa: S311
                log.warning(
                    "consumer_waits", topic=self._subscription.consumer, error=repr(error), seconds=round(pause, 2)
                )
                await asyncio.sleep(pause)
            else:
                # What was put aside, or passed over, says nothing about the code.
                if "applied" in tally:
                    self._succeeded()
                return

    async def _handle_alone(self, delivery: Delivery) -> None:
        failure: Exception
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._persist([delivery])
            except PermanentError as refused:
                await self._bury(delivery, "refused", str(refused), attempt)
                return
            except Exception as error:
                if is_transient(error):
                    raise
                failure = error
                await asyncio.sleep(back_off(attempt, base_seconds=0.05, cap_seconds=1, jitter=random.random()))  # noqa: S311
            else:
                return
        self._failed(failure)
        log.error("handler_failed", topic=self._subscription.consumer, key=delivery.key, exc_info=failure)
        await self._bury(delivery, "handler_failed", f"{type(failure).__name__}: {failure}", _ATTEMPTS)

    def _failed(self, failure: Exception) -> None:
        self.fuse = self.fuse.failed()
        if self.fuse.blown:
            FUSE_BLOWN.labels(self._service, self._subscription.consumer).set(1)
            log.error("fuse_blown", topic=self._subscription.consumer, failures=self.fuse.failures, last=repr(failure))
            raise FuseBlownError(
                f"{self.fuse.failures} events of {self._subscription.consumer} failed in a row, the last with"
                f" {failure!r}: fix or roll back the deploy; consumption goes on when an event succeeds"
            ) from failure

    def _succeeded(self) -> None:
        if self.fuse.failures:
            FUSE_BLOWN.labels(self._service, self._subscription.consumer).set(0)
            self.fuse = self.fuse.succeeded()

    async def _bury(self, delivery: Delivery, code: str, reason: str, attempts: int) -> None:
        async with self._database.transaction() as tx:
            await dead_letters.bury(
                tx, self._subscription.consumer, [Burial(delivery.record, delivery.key, code, reason, attempts)]
            )
        self._count("dead", 1)
        log.error("dead_letter", topic=self._subscription.consumer, key=delivery.key, code=code, reason=reason)

    async def _apply_together(self, deliveries: Sequence[Delivery]) -> dict[str, int]:
        trace = next((d.content.traceparent for d in deliveries if isinstance(d.content, Event)), None)
        with span_from(trace, f"consume {self._subscription.consumer}"):
            async with self._database.transaction() as tx:
                tally = await apply(tx, self._subscription, deliveries)
        for outcome, count in tally.items():
            self._count(outcome, count)
        return tally

    def _count(self, outcome: str, count: int) -> None:
        CONSUMED.labels(self._service, self._subscription.consumer, outcome).inc(count)


def _lanes(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """The deliveries in a part or more, those of a key in order in one of them.

    Guards go by the subject. Where somebody publishes one subject under several keys, its order is that of the
    partition, and the batch stays whole.
    """
    lanes: list[list[Delivery]] = [[] for _ in range(max(1, min(_LANES, len(deliveries) // _LEAST_RECORDS_OF_A_LANE)))]
    for delivery in deliveries:
        content = delivery.content
        if not isinstance(content, UndecodableEvent) and content.subject != delivery.key:
            return [list(deliveries)]
        lanes[hash(delivery.key) % len(lanes)].append(delivery)
    return lanes


HANDLED = frozenset({"applied", "duplicate", "ignored", "unknown"})
"""Outcomes of an event that needs nothing more; any other outcome is the code under which it was put aside."""


async def apply(
    tx: Transaction, subscription: Subscription, deliveries: Sequence[Delivery], *, redriving: bool = False
) -> dict[str, int]:
    """Guard and handle deliveries in order inside the transaction; returns how many had which outcome.

    A redrive has locked the parked key itself and does not queue behind it.
    """
    consumer = subscription.consumer
    wanted = {fact_type.event_type for fact_type in subscription.types}
    keys = {delivery.key for delivery in deliveries}
    parked = set() if redriving else await dead_letters.lock_parked(tx, consumer, keys)
    sieve = await _Sieve.over(tx, subscription, deliveries)
    accepted: list[Event[Any]] = []
    burials: list[Burial] = []
    tally: dict[str, int] = {}
    for delivery in deliveries:
        outcome, reason = _judge(delivery, parked, sieve, wanted)
        tally[outcome] = tally.get(outcome, 0) + 1
        if outcome == "applied" and isinstance(delivery.content, Event):
            accepted.append(delivery.content)
        elif outcome not in HANDLED:
            parked.add(delivery.key)
            burials.append(Burial(delivery.record, delivery.key, outcome, reason, attempts=0))
    if accepted:
        await subscription.handle(accepted, tx)
    await sieve.save(tx)
    await dead_letters.bury(tx, consumer, burials)
    for burial in burials:
        if burial.reason_code != QUEUED:
            log.error("dead_letter", topic=consumer, key=burial.key, code=burial.reason_code, reason=burial.reason)
    return tally


def _judge(delivery: Delivery, parked: set[str], sieve: "_Sieve", wanted: set[str]) -> tuple[str, str]:
    """What becomes of a delivery, and why if it is put aside."""
    content = delivery.content
    if delivery.key in parked:
        return QUEUED, "an earlier event of this key waits among the dead letters"
    if isinstance(content, UndecodableEvent):
        return content.reason_code, str(content)
    verdict, reason = sieve.judge(content)
    if verdict != "next":
        return verdict, reason
    if isinstance(content, UnknownEvent):
        return "unknown", ""
    return ("applied" if content.type in wanted else "ignored"), ""


class _Sieve:
    """The guard's rows of one batch, moved on event by event."""

    def __init__(
        self, subscription: Subscription, applied: dict[guards.AggregateKey, int], fresh: set[tuple[str, str]]
    ) -> None:
        self._subscription = subscription
        self._applied = applied
        self._moved: dict[guards.AggregateKey, int] = {}
        self._fresh = fresh

    @classmethod
    async def over(cls, tx: Transaction, subscription: Subscription, deliveries: Sequence[Delivery]) -> "_Sieve":
        events = [d.content for d in deliveries if not isinstance(d.content, UndecodableEvent)]
        if subscription.guard is Guard.INBOX:
            claimed = {(event.source, event.id) for event in events}
            handled = await guards.handled_inbox(tx, subscription.consumer, claimed)
            return cls(subscription, {}, claimed - handled)
        keys = {(event.source, event.subject) for event in events}
        return cls(subscription, await guards.lock_applied(tx, subscription.consumer, keys) if keys else {}, set())

    def judge(self, event: Event[Any] | UnknownEvent) -> tuple[str, str]:
        """`next`, `duplicate`, or the code under which the event is put aside, with the reason."""
        return self._judge_foreign(event) if self._subscription.guard is Guard.INBOX else self._judge_fact(event)

    def _judge_foreign(self, event: Event[Any] | UnknownEvent) -> tuple[str, str]:
        if (problem := reserved_source_problem(event.source)) is not None:
            return "reserved_source", problem
        identity = (event.source, event.id)
        if identity not in self._fresh:
            return "duplicate", ""
        self._fresh.discard(identity)
        self._moved[identity] = 1
        return "next", ""

    def _judge_fact(self, event: Event[Any] | UnknownEvent) -> tuple[str, str]:
        if event.sequence is None:
            return "missing_sequence", "facts on this topic need a ce_sequence header: 1, 2, 3 … per source and subject"
        aggregate = (event.source, event.subject)
        applied = self._applied[aggregate]
        if event.sequence <= applied:
            return "duplicate", ""
        if event.sequence > applied + 1:
            return "gap", f"sequence {event.sequence} came after {applied}: {applied + 1} is missing"
        self._applied[aggregate] = event.sequence
        self._moved[aggregate] = event.sequence
        return "next", ""

    async def save(self, tx: Transaction) -> None:
        if self._subscription.guard is Guard.SEQUENCE:
            await guards.save_applied(tx, self._subscription.consumer, self._moved)
        elif self._moved:
            await guards.claim_inbox(tx, self._subscription.consumer, self._moved)
