"""Progress marks: how consumers learn that they have seen every fact before an instant, so that clocks judge soundly.

The promise of a mark (partition, offset, T): every fact with time before T stands on the partition below the offset.
T is the smaller of the database's clock and the start of its oldest open transaction, read in this order and *before*
the outbox is drained. Live facts carry a time that was read inside their transaction: none before T can appear later.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import Counter

from opora_chassis.database import Database, Transaction
from opora_chassis.errors import is_transient
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_contracts import Event, Topic
from opora_contracts.codec import decode, encode
from opora_contracts.progress import ProgressMarked
from opora_contracts.topics import PROGRESS, TICKETS

log = structlog.get_logger()

PUBLISHED = Counter("opora_marks_published_total", "Progress marks acknowledged by the broker", ["service"])
FOLLOWED = Counter("opora_marks_followed_total", "Progress marks whose facts were all taken in", ["service"])

MarkSource = Callable[[Any], Awaitable[Sequence[tuple[str, datetime]]]]
"""Given a connection, the open imports and the event time up to which each is complete."""

BACKUP_APPLICATION = "opora-backup"
"""The name of sessions whose transactions publish nothing, however long they last: marks wait for them as little as for
those of pg_dump."""

_PENDING_MARKS = 240


@dataclass(frozen=True, slots=True)
class Mark:
    """Every fact of the partition (of one import, or live) before this instant was applied."""

    partition: int
    complete_before: datetime
    import_id: str | None


@dataclass(slots=True)
class _OpenMark:
    partitions: list[int]
    live_before: datetime
    imports: Sequence[tuple[str, datetime]]
    last_row: int


class MarkPublisher:
    """The relay's side. `open` notes T before a drain, `close` publishes once all that was visible then is sent."""

    def __init__(self, platform: Platform, source: MarkSource, topic: Topic = TICKETS) -> None:
        self._platform = platform
        self._source = source
        self._topic = topic
        self._interval = 1 / platform.settings.marks_per_second
        self._prefix = platform.settings.topic_prefix
        self._next = 0.0
        self._open: _OpenMark | None = None
        self._end_offsets: dict[int, int] = {}
        self._published = PUBLISHED.labels(platform.service)

    def sent(self, topic: str, partition: int, end_offset: int) -> None:
        """The broker has everything of this partition below `end_offset`."""
        if topic == self._topic.name:
            self._end_offsets[partition] = max(end_offset, self._end_offsets.get(partition, 0))

    async def open(self, connection: Any, partitions: Sequence[int]) -> None:
        """Begin a mark when one is due. Must be called before the outbox is read."""
        held = [partition for partition in partitions if partition < self._topic.partitions]
        if self._open is not None and self._open.partitions != held:
            self._open = None
        if self._open is not None or time.monotonic() < self._next or not held:
            return
        await self._learn_end_offsets(held)
        imports = await self._source(connection)
        # The clock is read before the transactions are looked at: one that begins in between has a later time than
        # this. The transactions of this service run under its own login role, so their start is visible here.
        now = await connection.fetchval("select clock_timestamp()")
        oldest = await connection.fetchval(
            "select min(xact_start) from pg_stat_activity"
            " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
            " and coalesce(application_name, '') <> all($1::text[])",
            [BACKUP_APPLICATION, "pg_dump"],
        )
        before = now if oldest is None else min(now, oldest)
        last_row = await connection.fetchval(
            "select coalesce(max(id), 0) from outbox where partition = any($1::integer[])", held
        )
        self._open = _OpenMark(held, self._platform.clock.warp(before), imports, last_row)
        self._next = time.monotonic() + self._interval

    async def close(self, producer: AIOKafkaProducer, last_sent_row: int | None, *, exhausted: bool) -> None:
        """Publish the open mark if everything that was visible at its opening has been acknowledged."""
        mark = self._open
        if mark is None or not (exhausted or (last_sent_row is not None and last_sent_row >= mark.last_row)):
            return
        self._open = None
        domains: list[tuple[str | None, datetime]] = [(None, mark.live_before), *mark.imports]
        sent = [
            await producer.send(
                self._prefix + PROGRESS.name, partition=partition, **self._record(partition, before, import_id)
            )
            for partition in mark.partitions
            for import_id, before in domains
        ]
        async with asyncio.timeout(15):
            await asyncio.gather(*sent)
        self._published.inc(len(sent))

    def _record(self, partition: int, before: datetime, import_id: str | None) -> dict[str, Any]:
        event = Event(
            id=str(new_id()),
            source=self._platform.database.source,
            type=ProgressMarked.event_type,
            version=ProgressMarked.version,
            time=before,
            subject=f"{self._topic.name}/{partition}",
            key=str(partition),
            data=ProgressMarked(
                topic=self._topic.name,
                partition=partition,
                offset=self._end_offsets[partition],
                complete_before=before,
                import_id=import_id,
            ),
        )
        record = encode(event)
        return {"key": record.key, "value": record.value, "headers": list(record.headers)}

    async def _learn_end_offsets(self, held: Sequence[int]) -> None:
        """Partitions that came from another relay may end behind what this one has sent."""
        unknown = [TopicPartition(self._prefix + self._topic.name, p) for p in held if p not in self._end_offsets]
        self._end_offsets = {p: offset for p, offset in self._end_offsets.items() if p in held}
        if not unknown:
            return
        consumer = AIOKafkaConsumer(bootstrap_servers=self._platform.settings.kafka_bootstrap)
        async with asyncio.timeout(15):
            await consumer.start()
            try:
                offsets = await consumer.end_offsets(unknown)
            finally:
                await consumer.stop()
        for topic_partition, offset in offsets.items():
            self.sent(self._topic.name, topic_partition.partition, offset)


