"""The subscribers of one service process, on FastStream: one per topic, acknowledged after the effect is durable."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from prometheus_client import Counter, Gauge, Histogram

from opora_chassis.consume import dead_letters, guards
from opora_chassis.consume.batch import BatchConsumer
from opora_chassis.consume.record import Record, records_of
from opora_chassis.consume.subscription import Subscription
from opora_chassis.errors import is_transient
from opora_chassis.marks import FollowMarks, MarkFollower
from opora_chassis.platform import Platform
from opora_contracts import recovery, wire

log = structlog.get_logger()

LAG = Gauge("opora_consumer_lag_records", "Records not yet consumed, by partition", ["service", "topic", "partition"])
DEAD_LETTERS = Gauge("opora_dead_letters", "Records that wait for a person or behind one that does", ["service"])
PARKED_KEYS = Gauge("opora_parked_keys", "Keys whose events wait", ["service"])
BATCHES = Counter("opora_consumer_batches_total", "Batches consumed", ["service", "topic"])
BATCH_SECONDS = Histogram(
    "opora_consumer_batch_seconds",
    "Time from a batch in hand to its effect being durable",
    ["service", "topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

_SESSION_TIMEOUT_MS = 6_000
"""Bounds how long the partitions of a process that was killed wait for another one."""
_STUCK_SECONDS = 120.0
_CARE_SECONDS = 10.0
_LOOK_SECONDS = 5.0
_INBOX_SECONDS = 8 * 24 * 3600
"""A day longer than the topic of foreign requests keeps its records."""


class ConsumptionEndedError(Exception):
    """A consumer can never consume again in this process: another one has to."""


class Consumers:
    """Every subscription of a service in this process, from `start` to `stop`."""

    def __init__(
        self, platform: Platform, subscriptions: Sequence[Subscription], follow_marks: FollowMarks | None = None
    ) -> None:
        wire.install()
        recovery.install()
        settings = platform.settings
        self._platform = platform
        self._broker = KafkaBroker(
            settings.kafka_bootstrap,
            client_id=f"opora-{platform.service}",
            apply_types=False,
            allow_auto_create_topics=False,
            graceful_timeout=settings.grace_seconds,
            logger=logging.getLogger("faststream"),
            log_level=logging.DEBUG,
        )
        self._streams = [_Stream(self._broker, platform, subscription) for subscription in subscriptions]
        self._moved = asyncio.Event()
        for stream in self._streams:
            stream.moved = self._moved
        self._follow = follow_marks
        self._stop = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the groups and begin. Raises a KafkaError when the broker does not answer."""
        await self._broker.start()
        if self._follow is not None:
            stream = next(s for s in self._streams if s.subscription.topic == self._follow.topic)
            follower = MarkFollower(self._platform, self._follow, stream.position_of, self._moved)
            self._follower = asyncio.create_task(follower.run(self._stop), name="marks")

    async def stop(self) -> None:
        """Finish the batches in hand, acknowledge them and leave the groups."""
        self._stop.set()
        if self._follower is not None:
            await asyncio.gather(self._follower, return_exceptions=True)
        await self._broker.stop()
        for stream in self._streams:
            stream.forget()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch over the streams until `stop`.

        Raises what ended the mark follower, if anything did, and ConsumptionEndedError when a consumer is out for good.
        """
        next_care = 0.0
        looking = asyncio.create_task(self._keep_looking(), name="lag")
        watched = [looking] if self._follower is None else [looking, self._follower]
        try:
            while not stop.is_set():
                for stream in self._streams:
                    stream.measure()
                    stream.raise_if_ended()
                for task in watched:
                    if task.done():
                        task.result()
                if time.monotonic() >= next_care:
                    await self._care()
                    next_care = time.monotonic() + _CARE_SECONDS
                try:
                    await asyncio.wait_for(stop.wait(), timeout=1)
                except TimeoutError:
                    continue
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _keep_looking(self) -> None:
        """See how far each stream is behind even when a batch hangs; later when the broker is away."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await asyncio.gather(*(stream.look() for stream in self._streams))
            except Exception as error:
                if not is_transient(error):
                    raise
                log.debug("look_put_off", error=repr(error))
            await asyncio.sleep(_CARE_SECONDS)

    async def _care(self) -> None:
        """Show what waits for a person, and forget what no topic can bring again; next time if the database is away."""
        service, database = self._platform.service, self._platform.database
        try:
            letters, keys = await dead_letters.counts(database)
            async with database.transaction() as tx:
                await guards.prune_inbox(tx, older_than_seconds=_INBOX_SECONDS)
        except Exception as error:
            if not is_transient(error):
                raise
            log.debug("care_put_off", error=repr(error))
        else:
            DEAD_LETTERS.labels(service).set(letters)
            PARKED_KEYS.labels(service).set(keys)

    def checks(self) -> list[tuple[str, bool, str]]:
        """(name, ok, detail) for readiness: a blown fuse, or a batch that has been in hand for too long."""
        return [stream.check() for stream in self._streams]


