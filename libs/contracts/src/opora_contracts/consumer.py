"""Consuming Opora's events in any program: decoded, in their newest version, each given at least once.

    async with Consumer("kafka.example:9092", "opora.tickets", group="reports") as consumer:
        async for event in consumer:
            if isinstance(event, Event):
                ...  # your effect
            await consumer.commit()

Needs `opora-contracts[consumer]`.

**Doing each thing once.** An event comes again when your program, or the broker, stops between your effect and its
commit, and when partitions move between the members of a group. Opora's own facts are numbered: `event.sequence` counts
1, 2, 3 … per (`event.source`, `event.subject`). Keep the last number of each pair in the transaction of your effect: a
number that is not above it is a repetition, one that skips a number is a gap (an UnknownEvent has its number too). What
other systems publish on `opora.requests` has no number: remember (`event.source`, `event.id`) for as long as the topic
keeps its records.

**Building a projection anew.** Fact topics keep everything. A consumer without a group reads every partition from the
oldest record on at each start; with a group take a new group's name, or call `rewind`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from opora_contracts.codec import UnknownEvent, decode
from opora_contracts.connecting import checked_connection, started, stopped
from opora_contracts.errors import ReasonCode, UndecodableEvent
from opora_contracts.event import Event
from opora_contracts.fact import Fact

try:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

    from opora_contracts import recovery, wire
except ImportError as error:
    raise ImportError("opora_contracts.consumer needs aiokafka: install opora-contracts[consumer]") from error

DEADLINE_SECONDS = 30.0
EFFECT_SECONDS = 300
"""How long a member of a group may take between two events before its partitions go to another."""
_SESSION_MS = 10_000
_POLL_MS = 200


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


Start = Literal["earliest", "latest"] | datetime | int | Mapping[tuple[str, int], int]
"""Where to begin in each partition: oldest, newest, at a time (the record's, not `ce_time`), or at an offset; a mapping
gives (topic, partition) an offset of its own, and the others begin at the oldest record."""


class ConsumeError(Exception):
    """The broker cannot be consumed from, or does not store how far we came. Its words say why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecodable:
    """A record that is no event: never will be, whoever reads it. Keep it aside or pass over it, but do not stop."""

    topic: str
    partition: int
    offset: int
    reason_code: ReasonCode
    detail: str
    """Names the header or field and what was expected; never repeats the data."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


Given = Event[Fact] | UnknownEvent | Undecodable
"""What a consumer gives: an event, one of a type that this release does not know, or a record that is none."""


class Consumer:
    """Gives the records of some topics one by one, in order per partition, inside `async with`, to one task.

    * Every record is given, also those of unknown type and those that are no event: nothing is passed over silently.
      `counts` says how many of each there were. Old versions are raised to the newest.
    * With a `group` the partitions are divided among its members, and `commit` stores how far the group came. Nothing
      is ever committed that was not given, and nothing by itself. A new group begins at `start`, "earliest" by default.
      A member that takes more than 300 s between two events loses its partitions.
    * Without a group every partition is read from `start`, at each start; with `until_end` the iteration ends behind
      the last record that stood there at the start.
    * It makes no topic. A broker that is away while consuming is waited for; starting and committing end with
      ConsumeError after `deadline_seconds`.

    `connection` and `topic_prefix` as for a Publisher.
    """

    def __init__(
        self,
        bootstrap: str,
        *topics: str,
        group: str | None = None,
        start: Start = "earliest",
        until_end: bool = False,
        deadline_seconds: float = DEADLINE_SECONDS,
        topic_prefix: str = "",
        connection: dict[str, Any] | None = None,
    ) -> None:
        """Raises ValueError for what cannot be combined."""
        if not topics:
            raise ValueError("name at least one topic, such as opora.tickets")
        if deadline_seconds <= 0:
            raise ValueError("deadline_seconds must be above 0")
        if group is not None and (until_end or start not in ("earliest", "latest")):
            raise ValueError("a time, offsets and until_end are for a consumer without group")
        if isinstance(start, datetime) and start.utcoffset() is None:
            raise ValueError("start must be a time with a zone")
        self._bootstrap = bootstrap
        self._topics = sorted({topic_prefix + topic for topic in topics})
        self._group = group
        self._start = start
        self._until_end = until_end
        self._deadline_seconds = deadline_seconds
        self._connection = checked_connection(connection)
        self._consumer: AIOKafkaConsumer | None = None
        self._given: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._lost = False
        """Whether a rebalance took partitions away of which something was given and not committed."""
        self.place: Place | None = None
        """Where the record that was given last stands."""
        self.counts: Counter[str] = Counter()
        """How many `events`, `unknown` and `undecodable` were given, and each unknown type by its name."""

    async def __aenter__(self) -> Self:
        """Connect, and join the group if there is one. Raises ConsumeError."""
        if self._consumer is not None:
            raise RuntimeError("this Consumer is open already; make another")
        wire.install()
        recovery.install()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                self._consumer = await started(self._make, KafkaError, then=self._take_partitions)
        except TimeoutError:
            raise ConsumeError(
                f"no broker at {self._bootstrap} let us begin within {self._deadline_seconds:g} s: check the address, "
                "the network and, where the broker asks for them, the credentials"
            ) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the group and disconnect, within 5 s. What was not committed is given again next time."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stopped(consumer)

    def __aiter__(self) -> Self:
        """The consumer itself: leaving a loop and beginning another goes on where the first one was."""
        return self

    async def __anext__(self) -> Given:
        """The next record, waited for as long as it takes. Ends with `until_end` only. Raises ConsumeError."""
        consumer = self._open_consumer()
        try:
            record = await (self._next_before_end(consumer) if self._until_end else consumer.getone())
        except KafkaError as error:
            raise ConsumeError(f"the broker at {self._bootstrap} refuses to go on: {_words(error)}") from error
        if record is None:
            raise StopAsyncIteration
        given = _read(record)
        # Noted last: a record is given or it is not committed.
        self._given[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self.place = Place(record.topic, record.partition, record.offset)
        self._count(given)
        return given

    async def commit(self) -> bool:
        """Store that everything given so far has had its effect, for whoever of the group comes after.

        Costs a call to the broker: commit after each event, or after some hundreds. False when partitions were dealt
        anew since the last commit: then what was given of them meanwhile is given again, to whoever has them now.
        Raises ConsumeError when the broker does not answer in time, or refuses: the events come again after a restart.
        """
        consumer = self._open_consumer()
        if self._group is None:
            raise RuntimeError(
                "a consumer without group stores nothing: keep `place` with your effect, give it as start"
            )
        given = dict(self._given)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                if given:
                    await consumer.commit(given)
        except (CommitFailedError, IllegalStateError):
            self._lost = True
        except (KafkaError, TimeoutError) as error:
            raise ConsumeError(
                f"the broker at {self._bootstrap} did not store how far {self._group} came: "
                f"{_words(error) if isinstance(error, KafkaError) else f'no answer in {self._deadline_seconds:g} s'}. "
                "What was given since the last commit will be given again"
            ) from error
        for partition, offset in given.items():
            if self._given.get(partition) == offset:  # else something was given of it meanwhile
                del self._given[partition]
        lost, self._lost = self._lost, False
        return not lost

    async def rewind(self) -> None:
        """Go back to the oldest record of each partition that this consumer has, and commit that if it has a group.

        Everything is given again, so a projection can be built anew. The group's other members have to do the same.
        """
        consumer = self._open_consumer()
        partitions = list(consumer.assignment())
        self._given.clear()
        self._lost = False
        try:
            async with asyncio.timeout(self._deadline_seconds):
                beginnings = await consumer.beginning_offsets(partitions)
                for partition, offset in beginnings.items():
                    consumer.seek(partition, offset)
                if self._group is not None:
                    await consumer.commit(beginnings)
        except (KafkaError, TimeoutError) as error:
            raise ConsumeError(f"going back to the oldest records failed: {_words(error)}. Try it again") from error

    def _make(self) -> AIOKafkaConsumer:
        self._given.clear()
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset=self._start if self._start in ("earliest", "latest") else "earliest",
            session_timeout_ms=_SESSION_MS,
            max_poll_interval_ms=EFFECT_SECONDS * 1000,
            request_timeout_ms=int(min(20.0, self._deadline_seconds) * 1000),
            **self._connection,
        )

    async def _take_partitions(self, consumer: AIOKafkaConsumer) -> None:
        there = await self._partitions_by_topic()
        if missing := sorted(set(self._topics) - there.keys()):
            raise ConsumeError(
                f"the broker at {self._bootstrap} has no topic {', '.join(missing)} that this user may see: check the "
                "address, the name and the user's rights, or create the topics with `opora topics create`"
            )
        if self._group is not None:
            listener = _Listener(self._forget)
            consumer.subscribe(self._topics, listener=listener)
            await listener.joined.wait()
            return
        partitions = [TopicPartition(topic, partition) for topic in self._topics for partition in there[topic]]
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        starts = await self._starts(consumer, beginnings, ends)
        if self._until_end:
            self._ends = {partition: end for partition, end in ends.items() if starts[partition] < end}
            partitions = list(self._ends)
        if partitions:
            consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, starts[partition])

    async def _partitions_by_topic(self) -> dict[str, list[int]]:
        """Every topic of the broker: one that is asked for by name would be made by some brokers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, **self._connection)
        try:
            await admin.start()
            described = await admin.describe_topics()
        finally:
            await admin.close()
        return {entry["topic"]: sorted(one["partition"] for one in entry["partitions"]) for entry in described}

    async def _starts(
        self, consumer: AIOKafkaConsumer, beginnings: dict[TopicPartition, int], ends: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        if self._start == "earliest":
            return beginnings
        if self._start == "latest":
            return ends
        if isinstance(self._start, datetime):
            since_ms = max(0, int(self._start.timestamp() * 1000))
            found = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
            return {one: end if found[one] is None else found[one].offset for one, end in ends.items()}
        wanted = self._start if isinstance(self._start, Mapping) else dict.fromkeys(ends, self._start)
        return {one: min(max(wanted.get(one, 0), beginnings[one]), end) for one, end in ends.items()}

    async def _next_before_end(self, consumer: AIOKafkaConsumer) -> Any:
        while self._ends:
            batch = await consumer.getmany(timeout_ms=_POLL_MS, max_records=1)
            for partition in list(batch or self._ends):
                if await consumer.position(partition) >= self._ends[partition]:
                    del self._ends[partition]
                    consumer.pause(partition)
            for (record,) in batch.values():
                return record
        return None

    def _forget(self, revoked: Iterable[TopicPartition]) -> None:
        """Only whoever has these partitions from now on may commit what was given of them."""
        for partition in revoked:
            if self._given.pop(partition, None) is not None:
                self._lost = True

    def _count(self, given: Given) -> None:
        if isinstance(given, Event):
            self.counts["events"] += 1
        elif isinstance(given, UnknownEvent):
            self.counts["unknown"] += 1
            self.counts[given.type] += 1
        else:
            self.counts["undecodable"] += 1

    def _open_consumer(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("a Consumer gives events inside `async with`")
        return self._consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells a consumer which partitions go, and when the group has dealt it its first ones."""

    def __init__(self, forget: Callable[[Iterable[TopicPartition]], None]) -> None:
        self._forget = forget
        self.joined = asyncio.Event()

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._forget(revoked)

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002  the interface
        self.joined.set()


def _read(record: Any) -> Given:
    try:
        return decode(record.key, record.value, record.headers, partition=record.partition, offset=record.offset)
    except UndecodableEvent as error:
        return Undecodable(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason_code=error.reason_code,
            detail=error.detail,
            key=record.key,
            value=record.value,
            headers=tuple(record.headers),
        )


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