@dataclass(frozen=True, slots=True)
class FollowMarks:
    """A wish to be told how far a topic was seen. `on_marks` may see a mark twice, or an older one later."""

    topic: Topic
    on_marks: Callable[[Sequence[Mark], Transaction], Awaitable[None]]


class MarkFollower:
    """The consumer's side: holds each mark back until this service's own position has passed the mark's offset."""

    def __init__(
        self,
        platform: Platform,
        follow: FollowMarks,
        position_of: Callable[[int], Awaitable[int | None]],
        moved: asyncio.Event,
    ) -> None:
        self._platform = platform
        self._database: Database = platform.database
        self._follow = follow
        self._position_of = position_of
        self._moved = moved
        self._pending: dict[tuple[int, str | None], deque[tuple[int, datetime]]] = {}
        self._followed = FOLLOWED.labels(platform.service)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop`. Marks are read from the newest on: each supersedes those before it."""
        consumer = AIOKafkaConsumer(
            self._platform.settings.topic_prefix + PROGRESS.name,
            bootstrap_servers=self._platform.settings.kafka_bootstrap,
            auto_offset_reset="latest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            while not stop.is_set():
                polled = await consumer.getmany(timeout_ms=50)
                for records in polled.values():
                    for record in records:
                        self._note(decode(record.key, record.value, record.headers))
                if polled or self._moved.is_set():
                    self._moved.clear()
                    await self._release_unless_cut_off()
        finally:
            await consumer.stop()

    def _note(self, event: Any) -> None:
        data = getattr(event, "data", None)
        if not isinstance(data, ProgressMarked) or data.topic != self._follow.topic.name:
            return
        pending = self._pending.setdefault((data.partition, data.import_id), deque())
        if len(pending) >= _PENDING_MARKS:
            pending.pop()
        pending.append((data.offset, data.complete_before))

    async def _release_unless_cut_off(self) -> None:
        """Marks that a broken connection swallows are made good by the next ones: each supersedes those before it."""
        try:
            await self._release()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("marks_wait", error=repr(error))

    async def _release(self) -> None:
        released: list[Mark] = []
        for (partition, import_id), pending in self._pending.items():
            position = await self._position_of(partition)
            newest = None
            while position is not None and pending and pending[0][0] <= position:
                newest = pending.popleft()
            if newest is not None:
                released.append(Mark(partition, newest[1], import_id))
        if released:
            async with self._database.transaction() as tx:
                await self._follow.on_marks(released, tx)
            self._followed.inc(len(released))