class _Stream:
    """One subscription at work: its subscriber, its batch consumer and how far it came."""

    def __init__(self, broker: KafkaBroker, platform: Platform, subscription: Subscription) -> None:
        settings = platform.settings
        self.subscription = subscription
        self.moved = asyncio.Event()
        self._service = platform.service
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._shown: set[int] = set()
        self._assignments = 0
        self._busy_since: float | None = None
        self._batches = BatchConsumer(
            platform.database,
            subscription,
            fuse_limit=settings.fuse_limit,
            fuse_retry_seconds=settings.fuse_retry_seconds,
        )
        self._topic = settings.topic_prefix + subscription.topic.name
        self._batches_done = BATCHES.labels(self._service, subscription.topic.name)
        self._batch_seconds = BATCH_SECONDS.labels(self._service, subscription.topic.name)
        self._subscriber = broker.subscriber(
            self._topic,
            # A group per topic: one that starts or stops does not rebalance the service's other topics.
            group_id=group_of(platform.service, self._topic),
            batch=True,
            max_records=settings.consumer_batch_records,
            batch_timeout_ms=20,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            session_timeout_ms=_SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=1_500,
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=300_000,
            listener=_OnRebalance(self.forget),
            parser=self._parse,
            decoder=_decode,
        )
        self._subscriber(self._consume)

    async def _parse(self, raw: Sequence[Any]) -> KafkaAckableMessage:
        """The batch as it came: FastStream's own parser would skip a header that it cannot read."""
        return KafkaAckableMessage(body=b"", raw_message=tuple(raw), consumer=self._subscriber.consumer)

    async def _consume(self, records: Sequence[Record]) -> None:
        assignments = self._assignments
        began = self._busy_since = time.monotonic()
        try:
            await self._batches.handle(records)
        finally:
            self._busy_since = None
        self._batch_seconds.observe(time.monotonic() - began)
        if assignments == self._assignments:
            for record in records:
                self._positions[record.partition] = record.offset + 1
        self._batches_done.inc()
        self.moved.set()

    async def position_of(self, partition: int) -> int | None:
        """The offset below which every record had its effect, or None for a partition of another process."""
        consumer = self._subscriber.consumer
        topic_partition = TopicPartition(self._topic, partition)
        if consumer is None or topic_partition not in consumer.assignment():
            self._positions.pop(partition, None)
            return None
        if partition not in self._positions:
            assignments = self._assignments
            committed = await consumer.committed(topic_partition)
            if committed is None:
                committed = (await consumer.beginning_offsets([topic_partition]))[topic_partition]
            if assignments != self._assignments:
                return None  # it went while we asked; if it comes back, another may have moved it on
            self._positions.setdefault(partition, committed)
        return self._positions[partition]

    async def look(self) -> None:
        """Ask the broker where each partition ends and begins for us: while a batch hangs, nothing is fetched.

        Raises a KafkaError when the broker does not answer.
        """
        consumer = self._subscriber.consumer
        assigned = [] if consumer is None else list(consumer.assignment())
        if consumer is None or not assigned:
            return
        for topic_partition in assigned:
            await self.position_of(topic_partition.partition)
        ends = await consumer.end_offsets(assigned)
        self._ends = {topic_partition.partition: end for topic_partition, end in ends.items()}

    def measure(self) -> None:
        """Note the lag of each partition that this process has."""
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        for topic_partition in consumer.assignment():
            partition = topic_partition.partition
            end = max(consumer.highwater(topic_partition) or 0, self._ends.get(partition, 0))
            position = self._positions.get(partition)
            if position is not None:
                LAG.labels(self._service, self.subscription.topic.name, str(partition)).set(max(0, end - position))
                self._shown.add(partition)

    def raise_if_ended(self) -> None:
        """Raise ConsumptionEndedError if aiokafka gave its membership up: FastStream would ask in vain, for ever."""
        consumer = self._subscriber.consumer
        coordination = None if consumer is None else consumer._coordinator._coordination_task  # noqa: SLF001
        if coordination is None or not coordination.done() or coordination.cancelled():
            return
        if reason := coordination.exception():
            raise ConsumptionEndedError(f"{self._topic}: {reason!r}") from reason

    def forget(self) -> None:
        """Partitions go or came: what is known and shown of them may be another consumer's by now."""
        self._assignments += 1
        self._positions.clear()
        self._ends.clear()
        for partition in self._shown:
            LAG.remove(self._service, self.subscription.topic.name, str(partition))
        self._shown.clear()

    def check(self) -> tuple[str, bool, str]:
        """Whether consumption moves."""
        name = f"consume {self.subscription.topic.name}"
        if self._batches.fuse.blown:
            return name, False, "the fuse has blown: too many events failed in a row"
        busy = 0.0 if self._busy_since is None else time.monotonic() - self._busy_since
        if busy > _STUCK_SECONDS:
            return name, False, f"one batch has been in hand for {busy:.0f} s"
        return name, True, "moving"


def group_of(service: str, topic: str) -> str:
    """The consumer group of a service on a topic (with its prefix, if any)."""
    return f"opora-{service}.{topic}"


class _OnRebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Forgets positions when partitions go: another consumer may move them on before they come back.

    Between going and the new assignment the old one can still be asked for, so what was learnt then is forgotten too.
    """

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002  the listener's interface
        self._forget()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002
        self._forget()


async def _decode(message: KafkaAckableMessage) -> list[Record]:
    return records_of(message.raw_message)
